package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sort"
	"sync"
	"time"

	"cairn/storage/dag"
	"cairn/swarm/schedule"
)

// maxAhead is the number of leaves that a Reader fetches ahead when it is read in order; it begins with one.
const maxAhead = 16

// Reader reads one file of a tree from sources, fetching ahead in order: the first bytes are there before the
// last are fetched, and reading a range fetches little more than the range, or with Limit nothing more. It
// implements io.ReadSeekCloser; its methods are for one goroutine at a time.
type Reader struct {
	e     *engine
	p     *plan
	it    dag.Item
	size  int64 // -1: not known until the only leaf has come
	pos   int64
	limit int64 // nothing is fetched ahead from here on; -1: none
	ahead int   // leaves beyond the present one to have under way
	last  int   // leaf of the last Read; -1: none

	end     context.CancelFunc
	done    <-chan struct{}
	cause   func() error
	helpers sync.WaitGroup
	closed  bool

	// Guarded by e.mu.
	lo, hi int // leaves that are wanted now
	window map[int]Buf
}

// Feed is where a Reader reads from.
type Feed struct {
	Sources    []Source      // those known at the start
	Joining    <-chan Source // sources that come later; while it is open reading waits rather than fails. nil: none
	Self       string        // this peer's id in binary; may be empty
	StallAfter time.Duration // 0: 15 s
	Log        *slog.Logger  // nil: none
}

// NewReader returns a reader of a file item. It fetches until Close is called or ctx ends. Reading fails with
// *NoSourceError when no source is left. The sources' Run has returned when Close has.
func NewReader(ctx context.Context, t *dag.Tree, item int, from Feed) (*Reader, error) {
	items := t.Items()
	if item < 0 || item >= len(items) || items[item].Kind != dag.File {
		return nil, fmt.Errorf("%w: not a file", dag.ErrUnsupported)
	}
	r := &Reader{p: newPlan(t), it: items[item], size: items[item].Size, limit: -1, last: -1, window: make(map[int]Buf)}
	ctx, r.end = context.WithCancel(ctx)
	r.done, r.cause = ctx.Done(), func() error { return context.Cause(ctx) }
	e := &engine{members: newMembers(from.StallAfter, from.Log), leaves: len(r.p.sizes)}
	e.sched = schedule.New(schedule.Config{Leaves: e.leaves, Size: r.p.size, Order: schedule.InOrder, Self: from.Self, Patience: e.stall})
	e.check, e.keep, e.kept = r.p.check, func(int, []byte) error { return nil }, r.kept
	e.open = from.Joining != nil
	r.e = e
	for _, s := range from.Sources {
		e.join(ctx, s)
	}
	e.start()
	r.helpers.Go(func() { e.watch(ctx) })
	if e.open {
		r.helpers.Go(func() { e.listen(ctx, from.Joining) })
	}
	return r, nil
}

// Limit says that nothing from byte end on will be read soon, so that nothing there is fetched ahead. It holds
// until the next Limit; a negative end lifts it. Reading beyond it works all the same.
func (r *Reader) Limit(end int64) { r.limit = end }

// Size returns the size of the file in bytes, -1 if it is not known yet.
func (r *Reader) Size() int64 { return r.size }

// Sources tells what became of the sources.
func (r *Reader) Sources() []SourceState {
	r.e.mu.Lock()
	defer r.e.mu.Unlock()
	return r.e.states()
}

// kept puts an arrived leaf into the window, unless the reader has moved on. e.mu is held.
func (r *Reader) kept(a arrival) (taken bool) {
	if a.i < r.lo || a.i >= r.hi || r.closed {
		r.e.step(schedule.Forget{Leaf: a.i})
		return false
	}
	r.window[a.i] = a.b
	r.e.wake()
	return true
}

// Read reads at the present position.
func (r *Reader) Read(dst []byte) (int, error) {
	if r.closed {
		return 0, errClosed
	}
	if len(dst) == 0 {
		return 0, nil
	}
	if r.it.Leaves == 0 || (r.size >= 0 && r.pos >= r.size) {
		return 0, io.EOF
	}
	k, off := r.locate(r.pos)
	if r.p.zero[k] { // known without fetching
		n := int(min(int64(len(dst)), off+int64(r.p.size(k))-r.pos))
		clear(dst[:n])
		r.pos += int64(n)
		return n, nil
	}
	data, err := r.leaf(k)
	if err != nil {
		return 0, err
	}
	if r.size < 0 {
		if r.size = int64(len(data)); r.pos >= r.size {
			return 0, io.EOF
		}
	}
	n := copy(dst, data[r.pos-off:])
	r.pos += int64(n)
	return n, nil
}

