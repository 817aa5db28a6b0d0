package dag

import (
	"io/fs"
	"iter"
	"sort"
	"time"

	"github.com/ipfs/go-cid"

	"cairn/storage/block"
)

// Tree is an object flattened: its items in depth-first link order (the slots of a HAMT in order) and the leaves of
// its files in the same order, duplicates counted. It costs about 32 bytes per leaf and 200 per item, and is
// immutable: any number of goroutines may read it.
type Tree struct {
	root    cid.Cid
	size    int64
	items   []Item
	layout  []layout // of items, same index
	digests []byte   // 32 bytes per leaf
	nodes   map[digest]struct{}

	paths func() map[string]int // item by path, made when first asked for
}

// digest is the sha2-256 of a block.
type digest = [32]byte

// Item is a file, directory or symbolic link of a tree.
type Item struct {
	// Path is slash separated and relative to the root, whose own path is "".
	Path string
	Kind Kind
	CID  cid.Cid
	// Size is the number of bytes of a file (-1: not known, a lone raw leaf), the length of the target of a symbolic
	// link, and 0 for a directory.
	Size int64
	// FirstLeaf is the index of the first leaf of a file, Leaves their number: 0 for directories and symbolic links,
	// and possible for empty files.
	FirstLeaf, Leaves int
	// Target of a symbolic link, as it was found: not checked, may point anywhere.
	Target string
	// Mode holds permission bits when HasMode.
	Mode    fs.FileMode
	HasMode bool
	// MTime is zero when none was recorded.
	MTime time.Time
}

// layout says where the leaves of a file begin.
type layout struct {
	chunk int64   // size of all leaves but the last when offs is nil
	offs  []int64 // offset of every leaf, for files whose leaves differ in size
}

// Root is the CID that was walked, as it was given.
func (t *Tree) Root() cid.Cid { return t.root }

// Kind of the root.
func (t *Tree) Kind() Kind { return t.items[0].Kind }

// Size is the sum of the sizes of all files in bytes; -1 when the root is a raw leaf of unknown size.
func (t *Tree) Size() int64 { return t.size }

// NumLeaves counts the leaves, duplicates included.
func (t *Tree) NumLeaves() int { return len(t.digests) / 32 }

// Items in order; the root first. The slice must not be changed.
func (t *Tree) Items() []Item { return t.items }

// Leaf returns the CID of leaf i and its size in bytes, -1 if that is not known. It panics if i is out of range.
func (t *Tree) Leaf(i int) (c cid.Cid, size int) {
	c = block.FromDigest(cid.Raw, digest(t.digests[i*32:]))
	n, _ := t.span(i)
	return c, n
}

// Locate returns the index of the item that leaf i belongs to and its offset in bytes there.
func (t *Tree) Locate(i int) (item int, off int64) {
	// Items without leaves have the FirstLeaf of the item that follows, so the last one that begins at or before i
	// is the owner.
	item = sort.Search(len(t.items), func(k int) bool { return t.items[k].FirstLeaf > i }) - 1
	return item, t.offset(item, i-t.items[item].FirstLeaf)
}

// offset returns where leaf k of an item begins; k may be the number of leaves.
func (t *Tree) offset(item, k int) int64 {
	l, it := t.layout[item], &t.items[item]
	switch {
	case k >= it.Leaves:
		return it.Size
	case l.offs != nil:
		return l.offs[k]
	}
	return int64(k) * l.chunk
}

// span returns the size of leaf i (-1: not known) and the item it belongs to.
func (t *Tree) span(i int) (size, item int) {
	item, off := t.Locate(i)
	if t.items[item].Size < 0 {
		return -1, item
	}
	return int(t.offset(item, i-t.items[item].FirstLeaf+1) - off), item
}

// find returns the leaf (relative to the item) that holds byte off, which must be within the file.
func (t *Tree) find(item int, off int64) int {
	l, it := t.layout[item], &t.items[item]
	if l.offs == nil {
		return min(int(off/max(l.chunk, 1)), it.Leaves-1)
	}
	return sort.Search(it.Leaves, func(k int) bool { return t.offset(item, k+1) > off })
}

// HasNode tells whether c is an inner node of the object (by digest, so that both versions of a CID are one).
func (t *Tree) HasNode(c cid.Cid) bool {
	d, err := block.Digest(c)
	if err != nil || c.Type() != cid.DagProtobuf {
		return false
	}
	_, ok := t.nodes[d]
	return ok
}

// Nodes yields every inner node once, in no particular order, as CIDv1.
func (t *Tree) Nodes() iter.Seq[cid.Cid] {
	return func(yield func(cid.Cid) bool) {
		for d := range t.nodes {
			if !yield(block.FromDigest(cid.DagProtobuf, d)) {
				return
			}
		}
	}
}

// Lookup finds an item by its path. The first call makes an index.
func (t *Tree) Lookup(path string) (item int, ok bool) {
	item, ok = t.paths()[path]
	return item, ok
}

func (t *Tree) indexPaths() map[string]int {
	m := make(map[string]int, len(t.items))
	for i := range t.items {
		m[t.items[i].Path] = i
	}
	return m
}
