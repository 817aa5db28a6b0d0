package fetch

import (
	"context"
	"errors"
	"iter"
	"sync"

	"cairn/storage/block"
	"cairn/storage/dag"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
)

// LocalSource is a Source over what this peer holds itself: for a get by CID, and for export to a folder.
type LocalSource struct {
	id   peer.ID
	g    block.Getter
	tree *dag.Tree
	bufs sync.Pool

	asked *requests
}

// NewLocalSource returns a source that reads the blocks of tree from g; id is only a name for it.
func NewLocalSource(id peer.ID, g block.Getter, tree *dag.Tree) *LocalSource {
	return &LocalSource{id: id, g: g, tree: tree, asked: newRequests()}
}

// Peer returns the name given to NewLocalSource.
func (l *LocalSource) Peer() peer.ID { return l.id }

// Nodes reads inner nodes.
func (l *LocalSource) Nodes(ctx context.Context, cs []cid.Cid) iter.Seq2[block.Block, error] {
	return dag.FromGetter(l.g).Nodes(ctx, cs)
}

// Partial is false: what is not there after all is told leaf by leaf.
func (l *LocalSource) Partial() bool { return false }

// Rank is 0.
func (l *LocalSource) Rank() int { return 0 }

// Request asks for leaves. It never blocks.
func (l *LocalSource) Request(start, count int) error {
	l.asked.add(start, count)
	return nil
}

// Cancel takes back what has not been read yet.
func (l *LocalSource) Cancel(start, count int) error {
	l.asked.cancel(start, count)
	return nil
}

// Run reads leaves one after the other. Those that are not there, or are corrupt, are missing.
func (l *LocalSource) Run(ctx context.Context, s Sink) error {
	for {
		i, skipped, err := l.asked.next(ctx)
		if err != nil {
			return err
		}
		if skipped > 0 {
			s.Skipped(i, skipped)
			continue
		}
		b, err := l.read(ctx, i)
		switch {
		case errors.Is(err, block.ErrNotFound), errors.Is(err, block.ErrCorrupt):
			s.Missing(i, err)
			continue
		case err != nil:
			return err
		}
		if err := s.Leaf(i, b); err != nil {
			return err
		}
	}
}

// requests are what a source was asked for and has not answered, in the order asked.
type requests struct {
	ready chan struct{} // has room for one: there is something

	mu   sync.Mutex
	todo []request
}

// request is a stretch of leaves to send, or of cancelled ones to answer with Skipped.
type request struct {
	start, count int
	skip         bool
}

func newRequests() *requests { return &requests{ready: make(chan struct{}, 1)} }

func (q *requests) add(start, count int) {
	q.mu.Lock()
	q.todo = append(q.todo, request{start: start, count: count})
	q.mu.Unlock()
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// cancel marks the leaves of a stretch that are still to be sent.
func (q *requests) cancel(start, count int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var out []request
	for _, r := range q.todo {
		lo, hi := max(r.start, start), min(r.start+r.count, start+count)
		if r.skip || lo >= hi {
			out = append(out, r)
			continue
		}
		for _, part := range []request{{r.start, lo - r.start, false}, {lo, hi - lo, true}, {hi, r.start + r.count - hi, false}} {
			if part.count > 0 {
				out = append(out, part)
			}
		}
	}
	q.todo = out
}

// next waits for something to do and returns a leaf to send, or the first and the number of skipped ones.
func (q *requests) next(ctx context.Context) (i, skipped int, err error) {
	for {
		if ctx.Err() != nil {
			return 0, 0, context.Cause(ctx)
		}
		if i, skipped, ok := q.take(); ok {
			return i, skipped, nil
		}
		select {
		case <-q.ready:
		case <-ctx.Done():
		}
	}
}

func (q *requests) take() (i, skipped int, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.todo) == 0 {
		return 0, 0, false
	}
	r := &q.todo[0]
	i = r.start
	if r.skip {
		skipped = r.count
	}
	r.start++
	if r.count--; r.skip || r.count == 0 {
		q.todo = q.todo[1:]
	}
	return i, skipped, true
}

func (l *LocalSource) read(ctx context.Context, i int) (*localBuf, error) {
	b, _ := l.bufs.Get().(*localBuf)
	if b == nil {
		b = &localBuf{pool: &l.bufs}
	}
	c, size := l.tree.Leaf(i)
	if cap(b.mem) < size {
		b.mem = make([]byte, size)
	}
	data, err := l.g.Get(ctx, c, b.mem[:0])
	if err != nil {
		b.Release()
		return nil, err
	}
	b.data = data
	return b, nil
}

// Done does nothing: nobody else need know.
func (l *LocalSource) Done(context.Context) error { return nil }

type localBuf struct {
	pool      *sync.Pool
	mem, data []byte
}

func (b *localBuf) Bytes() []byte { return b.data }

func (b *localBuf) Release() {
	b.data = nil
	b.pool.Put(b)
}