// locate returns the leaf with byte pos of the file, and where in the file it begins.
func (r *Reader) locate(pos int64) (k int, off int64) {
	n := sort.Search(r.it.Leaves, func(n int) bool {
		_, off := r.p.tree.Locate(r.it.FirstLeaf + n)
		return off > pos
	})
	k = r.it.FirstLeaf + max(n-1, 0)
	_, off = r.p.tree.Locate(k)
	return k, off
}

// leaf waits for leaf k and sees to what comes after it.
func (r *Reader) leaf(k int) ([]byte, error) {
	r.aim(k)
	for {
		r.e.mu.Lock()
		b, changed := r.window[k], r.e.changed
		var err error
		if b == nil && r.e.stuck() {
			err = &NoSourceError{Missing: 1, Sources: r.e.states()}
		}
		r.e.mu.Unlock()
		switch {
		case b != nil:
			return b.Bytes(), nil
		case err != nil:
			return nil, err
		}
		select {
		case <-changed:
		case <-r.done:
			return nil, r.cause()
		}
	}
}

// aim moves the window so that it begins with leaf k. Reading on widens it, jumping narrows it.
func (r *Reader) aim(k int) {
	if k == r.last {
		return
	}
	onward := r.last >= 0 && k > r.last && k <= r.last+r.ahead
	if onward {
		r.ahead = min(max(2*r.ahead, 1), maxAhead)
	} else {
		r.ahead = 1
	}
	r.last = k
	end := min(k+1+r.ahead, r.it.FirstLeaf+r.it.Leaves)
	if r.limit >= 0 {
		last, _ := r.locate(max(r.limit-1, 0))
		end = min(end, max(last, k)+1)
	}
	r.e.mu.Lock()
	defer r.e.mu.Unlock()
	r.move(k, end, !onward)
	for lo := r.lo; lo < r.hi; {
		hi := lo
		for hi < r.hi && !r.p.zero[hi] {
			hi++
		}
		if hi > lo {
			r.e.step(schedule.Want{Span: schedule.Span{Lo: lo, Hi: hi}})
		}
		lo = hi + 1
	}
}

// move sets the window, and lets go of what is not in it. With cancel what is on its way is not waited for. e.mu is
// held.
func (r *Reader) move(lo, hi int, cancel bool) {
	r.lo, r.hi = lo, hi
	for i, b := range r.window {
		if i < lo || i >= hi {
			b.Release()
			delete(r.window, i)
			r.e.step(schedule.Forget{Leaf: i})
		}
	}
	if cancel {
		r.e.step(schedule.Unwant{})
	}
}

// Seek sets the position of the next Read. It fetches nothing; what is on its way and is of no use for reading on
// there is cancelled.
func (r *Reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.pos
	case io.SeekEnd:
		if r.size < 0 {
			return 0, errors.New("seek from the end: the size is not known yet")
		}
		offset += r.size
	}
	if offset < 0 {
		return 0, errors.New("seek before the beginning")
	}
	r.pos = offset
	r.e.mu.Lock()
	defer r.e.mu.Unlock()
	// The end is where one goes to ask for the size, and comes back from.
	if r.last >= 0 && !r.closed && (r.size < 0 || offset < r.size) {
		if k, _ := r.locate(offset); k < r.lo || k >= r.hi {
			r.move(0, 0, true)
			r.last = -1
		}
	}
	return offset, nil
}

// Close ends all fetching.
func (r *Reader) Close() error {
	if r.closed {
		return nil
	}
	r.e.mu.Lock()
	r.closed = true
	r.e.mu.Unlock()
	r.end()
	r.helpers.Wait()
	r.e.shut()
	for i, b := range r.window {
		b.Release()
		delete(r.window, i)
	}
	return nil
}

var errClosed = errors.New("the reader is closed")
