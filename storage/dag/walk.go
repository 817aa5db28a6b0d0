package dag

import (
	"context"
	"fmt"
	"iter"

	"github.com/ipfs/go-cid"

	"cairn/storage/block"
)

// batch is the number of nodes asked for at once.
const batch = 4096

// FromGetter makes a NodeSource of a store.
func FromGetter(g block.Getter) NodeSource { return getterSource{g} }

type getterSource struct{ g block.Getter }

func (s getterSource) Nodes(ctx context.Context, cs []cid.Cid) iter.Seq2[block.Block, error] {
	return func(yield func(block.Block, error) bool) {
		var buf []byte
		if len(cs) > 1 { // one buffer for all: no node that we make is larger
			buf = make([]byte, 0, maxPlainDir)
		}
		for _, c := range cs {
			b, err := s.g.Get(ctx, c, buf)
			if !yield(block.Block{CID: c, Data: b}, err) || err != nil {
				return
			}
		}
	}
}

// Walk fetches every inner node of an object once, in large batches level by level, checks each against its CID and
// all of them against each other, and flattens the object. onNode (may be nil) is called for each node that is well
// formed, from the caller's goroutine; its data is valid only during the call.
//
// rootSize is the size in bytes of a root that is a raw leaf (-1: not known; then the size is known only when the
// leaf has been read); it is ignored for other roots. Errors: ErrBadDAG (also for budgets), ErrUnsupported,
// block.ErrCorrupt when a node does not hash to its CID, and what src and onNode return.
func Walk(ctx context.Context, root cid.Cid, rootSize int64, src NodeSource, b Budget, onNode func(block.Block) error) (*Tree, error) {
	if err := checkCID(root); err != nil {
		return nil, fmt.Errorf("walk: %w", err)
	}
	w := newWalker(b)
	if root.Type() == cid.DagProtobuf {
		w.want(root)
		if err := w.fetch(ctx, src, onNode); err != nil {
			return nil, fmt.Errorf("walk %s: %w", root, err)
		}
	}
	t, err := w.tree(root, rootSize)
	if err != nil {
		return nil, fmt.Errorf("walk %s: %w", root, err)
	}
	return t, nil
}

// walker collects decoded nodes.
type walker struct {
	budget Budget
	nodes  map[digest]*wnode // nil while wanted and not yet seen
	queue  []cid.Cid         // wanted, in breadth-first order
	links  int               // of all nodes
	named  bool              // the error of measure names a node
}

// wnode is a decoded node without its block.
type wnode struct {
	kind   Kind
	shard  bool
	cumul  uint64 // what a parent's Tsize must be
	size   uint64 // bytes of a file, or length of a target
	meta   meta
	target string

	// A file: digests of its children, one after the other; raw says which are leaves (nil: all), sizes how much
	// each holds (nil: all but the last hold chunk).
	children []byte
	raw      []bool
	chunk    uint64
	sizes    []uint64
	tsizes   []uint64 // of inner children; nil when all are leaves

	// A directory or shard.
	entries []wentry
	lg      int // bits per level

	// Counted once by measure: what the node expands to.
	measured bool
	count    counts
}

// wentry is a link of a directory. A shard below has an empty name.
type wentry struct {
	name  string
	cid   cid.Cid
	tsize uint64
	slot  int
}

func newWalker(b Budget) *walker { return &walker{budget: b, nodes: map[digest]*wnode{}} }

// want queues a node unless it is known.
func (w *walker) want(c cid.Cid) {
	d, _ := block.Digest(c) // checked by checkCID
	if _, ok := w.nodes[d]; !ok {
		w.nodes[d] = nil
		w.queue = append(w.queue, c)
	}
}

// fetch gets everything wanted and what that wants in turn.
func (w *walker) fetch(ctx context.Context, src NodeSource, onNode func(block.Block) error) error {
	for len(w.queue) > 0 {
		cs := w.queue[:min(batch, len(w.queue))]
		w.queue = w.queue[len(cs):]
		left := make(map[digest]cid.Cid, len(cs))
		for _, c := range cs {
			d, _ := block.Digest(c)
			left[d] = c
		}
		for b, err := range src.Nodes(ctx, cs) {
			if err != nil {
				return err
			}
			d, err := block.Digest(b.CID)
			if err != nil {
				return err
			}
			c, ok := left[d]
			if !ok {
				return fmt.Errorf("%w: source sent %s, which was not asked for", ErrBadDAG, b.CID)
			}
			delete(left, d)
			if err := w.take(c, b.Data); err != nil {
				return err
			}
			if onNode != nil {
				if err := onNode(block.Block{CID: c, Data: b.Data}); err != nil {
					return err
				}
			}
		}
		for _, c := range left {
			return fmt.Errorf("%w: %s was not sent", block.ErrNotFound, c)
		}
	}
	return ctx.Err()
}

