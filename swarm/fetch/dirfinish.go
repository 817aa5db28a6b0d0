package fetch

import (
	"fmt"
	"path/filepath"
	"time"

	"cairn/storage/dag"
)

func (d *dirDest) finish() ([]Written, error) {
	for item := range d.p.items {
		if d.p.items[item].Kind == dag.Symlink {
			if err := d.symlink(item); err != nil {
				return nil, err
			}
		}
	}
	// Children before their directory, whose time their making changes and whose mode may forbid it.
	for item := len(d.p.items) - 1; item >= 0; item-- {
		if err := d.dirAttributes(item); err != nil {
			return nil, err
		}
	}
	if err := d.sync(); err != nil {
		return nil, d.wrap(err)
	}
	d.root.Close() // some systems do not rename an open directory
	written := make([]Written, 0, d.p.files())
	for item := range d.p.items {
		if it := &d.p.items[item]; it.Kind == dag.File {
			path := filepath.Join(d.path(), local(it.Path))
			written = append(written, Written{Path: path, Size: d.stats[item].size, MTime: d.stats[item].mtime, Item: item})
		}
	}
	return written, nil
}

func (d *dirDest) sync() error {
	dir, err := d.root.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	return syncTree(dir, d.root)
}

// symlink makes a symbolic link if it stays inside the tree.
func (d *dirDest) symlink(item int) error {
	it := &d.p.items[item]
	if !linkStays(d.p.items, d.byPath, item) {
		d.warn(fmt.Sprintf("skipped symbolic link %q: its target %q is outside of what was fetched", it.Path, it.Target))
		return nil
	}
	err := d.root.Symlink(filepath.FromSlash(it.Target), local(it.Path))
	if err != nil && filepath.Separator == '\\' { // needs a privilege there
		d.warn(fmt.Sprintf("skipped symbolic link %q: %v", it.Path, err))
		return nil
	}
	return d.wrapItem(item, err)
}

func (d *dirDest) dirAttributes(item int) error {
	it := &d.p.items[item]
	if it.Kind != dag.Directory {
		return nil
	}
	path := local(it.Path)
	if !it.MTime.IsZero() {
		if err := d.root.Chtimes(path, time.Time{}, it.MTime); err != nil {
			return d.wrapItem(item, err)
		}
	}
	if it.HasMode {
		return d.wrapItem(item, d.root.Chmod(path, it.Mode&0o777))
	}
	return nil
}
