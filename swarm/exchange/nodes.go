package exchange

import (
	"context"
	"errors"
	"fmt"
	"iter"

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
	for *got < len(cs) {
		for *asked < len(cs) && *asked-*got <= batch {
			n := min(batch, len(cs)-*asked)
			m := &pb.GetNodes{Cids: make([][]byte, n)}
			for i, c := range cs[*asked : *asked+n] {
				m.Cids[i] = c.Bytes()
			}
			if err := s.askNodes(m); err != nil {
				return err
			}
			*asked += n
		}
		b, err := s.node(cs[*got])
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

func (s *Session) askNodes(m *pb.GetNodes) error {
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	first := s.nodes
	s.nodes += len(m.Cids)
	return s.ask(appendMessage(nil, kindGetNodes, m), answer{kind: kindNode, next: first, end: s.nodes})
}

// node reads the answer for one node.
func (s *Session) node(c cid.Cid) (block.Block, error) {
	b := block.Block{CID: c}
	h, want, err := s.next(nil)
	if err != nil {
		return b, err
	}
	if want.kind != kindNode {
		return b, callerError{errors.New("leaves have been asked for and not been read")}
	}
	if h.kind == kindNode {
		if h.index != uint64(want.next) {
			return b, fmt.Errorf("%w: node %d where %d was asked for", ErrProtocol, h.index, want.next)
		}
		buf, err := s.payload(h)
		if err != nil {
			return b, err
		}
		defer buf.Release()
		s.owed.took()
		if err := block.Verify(c, buf.Bytes()); err != nil {
			return b, fmt.Errorf("%w: %w", ErrProtocol, err)
		}
		b.Data = append(make([]byte, 0, h.size), buf.Bytes()...)
		return b, nil
	}
	var m pb.Missing
	if err := s.body(h, kindMissing, &m); err != nil {
		return b, err
	}
	if !m.Node || m.Index != uint64(want.next) {
		return b, fmt.Errorf("%w: missing %d where node %d was asked for", ErrProtocol, m.Index, want.next)
	}
	s.owed.took()
	return b, &MissingError{Index: -1, CID: c, Reason: reason(m.Reason), Count: 1}
}

func reason(r pb.Missing_Reason) Reason {
	if r < 0 || r > pb.Missing_UNREADABLE {
		return Unknown
	}
	return Reason(r)
}
