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
}

// NewLocalSource returns a source that reads the blocks of tree from g; id is only a name for it.
func NewLocalSource(id peer.ID, g block.Getter, tree *dag.Tree) *LocalSource {
	return &LocalSource{id: id, g: g, tree: tree}
}

// Peer returns the name given to NewLocalSource.
func (l *LocalSource) Peer() peer.ID { return l.id }

// Nodes reads inner nodes.
func (l *LocalSource) Nodes(ctx context.Context, cs []cid.Cid) iter.Seq2[block.Block, error] {
	return dag.FromGetter(l.g).Nodes(ctx, cs)
}

// Leaves reads leaves one after the other. Those that are not there, or are corrupt, are missing.
func (l *LocalSource) Leaves(ctx context.Context, next func() (int, int, bool), deliver func(int, Buf) error) error {
	for {
		start, count, ok := next()
		if !ok {
			return nil
		}
		var missing *MissingError
		for i := start; i < start+count; i++ {
			if err := ctx.Err(); err != nil {
				return err
			}
			b, err := l.read(ctx, i)
			switch {
			case errors.Is(err, block.ErrNotFound), errors.Is(err, block.ErrCorrupt):
				if missing == nil {
					missing = &MissingError{Leaf: i, Err: err}
				}
				continue
			case err != nil:
				return err
			}
			if err := deliver(i, b); err != nil {
				return err
			}
		}
		if missing != nil {
			return missing
		}
	}
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
