package dag

import (
	"context"
	"crypto/sha256"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/ipfs/go-cid"
	"golang.org/x/sync/errgroup"
)

// importer is one import: a scanner that finds work in order and a pool of workers that read and hash.
//
//	scanner --jobs--> workers --Sink.Leaf, small files, finished directories--> Sink
//	   ^------slots of a bounded window, in order, leaves of one large file-----'
type importer struct {
	o    Options
	sink Sink
	// jobs is unbuffered: the scanner is never ahead of the workers by more than its window.
	jobs  chan func(context.Context, *worker) error
	group *errgroup.Group

	bytes, files, leaves, skipped atomic.Int64
	tell                          sync.Mutex // held while Progress or Warn runs
	zero                          func() ([]byte, ref)
}

// worker is what one goroutine keeps between jobs.
type worker struct {
	im  *importer
	out nodeWriter
	buf []byte // one leaf and a byte, touched once and used again
}

func newImporter(ctx context.Context, o Options, s Sink) (*importer, context.Context) {
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	im := &importer{o: o, sink: s, jobs: make(chan func(context.Context, *worker) error)}
	im.zero = sync.OnceValues(func() ([]byte, ref) {
		b := make([]byte, LeafSize)
		return b, leafRef(b)
	})
	im.group, ctx = errgroup.WithContext(ctx)
	return im, ctx
}

// run starts the workers and the scanner and waits for all of them. The first error that happened is returned.
func (im *importer) run(ctx context.Context, scan func(context.Context, *worker) error) error {
	for range im.o.Workers {
		w := im.newWorker()
		im.group.Go(func() error {
			for {
				select {
				case <-ctx.Done():
					return ctx.Err()
				case job, ok := <-im.jobs:
					if !ok {
						return nil
					}
					if err := job(ctx, w); err != nil {
						return err
					}
				}
			}
		})
	}
	im.group.Go(func() error {
		defer close(im.jobs)
		return scan(ctx, im.newWorker())
	})
	return im.group.Wait()
}

func (im *importer) newWorker() *worker { return &worker{im: im, out: nodeWriter{sink: im.sink}} }

// submit hands a job to the next free worker.
func (im *importer) submit(ctx context.Context, job func(context.Context, *worker) error) error {
	select {
	case im.jobs <- job:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// done counts and reports. When another goroutine is reporting, the next report carries these numbers too.
func (im *importer) done(bytes, files int64) {
	im.bytes.Add(bytes)
	im.files.Add(files)
	if im.o.Progress != nil && im.tell.TryLock() {
		im.o.Progress(im.bytes.Load(), im.files.Load())
		im.tell.Unlock()
	}
}

func (im *importer) skip(text string) {
	im.skipped.Add(1)
	if im.o.Warn != nil {
		im.tell.Lock()
		defer im.tell.Unlock()
		im.o.Warn(text)
	}
}

// summary ends a successful import.
func (im *importer) summary(r ref, k Kind) Summary {
	if im.o.Progress != nil {
		im.o.Progress(im.bytes.Load(), im.files.Load())
	}
	return Summary{
		Root: r.cid(), Kind: k, Size: im.bytes.Load(), Files: im.files.Load(), Leaves: im.leaves.Load(),
		Skipped: int(im.skipped.Load()),
	}
}

// leafRef hashes a leaf.
func leafRef(data []byte) ref { return newLeaf(sha256.Sum256(data), len(data)) }

func newLeaf(d digest, n int) ref {
	return ref{digest: d, codec: cid.Raw, size: uint64(n), tsize: uint64(n)}
}

// window keeps the leaves of one file in order while workers hash them: a ring of slots.
type window struct {
	b          *builder
	slots      []slot
	head, tail int // slots [head, tail) are in flight, modulo len(slots)
}

// slot is a leaf in flight, or a run of zero leaves.
type slot struct {
	ref   ref
	done  chan struct{} // capacity 1: a worker never waits
	zeros int64
	buf   []byte // for readers: the slot's own buffer
}

func newWindow(im *importer, b *builder) *window {
	w := &window{b: b, slots: make([]slot, 2*im.o.Workers+2)}
	for i := range w.slots {
		w.slots[i].done = make(chan struct{}, 1)
	}
	return w
}

// next returns a free slot, waiting for the oldest leaf if there is none.
func (w *window) next(ctx context.Context) (*slot, error) {
	if w.tail-w.head == len(w.slots) {
		if err := w.pop(ctx); err != nil {
			return nil, err
		}
	}
	s := &w.slots[w.tail%len(w.slots)]
	w.tail++
	s.zeros = 0
	return s, nil
}

// pop gives the oldest slot to the builder.
func (w *window) pop(ctx context.Context) error {
	s := &w.slots[w.head%len(w.slots)]
	w.head++
	if s.zeros > 0 {
		return w.b.zeroLeaves(ctx, s.ref, s.zeros)
	}
	select {
	case <-s.done:
		return w.b.leaf(ctx, s.ref)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// finish empties the window and ends the file.
func (w *window) finish(ctx context.Context, m meta) (ref, error) {
	for w.head < w.tail {
		if err := w.pop(ctx); err != nil {
			return ref{}, err
		}
	}
	return w.b.finish(ctx, m)
}
