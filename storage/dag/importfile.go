package dag

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
)

// readStep is how much of a leaf is read before it is hashed: little enough to be still in the cache of the core.
const readStep = 256 << 10

// file imports a regular file as entry i of d. size is what the scan saw: it decides who reads, nothing else.
func (w *worker) file(ctx context.Context, path string, size int64, d *dirBuild, i int, inTree bool) error {
	d.pending.Add(1)
	if size > smallFile {
		return w.oneFile(ctx, path, d, i, inTree, w.largeFile)
	}
	return w.im.submit(ctx, func(ctx context.Context, w *worker) error {
		return w.oneFile(ctx, path, d, i, inTree, w.smallFile)
	})
}

// source is an open source file.
type source struct {
	*os.File
	path string
	info fs.FileInfo // when it was opened
	id   uint64
}

// oneFile opens, imports and checks a file. Opening never blocks, whatever is there by now.
func (w *worker) oneFile(ctx context.Context, path string, d *dirBuild, i int, inTree bool,
	read func(context.Context, *source, meta) (ref, error)) error {
	f, err := openNonblock(path, false)
	if err != nil {
		return raced(path, err)
	}
	defer f.Close()
	s := &source{File: f, path: path}
	if s.info, err = f.Stat(); err != nil {
		return err
	}
	if !s.info.Mode().IsRegular() {
		if !inTree {
			return pathError(path, ErrSpecial)
		}
		w.special(path, d, i)
		return d.complete(ctx, w)
	}
	if s.id, err = w.im.sink.File(path, s.info); err != nil {
		return err
	}
	var m meta
	if w.im.o.Preserve {
		m = metaOf(s.info)
	}
	r, err := read(ctx, s, m)
	if err != nil {
		return err
	}
	now, err := f.Stat()
	if err != nil {
		return err
	}
	if now.Size() != s.info.Size() || !now.ModTime().Equal(s.info.ModTime()) {
		return pathError(path, ErrChanged)
	}
	w.im.done(0, 1)
	d.entries[i].ref = r
	return d.complete(ctx, w)
}

// smallFile reads a file in this goroutine.
func (w *worker) smallFile(ctx context.Context, s *source, m meta) (ref, error) {
	b := builder{out: &w.out}
	size := s.info.Size()
	for off := int64(0); off < size || off == 0; off += LeafSize {
		r, data, err := w.readLeaf(s, off)
		if err != nil {
			return ref{}, err
		}
		if size == 0 && !m.isZero() {
			break // an empty file with metadata is a node without leaves
		}
		if err := w.im.leaf(ctx, s.id, off, r, data); err != nil {
			return ref{}, err
		}
		if size <= LeafSize && m.isZero() {
			return r, nil
		}
		if err := b.leaf(ctx, r); err != nil {
			return ref{}, err
		}
	}
	return b.finish(ctx, m)
}

// readLeaf reads and hashes the leaf at off. data is valid until the worker's next read.
func (w *worker) readLeaf(s *source, off int64) (r ref, data []byte, err error) {
	if w.buf == nil {
		w.buf = make([]byte, LeafSize+1)
	}
	want := int(min(LeafSize, s.info.Size()-off))
	last := off+int64(want) == s.info.Size()
	h := sha256.New()
	for n := 0; n < want; {
		step := min(readStep, want-n)
		k, err := s.ReadAt(w.buf[n:n+step], off+int64(n))
		if k < step {
			return ref{}, nil, readError(s.path, err)
		}
		h.Write(w.buf[n : n+step])
		n += step
	}
	if last { // a file that gives more than its size is growing, or lies about its size as those of /proc do
		if k, err := s.ReadAt(w.buf[want:want+1], off+int64(want)); k > 0 || !errors.Is(err, io.EOF) {
			return ref{}, nil, readError(s.path, err)
		}
	}
	var d digest
	h.Sum(d[:0])
	return newLeaf(d, want), w.buf[:want], nil
}

// readError explains a read that did not give what the size promised.
func readError(path string, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return pathError(path, ErrChanged)
	}
	return err
}

// largeFile spreads the leaves of a file over all workers and skips its holes. It runs in the scanner.
func (w *worker) largeFile(ctx context.Context, s *source, m meta) (ref, error) {
	win := newWindow(w.im, &builder{out: &w.out})
	size := s.info.Size()
	if size <= smallFile { // it shrank since the scan
		return w.smallFile(ctx, s, m)
	}
	sparse := isSparse(s.info)
	var data extent
	zeroSeen := false
	for off := int64(0); off < size; {
		if sparse && off >= data.end {
			data = nextData(s.File, off, size)
		}
		sl, err := win.next(ctx)
		if err != nil {
			return ref{}, err
		}
		if n := (data.start - off) / LeafSize; sparse && n > 0 {
			zeros, zero := w.im.zero()
			if !zeroSeen {
				zeroSeen = true
				if err := w.im.sink.Leaf(ctx, s.id, off, zero.cid(), zeros); err != nil {
					return ref{}, err
				}
			}
			sl.ref, sl.zeros = zero, n
			w.im.leaves.Add(n)
			w.im.done(n*LeafSize, 0)
			off += n * LeafSize
			continue
		}
		at := off
		if err := w.im.submit(ctx, func(ctx context.Context, w *worker) error {
			r, data, err := w.readLeaf(s, at)
			if err != nil {
				return err
			}
			if err := w.im.leaf(ctx, s.id, at, r, data); err != nil {
				return err
			}
			sl.ref = r
			sl.done <- struct{}{}
			return nil
		}); err != nil {
			return ref{}, err
		}
		off += LeafSize
	}
	return win.finish(ctx, m)
}

// extent is a run of data in a sparse file.
type extent struct{ start, end int64 }
