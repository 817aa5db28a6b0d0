package exchange

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"google.golang.org/protobuf/proto"

	"cairn/swarm/ticket"
)

type protoMessage = proto.Message

// Attempt is one address that was tried.
type Attempt struct {
	Addr string
	Err  error
}

// UnreachableError says what was tried. It is an ErrUnreachable.
type UnreachableError struct {
	Peer  peer.ID
	Tried []Attempt
	Err   error // when there is more to say than the attempts do
}

func (e *UnreachableError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "peer %s can not be reached", e.Peer)
	for i, a := range e.Tried {
		if i == 0 {
			b.WriteString(": ")
		} else {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "%s: %s", a.Addr, oneLine(a.Err))
	}
	if len(e.Tried) == 0 && e.Err != nil {
		b.WriteString(": " + oneLine(e.Err))
	}
	return b.String()
}

// Unwrap makes it an ErrUnreachable.
func (e *UnreachableError) Unwrap() []error { return []error{ErrUnreachable, e.Err} }

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

func unreachable(p peer.ID, err error) error {
	u := &UnreachableError{Peer: p, Err: err}
	var d *swarm.DialError
	if errors.As(err, &d) {
		for _, t := range d.DialErrors {
			u.Tried = append(u.Tried, Attempt{t.Address.String(), t.Cause})
		}
		if d.Cause != nil {
			u.Err = d.Cause
		}
	}
	return u
}

// Dial connects to the ticket's peer, opens a stream and proves the ticket both ways. The order of addresses is
// the host's business (see swarm/transport). Errors wrap ErrUnreachable, ErrRefused, ErrExpired, ErrUsedUp,
// ErrRevoked, ErrBusy, ErrGone, ErrFailed, ErrProtocol, ErrStalled, ErrLost, or are that of ctx.
func Dial(ctx context.Context, h host.Host, t ticket.Ticket, cfg ClientConfig) (*Session, error) {
	cfg = cfg.withDefaults()
	st, err := open(ctx, h, t, cfg)
	if err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("dial source: %w", ctx.Err())
		}
		return nil, fmt.Errorf("dial source: %w", err)
	}
	s := newSessionOf(h, st, cfg)
	end, err := s.acquire(ctx)
	if err != nil {
		s.fail(err)
		return nil, fmt.Errorf("dial source: %w", err)
	}
	if err := end(s.prove(t)); err != nil {
		return nil, fmt.Errorf("dial source: %w", err)
	}
	if err := s.closed(); err != nil { // ctx ended at the last moment
		return nil, fmt.Errorf("dial source: %w", err)
	}
	s.mu.Lock()
	s.tag = "cairn/exchange/" + st.ID()
	h.ConnManager().Protect(t.Peer, s.tag)
	s.mu.Unlock()
	return s, nil
}

// open connects and opens a stream.
func open(ctx context.Context, h host.Host, t ticket.Ticket, cfg ClientConfig) (network.Stream, error) {
	if t.Peer == h.ID() {
		return nil, unreachable(t.Peer, errors.New("it is this peer itself"))
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.Connect)
	defer cancel()
	if len(t.Addrs) > 0 {
		h.Peerstore().AddAddrs(t.Peer, t.Addrs, peerstore.TempAddrTTL)
	}
	// Someone asked for this dial: an earlier failure must not delay it.
	if n, ok := h.Network().(interface{ Backoff() *swarm.DialBackoff }); ok {
		n.Backoff().Clear(t.Peer)
	}
	if err := h.Connect(ctx, t.AddrInfo()); err != nil {
		return nil, unreachable(t.Peer, err)
	}
	st, err := h.NewStream(ctx, t.Peer, Protocol)
	if err != nil {
		if err := turnedAway(err, h.Network().Connectedness(t.Peer) != network.Connected); errors.Is(err, ErrBusy) {
			return nil, err
		}
		return nil, unreachable(t.Peer, err)
	}
	return st, nil
}
