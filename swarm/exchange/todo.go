package exchange

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/ipfs/go-cid"
)

// request is what a client asked for.
type request struct {
	kind         kind // kindGetLeaves, kindGetNodes, kindDone; kindSkipped for leaves asked for and cancelled
	start, count int
	cids         []cid.Cid
	id           [16]byte // of kindDone
}

// todo queues requests. The reader of the stream never waits for it: a client that asks for more than it may is
// breaking the protocol.
type todo struct {
	limit Limits
	ready chan struct{} // capacity 1: there may be something

	mu     sync.Mutex
	q      []request
	nodes  int // CIDs in q
	inWork int // requests taken and jobs not yet sent
	// taken are the leaves that were taken out of q and whose sending has not begun; true: cancelled meanwhile.
	taken map[int]bool
}

func newTodo(l Limits) *todo {
	return &todo{limit: l, ready: make(chan struct{}, 1), taken: map[int]bool{}}
}

func (t *todo) push(rq request) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.q); n > 0 && rq.kind == kindGetLeaves {
		if last := &t.q[n-1]; last.kind == kindGetLeaves && last.start+last.count == rq.start {
			last.count += rq.count
			return nil
		}
	}
	if len(t.q) >= t.limit.Ranges || t.nodes+len(rq.cids) > t.limit.Nodes {
		return fmt.Errorf("%w: too many requests outstanding", ErrProtocol)
	}
	t.q = append(t.q, rq)
	t.nodes += len(rq.cids)
	select {
	case t.ready <- struct{}{}:
	default:
	}
	return nil
}

// cancel turns what is queued of a range of leaves into skips, in their places, and marks what was taken already. It
// returns how many ranges and leaves it looked at.
func (t *todo) cancel(start, count int) (looked int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	looked = len(t.taken) + len(t.q)
	for i := range t.taken {
		if start <= i && i < start+count {
			t.taken[i] = true
		}
	}
	for i := 0; i < len(t.q); i++ {
		rq := t.q[i]
		lo, hi := max(rq.start, start), min(rq.start+rq.count, start+count)
		if rq.kind != kindGetLeaves || lo >= hi {
			continue
		}
		t.q[i] = request{kind: kindSkipped, start: lo, count: hi - lo}
		if rq.start < lo {
			t.q = slices.Insert(t.q, i, request{kind: kindGetLeaves, start: rq.start, count: lo - rq.start})
			i++
		}
		if end := rq.start + rq.count; hi < end {
			t.q = slices.Insert(t.q, i+1, request{kind: kindGetLeaves, start: hi, count: end - hi})
			i++
		}
		if len(t.q) > t.limit.Ranges {
			return looked, fmt.Errorf("%w: too many pieces of requests outstanding", ErrProtocol)
		}
	}
	return looked, nil
}

// pop waits for something to do: a request, or of one for leaves the first leaf, so that the rest can still be
// cancelled. The caller owes one began(-1).
func (t *todo) pop(ctx context.Context) (request, error) {
	for {
		if rq, ok := t.first(); ok {
			return rq, nil
		}
		select {
		case <-t.ready:
		case <-ctx.Done():
			return request{}, context.Cause(ctx)
		}
	}
}

func (t *todo) first() (request, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.q) == 0 {
		t.q = nil
		return request{}, false
	}
	t.inWork++
	rq := t.q[0]
	if rq.kind == kindGetLeaves {
		t.taken[rq.start] = false
	}
	if rq.kind == kindGetLeaves && rq.count > 1 {
		t.q[0].start++
		t.q[0].count--
		rq.count = 1
		return rq, true
	}
	t.q[0] = request{}
	t.q = t.q[1:]
	t.nodes -= len(rq.cids)
	return rq, true
}

// send says that the sending of leaf i is about to begin. It returns false if the leaf was cancelled.
func (t *todo) send(i int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	gone := t.taken[i]
	delete(t.taken, i)
	return !gone
}

func (t *todo) began(n int) {
	t.mu.Lock()
	t.inWork += n
	t.mu.Unlock()
}

func (t *todo) busy() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.q) > 0 || t.inWork > 0
}
