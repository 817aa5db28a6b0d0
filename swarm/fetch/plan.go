package fetch

import (
	"crypto/sha256"
	"fmt"
	"hash/crc32"

	"cairn/storage/block"
	"cairn/storage/dag"
	"cairn/swarm/schedule"
)

// zeroLeaf is the SHA-256 of dag.LeafSize zeros. Such leaves are holes and need no fetching.
var zeroLeaf = [sha256.Size]byte{
	0x30, 0xe1, 0x49, 0x55, 0xeb, 0xf1, 0x35, 0x22, 0x66, 0xdc, 0x2f, 0xf8, 0x06, 0x7e, 0x68, 0x10,
	0x46, 0x07, 0xe7, 0x50, 0xab, 0xb9, 0xd3, 0xb3, 0x65, 0x82, 0xb8, 0xaf, 0x90, 0x9f, 0xcb, 0x58,
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// plan is what the parts of a job look up per leaf: 9 bytes each beside the tree.
type plan struct {
	tree  *dag.Tree
	items []dag.Item
	sizes []int32 // bytes of each leaf; -1: not known
	zero  []bool  // the leaf is all zero, or empty
	// sums are the CRC-32C of leaves that accept has accepted, and of zero ones. Each is written once, before others are
	// told that the leaf is here.
	sums []uint32
}

func newPlan(t *dag.Tree) *plan {
	n := t.NumLeaves()
	p := &plan{tree: t, items: t.Items(), sizes: make([]int32, n), zero: make([]bool, n), sums: make([]uint32, n)}
	zeros := crc32.Checksum(make([]byte, dag.LeafSize), castagnoli)
	for i := range n {
		c, size := t.Leaf(i)
		p.sizes[i] = int32(min(size, block.MaxSize+1)) // more is refused when it comes
		d, err := block.Digest(c)
		p.zero[i] = err == nil && (size == dag.LeafSize && d == zeroLeaf || size == 0)
		if p.zero[i] && size > 0 {
			p.sums[i] = zeros
		}
	}
	return p
}

// size of leaf i in bytes, 0 when it is not known.
func (p *plan) size(i int) int { return int(max(p.sizes[i], 0)) }

// missing returns the stretches of leaves that are not there, and their bytes: -1 when none is missing.
func (p *plan) missing(there []bool) (out []schedule.Span, bytes int64) {
	for i, is := range there {
		if is {
			continue
		}
		bytes += int64(p.size(i))
		if n := len(out) - 1; n >= 0 && out[n].Hi == i {
			out[n].Hi++
		} else {
			out = append(out, schedule.Span{Lo: i, Hi: i + 1})
		}
	}
	if len(out) == 0 {
		return nil, -1
	}
	return out, bytes
}

// checkSize compares a number of bytes with what leaf i has.
func (p *plan) checkSize(i, n int) error {
	if want := p.sizes[i]; want >= 0 && n != int(want) {
		return fmt.Errorf("%w: leaf %d came with %d bytes instead of %d", block.ErrCorrupt, i, n, want)
	}
	return nil
}

// check verifies the bytes of leaf i.
func (p *plan) check(i int, data []byte) error {
	if err := p.checkSize(i, len(data)); err != nil {
		return err
	}
	c, _ := p.tree.Leaf(i)
	if err := block.Verify(c, data); err != nil {
		return fmt.Errorf("leaf %d does not match its hash: %w", i, err)
	}
	return nil
}

// accept verifies the bytes of leaf i and notes their checksum, which costs a tenth of that.
func (p *plan) accept(i int, data []byte) error {
	if err := p.check(i, data); err != nil {
		return err
	}
	if !p.zero[i] {
		p.sums[i] = crc32.Checksum(data, castagnoli)
	}
	return nil
}

// recheck tells whether data, read from the disk, is still what was accepted as leaf i: by the checksum.
func (p *plan) recheck(i int, data []byte) error {
	if err := p.checkSize(i, len(data)); err != nil {
		return err
	}
	if crc32.Checksum(data, castagnoli) != p.sums[i] {
		return fmt.Errorf("leaf %d is not on the disk any more: %w", i, block.ErrCorrupt)
	}
	return nil
}

// files counts the files of the tree.
func (p *plan) files() (n int64) {
	for i := range p.items {
		if p.items[i].Kind == dag.File {
			n++
		}
	}
	return n
}
