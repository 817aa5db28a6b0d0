package exchange

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cairn/swarm/exchange/pb"
)

// maxEarly bounds what a source says before Run, in bytes: the bits of about 100 million leaves. asideCost is what
// keeping one message takes besides.
const (
	maxEarly  = 16 << 20
	asideCost = 128
)

// Handler is called by Run, one function at a time, and may call Request, Cancel, Swarm and Close. A function that
// is nil does nothing; leaves are then released.
type Handler struct {
	// Leaf takes over b, must release it or let another goroutine do so, and verifies. It may block, which slows the
	// source down. Its error ends the session and is returned by Run as it is.
	Leaf    func(i int, b *Buf) error
	Missing func(i int, r Reason)        // the source can not give leaf i
	Skipped func(start, count int)       // cancelled, will not come
	Have    func(start int, bits []byte) // bit k, the lowest of a byte first: a partial source has leaf start+k; bits are valid during the call
	Peers   func([]Introduction)         // other downloaders; only after Swarm
}

// aside is something that a source said and that is no answer.
type aside struct {
	start int
	bits  []byte
	peers []Introduction
}

func (h *Handler) aside(a aside) {
	if a.bits != nil && h.Have != nil {
		h.Have(a.start, a.bits)
	}
	if len(a.peers) > 0 && h.Peers != nil {
		h.Peers(a.peers)
	}
}

// Run delivers what the source sends until ctx ends, Close is called or the session fails; the session is closed
// then. It returns ctx's cause, an error of Handler.Leaf as it is, or why the session failed. It may be called
// once. While something is asked for, a source that lets ClientConfig.Stall pass has stalled; the time that
// handlers take does not count.
func (s *Session) Run(ctx context.Context, h Handler) error {
	end, err := s.acquire(ctx)
	if err != nil {
		if ctx.Err() != nil { // before it began
			return s.quit(context.Cause(ctx))
		}
		return fmt.Errorf("fetch leaves: %w", err)
	}
	return end(s.run(ctx, &h))
}

func (s *Session) run(ctx context.Context, h *Handler) error {
	if s.ran {
		return callerError{errors.New("fetch leaves: the session has been run before")}
	}
	s.ran = true
	for _, a := range s.early {
		h.aside(a)
	}
	s.early = nil
	for ctx.Err() == nil && s.ctx.Err() == nil { // what is buffered would come all the same
		if err := s.receive(h); err != nil {
			return err
		}
	}
	return ErrClosed
}

// receive reads one answer and hands it over.
func (s *Session) receive(h *Handler) error {
	f, want, err := s.next(h)
	if err != nil {
		return err
	}
	switch {
	case want.kind == kindAcked:
		if err := s.body(f, kindAcked, &pb.Acked{}); err != nil {
			return err
		}
		s.owed.took()
		return nil
	case want.kind != kindLeaf:
		return callerError{errors.New("nodes have been asked for and not been read")}
	case f.kind == kindLeaf:
		return s.leaf(f, want.next, h)
	case f.kind == kindSkipped:
		return s.skipped(f, h)
	}
	var m pb.Missing
	if err := s.body(f, kindMissing, &m); err != nil {
		return err
	}
	if m.Node || m.Index != uint64(want.next) {
		return fmt.Errorf("%w: missing %d where leaf %d was asked for", ErrProtocol, m.Index, want.next)
	}
	s.owed.took()
	if h.Missing != nil {
		h.Missing(want.next, reason(m.Reason))
	}
	return nil
}

func (s *Session) leaf(f header, want int, h *Handler) error {
	if f.index != uint64(want) {
		return fmt.Errorf("%w: leaf %d where %d was asked for", ErrProtocol, f.index, want)
	}
	b, err := s.payload(f)
	if err != nil {
		return err
	}
	s.owed.took()
	if h.Leaf == nil {
		b.Release()
		return nil
	}
	if err := h.Leaf(want, b); err != nil {
		return callerError{err}
	}
	return nil
}

func (s *Session) skipped(f header, h *Handler) error {
	var m pb.Skipped
	if err := readMessage(s.r, f, &m); err != nil {
		return err
	}
	if err := s.owed.skip(m.Start, m.Count); err != nil {
		return err
	}
	if h.Skipped != nil {
		h.Skipped(int(m.Start), int(m.Count))
	}
	return nil
}

// next reads the header of the next answer, for which the source gets a new stall time, and returns what is owed.
// What is no answer is dealt with; it gains the source no time. h is nil before Run.
func (s *Session) next(h *Handler) (header, answer, error) {
	s.owed.resume()
	s.sip(s.cfg.Shape.Limited(s.Peer()))
	for {
		f, err := readHeader(s.r, toClient)
		if err != nil {
			return f, answer{}, within(err)
		}
		switch f.kind {
		case kindRefused:
			return f, answer{}, s.refused(f)
		case kindHave, kindPeers:
			if err := s.between(f, h); err != nil {
				return f, answer{}, err
			}
			continue
		}
		want, ok := s.owed.head()
		if !ok {
			return f, want, fmt.Errorf("%w: frame %#x, and nothing was asked for", ErrProtocol, byte(f.kind))
		}
		return f, want, nil
	}
}

