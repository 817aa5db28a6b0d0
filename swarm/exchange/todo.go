package exchange

import (
	"context"
	"fmt"
	"sync"

	"github.com/ipfs/go-cid"
)

// request is what a client asked for.
type request struct {
	kind         kind // kindGetLeaves, kindGetNodes, kindDone
	start, count int
	cids         []cid.Cid
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
}

func newTodo(l Limits) *todo { return &todo{limit: l, ready: make(chan struct{}, 1)} }

func (t *todo) push(rq request) error {
	t.mu.Lock()
	defer t.mu.Unlock()
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

// pop waits for a request. The caller owes one finished(1).
func (t *todo) pop(ctx context.Context) (request, error) {
	for {
		t.mu.Lock()
		if len(t.q) > 0 {
			rq := t.q[0]
			t.q[0] = request{}
			t.q = t.q[1:]
			t.nodes -= len(rq.cids)
			t.inWork++
			t.mu.Unlock()
			return rq, nil
		}
		t.q = nil
		t.mu.Unlock()
		select {
		case <-t.ready:
		case <-ctx.Done():
			return request{}, context.Cause(ctx)
		}
	}
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
