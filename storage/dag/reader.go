package dag

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"cairn/storage/block"
)

// maxAhead is the number of leaves fetched before they are asked for when a file is read in order.
const maxAhead = 4

// NewReader reads file number item of a tree through g, which is trusted to verify (leaf sizes are checked here). It
// reads the leaf that holds the position and, once reading has gone on from one leaf to the next, up to four leaves
// ahead; a Seek drops them. It holds at most five leaves. ctx ends every read that is under way; Close must be
// called and waits for the reads that are. The reader is for one goroutine. Reading an item that is no file fails.
func NewReader(ctx context.Context, t *Tree, item int, g block.Getter) io.ReadSeekCloser {
	it := &t.items[item]
	r := &reader{t: t, item: item, g: g, size: it.Size, parent: ctx}
	if it.Kind != File {
		r.err = fmt.Errorf("read %q: %w: a %s has no bytes", it.Path, fs.ErrInvalid, it.Kind)
	}
	r.ctx, r.cancel = context.WithCancel(ctx)
	return r
}

// reader keeps its context because io.Reader has no place for one: it lives exactly as long as the reader.
type reader struct {
	t    *Tree
	item int
	g    block.Getter

	parent context.Context
	ctx    context.Context // of the fetches in ahead
	cancel context.CancelFunc
	wg     sync.WaitGroup

	size  int64 // -1: not known yet
	off   int64
	err   error      // for ever
	ahead []*leafGet // consecutive leaves; the first holds what was read last
	run   int        // leaves read one after the other
	free  [][]byte   // buffers of leaves that were read
}

// leafGet is one leaf being fetched. data and err may be read once done is closed.
type leafGet struct {
	leaf int // relative to the item
	buf  []byte
	data []byte
	err  error
	done chan struct{}
}

func (r *reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if err := r.learnSize(); err != nil {
		return 0, err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if r.off >= r.size {
		return 0, io.EOF
	}
	k := r.t.find(r.item, r.off)
	data, err := r.leaf(k)
	if err != nil {
		return 0, err
	}
	n := copy(p, data[r.off-r.t.offset(r.item, k):])
	r.off += int64(n)
	return n, nil
}

// learnSize fetches a lone leaf whose size nobody told.
func (r *reader) learnSize() error {
	if r.size >= 0 {
		return nil
	}
	data, err := r.leaf(0)
	r.size = int64(len(data))
	if err != nil {
		r.size = -1
	}
	return err
}

// leaf returns the bytes of leaf k, valid until the next call, and starts reading ahead.
func (r *reader) leaf(k int) ([]byte, error) {
	if n := len(r.ahead); n == 0 || k < r.ahead[0].leaf || k > r.ahead[0].leaf+n {
		r.drop()
	} else {
		for r.ahead[0].leaf < k {
			r.run++
			select {
			case <-r.ahead[0].done:
				r.free = append(r.free, r.ahead[0].buf)
			default: // skipped by a Seek while it is still being fetched
			}
			if r.ahead = r.ahead[1:]; len(r.ahead) == 0 {
				break
			}
		}
	}
	if len(r.ahead) == 0 {
		r.start(k)
	}
	first := r.ahead[0]
	<-first.done // ends with ctx at the latest
	if first.err != nil {
		r.drop()
		return nil, first.err
	}
	depth := 0
	if r.run > 0 {
		depth = min(1<<min(r.run-1, 8), maxAhead)
	}
	for next := k + len(r.ahead); next <= k+depth && next < r.t.items[r.item].Leaves; next++ {
		r.start(next)
	}
	return first.data, nil
}

// start fetches leaf k at the end of ahead. Leaves are dropped in order, so no more than maxAhead+1 are in flight.
func (r *reader) start(k int) {
	it := &r.t.items[r.item]
	c, size := r.t.Leaf(it.FirstLeaf + k)
	g := &leafGet{leaf: k, done: make(chan struct{})}
	if n := len(r.free); n > 0 && cap(r.free[n-1]) >= size {
		g.buf, r.free = r.free[n-1], r.free[:n-1]
	} else {
		g.buf = make([]byte, 0, max(size, 0))
	}
	r.ahead = append(r.ahead, g)
	ctx := r.ctx
	r.wg.Go(func() {
		defer close(g.done)
		g.data, g.err = r.g.Get(ctx, c, g.buf)
		switch {
		case g.err != nil:
			g.err = fmt.Errorf("read %q: %w", it.Path, g.err)
		case size >= 0 && len(g.data) != size:
			g.err = fmt.Errorf("read %q: %w: leaf %s has %d bytes, its parent says %d", it.Path, ErrBadDAG, c, len(g.data), size)
		}
	})
}

// drop forgets everything fetched or being fetched.
func (r *reader) drop() {
	r.cancel()
	r.wg.Wait()
	r.ahead, r.run = nil, 0
	r.ctx, r.cancel = context.WithCancel(r.parent)
}

func (r *reader) Seek(offset int64, whence int) (int64, error) {
	if r.err != nil {
		return 0, r.err
	}
	switch whence {
	case io.SeekCurrent:
		offset += r.off
	case io.SeekEnd:
		if err := r.learnSize(); err != nil {
			return 0, err
		}
		offset += r.size
	}
	if offset < 0 || whence < io.SeekStart || whence > io.SeekEnd {
		return 0, fmt.Errorf("seek %q: %w", r.t.items[r.item].Path, fs.ErrInvalid)
	}
	r.off = offset
	return offset, nil
}

func (r *reader) Close() error {
	r.cancel()
	r.wg.Wait()
	r.err, r.ahead, r.free = fs.ErrClosed, nil, nil
	return nil
}
