package dag

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/ipfs/go-cid"
	car "github.com/ipld/go-car/v2"

	"cairn/storage/block"
)

// Caps on what a CAR may claim.
const (
	maxCARHeader = 64 << 10
	carBuffer    = 256 << 10
)

// WriteCAR writes an object as a CARv1 (https://ipld.io/specs/transport/car/carv1/): the root, then depth first in
// link order, each block once. The same object always gives the same bytes. Blocks are verified; a missing one ends
// it with the error of g.
func WriteCAR(ctx context.Context, w io.Writer, root cid.Cid, g block.Getter) error {
	if err := checkCID(root); err != nil {
		return fmt.Errorf("write CAR: %w", err)
	}
	bw := bufio.NewWriterSize(w, carBuffer)
	if err := writeCAR(ctx, bw, root, g); err != nil {
		return fmt.Errorf("write CAR of %s: %w", root, err)
	}
	if err := bw.Flush(); err != nil {
		return fmt.Errorf("write CAR of %s: %w", root, err)
	}
	return nil
}

// carHeader encodes {"roots": [root], "version": 1} as canonical DAG-CBOR, with its length in front.
func carHeader(root cid.Cid) []byte {
	h := []byte("\xa2\x65roots\x81\xd8\x2a\x58")
	h = append(h, byte(root.ByteLen()+1), 0)
	h = append(append(h, root.Bytes()...), "\x67version\x01"...)
	return append(binary.AppendUvarint(nil, uint64(len(h))), h...)
}

func writeCAR(ctx context.Context, w *bufio.Writer, root cid.Cid, g block.Getter) error {
	if _, err := w.Write(carHeader(root)); err != nil {
		return err
	}
	type key struct {
		digest digest
		codec  uint64
	}
	seen := map[key]struct{}{}
	stack := []cid.Cid{root} // what is to be written, last first
	buf := make([]byte, 0, LeafSize)
	for len(stack) > 0 {
		c := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if err := checkCID(c); err != nil {
			return err
		}
		d, _ := block.Digest(c)
		k := key{d, c.Type()}
		if _, dup := seen[k]; dup {
			continue
		}
		seen[k] = struct{}{}
		b, err := g.Get(ctx, c, buf)
		if err != nil {
			return err
		}
		if err := block.Verify(c, b); err != nil {
			return err
		}
		if c.Type() == cid.DagProtobuf {
			n, err := decodeNode(b)
			if err != nil {
				return fmt.Errorf("node %s: %w", c, err)
			}
			for i := range slices.Backward(n.links) {
				child, err := n.links[i].cid()
				if err != nil {
					return fmt.Errorf("node %s: %w", c, err)
				}
				stack = append(stack, child)
			}
		}
		var head [binary.MaxVarintLen64]byte
		n := binary.PutUvarint(head[:], uint64(c.ByteLen()+len(b)))
		for _, part := range [][]byte{head[:n], c.Bytes(), b} {
			if _, err := w.Write(part); err != nil {
				return err
			}
		}
	}
	return nil
}

// ReadCAR reads a CARv1 or CARv2 with a single root from a stream, in any order of blocks, and hands every block to
// s once, leaves with id 0 and offset 0, from the caller's goroutine. When it succeeds, the object under the root is
// complete, well formed and within the budget. Blocks that are not part of the object are handed over as well: they
// cannot be told apart before the end.
//
// Errors: block.ErrCorrupt for bytes that do not hash to their CID, block.ErrTooLarge over 2 MiB, block.ErrNotFound
// when a block is missing, ErrBadDAG, ErrUnsupported (several roots, other codecs and hashes), io.ErrUnexpectedEOF,
// and what s returns.
func ReadCAR(ctx context.Context, r io.Reader, b Budget, s Sink) (Summary, error) {
	in := &carInput{Reader: bufio.NewReaderSize(r, carBuffer)}
	br, err := car.NewBlockReader(in, car.MaxAllowedHeaderSize(maxCARHeader), car.WithTrustedCAR(true))
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return Summary{}, fmt.Errorf("read CAR: header: %w", io.ErrUnexpectedEOF)
	case err != nil:
		return Summary{}, fmt.Errorf("read CAR: %w: %w", ErrBadDAG, err)
	case len(br.Roots) != 1:
		return Summary{}, fmt.Errorf("read CAR: %w: it has %d roots, and only one is read", ErrUnsupported, len(br.Roots))
	}
	if err := checkCID(br.Roots[0]); err != nil {
		return Summary{}, fmt.Errorf("read CAR: root: %w", err)
	}
	sum, err := readCAR(ctx, in, br, b, s)
	if err != nil {
		return Summary{}, fmt.Errorf("read CAR: %w", err)
	}
	return sum, nil
}

