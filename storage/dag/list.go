package dag

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"strings"
	"time"

	"github.com/ipfs/go-cid"

	"cairn/storage/block"
)

// DirEntry is an entry of a directory, or an object by itself.
type DirEntry struct {
	Name string // empty for Stat
	CID  cid.Cid
	// Kind is zero when the entry's own block is not there.
	Kind Kind
	// Size is the number of bytes of a file, the length of the target of a symbolic link, and for a directory the
	// size of all its blocks as its parent claims it. -1: not known.
	Size int64
	// Target of a symbolic link, not checked.
	Target string
	// Mode holds permission bits when HasMode; MTime is zero when none was recorded.
	Mode    fs.FileMode
	HasMode bool
	MTime   time.Time
}

// Stat reads the root block of an object and says what it is. The size of a directory is not known.
func Stat(ctx context.Context, c cid.Cid, g block.Getter) (DirEntry, error) {
	if err := checkCID(c); err != nil {
		return DirEntry{}, err
	}
	e := DirEntry{CID: c, Kind: File, Size: -1}
	if c.Type() == cid.Raw {
		b, err := g.Get(ctx, c, nil)
		if err != nil {
			return DirEntry{}, err
		}
		e.Size = int64(len(b))
		return e, nil
	}
	n, err := load(ctx, c, g)
	if err != nil {
		return DirEntry{}, err
	}
	e.fill(n)
	return e, nil
}

func (e *DirEntry) fill(n *wnode) {
	e.Kind, e.Target, e.Mode, e.HasMode, e.MTime = n.kind, n.target, n.meta.mode, n.meta.hasMode, n.meta.mtime
	if n.kind != Directory {
		e.Size = int64(n.size)
	}
}

// load gets, verifies and decodes a node.
func load(ctx context.Context, c cid.Cid, g block.Getter) (*wnode, error) {
	if err := checkCID(c); err != nil {
		return nil, err
	}
	if c.Type() != cid.DagProtobuf {
		return &wnode{kind: File}, nil
	}
	b, err := g.Get(ctx, c, nil)
	if err != nil {
		return nil, err
	}
	if err := block.Verify(c, b); err != nil {
		return nil, err
	}
	n, _, err := decode(b)
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", c, err)
	}
	return n, nil
}

// ListDir yields the entries of one directory in link order, reading its own blocks and the root block of every
// entry that is not a raw leaf. An entry whose block is not there (block.ErrNotFound) comes with Kind zero and size
// -1. Errors: fs.ErrInvalid when c is no directory, ErrBadDAG and ErrUnsupported, and what g returns.
func ListDir(ctx context.Context, c cid.Cid, g block.Getter) iter.Seq2[DirEntry, error] {
	return func(yield func(DirEntry, error) bool) {
		n, err := load(ctx, c, g)
		if err == nil && n.kind != Directory {
			err = fmt.Errorf("list %s: %w: not a directory but a %s", c, fs.ErrInvalid, n.kind)
		}
		if err == nil {
			_, err = listNode(ctx, n, hamtPos{}, g, func(e DirEntry) bool { return yield(e, nil) })
		}
		if err != nil {
			yield(DirEntry{}, err)
		}
	}
}

// listNode yields the entries of a directory node or shard until one is refused.
func listNode(ctx context.Context, n *wnode, pos hamtPos, g block.Getter, yield func(DirEntry) bool) (more bool, err error) {
	for i := range n.entries {
		e := &n.entries[i]
		below, err := n.check(e, pos)
		if err != nil {
			return false, err
		}
		if e.name == "" {
			shard, err := loadShard(ctx, e.cid, g)
			if err != nil {
				return false, err
			}
			if more, err := listNode(ctx, shard, below, g, yield); !more || err != nil {
				return false, err
			}
			continue
		}
		d := DirEntry{Name: e.name, CID: e.cid, Kind: File, Size: -1}
		if e.tsize != noTsize && e.tsize < 1<<63 {
			d.Size = int64(e.tsize)
		}
		if e.cid.Type() == cid.DagProtobuf {
			child, err := load(ctx, e.cid, g)
			switch {
			case err == nil:
				d.fill(child)
			case errors.Is(err, block.ErrNotFound):
				d.Kind, d.Size = 0, -1
			default:
				return false, err
			}
		}
		if !yield(d) {
			return false, nil
		}
	}
	return true, ctx.Err()
}

