package exchange

import (
	"context"
	"log/slog"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Shaper holds bytes of content back, to keep to limits that someone has set. Control messages are never held
// back. Safe for concurrent use; waiting ends with the context, which ends with the session.
type Shaper interface {
	// Up waits until n more bytes may be sent to p; n is at most 64 KiB while anything is limited for p.
	Up(ctx context.Context, p peer.ID, n int) error
	// Down waits as long as n bytes that have come from p are worth.
	Down(ctx context.Context, p peer.ID, n int) error
	// Limited tells whether anything is limited for p at the moment. If not, Up and Down return at once.
	Limited(p peer.ID) bool
}

// free is the Shaper that holds nothing back.
type free struct{}

func (free) Up(context.Context, peer.ID, int) error   { return nil }
func (free) Down(context.Context, peer.ID, int) error { return nil }
func (free) Limited(peer.ID) bool                     { return false }

// ServerConfig is what a Server needs. Rights and Content are required; everything else has defaults.
type ServerConfig struct {
	Rights   Rights
	Content  Content
	Events   Events
	Limits   Limits
	Timeouts Timeouts
	Pool     *Pool
	Meter    *Meter
	Shape    Shaper // nil: nothing is limited
	Log      *slog.Logger
	Now      func() time.Time // for SessionInfo.Started and the pace of Progress
}

// Limits of a server; 0 means the default.
type Limits struct {
	Sessions        int   // at a time, 256
	SessionsPerPeer int   // 16
	Handshakes      int   // in flight, 64
	HandshakesHost  int   // in flight per IPv4 address or IPv6 network of 64 bits, 32
	HandshakesPeer  int   // in flight per peer, 8
	Ranges          int   // asked or cancelled and not yet answered, per session, 4096
	Nodes           int   // asked by CID and not yet answered, per session, 8192
	Requests        int   // per second and session, 20000; faster ones are read later
	ReadAhead       int64 // bytes read ahead of a line that has shown to be fast, per session, 4 MiB; see ahead
	ReadAheadAll    int64 // for all sessions together, 128 MiB; a session always gets one leaf at a time
}

// Timeouts of a server; 0 means the default.
type Timeouts struct {
	Handshake time.Duration // from the stream's begin to the end of the proofs, 10 s
	Idle      time.Duration // without a request and with nothing to send, of a client that did not say Swarm, 5 min
	Message   time.Duration // from the first to the last byte of a message, 10 s
	Write     time.Duration // for 64 KiB, or 2 MiB on a line that has shown to be fast, to leave, 30 s
	Progress  time.Duration // between two calls of Events.Progress, 250 ms
	Introduce time.Duration // between two introductions of a session, 200 ms
}

func or[T int | int64 | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

func (l Limits) withDefaults() Limits {
	or(&l.Sessions, 256)
	or(&l.SessionsPerPeer, 16)
	or(&l.Handshakes, 64)
	or(&l.HandshakesHost, 32)
	or(&l.HandshakesPeer, 8)
	or(&l.Ranges, 4096)
	or(&l.Nodes, 8192)
	or(&l.Requests, 20000)
	or(&l.ReadAhead, 4<<20)
	or(&l.ReadAheadAll, 128<<20)
	return l
}

func (t Timeouts) withDefaults() Timeouts {
	or(&t.Handshake, 10*time.Second)
	or(&t.Idle, 5*time.Minute)
	or(&t.Message, 10*time.Second)
	or(&t.Write, 30*time.Second)
	or(&t.Progress, 250*time.Millisecond)
	or(&t.Introduce, 200*time.Millisecond)
	return t
}