// carInput counts what is read, because the library reports the end of the file inside a block like one between two.
type carInput struct {
	*bufio.Reader
	n int64
}

func (r *carInput) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.n += int64(n)
	return n, err
}

func (r *carInput) ReadByte() (byte, error) {
	b, err := r.Reader.ReadByte()
	if err == nil {
		r.n++
	}
	return b, err
}

func readCAR(ctx context.Context, in *carInput, br *car.BlockReader, b Budget, s Sink) (Summary, error) {
	w := newWalker(b)
	leaves := map[digest]int32{} // size of every leaf seen
	var buf []byte
	var bytes int64
	for {
		if err := ctx.Err(); err != nil {
			return Summary{}, err
		}
		c, data, err := nextBlock(in, br, buf)
		if err == io.EOF {
			break
		}
		if err != nil {
			return Summary{}, err
		}
		buf = data[:0]
		d, _ := block.Digest(c)
		if c.Type() == cid.Raw {
			if _, dup := leaves[d]; dup {
				continue
			}
			leaves[d] = int32(len(data))
			if bytes += int64(len(data)); bytes > b.MaxBytes {
				return Summary{}, overBudget("bytes", int(b.MaxBytes))
			}
			if len(leaves) > b.MaxLeaves {
				return Summary{}, overBudget("leaves", b.MaxLeaves)
			}
			err = s.Leaf(ctx, 0, 0, c, data)
		} else {
			if w.nodes[d] != nil {
				continue
			}
			if err = w.take(c, data); err == nil {
				err = s.Node(ctx, c, data)
			}
			w.queue = nil // nothing is fetched
		}
		if err != nil {
			return Summary{}, err
		}
	}
	return w.summary(br.Roots[0], leaves)
}

// nextBlock reads and verifies a block into buf, or a larger one. io.EOF at the end.
func nextBlock(in *carInput, br *car.BlockReader, buf []byte) (cid.Cid, []byte, error) {
	before := in.n
	c, r, n, err := br.NextReader()
	switch {
	case err == io.EOF && in.n == before:
		return c, nil, io.EOF
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return c, nil, io.ErrUnexpectedEOF
	case err != nil:
		return c, nil, fmt.Errorf("%w: %w", ErrBadDAG, err)
	case n > block.MaxSize:
		return c, nil, fmt.Errorf("%w: block %s of %d bytes", block.ErrTooLarge, c, n)
	}
	if err := checkCID(c); err != nil {
		return c, nil, err
	}
	if uint64(cap(buf)) < n {
		buf = make([]byte, min(2*n, block.MaxSize))
	}
	buf = buf[:n]
	if _, err := io.ReadFull(r, buf); err != nil {
		return c, nil, fmt.Errorf("block %s: %w", c, io.ErrUnexpectedEOF)
	}
	return c, buf, block.Verify(c, buf)
}

// summary checks that the object under root is complete, leaves included.
func (w *walker) summary(root cid.Cid, leaves map[digest]int32) (Summary, error) {
	rootSize := int64(-1)
	if root.Type() == cid.Raw {
		d, _ := block.Digest(root)
		if n, ok := leaves[d]; ok {
			rootSize = int64(n)
		}
	}
	t, err := w.tree(root, rootSize)
	if err != nil {
		return Summary{}, err
	}
	sum := Summary{Root: root, Kind: t.Kind(), Size: t.Size(), Leaves: int64(t.NumLeaves())}
	for i := range t.items {
		it := &t.items[i]
		if it.Kind != File {
			continue
		}
		sum.Files++
		for k := range it.Leaves {
			c, want := t.Leaf(it.FirstLeaf + k)
			d, _ := block.Digest(c)
			switch n, ok := leaves[d]; {
			case !ok:
				return Summary{}, fmt.Errorf("%w: leaf %s of %q is missing", block.ErrNotFound, c, it.Path)
			case int(n) != want:
				return Summary{}, fmt.Errorf("%w: leaf %s has %d bytes, its parent says %d", ErrBadDAG, c, n, want)
			}
		}
	}
	return sum, nil
}
