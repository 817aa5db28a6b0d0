package fetch

import (
	"context"
	"os"
	"sync"
	"sync/atomic"

	"cairn/storage/block"
)

// destination is where leaves go: a file or a directory under its temporary name.
type destination interface {
	// check prepares the destination and calls found, from several goroutines, for every leaf that is in place.
	check(ctx context.Context, found func(i int)) error
	// write puts the verified bytes of leaf i in their place. Safe for concurrent use.
	write(i int, data []byte) error
	// finish makes everything durable and returns the files by their final paths. Nothing is written after it.
	finish() ([]Written, error)
	// close gives the temporary name free; unless keep it is removed too.
	close(keep bool)
	// fresh tells whether the temporary name was not there before.
	fresh() bool
	// overhead is what the file system needs for names and rounding, in bytes: an estimate.
	overhead() int64
}

// scanner hashes what an earlier run left in files, with several goroutines. Holes are skipped unread.
type scanner struct {
	p     *plan
	found func(i int)
	jobs  chan scanJob
	tasks sync.WaitGroup
	err   atomic.Pointer[error] // the first of a worker
}

// scanJob is one leaf to hash.
type scanJob struct {
	f    *scanFile
	i    int
	off  int64
	size int
}

// scanFile is closed when its last leaf has been hashed.
type scanFile struct {
	f     *os.File
	users atomic.Int32
	close bool
}

func (f *scanFile) done() {
	if f.users.Add(-1) == 0 && f.close {
		f.f.Close()
	}
}

func newScanner(p *plan, found func(i int)) *scanner {
	s := &scanner{p: p, found: found, jobs: make(chan scanJob, workers())}
	for range workers() {
		s.tasks.Go(s.worker)
	}
	return s
}

// file scans the file of an item, which has the item's size already (if that is known). It closes f at the end
// if that is asked for.
func (s *scanner) file(ctx context.Context, item int, f *os.File, closeIt bool) error {
	sf := &scanFile{f: f, close: closeIt}
	sf.users.Store(1)
	defer sf.done()
	it := &s.p.items[item]
	size := it.Size
	if size < 0 {
		info, err := f.Stat()
		if err != nil {
			return err
		}
		size = min(info.Size(), block.MaxSize)
	}
	var from, to int64 // the range of data at or after the current leaf
	for i := it.FirstLeaf; i < it.FirstLeaf+it.Leaves; i++ {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		_, off := s.p.tree.Locate(i)
		n := int64(s.p.sizes[i])
		if n < 0 {
			n = size
		}
		for to <= off && n > 0 {
			var err error
			if from, to, err = nextData(f, off, size); err != nil {
				return err
			}
			if from == to {
				from, to = size, size+1 // no more data
			}
		}
		if n > 0 && from >= off+n { // in a hole
			if s.p.zero[i] {
				s.found(i)
			}
			continue
		}
		sf.users.Add(1)
		s.jobs <- scanJob{sf, i, off, int(n)}
	}
	return nil
}

// end waits for all leaves and returns the first error.
func (s *scanner) end() error {
	close(s.jobs)
	s.tasks.Wait()
	if err := s.err.Load(); err != nil {
		return *err
	}
	return nil
}

func (s *scanner) worker() {
	var buf []byte
	for j := range s.jobs {
		if cap(buf) < j.size {
			buf = make([]byte, max(j.size, 64<<10))
		}
		if err := s.leaf(j, buf[:j.size]); err != nil {
			s.err.CompareAndSwap(nil, &err)
		}
		j.f.done()
	}
}

// leaf hashes one leaf. A zero leaf whose place holds something else is zeroed.
func (s *scanner) leaf(j scanJob, buf []byte) error {
	n, err := j.f.f.ReadAt(buf, j.off)
	if n == len(buf) && s.p.accept(j.i, buf) == nil {
		s.found(j.i)
		return nil
	}
	// Unreadable or wrong bytes are simply fetched again; a broken disk will show when they are written.
	_ = err
	if !s.p.zero[j.i] {
		return nil
	}
	clear(buf)
	if _, err := j.f.f.WriteAt(buf, j.off); err != nil {
		return err
	}
	s.found(j.i)
	return nil
}
