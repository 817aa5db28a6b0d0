package dag

import (
	"context"
	"crypto/sha256"

	"github.com/ipfs/go-cid"
)

// builder makes the balanced tree of one file from its leaves in order. A node is encoded, handed out and forgotten
// as soon as it is full and something follows it; what is held is at most Width references per level.
type builder struct {
	out    *nodeWriter
	levels [][]ref // unfinished node of every level; 0 refers to leaves
	zeros  []ref   // zeros[k] is the full subtree of height k over all-zero leaves
	leaves int64
}

// nodeWriter encodes nodes into a buffer that it keeps and hands them to a sink. Not safe for concurrent use.
type nodeWriter struct {
	sink Sink
	buf  []byte
	data []byte
}

// put hands over the block in w.buf.
func (w *nodeWriter) put(ctx context.Context, size, below uint64) (ref, error) {
	r := ref{digest: sha256.Sum256(w.buf), codec: cid.DagProtobuf, size: size, tsize: below + uint64(len(w.buf))}
	return r, w.sink.Node(ctx, r.cid(), w.buf)
}

// file makes a file node.
func (w *nodeWriter) file(ctx context.Context, children []ref, m meta) (ref, error) {
	var size, below uint64
	w.buf = w.buf[:0]
	for i := range children {
		size += children[i].size
		below += children[i].tsize
		w.buf = appendLink(w.buf, "", "", children[i])
	}
	w.data = appendFile(w.data[:0], children, m)
	w.buf = appendData(w.buf, w.data)
	return w.put(ctx, size, below)
}

// leaf adds the next leaf.
func (b *builder) leaf(ctx context.Context, r ref) error {
	b.leaves++
	return b.add(ctx, 0, r)
}

// add appends to level k. A full node is made only when something follows it, because it might be the root, which
// may carry metadata.
func (b *builder) add(ctx context.Context, k int, r ref) error {
	if k == len(b.levels) {
		b.levels = append(b.levels, nil)
	}
	if len(b.levels[k]) == Width {
		if err := b.flush(ctx, k); err != nil {
			return err
		}
	}
	b.levels[k] = append(b.levels[k], r)
	return nil
}

// flush makes a node of what level k holds.
func (b *builder) flush(ctx context.Context, k int) error {
	r, err := b.out.file(ctx, b.levels[k], meta{})
	if err != nil {
		return err
	}
	b.levels[k] = b.levels[k][:0]
	return b.add(ctx, k+1, r)
}

// zeroLeaves adds n full leaves of zeros, whole subtrees at a time: the cost is that of the distinct nodes.
func (b *builder) zeroLeaves(ctx context.Context, zero ref, n int64) error {
	b.leaves += n
	for n > 0 {
		for k := range b.levels {
			if len(b.levels[k]) == Width {
				if err := b.flush(ctx, k); err != nil {
					return err
				}
			}
		}
		// The largest subtree that fits in what is left and begins here: all levels below it are empty.
		k, count := 0, int64(1)
		for k < len(b.levels) && len(b.levels[k]) == 0 && count <= n/Width {
			k, count = k+1, count*Width
		}
		r, err := b.zeroTree(ctx, zero, k)
		if err != nil {
			return err
		}
		if err := b.add(ctx, k, r); err != nil {
			return err
		}
		n -= count
	}
	return nil
}

// zeroTree returns the full subtree of height k over leaves of zeros, making it once.
func (b *builder) zeroTree(ctx context.Context, zero ref, k int) (ref, error) {
	if len(b.zeros) == 0 {
		b.zeros = append(b.zeros, zero)
	}
	children := make([]ref, Width)
	for len(b.zeros) <= k {
		for i := range children {
			children[i] = b.zeros[len(b.zeros)-1]
		}
		r, err := b.out.file(ctx, children, meta{})
		if err != nil {
			return ref{}, err
		}
		b.zeros = append(b.zeros, r)
	}
	return b.zeros[k], nil
}

// finish makes the nodes that are not full and returns the root. A lone leaf is its own root unless there is
// metadata to record, which then needs a node; an empty file with metadata is a node without links.
func (b *builder) finish(ctx context.Context, m meta) (ref, error) {
	for k := 0; k < len(b.levels); k++ {
		top := k == len(b.levels)-1
		switch {
		case len(b.levels[k]) == 0:
		case top && k == 0 && len(b.levels[0]) == 1 && m.isZero():
			return b.levels[0][0], nil
		case top: // two children at least above level 0: a node moves up only because something follows it
			return b.out.file(ctx, b.levels[k], m)
		default:
			if err := b.flush(ctx, k); err != nil {
				return ref{}, err
			}
		}
	}
	return b.out.file(ctx, nil, m)
}
