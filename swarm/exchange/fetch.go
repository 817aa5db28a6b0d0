package exchange

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/ipfs/go-cid"

	"cairn/storage/block"
	"cairn/swarm/exchange/pb"
)

// batch is how many nodes are asked for in one request, and twice that is how many are on their way at most.
const batch = 512

// Nodes fetches inner nodes in the order given, many per round trip, and yields each as it comes. Every block
// yielded hashes to its CID and may be kept. A node that the source can not read is yielded as a *MissingError
// with its CID in the block, and the rest follows; any other error is the last. Breaking off early closes the
// session unless the last node has come.
func (s *Session) Nodes(ctx context.Context, cs []cid.Cid) iter.Seq2[block.Block, error] {
	return func(yield func(block.Block, error) bool) {
		end, err := s.acquire(ctx)
		if err != nil {
			yield(block.Block{}, fmt.Errorf("fetch nodes: %w", err))
			return
		}
		asked, got := 0, 0
		err = s.nodesUntil(cs, &asked, &got, yield)
		stopped := errors.Is(err, errStopped)
		if stopped && got == asked {
			err = nil
		}
		if err = end(err); err != nil && !stopped {
			yield(block.Block{}, fmt.Errorf("fetch nodes: %w", err))
		}
	}
}

// errStopped: the consumer has seen enough.
var errStopped = fmt.Errorf("%w: broken off", ErrClosed)

func (s *Session) nodesUntil(cs []cid.Cid, asked, got *int, yield func(block.Block, error) bool) error {
	first := s.nodes
	for *got < len(cs) {
		for *asked < len(cs) && *asked-*got <= batch {
			n := min(batch, len(cs)-*asked)
			m := &pb.GetNodes{Cids: make([][]byte, n)}
			for i, c := range cs[*asked : *asked+n] {
				m.Cids[i] = c.Bytes()
			}
			if err := s.request(appendMessage(nil, kindGetNodes, m)); err != nil {
				return err
			}
			*asked += n
			s.nodes += uint64(n)
		}
		b, err := s.node(cs[*got], first+uint64(*got))
		if err != nil && !isMissing(err) {
			return err
		}
		*got++
		if !yield(b, err) {
			return errStopped
		}
	}
	return nil
}

// node reads the answer for one node.
func (s *Session) node(c cid.Cid, number uint64) (block.Block, error) {
	b := block.Block{CID: c}
	h, err := s.next()
	if err != nil {
		return b, err
	}
	if h.kind == kindNode {
		if h.index != number {
			return b, fmt.Errorf("%w: node %d where %d was asked for", ErrProtocol, h.index, number)
		}
		b.Data = make([]byte, 0, h.size)
		buf, err := s.payload(h)
		if err != nil {
			return b, err
		}
		defer buf.Release()
		if err := block.Verify(c, buf.Bytes()); err != nil {
			return b, fmt.Errorf("%w: %w", ErrProtocol, err)
		}
		b.Data = append(b.Data, buf.Bytes()...)
		return b, nil
	}
	var m pb.Missing
	if err := s.body(h, kindMissing, &m); err != nil {
		return b, err
	}
	if !m.Node || m.Index != number {
		return b, fmt.Errorf("%w: missing %d where node %d was asked for", ErrProtocol, m.Index, number)
	}
	return b, &MissingError{Index: -1, CID: c, Reason: reason(m.Reason), Count: 1}
}

func reason(r pb.Missing_Reason) Reason {
	if r < 0 || r > pb.Missing_UNREADABLE {
		return Unknown
	}
	return Reason(r)
}

// span is a range of leaves asked for and not yet complete.
type span struct{ next, end int }

