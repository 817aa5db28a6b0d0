package dag

import (
	"context"
	"fmt"
	"strings"
)

// dirEntry is a finished child of a directory that is being made.
type dirEntry struct {
	name string
	ref  ref
}

// directory makes a directory of entries sorted by name (bytewise): one node, or a HAMT when its block would pass
// 256 KiB. The size of a directory's content is 0 here: nothing above it needs it.
func (w *nodeWriter) directory(ctx context.Context, entries []dirEntry, m meta) (ref, error) {
	data := m.append([]byte{1<<3 | wireVarint, ufsDirectory})
	size := 1 + varintLen(uint64(len(data))) + len(data)
	for i := range entries {
		size += linkSize(len(entries[i].name), entries[i].ref.tsize)
	}
	if size > maxPlainDir {
		return w.hamt(ctx, entries, m)
	}
	var below uint64
	w.buf = w.buf[:0]
	for i := range entries {
		below += entries[i].ref.tsize
		w.buf = appendLink(w.buf, "", entries[i].name, entries[i].ref)
	}
	w.buf = appendData(w.buf, data)
	return w.put(ctx, 0, below)
}

// symlink makes a symbolic link.
func (w *nodeWriter) symlink(ctx context.Context, target string, m meta) (ref, error) {
	w.buf = append(w.buf[:0], symlinkBlock(target, m)...)
	return w.put(ctx, 0, 0)
}

// checkName refuses names that no file system can hold or that would lead elsewhere.
func checkName(name string) error {
	switch {
	case name == "" || name == "." || name == "..":
		return fmt.Errorf("%w: an entry is named %q", ErrBadDAG, name)
	case len(name) > maxName:
		return fmt.Errorf("%w: an entry has a name of %d bytes", ErrBadDAG, len(name))
	case strings.ContainsAny(name, "/\x00"):
		return fmt.Errorf("%w: an entry is named %q", ErrBadDAG, name)
	}
	return nil
}

// checkPlain checks the names of a plain directory: each allowed, none twice.
func (n *pbNode) checkPlain() error {
	var set map[string]struct{} // only for writers that do not sort
	prev := ""
	for i := range n.links {
		name := string(n.links[i].name)
		if err := checkName(name); err != nil {
			return err
		}
		if set == nil && name <= prev {
			set = make(map[string]struct{}, len(n.links))
			for k := range i {
				set[string(n.links[k].name)] = struct{}{}
			}
		}
		if set != nil {
			if _, dup := set[name]; dup {
				return fmt.Errorf("%w: two entries are named %q", ErrBadDAG, name)
			}
			set[name] = struct{}{}
		}
		prev = name
	}
	return nil
}
