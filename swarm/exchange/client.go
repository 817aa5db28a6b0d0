package exchange

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"cairn/swarm/exchange/pb"
	"cairn/swarm/ticket"
)

// ClientConfig tunes a session; the zero value is fine.
type ClientConfig struct {
	Connect   time.Duration // to reach the peer, 15 s
	Handshake time.Duration // to prove both ways, 20 s
	// Stall is the time in which at least 1 KiB, or a whole frame, must arrive while something is asked for, 15 s.
	Stall time.Duration
	// Done is the time that the source may take to record a complete download, 60 s.
	Done  time.Duration
	Write time.Duration // for one request to leave, 15 s
	// News: nothing will be asked for. Such a session beside one that carries leaves hears at once what would stand
	// behind them there: what the source has, and who else there is.
	News  bool
	Pool  *Pool // share one between sessions
	Meter *Meter
	Shape Shaper // nil: nothing is limited
	Log   *slog.Logger
}

func (c ClientConfig) withDefaults() ClientConfig {
	or(&c.Connect, 15*time.Second)
	or(&c.Handshake, 20*time.Second)
	or(&c.Stall, 15*time.Second)
	or(&c.Done, time.Minute)
	or(&c.Write, 15*time.Second)
	if c.Pool == nil {
		c.Pool = &Pool{}
	}
	if c.Meter == nil {
		c.Meter = &Meter{}
	}
	if c.Shape == nil {
		c.Shape = free{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Session is a right proved to a peer. [Session.Run] delivers what [Session.Request] asks for, from any goroutine;
// before it, [Session.Nodes] fetches inner nodes. An operation that ends with an error of the source, or with
// something still asked for, closes the session. Safe for concurrent use.
type Session struct {
	cfg       ClientConfig
	h         host.Host
	st        network.Stream
	in        *pacedReader
	r         *bufio.Reader
	ration    ration // guarded by turn
	up        func(int)
	addr      string
	transport string
	size      int64
	leaves    int
	partial   bool
	others    int
	noSwarm   bool
	tag       string          // protects the connection from being trimmed
	ctx       context.Context // ends with the session
	cancel    context.CancelFunc

	turn  chan struct{} // capacity 1: held by whoever reads
	ran   bool          // Run was called; guarded by turn
	early []aside       // what came before Run; guarded by turn
	kept  int           // bytes of it; guarded by turn
	told  int           // leaves that the source said it has; guarded by turn
	met   int           // peers that the source introduced; guarded by turn
	owed  owed

	sendMu  sync.Mutex  // held while asking, so that owed is in the order of the wire
	nodes   int         // nodes asked for since the session began; guarded by sendMu
	swarmed atomic.Bool // Swarm was said

	mu  sync.Mutex
	err error // why the session is closed; nil while it is open
}

// Peer returns the source's id.
func (s *Session) Peer() peer.ID { return s.st.Conn().RemotePeer() }

// Addr returns the address over which the source was reached.
func (s *Session) Addr() string { return s.addr }

// Transport returns "tcp", "quic-v1", ...
func (s *Session) Transport() string { return s.transport }

// Size returns the bytes of content that the source says the object has. Not verified.
func (s *Session) Size() int64 { return s.size }

// NumLeaves returns the number of leaves that the source says the object has. Not verified.
func (s *Session) NumLeaves() int { return s.leaves }

// Partial tells whether the source holds only part of the object. It says which part to Handler.Have.
func (s *Session) Partial() bool { return s.partial }

// Others returns how many other downloaders took part in the swarm when this session began. Not verified.
func (s *Session) Others() int { return s.others }

// NoSwarm tells whether the ticket forbids that its downloaders serve each other, as the source says.
func (s *Session) NoSwarm() bool { return s.noSwarm }

func newSessionOf(h host.Host, st network.Stream, cfg ClientConfig) *Session {
	s := &Session{cfg: cfg, h: h, st: st, turn: make(chan struct{}, 1)}
	conn := st.Conn()
	s.addr, s.transport = conn.RemoteMultiaddr().String(), conn.ConnState().Transport
	c, all := cfg.Meter.of(conn.RemotePeer()), &cfg.Meter.all
	s.up = func(n int) { c.up.Add(int64(n)); all.up.Add(int64(n)) }
	down := func(n int) { c.down.Add(int64(n)); all.down.Add(int64(n)) }
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.in = &pacedReader{s: st, count: down}
	s.owed.in, s.owed.stall, s.owed.done = s.in, cfg.Stall, cfg.Done
	s.r = bufio.NewReaderSize(s.in, readBuffer)
	return s
}

// prove is the client's half of the handshake.
func (s *Session) prove(t ticket.Ticket) error {
	s.st.SetDeadline(time.Now().Add(s.cfg.Handshake))
	key := t.Key()
	id := key.ID()
	var nonce [32]byte
	rand.Read(nonce[:])
	var challenge pb.Challenge
	err := s.write(appendMessage(nil, kindHello, &pb.Hello{Version: version, KeyId: id[:], ClientNonce: nonce[:], News: s.cfg.News}))
	if err == nil {
		err = s.expectOrRefused(kindChallenge, &challenge)
	}
	if err != nil {
		return turnedAway(err, s.st.Conn().IsClosed())
	}
	if len(challenge.GetServerNonce()) != 32 {
		return fmt.Errorf("%w: challenge of wrong length", ErrProtocol)
	}
	serverNonce := [32]byte(challenge.GetServerNonce())
	me, you := s.st.Conn().LocalPeer(), s.st.Conn().RemotePeer()
	mine := key.Proof(ticket.Client, nonce, serverNonce, me, you, t.Root)
	if err := s.write(appendMessage(nil, kindProof, &pb.Proof{Hmac: mine[:]})); err != nil {
		return err
	}
	var accept pb.Accept
	if err := s.expectOrRefused(kindAccept, &accept); err != nil {
		return err
	}
	if len(accept.GetHmac()) != 32 || !key.Check([32]byte(accept.GetHmac()), ticket.Server, nonce, serverNonce, me, you, t.Root) {
		return fmt.Errorf("%w: it does not know the ticket that it accepts", ErrProtocol)
	}
	if accept.Size > math.MaxInt64 || accept.Leaves > math.MaxInt32 {
		return fmt.Errorf("%w: object of impossible size", ErrProtocol)
	}
	s.size, s.leaves = int64(accept.Size), int(accept.Leaves)
	s.noSwarm = accept.NoSwarm
	s.partial, s.others = accept.Partial, int(min(accept.Others, math.MaxInt32))
	s.st.SetDeadline(time.Time{})
	return nil
}

// turnedAway tells a source without room for a handshake, which ends the stream and leaves the connection, from one
// that was lost.
func turnedAway(err error, gone bool) error {
	if gone || !errors.Is(err, network.ErrReset) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	return fmt.Errorf("%w: it ended the handshake: %w", ErrBusy, err)
}

// write sends requests.
func (s *Session) write(b []byte) error {
	n, err := s.st.Write(b)
	s.up(n)
	return err
}

// ask sends a request within the time for writing and notes what is owed for it; a failure closes the session. An
// answer of no kind is none. With sendMu held.
func (s *Session) ask(b []byte, a answer) error {
	if err := s.closed(); err != nil {
		return err
	}
	if a.kind != 0 {
		s.owed.push(a) // first, because the answer may be faster than the return of Write
	}
	s.st.SetWriteDeadline(time.Now().Add(s.cfg.Write))
	if err := s.write(b); err != nil {
		return s.fail(s.name(err))
	}
	return nil
}

// acquire begins an operation that reads. The returned end must be called with its result, which it completes: it names
// what ctx or Close did, closes the session after an error, and ends the operation.
func (s *Session) acquire(ctx context.Context) (end func(error) error, err error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	return s.begin(ctx)
}

// begin is acquire for whoever has the turn already; with an error it is given back.
func (s *Session) begin(ctx context.Context) (end func(error) error, err error) {
	if err := s.closed(); err != nil {
		<-s.turn
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { s.quit(context.Cause(ctx)) })
	return func(err error) error {
		if !stop() || ctx.Err() != nil { // the session is closed, or will be in a moment, whatever came of the operation
			s.quit(context.Cause(ctx))
			if err != nil {
				err = callerError{context.Cause(ctx)}
			}
		}
		if err != nil && !isMissing(err) {
			err = s.fail(s.name(err))
		}
		<-s.turn
		return err
	}, nil
}

func isMissing(err error) bool {
	var m *MissingError
	return errors.As(err, &m)
}

// closed returns why the session can not be used, nil if it can.
func (s *Session) closed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil || errors.Is(s.err, ErrClosed) {
		return s.err
	}
	return fmt.Errorf("%w: %w", ErrClosed, s.err)
}

// fail closes the session because of err, unless it is closed already, and returns why it is.
func (s *Session) fail(err error) error { return s.close(err, false) }

// quit closes the session because this side wants no more: in good order if nothing is owed.
func (s *Session) quit(err error) error { return s.close(err, true) }

func (s *Session) close(err error, well bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.err = err
	s.cancel()
	if well && s.tag != "" && s.owed.empty() { // and the handshake is over
		s.st.Close()
	} else {
		s.st.Reset()
	}
	s.unprotect()
	return s.err
}

// callerError is an error of the caller's deliver: passed on as it is.
type callerError struct{ error }

// name gives an error of the stream its sentinel.
func (s *Session) name(err error) error {
	var own callerError
	switch {
	case errors.As(err, &own):
		return own.error
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded) && !isTimeout(err):
		return err
	}
	for _, known := range []error{ErrProtocol, ErrRefused, ErrExpired, ErrUsedUp, ErrRevoked, ErrBusy, ErrGone, ErrFailed, ErrClosed, ErrStalled} {
		if errors.Is(err, known) {
			return err
		}
	}
	return lost(err)
}

// Close ends the session. Calls that are in progress fail with ErrClosed.
func (s *Session) Close() error {
	s.quit(ErrClosed)
	return nil
}

func (s *Session) unprotect() {
	if s.tag != "" {
		s.h.ConnManager().Unprotect(s.Peer(), s.tag)
	}
}

// expectOrRefused reads the message that belongs here, or the refusal in its place.
func (s *Session) expectOrRefused(k kind, m interface {
	protoMessage
}) error {
	h, err := readHeader(s.r, toClient)
	if err != nil {
		return within(err)
	}
	return s.body(h, k, m)
}

func (s *Session) body(h header, k kind, m protoMessage) error {
	switch h.kind {
	case k:
		return readMessage(s.r, h, m)
	case kindRefused:
		return s.refused(h)
	}
	return fmt.Errorf("%w: frame %#x where %#x belongs", ErrProtocol, byte(h.kind), byte(k))
}

func (s *Session) refused(h header) error {
	var m pb.Refused
	if err := readMessage(s.r, h, &m); err != nil {
		return err
	}
	return errorOf(m.Reason)
}

// payload reads a body into a pooled buffer, which the caller owns, as fast as the shaper lets it.
func (s *Session) payload(h header) (*Buf, error) {
	b := s.cfg.Pool.Get(h.size)
	s.in.payload, s.in.since = true, 0
	err := s.fill(b.Bytes())
	s.in.payload = false
	if err != nil {
		b.Release()
		return nil, err
	}
	return b, nil
}

// sip bounds what is taken from the stream at a time while this side is limited: else the buffer would take more than
// is paid for, and then nothing for a while.
func (s *Session) sip(limited bool) {
	s.in.most = 0
	if limited {
		s.in.most = s.ration.next(mostRation)
	}
}

func (s *Session) fill(dst []byte) error {
	for p := s.Peer(); ; {
		n, limited := len(dst), s.cfg.Shape.Limited(p)
		s.sip(limited)
		if limited {
			n = s.ration.next(n)
		}
		if _, err := io.ReadFull(s.r, dst[:n]); err != nil {
			return within(err)
		}
		began := time.Now()
		if err := s.cfg.Shape.Down(s.ctx, p, n); err != nil {
			return err
		}
		if limited {
			took := time.Since(began)
			s.ration.took(took)
			s.in.paused(took)
		}
		if dst = dst[n:]; len(dst) == 0 {
			return nil
		}
	}
}
