package fetch

import (
	"context"
	"io/fs"
	"os"

	"cairn/storage/dag"
)

// rescan removes from the temporary directory what is not of this tree and hashes what is. Links are always removed:
// they are made last, so that nothing is ever written through one.
func (d *dirDest) rescan(ctx context.Context, found func(i int)) error {
	var files []int
	err := fs.WalkDir(d.root.FS(), ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if path == "." {
			return nil
		}
		item, ok := d.byPath[path]
		if !ok {
			return d.discard(path, e)
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		switch kind := d.p.items[item].Kind; {
		case kind == dag.Directory && info.IsDir():
			d.made[item] = true
			if info.Mode()&0o700 != 0o700 { // killed after the mode was set
				return d.root.Chmod(local(path), 0o700)
			}
			return nil
		case kind == dag.File && info.Mode().IsRegular() && links(info) == 1:
			files = append(files, item)
			return nil
		}
		return d.discard(path, e)
	})
	if err != nil {
		return d.wrap(err)
	}
	s := newScanner(d.p, found)
	for _, item := range files {
		if err = d.rescanFile(ctx, s, item); err != nil {
			break
		}
	}
	if serr := s.end(); err == nil {
		err = serr
	}
	return d.wrap(err)
}

func (d *dirDest) discard(path string, e fs.DirEntry) error {
	if err := removeAll(d.root, local(path)); err != nil {
		return err
	}
	if e.IsDir() {
		return fs.SkipDir
	}
	return nil
}

// rescanFile gives a file its size and has it hashed.
func (d *dirDest) rescanFile(ctx context.Context, s *scanner, item int) error {
	it := &d.p.items[item]
	d.made[item] = true
	f, err := d.root.OpenFile(local(it.Path), os.O_RDWR, 0)
	if err != nil {
		if err = d.root.Chmod(local(it.Path), 0o600); err == nil {
			f, err = d.root.OpenFile(local(it.Path), os.O_RDWR, 0)
		}
		if err != nil {
			return err
		}
	}
	info, err := f.Stat()
	if err == nil && it.Size >= 0 && info.Size() != it.Size {
		err = f.Truncate(it.Size)
	}
	if err != nil {
		f.Close()
		return err
	}
	return s.file(ctx, item, f, true)
}
