package dag

import (
	"fmt"
	"sync"

	"github.com/ipfs/go-cid"

	"cairn/storage/block"
)

// counts is what a node expands to when the object is flattened, the item of the node itself not included.
// Everything saturates.
type counts struct {
	visits uint64 // nodes passed, each as often as it is reached
	leaves uint64
	items  uint64
	bytes  uint64
	paths  uint64 // bytes of all paths below, relative to the node
	path   uint64 // bytes of the longest of them
	height int    // nodes on the longest way down
}

// tree measures what the collected nodes expand to, refuses what exceeds the budget, and only then expands.
func (w *walker) tree(root cid.Cid, rootSize int64) (*Tree, error) {
	c := counts{leaves: 1, bytes: uint64(max(rootSize, 0))}
	if root.Type() == cid.Raw {
		if rootSize > block.MaxSize {
			return nil, fmt.Errorf("%w: leaf of %d bytes", ErrBadDAG, rootSize)
		}
	} else {
		n, err := w.measure(root, 1)
		if err != nil {
			return nil, err
		}
		c = n.count
	}
	c.items = satAdd(c.items, 1)
	if err := w.within(c); err != nil {
		return nil, err
	}
	t := &Tree{root: root, items: make([]Item, 0, c.items), layout: make([]layout, 0, c.items), digests: make([]byte, 0, 32*c.leaves)}
	t.paths = sync.OnceValue(t.indexPaths)
	f := flattener{w: w, t: t}
	if err := f.item("", root, rootSize); err != nil {
		return nil, err
	}
	t.nodes = make(map[digest]struct{}, len(w.nodes))
	for d := range w.nodes {
		t.nodes[d] = struct{}{}
	}
	return t, nil
}

func (w *walker) within(c counts) error {
	b := w.budget
	sum := uint64(b.MaxNodes) + uint64(b.MaxLeaves) + uint64(b.MaxItems)
	for _, l := range []struct {
		what     string
		n, limit uint64
	}{
		{"leaves", c.leaves, uint64(b.MaxLeaves)},
		{"items", c.items, uint64(b.MaxItems)},
		{"bytes", c.bytes, uint64(b.MaxBytes)},
		{"bytes in one path", c.path, uint64(b.MaxPath)},
		{"bytes in paths", c.paths, 256 * uint64(b.MaxItems)},
		{"nodes with duplicates", c.visits, sum},
	} {
		if l.n > l.limit {
			return fmt.Errorf("%w: %d %s, at most %d allowed", ErrBadDAG, l.n, l.what, l.limit)
		}
	}
	return nil
}

// node returns a collected node.
func (w *walker) node(c cid.Cid) (*wnode, error) {
	d, err := block.Digest(c)
	if err != nil {
		return nil, err
	}
	n := w.nodes[d]
	if n == nil {
		return nil, fmt.Errorf("%w: node %s is missing", block.ErrNotFound, c)
	}
	return n, nil
}

// measure counts what a node expands to, once however often it is reached, and checks it against its children.
// depth is the number of nodes on the way to it, itself included.
func (w *walker) measure(c cid.Cid, depth int) (*wnode, error) {
	n, err := w.node(c)
	if err != nil {
		return nil, err
	}
	if depth+max(n.count.height-1, 0) > w.budget.MaxDepth {
		return nil, fmt.Errorf("%w: deeper than %d nodes", ErrBadDAG, w.budget.MaxDepth)
	}
	if n.measured {
		return n, nil
	}
	t := counts{visits: 1}
	if n.kind == File {
		err = w.measureFile(n, &t, depth)
	} else {
		err = w.measureDir(n, &t, depth)
	}
	if err != nil {
		if !w.named { // the node where it was seen, not the whole way up
			w.named = true
			err = fmt.Errorf("below %s: %w", c, err)
		}
		return nil, err
	}
	t.height++
	n.count, n.measured = t, true
	return n, nil
}

func (w *walker) measureFile(n *wnode, t *counts, depth int) error {
	t.bytes = n.size
	for i := range n.numChildren() {
		if n.isLeaf(i) {
			t.leaves++
			continue
		}
		child, err := w.measure(n.child(i), depth+1)
		switch {
		case err != nil:
			return err
		case child.kind != File:
			return fmt.Errorf("%w: a %s inside a file", ErrBadDAG, child.kind)
		case child.size != n.sizes[i]:
			return fmt.Errorf("%w: child %d has %d bytes, its parent says %d", ErrBadDAG, i, child.size, n.sizes[i])
		}
		if err := child.checkTsize(n.tsizes[i]); err != nil {
			return err
		}
		t.leaves = satAdd(t.leaves, child.count.leaves)
		t.visits = satAdd(t.visits, child.count.visits)
		t.height = max(t.height, child.count.height)
	}
	return nil
}