// Leaves fetches leaves. It calls next for ranges while less than a few seconds' worth is on its way, until next
// says false, and hands every leaf to deliver, in the order asked. deliver owns b from then on, must release it
// (or let another goroutine do so) and may block, which slows the source down. deliver verifies; its error ends
// the call, closes the session and is returned as it is. next and deliver are called from this goroutine.
//
// A leaf that the source can not read is not delivered: Leaves then asks next no more, delivers the rest of what
// it has asked for, and returns a *MissingError; the session stays usable.
func (s *Session) Leaves(ctx context.Context, next func() (start, count int, ok bool), deliver func(i int, b *Buf) error) error {
	end, err := s.acquire(ctx)
	if err != nil {
		return fmt.Errorf("fetch leaves: %w", err)
	}
	l := &leafRun{s: s, next: next, deliver: deliver}
	err = l.run(ctx)
	var own callerError
	if errors.As(err, &own) {
		return end(err)
	}
	if err = end(err); err != nil {
		return fmt.Errorf("fetch leaves: %w", err)
	}
	return nil
}

// leafRun is one call of Leaves.
type leafRun struct {
	s       *Session
	next    func() (start, count int, ok bool)
	deliver func(i int, b *Buf) error

	spans   []span
	onWay   int  // leaves asked for and not yet here
	over    bool // next is asked no more
	missing *MissingError
	out     []byte
}

func (l *leafRun) run(ctx context.Context) error {
	l.s.pace.begin(time.Now())
	for {
		if err := l.ask(); err != nil {
			return err
		}
		if l.onWay == 0 {
			break
		}
		if err := l.receive(); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if l.missing != nil {
		return l.missing
	}
	return nil
}

// ask keeps enough on its way. It waits until a good part has arrived, so that requests travel together.
func (l *leafRun) ask() error {
	p := &l.s.pace
	if l.over || !p.low(l.onWay) {
		return nil
	}
	l.out = l.out[:0]
	for !p.full(l.onWay) {
		start, count, ok := l.next()
		if !ok {
			l.over = true
			break
		}
		if start < 0 || count <= 0 || start > l.s.leaves-count {
			return callerError{fmt.Errorf("fetch leaves: range from %d, %d leaves, is outside of the %d that the source has", start, count, l.s.leaves)}
		}
		l.onWay += count
		l.add(start, count)
	}
	if len(l.out) == 0 {
		return nil
	}
	return l.s.request(l.out)
}

func (l *leafRun) add(start, count int) {
	l.spans = append(l.spans, span{start, start + count})
	l.out = appendMessage(l.out, kindGetLeaves, &pb.GetLeaves{Start: uint64(start), Count: uint64(count)})
}

// receive reads one leaf, or what stands in its place.
func (l *leafRun) receive() error {
	h, err := l.s.next()
	if err != nil {
		return err
	}
	want := &l.spans[0]
	i := want.next
	if want.next++; want.next == want.end {
		l.spans = l.spans[1:]
	}
	l.onWay--
	if h.kind != kindLeaf {
		var m pb.Missing
		if err := l.s.body(h, kindMissing, &m); err != nil {
			return err
		}
		if m.Node || m.Index != uint64(i) {
			return fmt.Errorf("%w: missing %d where leaf %d was asked for", ErrProtocol, m.Index, i)
		}
		l.over = true
		if l.missing == nil {
			l.missing = &MissingError{Index: i, Reason: reason(m.Reason)}
		}
		l.missing.Count++
		return nil
	}
	if h.index != uint64(i) {
		return fmt.Errorf("%w: leaf %d where %d was asked for", ErrProtocol, h.index, i)
	}
	b, err := l.s.payload(h)
	if err != nil {
		return err
	}
	l.s.pace.got(time.Now(), h.size)
	if err := l.deliver(i, b); err != nil {
		return callerError{err}
	}
	return nil
}

// Done tells the source that the object is complete and safe here, and waits until the source has recorded it.
func (s *Session) Done(ctx context.Context) error {
	end, err := s.acquire(ctx)
	if err != nil {
		return fmt.Errorf("report completion: %w", err)
	}
	if err := end(s.done()); err != nil {
		return fmt.Errorf("report completion: %w", err)
	}
	return nil
}

func (s *Session) done() error {
	if err := s.request(appendMessage(nil, kindDone, &pb.Done{})); err != nil {
		return err
	}
	until := time.Now().Add(s.cfg.Done)
	s.st.SetReadDeadline(until)
	s.in.armed = until // so that the deadline stays
	defer func() { s.in.armed = time.Time{} }()
	return s.expectOrRefused(kindAcked, &pb.Acked{})
}