// take verifies and decodes a node and wants its inner children.
func (w *walker) take(c cid.Cid, data []byte) error {
	if err := block.Verify(c, data); err != nil {
		return err
	}
	n, children, err := decode(data)
	if err != nil {
		return fmt.Errorf("node %s: %w", c, err)
	}
	// Every link of a distinct node is at least one leaf, item or node of the flattened object: this bounds what is
	// held before it is expanded.
	w.links += len(n.entries) + len(n.children)/32
	if w.links > w.budget.MaxLeaves+w.budget.MaxItems+w.budget.MaxNodes {
		return overBudget("links", w.links)
	}
	d, _ := block.Digest(c)
	w.nodes[d] = n
	for _, child := range children {
		w.want(child)
	}
	if len(w.nodes) > w.budget.MaxNodes {
		return overBudget("nodes", w.budget.MaxNodes)
	}
	return nil
}

func overBudget(what string, limit int) error {
	return fmt.Errorf("%w: more %s than allowed (%d)", ErrBadDAG, what, limit)
}

// decode decodes and checks one node by itself and returns its inner children.
func decode(data []byte) (*wnode, []cid.Cid, error) {
	pb, err := decodeNode(data)
	if err != nil {
		return nil, nil, err
	}
	u, err := decodeUnixFS(pb.data)
	if err != nil {
		return nil, nil, err
	}
	n := &wnode{meta: u.meta(), cumul: pb.sumTsize(len(data))}
	switch u.typ {
	case ufsFile:
		children, err := n.file(&pb, &u)
		return n, children, err
	case ufsDirectory:
		children, err := n.plain(&pb)
		return n, children, err
	case ufsShard:
		children, err := n.hamt(&pb, &u)
		return n, children, err
	case ufsSymlink:
		n.kind, n.size, n.target = Symlink, uint64(len(u.data)), string(u.data)
		if len(pb.links) > 0 || len(u.data) > maxTarget {
			return nil, nil, fmt.Errorf("%w: symbolic link with %d links and a target of %d bytes", ErrBadDAG, len(pb.links), len(u.data))
		}
		return n, nil, nil
	case ufsRaw:
		return nil, nil, fmt.Errorf("%w: dag-pb leaves (only raw leaves are read)", ErrUnsupported)
	}
	return nil, nil, fmt.Errorf("%w: UnixFS type %d", ErrUnsupported, u.typ)
}

func (n *wnode) file(pb *pbNode, u *ufsData) ([]cid.Cid, error) {
	if err := u.checkFile(len(pb.links)); err != nil {
		return nil, err
	}
	n.kind, n.size = File, u.size
	n.children = make([]byte, 0, 32*len(pb.links))
	var inner []cid.Cid
	regular := true
	for i := range pb.links {
		l := &pb.links[i]
		c, err := l.cid()
		if err != nil {
			return nil, err
		}
		d, _ := block.Digest(c)
		n.children = append(n.children, d[:]...)
		if c.Type() == cid.Raw {
			if err := checkLeaf(l, u.blocks[i]); err != nil {
				return nil, err
			}
			if n.raw != nil {
				n.raw[i] = true
			}
		} else {
			if n.raw == nil {
				n.raw, n.tsizes = make([]bool, len(pb.links)), make([]uint64, len(pb.links))
				for k := range i {
					n.raw[k] = true
				}
			}
			n.tsizes[i] = tsizeOr(l)
			inner = append(inner, c)
		}
		if last := i == len(pb.links)-1; u.blocks[i] != u.blocks[0] && !(last && u.blocks[i] < u.blocks[0]) {
			regular = false
		}
	}
	if n.raw != nil || !regular {
		n.sizes = u.blocks
	} else if len(u.blocks) > 0 {
		n.chunk = u.blocks[0]
	}
	return inner, nil
}

// noTsize stands for a link without Tsize.
const noTsize = 1<<64 - 1

func tsizeOr(l *pbLink) uint64 {
	if l.hasTsize {
		return l.tsize
	}
	return noTsize
}

func (n *wnode) plain(pb *pbNode) ([]cid.Cid, error) {
	if err := pb.checkPlain(); err != nil {
		return nil, err
	}
	n.kind = Directory
	return n.addEntries(pb, 0)
}

func (n *wnode) hamt(pb *pbNode, u *ufsData) ([]cid.Cid, error) {
	if err := pb.checkShard(u); err != nil {
		return nil, err
	}
	lg, digits, err := u.shardShape()
	n.kind, n.shard, n.lg = Directory, true, lg
	if err != nil {
		return nil, err
	}
	return n.addEntries(pb, digits)
}

// addEntries takes over the links of a directory, whose names begin with so many digits of a slot.
func (n *wnode) addEntries(pb *pbNode, digits int) ([]cid.Cid, error) {
	n.entries = make([]wentry, len(pb.links))
	var inner []cid.Cid
	for i := range pb.links {
		l := &pb.links[i]
		c, err := l.cid()
		if err != nil {
			return nil, err
		}
		e := &n.entries[i]
		*e = wentry{name: string(l.name[digits:]), cid: c, tsize: tsizeOr(l)}
		if n.shard {
			e.slot, _ = slotOf(l.name, digits)
		}
		if c.Type() == cid.DagProtobuf {
			inner = append(inner, c)
			continue
		}
		switch {
		case e.name == "":
			return nil, fmt.Errorf("%w: a HAMT shard that is a raw leaf", ErrBadDAG)
		case !l.hasTsize:
			return nil, fmt.Errorf("%w: %q is a raw leaf without a size", ErrUnsupported, e.name)
		}
		if err := checkLeaf(l, l.tsize); err != nil {
			return nil, err
		}
	}
	return inner, nil
}