func (w *walker) measureDir(n *wnode, t *counts, depth int) error {
	for i := range n.entries {
		e := &n.entries[i]
		name := uint64(len(e.name))
		if e.cid.Type() == cid.Raw {
			t.items = satAdd(t.items, 1)
			t.leaves = satAdd(t.leaves, 1)
			t.bytes = satAdd(t.bytes, e.tsize)
			t.paths = satAdd(t.paths, name)
			t.path = max(t.path, name)
			continue
		}
		child, err := w.measure(e.cid, depth+1)
		if err != nil {
			return err
		}
		if err := child.checkTsize(e.tsize); err != nil {
			return err
		}
		c := child.count
		t.visits = satAdd(t.visits, c.visits)
		t.leaves = satAdd(t.leaves, c.leaves)
		t.bytes = satAdd(t.bytes, c.bytes)
		t.height = max(t.height, c.height)
		t.items = satAdd(t.items, c.items)
		t.paths = satAdd(t.paths, c.paths)
		if e.name == "" { // a shard below: its entries are ours
			if err := child.checkSubshard(); err != nil {
				return err
			}
			t.path = max(t.path, c.path)
			continue
		}
		t.items = satAdd(t.items, 1)
		t.paths = satAdd(t.paths, satAdd(name, satMul(c.items, name+1)))
		t.path = max(t.path, name)
		if c.items > 0 {
			t.path = max(t.path, satAdd(name+1, c.path))
		}
	}
	return nil
}

func (n *wnode) checkTsize(tsize uint64) error {
	if tsize != noTsize && tsize != n.cumul {
		return fmt.Errorf("%w: a link says %d bytes in total where there are %d", ErrBadDAG, tsize, n.cumul)
	}
	return nil
}

func (n *wnode) numChildren() int  { return len(n.children) / 32 }
func (n *wnode) isLeaf(i int) bool { return n.raw == nil || n.raw[i] }
func (n *wnode) child(i int) cid.Cid {
	return block.FromDigest(cid.DagProtobuf, digest(n.children[i*32:]))
}

// childSize returns how many bytes child i holds.
func (n *wnode) childSize(i int) int64 {
	if n.sizes != nil {
		return int64(n.sizes[i])
	}
	return int64(min(n.chunk, n.size-uint64(i)*n.chunk))
}

// flattener expands measured nodes into a tree.
type flattener struct {
	w *walker
	t *Tree
}

// item appends an entry and everything below it. rawSize counts for raw leaves only.
func (f *flattener) item(path string, c cid.Cid, rawSize int64) error {
	t := f.t
	it := Item{Path: path, Kind: File, CID: c, Size: rawSize, FirstLeaf: t.NumLeaves(), Leaves: 1}
	if c.Type() == cid.Raw {
		d, _ := block.Digest(c)
		t.digests = append(t.digests, d[:]...)
		t.items, t.layout = append(t.items, it), append(t.layout, layout{chunk: max(rawSize, 0)})
		if t.size += rawSize; rawSize < 0 {
			t.size = -1
		}
		return nil
	}
	n, err := f.w.node(c)
	if err != nil {
		return err
	}
	it.Kind, it.Size, it.Target, it.Leaves = n.kind, int64(n.size), n.target, 0
	it.Mode, it.HasMode, it.MTime = n.meta.mode, n.meta.hasMode, n.meta.mtime
	t.items, t.layout = append(t.items, it), append(t.layout, layout{})
	switch n.kind {
	case File:
		var l leaves
		f.file(n, &l)
		k := len(t.items) - 1
		t.items[k].Leaves = l.n
		t.layout[k] = layout{chunk: l.chunk, offs: l.offs}
		t.size += it.Size
	case Directory:
		return f.dir(path, n, hamtPos{})
	}
	return nil
}

// leaves follows the leaves of one file: alike but for a shorter last one, until one does not fit that.
type leaves struct {
	n     int
	off   int64
	chunk int64
	short bool
	offs  []int64
}

func (l *leaves) add(size int64) {
	if l.n == 0 {
		l.chunk = size
	}
	if l.offs == nil && (l.short || size > l.chunk) {
		for k := range l.n {
			l.offs = append(l.offs, int64(k)*l.chunk)
		}
	}
	if l.offs != nil {
		l.offs = append(l.offs, l.off)
	}
	l.short = l.short || size < l.chunk
	l.off += size
	l.n++
}

func (f *flattener) file(n *wnode, l *leaves) {
	for i := range n.numChildren() {
		if n.isLeaf(i) {
			f.t.digests = append(f.t.digests, n.children[i*32:i*32+32]...)
			l.add(n.childSize(i))
		} else if child, err := f.w.node(n.child(i)); err == nil { // measure has seen it
			f.file(child, l)
		}
	}
}

// dir appends the entries of a directory or shard; pos is where the shard stands.
func (f *flattener) dir(path string, n *wnode, pos hamtPos) error {
	for i := range n.entries {
		e := &n.entries[i]
		below, err := n.check(e, pos)
		if err != nil {
			return err
		}
		if e.name == "" {
			child, err := f.w.node(e.cid)
			if err != nil {
				return err
			}
			if err := f.dir(path, child, below); err != nil {
				return err
			}
			continue
		}
		full := e.name
		if path != "" {
			full = path + "/" + e.name
		}
		if err := f.item(full, e.cid, int64(e.tsize)); err != nil {
			return err
		}
	}
	return nil
}
