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
)

// maxAhead is the number of leaves that a Reader fetches ahead when it is read in order; it begins with one.
const maxAhead = 16

// Reader reads one file of a tree from sources, fetching ahead in order: the first bytes are there before the
// last are fetched, and reading a range fetches little more than the range. It implements io.ReadSeekCloser; its
// methods are for one goroutine at a time.
type Reader struct {
	e     *engine
	p     *plan
	it    dag.Item
	size  int64 // -1: not known until the only leaf has come
	pos   int64
	ahead int // leaves beyond the present one to have under way
	last  int // leaf of the last Read; -1: none

	end     context.CancelFunc
	done    <-chan struct{}
	cause   func() error
	helpers sync.WaitGroup
	closed  bool

	// Guarded by e.mu.
	lo, hi int // leaves that are wanted now
	window map[int]Buf
}

// NewReader returns a reader of a file item. It fetches until Close is called or ctx ends. Reading fails with
// *NoSourceError when no source is left.
func NewReader(ctx context.Context, t *dag.Tree, item int, sources ...Source) (*Reader, error) {
	return newReader(ctx, t, item, 0, nil, sources)
}

func newReader(ctx context.Context, t *dag.Tree, item int, stall time.Duration, log *slog.Logger, sources []Source) (*Reader, error) {
	items := t.Items()
	if item < 0 || item >= len(items) || items[item].Kind != dag.File {
		return nil, fmt.Errorf("%w: not a file", dag.ErrUnsupported)
	}
	r := &Reader{p: newPlan(t), it: items[item], size: items[item].Size, last: -1, window: make(map[int]Buf)}
	ctx, r.end = context.WithCancel(ctx)
	r.done, r.cause = ctx.Done(), func() error { return context.Cause(ctx) }
	r.e = &engine{members: newMembers(stall, log), q: newQueue(len(r.p.sizes), r.p.size)}
	r.e.check, r.e.keep = r.p.check, r.keep
	for _, s := range sources {
		r.e.join(ctx, s)
	}
	r.helpers.Go(func() { r.e.watch(ctx) })
	r.e.start(ctx)
	return r, nil
}

// Size returns the size of the file in bytes, -1 if it is not known yet.
func (r *Reader) Size() int64 { return r.size }

// Sources tells what became of the sources.
func (r *Reader) Sources() []SourceState {
	r.e.mu.Lock()
	defer r.e.mu.Unlock()
	return r.e.states()
}

// keep puts an arrived leaf into the window, or away if the reader has moved on.
func (r *Reader) keep(i int, b Buf) error {
	r.e.mu.Lock()
	defer r.e.mu.Unlock()
	if i < r.lo || i >= r.hi || r.closed {
		r.e.q.forget(i)
		b.Release()
		return nil
	}
	r.window[i] = b
	r.e.wake()
	return nil
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
	r.e.mu.Lock()
	defer r.e.mu.Unlock()
	r.lo, r.hi = k, min(k+1+r.ahead, r.it.FirstLeaf+r.it.Leaves)
	for i, b := range r.window {
		if i < r.lo || i >= r.hi {
			b.Release()
			delete(r.window, i)
			r.e.q.forget(i)
		}
	}
	if !onward {
		r.e.q.unwant()
	}
	for i := r.lo; i < r.hi; i++ {
		if !r.p.zero[i] {
			r.e.q.want(span{i, i + 1})
		}
	}
	r.e.wake()
}

// Seek sets the position of the next Read. It fetches nothing.
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
	r.e.abort()
	r.end()
	r.helpers.Wait()
	for i, b := range r.window {
		b.Release()
		delete(r.window, i)
	}
	return nil
}

var errClosed = errors.New("the reader is closed")