// between reads what is no answer and hands it over, or keeps it for Run.
func (s *Session) between(f header, h *Handler) (err error) {
	var a aside
	if f.kind == kindHave {
		a.start, a.bits, err = s.have(f)
	} else {
		a.peers, err = s.peers(f)
	}
	if err != nil {
		return err
	}
	if h != nil {
		began := time.Now()
		h.aside(a)
		s.in.paused(time.Since(began))
		return nil
	}
	if s.kept += f.size + asideCost; s.kept > maxEarly {
		return fmt.Errorf("%w: it says that it has more than an object can be made of", ErrProtocol)
	}
	s.early = append(s.early, a)
	return nil
}

func (s *Session) have(f header) (start int, bits []byte, err error) {
	var m pb.Have
	if err := readMessage(s.r, f, &m); err != nil {
		return 0, nil, err
	}
	if !s.partial {
		return 0, nil, fmt.Errorf("%w: it has everything and says what it has", ErrProtocol)
	}
	start, n, err := checkHave(&m, s.leaves)
	if err != nil {
		return 0, nil, err
	}
	// Every leaf once would do; more than twice keeps us busy for nothing.
	if s.told += n; s.told > 2*s.leaves {
		return 0, nil, fmt.Errorf("%w: it says again and again what it has", ErrProtocol)
	}
	return start, m.Bits, nil
}

func (s *Session) peers(f header) ([]Introduction, error) {
	var m pb.Peers
	if err := readMessage(s.r, f, &m); err != nil {
		return nil, err
	}
	if s.met += len(m.Peers); s.met > peersAll || !s.swarmed.Load() {
		return nil, fmt.Errorf("%w: %d peers introduced", ErrProtocol, s.met)
	}
	c := s.st.Conn()
	return introductions(&m, c.LocalPeer(), c.RemotePeer(), c.RemoteMultiaddr())
}

// Request asks for leaves. They come to Run in the order of requests. It may wait up to ClientConfig.Write for the
// request to leave.
func (s *Session) Request(start, count int) error {
	if err := s.inObject(start, count); err != nil {
		return fmt.Errorf("ask for leaves: %w", err)
	}
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	b := appendMessage(nil, kindGetLeaves, &pb.GetLeaves{Start: uint64(start), Count: uint64(count)})
	if err := s.ask(b, answer{kind: kindLeaf, next: start, end: start + count}); err != nil {
		return fmt.Errorf("ask for leaves: %w", err)
	}
	return nil
}

func (s *Session) inObject(start, count int) error {
	if start < 0 || count <= 0 || start > s.leaves-count {
		return fmt.Errorf("range from %d, %d leaves, is outside of the %d that the source has", start, count, s.leaves)
	}
	return nil
}

// Cancel tells the source that leaves asked for need not come. For each either Handler.Skipped is called or it
// comes all the same. It does nothing if none of them is on its way.
func (s *Session) Cancel(start, count int) error {
	if err := s.inObject(start, count); err != nil {
		return fmt.Errorf("cancel leaves: %w", err)
	}
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	if !s.owed.cancel(start, count) {
		return nil
	}
	if err := s.ask(appendMessage(nil, kindCancel, &pb.Cancel{Start: uint64(start), Count: uint64(count)}), answer{}); err != nil {
		return fmt.Errorf("cancel leaves: %w", err)
	}
	return nil
}

// Swarm tells the source that this peer serves what it has to others and wants to be introduced to them. Only the
// first call says so.
func (s *Session) Swarm() error {
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	if s.swarmed.Swap(true) {
		return nil
	}
	tcp, udp := listens(s.h, s.st.Conn().LocalMultiaddr())
	if err := s.ask(appendMessage(nil, kindSwarm, &pb.Swarm{Tcp: uint32(tcp), Udp: uint32(udp)}), answer{}); err != nil {
		return fmt.Errorf("join the swarm: %w", err)
	}
	return nil
}

// Done tells the source that the object is complete and safe here, and waits until the source has recorded it. id
// is that of this download. It may be called while Run is active, and without Run when nothing is asked for. When ctx
// ends before the answer has come, the session is closed.
func (s *Session) Done(ctx context.Context, id [16]byte) error {
	if err := s.finish(ctx, id); err != nil {
		return fmt.Errorf("report completion: %w", err)
	}
	return nil
}

func (s *Session) finish(ctx context.Context, id [16]byte) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	acked := make(chan struct{})
	s.sendMu.Lock()
	err := s.ask(appendMessage(nil, kindDone, &pb.Done{Id: id[:]}), answer{kind: kindAcked, end: 1, acked: acked})
	s.sendMu.Unlock()
	if err != nil {
		return err
	}
	select {
	case s.turn <- struct{}{}: // nobody reads, so this call does
		return s.await(ctx, acked)
	case <-acked:
		return nil
	case <-s.ctx.Done():
		return s.over(acked)
	case <-ctx.Done():
		s.quit(context.Cause(ctx))
		return context.Cause(ctx)
	}
}

// over returns why the session has ended, unless the answer came before.
func (s *Session) over(acked chan struct{}) error {
	select {
	case <-acked:
		return nil
	default:
		return s.closed()
	}
}

// await reads until the answer to Done has come. The caller has the turn, which await gives back.
func (s *Session) await(ctx context.Context, acked chan struct{}) error {
	end, err := s.begin(ctx)
	if err != nil {
		return s.over(acked)
	}
	for {
		select {
		case <-acked:
			return end(nil)
		default:
		}
		f, want, err := s.next(nil)
		if err == nil && want.kind != kindAcked {
			err = callerError{errors.New("leaves have been asked for and not been read")}
		}
		if err == nil {
			err = s.body(f, kindAcked, &pb.Acked{})
		}
		if err != nil {
			return end(err)
		}
		s.owed.took()
	}
}