// check checks that an entry of a shard at pos stands where its name belongs and returns where it stands. Because
// every shard below must extend the position, a trie cannot be deeper than the hash has bits.
func (n *wnode) check(e *wentry, pos hamtPos) (hamtPos, error) {
	if !n.shard {
		return pos, nil
	}
	below, ok := pos.below(e.slot, n.lg)
	if !ok {
		return pos, fmt.Errorf("%w: HAMT deeper than its hash", ErrBadDAG)
	}
	if e.name != "" && !below.holds(nameHash([]byte(e.name))) {
		return pos, fmt.Errorf("%w: %q stands in the wrong slot of a HAMT", ErrBadDAG, e.name)
	}
	return below, nil
}

// checkSubshard checks a node that a link without an entry's name leads to.
func (n *wnode) checkSubshard() error {
	if !n.shard || len(n.entries) == 0 {
		return fmt.Errorf("%w: a %s with %d entries where a HAMT shard is needed", ErrBadDAG, n.kind, len(n.entries))
	}
	return nil
}

func loadShard(ctx context.Context, c cid.Cid, g block.Getter) (*wnode, error) {
	n, err := load(ctx, c, g)
	if err == nil {
		err = n.checkSubshard()
	}
	return n, err
}

// Resolve follows a slash separated path from root and returns what is there, reading one block per step (and per
// level of a HAMT). Empty segments count for nothing; symbolic links are not followed. Errors: an fs.PathError with
// fs.ErrNotExist naming the first segment that is not there, ErrBadDAG and ErrUnsupported, and what g returns.
func Resolve(ctx context.Context, root cid.Cid, path string, g block.Getter) (cid.Cid, Kind, error) {
	c, at := root, ""
	n, err := load(ctx, root, g)
	for name := range strings.SplitSeq(path, "/") {
		if err != nil {
			return cid.Undef, 0, err
		}
		if name == "" {
			continue
		}
		at += "/" + name
		var next cid.Cid
		if n.kind == Directory {
			if next, err = n.find(ctx, name, g); err != nil {
				return cid.Undef, 0, err
			}
		}
		if !next.Defined() {
			return cid.Undef, 0, &fs.PathError{Op: "resolve", Path: at, Err: fs.ErrNotExist}
		}
		c = next
		n, err = load(ctx, c, g)
	}
	if err != nil {
		return cid.Undef, 0, err
	}
	return c, n.kind, nil
}

// find returns the entry of a directory with this name, cid.Undef if there is none.
func (n *wnode) find(ctx context.Context, name string, g block.Getter) (cid.Cid, error) {
	if !n.shard {
		for i := range n.entries {
			if n.entries[i].name == name {
				return n.entries[i].cid, nil
			}
		}
		return cid.Undef, nil
	}
	hash := nameHash([]byte(name))
	for pos := (hamtPos{}); ; {
		slot, shard := pos.slot(hash, n.lg), cid.Undef
		below, ok := pos.below(slot, n.lg)
		if !ok {
			return cid.Undef, fmt.Errorf("%w: HAMT deeper than its hash", ErrBadDAG)
		}
		for i := range n.entries {
			switch e := &n.entries[i]; {
			case e.slot != slot:
			case e.name == name:
				return e.cid, nil
			case e.name == "":
				shard = e.cid
			}
		}
		if !shard.Defined() {
			return cid.Undef, nil
		}
		var err error
		if n, err = loadShard(ctx, shard, g); err != nil {
			return cid.Undef, err
		}
		pos = below
	}
}
