package exchange

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// answer is a stretch of answers that a source owes.
type answer struct {
	kind      kind // kindLeaf, kindNode, kindAcked
	next, end int  // leaves by index, nodes by number; one for kindAcked
	cancelled bool
	acked     chan struct{} // of kindAcked: closed when it has come
}

// owed is what a source has been asked for and has not answered, in the order asked. What comes must be next in
// it. It also keeps the stream's deadline: a source that owes nothing has no time to keep. Safe for concurrent
// use: requests add at the end, one goroutine takes from the front.
type owed struct {
	in          *pacedReader
	stall, done time.Duration // for a leaf or node, and for Acked

	mu sync.Mutex
	q  []answer
}

// limit returns the time for what is next; 0 if nothing is owed. With mu held.
func (o *owed) limit() time.Duration {
	switch {
	case len(o.q) == 0:
		return 0
	case o.q[0].kind == kindAcked:
		return o.done
	}
	return o.stall
}

// push adds what was just asked for.
func (o *owed) push(a answer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := len(o.q); n > 0 && a.kind != kindAcked {
		if last := &o.q[n-1]; last.kind == a.kind && !last.cancelled && last.end == a.next {
			last.end = a.end
			return
		}
	}
	o.q = append(o.q, a)
	if len(o.q) == 1 {
		o.in.expect(o.limit())
	}
}

// resume begins a new time for what is next: this side is ready to read.
func (o *owed) resume() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.in.expect(o.limit())
}

// head returns what must come next.
func (o *owed) head() (answer, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.q) == 0 {
		return answer{}, false
	}
	return o.q[0], true
}

// empty tells whether nothing is owed.
func (o *owed) empty() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.q) == 0
}

// took notes that the answer that head returned has come.
func (o *owed) took() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.advance(1)
}

func (o *owed) advance(n int) {
	a := &o.q[0]
	if a.next += n; a.next < a.end {
		return
	}
	if a.acked != nil {
		close(a.acked)
	}
	o.q[0] = answer{}
	if o.q = o.q[1:]; len(o.q) == 0 {
		o.q = nil
		o.in.expect(0)
	}
}

// cancel marks the leaves of a range that are owed and tells whether there were any not marked before.
func (o *owed) cancel(start, count int) (any bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := 0; i < len(o.q); i++ {
		a := o.q[i]
		lo, hi := max(a.next, start), min(a.end, start+count)
		if a.kind != kindLeaf || a.cancelled || lo >= hi {
			continue
		}
		any = true
		parts := make([]answer, 0, 3)
		for _, p := range []answer{
			{kind: kindLeaf, next: a.next, end: lo},
			{kind: kindLeaf, next: lo, end: hi, cancelled: true},
			{kind: kindLeaf, next: hi, end: a.end},
		} {
			if p.next < p.end {
				parts = append(parts, p)
			}
		}
		o.q = slices.Replace(o.q, i, i+1, parts...)
		i += len(parts) - 1
	}
	return any
}

// skip notes that leaves were skipped, all of which must be next and cancelled.
func (o *owed) skip(start, count uint64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	no := fmt.Errorf("%w: skipped %d leaves from %d, which were not cancelled", ErrProtocol, count, start)
	if count == 0 {
		return no
	}
	for at, left := start, count; left > 0; {
		if len(o.q) == 0 || !o.q[0].cancelled || uint64(o.q[0].next) != at {
			return no
		}
		n := min(left, uint64(o.q[0].end-o.q[0].next))
		o.advance(int(n))
		at, left = at+n, left-n
	}
	return nil
}
