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
	// Stall is the time in which at least 16 KiB, or a whole frame, must arrive while something is asked for, 15 s.
	Stall time.Duration
	// Done is the time that the source may take to record a complete download, 60 s.
	Done  time.Duration
	Write time.Duration // for one request to leave, 15 s
	Pool  *Pool         // share one between sessions
	Meter *Meter
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
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Session is a right proved to a peer. Its operations run one after the other: a call waits for the one before.
// An operation that ends with an error other than *MissingError, or with something still asked for, closes the
// session. Safe for concurrent use.
type Session struct {
	cfg       ClientConfig
	h         host.Host
	st        network.Stream
	in        *pacedReader
	r         *bufio.Reader
	up        func(int)
	addr      string
	transport string
	size      int64
	leaves    int
	tag       string // protects the connection from being trimmed

	turn  chan struct{} // capacity 1: held by the operation in progress
	nodes uint64        // nodes asked for since the session began; guarded by turn
	pace  pace          // guarded by turn

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

func newSessionOf(h host.Host, st network.Stream, cfg ClientConfig) *Session {
	s := &Session{cfg: cfg, h: h, st: st, turn: make(chan struct{}, 1)}
	conn := st.Conn()
	s.addr, s.transport = conn.RemoteMultiaddr().String(), conn.ConnState().Transport
	c, all := cfg.Meter.of(conn.RemotePeer()), &cfg.Meter.all
	s.up = func(n int) { c.up.Add(int64(n)); all.up.Add(int64(n)) }
	down := func(n int) { c.down.Add(int64(n)); all.down.Add(int64(n)) }
	s.in = &pacedReader{s: st, stall: cfg.Stall, count: down}
	s.r = bufio.NewReaderSize(s.in, readBuffer)
	return s
}

// prove is the client's half of the handshake.
func (s *Session) prove(t ticket.Ticket) error {
	deadline := time.Now().Add(s.cfg.Handshake)
	s.st.SetDeadline(deadline)
	s.in.armed = deadline // so that the deadline stays
	key := t.Key()
	id := key.ID()
	var nonce [32]byte
	rand.Read(nonce[:])
	if err := s.write(appendMessage(nil, kindHello, &pb.Hello{Version: version, KeyId: id[:], ClientNonce: nonce[:]})); err != nil {
		return err
	}
	var challenge pb.Challenge
	if err := s.expectOrRefused(kindChallenge, &challenge); err != nil {
		return err
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
	s.pace.init(s.size, s.leaves)
	s.st.SetDeadline(time.Time{})
	s.in.armed = time.Time{}
	return nil
}

// write sends requests.
func (s *Session) write(b []byte) error {
	n, err := s.st.Write(b)
	s.up(n)
	return err
}

// request sends requests within the time for writing.
func (s *Session) request(b []byte) error {
	s.st.SetWriteDeadline(time.Now().Add(s.cfg.Write))
	return s.write(b)
}

// acquire begins an operation. The returned end must be called with its result, which it completes: it names
// what ctx or Close did, closes the session after an error, and ends the operation.
func (s *Session) acquire(ctx context.Context) (end func(error) error, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := s.closed(); err != nil {
		<-s.turn
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { s.fail(ctx.Err()) })
	return func(err error) error {
		if !stop() { // ctx ended: the session is closed, or will be in a moment, whatever came of the operation
			s.fail(ctx.Err())
			if err != nil {
				err = ctx.Err()
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
func (s *Session) fail(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
		s.st.Reset()
		s.unprotect()
	}
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
	select {
	case s.turn <- struct{}{}: // nothing in progress: say good bye
		defer func() { <-s.turn }()
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.err == nil {
			s.err = ErrClosed
			s.unprotect()
			return s.st.Close()
		}
	default:
		s.fail(ErrClosed)
	}
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

// next reads the header of the next frame, giving the source a new stall time.
func (s *Session) next() (header, error) {
	s.in.arm()
	h, err := readHeader(s.r, toClient)
	return h, within(err)
}

// payload reads a body into a pooled buffer, which the caller owns.
func (s *Session) payload(h header) (*Buf, error) {
	b := s.cfg.Pool.Get(h.size)
	if _, err := io.ReadFull(s.r, b.Bytes()); err != nil {
		b.Release()
		return nil, within(err)
	}
	return b, nil
}
