package fetch

import (
	"context"
	"fmt"
	"iter"

	"cairn/storage/block"

	"github.com/ipfs/go-cid"
)

// nodeSource is a dag.NodeSource over all sources of a job: one is asked, and when it fails or lies it is
// dropped and the next is asked for the rest. It verifies, so that the liar is known.
type nodeSource struct {
	m *members
}

// Nodes yields every block of cs, once and verified, or ends with an error.
func (n *nodeSource) Nodes(ctx context.Context, cs []cid.Cid) iter.Seq2[block.Block, error] {
	return func(yield func(block.Block, error) bool) {
		want := make(map[cid.Cid]struct{}, len(cs))
		for _, c := range cs {
			want[c] = struct{}{}
		}
		for len(want) > 0 {
			s, err := n.m.pick(ctx)
			if err != nil {
				yield(block.Block{}, err)
				return
			}
			again, err := n.from(s, cs, want, yield)
			if err == nil && len(want) > 0 && again {
				err = fmt.Errorf("%w: sent %d nodes too few", ErrMisbehaved, len(want))
			}
			if ctx.Err() == nil && err != nil {
				n.m.drop(s, s.reason(err))
			}
			if !again {
				return
			}
		}
	}
}

// from asks one source for what is wanted. It returns again == false when the consumer wants no more.
func (n *nodeSource) from(s *member, cs []cid.Cid, want map[cid.Cid]struct{}, yield func(block.Block, error) bool) (again bool, err error) {
	ask := make([]cid.Cid, 0, len(want))
	once := make(map[cid.Cid]struct{}, len(want))
	for _, c := range cs {
		_, wanted := want[c]
		if _, twice := once[c]; wanted && !twice {
			once[c] = struct{}{}
			ask = append(ask, c)
		}
	}
	n.set(s, true)
	defer n.set(s, false)
	for b, err := range s.src.Nodes(s.ctx, ask) {
		if err != nil {
			return true, err
		}
		if _, ok := want[b.CID]; !ok {
			return true, fmt.Errorf("%w: sent node %s, which was not asked for", ErrMisbehaved, b.CID)
		}
		if err := block.Verify(b.CID, b.Data); err != nil {
			return true, fmt.Errorf("sent a wrong node: %w", err)
		}
		delete(want, b.CID)
		n.set(s, false) // from here on the source waits for us
		if !yield(b, nil) {
			return false, nil
		}
		n.set(s, true)
		if len(want) == 0 {
			break
		}
	}
	return true, nil
}

// set notes that the source was asked for nodes, or has nothing more to do.
func (n *nodeSource) set(s *member, owes bool) {
	n.m.mu.Lock()
	defer n.m.mu.Unlock()
	s.asking = owes
	n.m.beat(s, owes)
}
