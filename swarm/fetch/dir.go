package fetch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"cairn/storage/dag"
)

// dirDest builds a directory under one temporary name. All inside goes through root, so that no name or link
// can lead outside.
type dirDest struct {
	*place
	p      *plan
	root   *os.Root
	unlock func()
	warn   func(string)
	isNew  bool
	byPath map[string]int
	cache  fileCache

	mu    sync.Mutex
	made  []bool  // per item: it is on disk
	left  []int32 // per item: leaves that are not in place
	stats []stat  // per item: of finished files
}

type stat struct {
	size  int64
	mtime time.Time
}

// newDirDest opens or makes the temporary directory and locks it. Errors: ErrBusy, ErrTarget, ErrNames, dag.ErrBadDAG.
func newDirDest(pl *place, p *plan, warn func(string)) (*dirDest, error) {
	d := &dirDest{place: pl, p: p, warn: warn, byPath: make(map[string]int, len(p.items))}
	d.made, d.left, d.stats = make([]bool, len(p.items)), make([]int32, len(p.items)), make([]stat, len(p.items))
	for i := range p.items {
		d.byPath[p.items[i].Path] = i
		d.left[i] = int32(p.items[i].Leaves)
	}
	d.cache = fileCache{open: make(map[int]*cached)}
	if err := checkTree(p.items, false); err != nil {
		return nil, err
	}
	err := pl.parent.Mkdir(pl.temp, 0o755)
	d.isNew = err == nil
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, pl.wrap(err)
	}
	if info, err := pl.parent.Lstat(pl.temp); err != nil {
		return nil, pl.wrap(err)
	} else if !info.IsDir() {
		return nil, fmt.Errorf("%w: %s is not ours, remove it", ErrTarget, pl.temp)
	} else if info.Mode()&0o700 != 0o700 { // killed after the mode was set
		_ = pl.parent.Chmod(pl.temp, 0o700)
	}
	if d.unlock, err = lockTemp(pl); err != nil {
		return nil, err
	}
	if d.root, err = pl.parent.OpenRoot(pl.temp); err != nil {
		d.unlock()
		return nil, pl.wrap(err)
	}
	mine, err1 := d.root.Stat(".")
	now, err2 := pl.parent.Lstat(pl.temp)
	if err := errors.Join(err1, err2); err != nil || !os.SameFile(mine, now) {
		d.close(true)
		return nil, fmt.Errorf("%w: %s", ErrBusy, pl.path())
	}
	// Does this file system fold case? The temporary name ends in cairn-part.
	other, err := pl.parent.Lstat(strings.TrimSuffix(pl.temp, "part") + "PART")
	if err == nil && os.SameFile(other, now) {
		if err := checkTree(p.items, true); err != nil {
			d.close(!d.isNew)
			return nil, err
		}
	}
	return d, nil
}

func (d *dirDest) fresh() bool { return d.isNew }

func (d *dirDest) overhead() int64 {
	const block = 4096
	var n int64
	for i := range d.p.items {
		if !d.made[i] {
			n += block
		}
	}
	return n
}

// wrapItem makes an error of an operation on an item name it.
func (d *dirDest) wrapItem(item int, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%w: %q and another path would be one file", ErrNames, d.p.items[item].Path)
	case isNoSpace(err), errors.Is(err, fs.ErrPermission):
		return d.wrap(err)
	}
	return fmt.Errorf("write %q in %s: %w", d.p.items[item].Path, d.path(), err)
}

// check makes all directories and empty files, and finds what an earlier run left.
func (d *dirDest) check(ctx context.Context, found func(i int)) error {
	tell := func(i int) {
		item, _ := d.p.tree.Locate(i)
		d.mu.Lock()
		d.left[item]--
		d.mu.Unlock()
		found(i)
	}
	d.made[0] = true
	if !d.isNew {
		if err := d.rescan(ctx, tell); err != nil {
			return err
		}
	}
	for item := range d.p.items {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		it := &d.p.items[item]
		switch {
		case it.Kind == dag.Directory && !d.made[item]:
			if err := d.root.Mkdir(local(it.Path), 0o755); err != nil {
				return d.wrapItem(item, err)
			}
			d.made[item] = true
		case it.Kind == dag.File:
			if !d.made[item] {
				for i := it.FirstLeaf; i < it.FirstLeaf+it.Leaves; i++ {
					if d.p.zero[i] {
						tell(i)
					}
				}
			}
			if d.left[item] == 0 {
				if err := d.complete(item); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// complete finishes a file that needs no fetching: empty, all holes, or found whole.
func (d *dirDest) complete(item int) error {
	f, err := d.openItem(item)
	if err != nil {
		return err
	}
	return d.finishFile(item, f)
}

// openItem opens a file of the tree to write to it and makes it if it is not there. It is called by one goroutine
// at a time per item.
func (d *dirDest) openItem(item int) (*os.File, error) {
	it := &d.p.items[item]
	if d.made[item] {
		f, err := d.root.OpenFile(local(it.Path), os.O_RDWR, 0)
		return f, d.wrapItem(item, err)
	}
	// O_EXCL: whatever has this name already is another path of the tree that the file system confuses with it.
	f, err := d.root.OpenFile(local(it.Path), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, d.wrapItem(item, err)
	}
	d.made[item] = true
	if (it.Leaves > 1 || d.left[item] == 0) && it.Size > 0 {
		if err := f.Truncate(it.Size); err != nil {
			f.Close()
			return nil, d.wrapItem(item, err)
		}
	}
	return f, nil
}

func (d *dirDest) write(i int, data []byte) error {
	item, off := d.p.tree.Locate(i)
	if d.p.items[item].Leaves == 1 { // nobody else is at this file
		f, err := d.openItem(item)
		if err != nil {
			return err
		}
		if _, err := f.WriteAt(data, 0); err != nil {
			f.Close()
			return d.wrapItem(item, err)
		}
		return d.finishFile(item, f)
	}
	f, err := d.cache.acquire(item, d.openItem)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, off)
	last := false
	if err == nil {
		d.mu.Lock()
		d.left[item]--
		last = d.left[item] == 0
		d.mu.Unlock()
	}
	if f = d.cache.release(item, last); f != nil && err == nil {
		return d.finishFile(item, f)
	}
	return d.wrapItem(item, err)
}

// finishFile sets mode and time of a complete file, notes what it is, and closes it.
func (d *dirDest) finishFile(item int, f *os.File) error {
	err := d.attributes(item, f)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if it := &d.p.items[item]; err == nil && (!it.MTime.IsZero() || syncEach) {
		// Times are set, or settle, when the file is closed.
		if !it.MTime.IsZero() {
			err = d.root.Chtimes(local(it.Path), time.Time{}, it.MTime)
		}
		var info fs.FileInfo
		if err == nil {
			if info, err = d.root.Lstat(local(it.Path)); err == nil {
				d.stats[item] = stat{info.Size(), info.ModTime()}
			}
		}
	}
	return d.wrapItem(item, err)
}

func (d *dirDest) attributes(item int, f *os.File) error {
	if syncEach {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	if it := &d.p.items[item]; it.HasMode {
		if err := f.Chmod(it.Mode & 0o777); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	info, err := f.Stat()
	if err == nil {
		d.stats[item] = stat{info.Size(), info.ModTime()}
	}
	return err
}

func (d *dirDest) close(keep bool) {
	d.cache.closeAll()
	if d.root != nil {
		d.root.Close()
	}
	if !keep {
		_ = removeAll(d.parent, d.temp)
	}
	d.unlock()
}

// local turns an item's path into one for os.Root; the root itself is ".".
func local(path string) string {
	if path == "" {
		return "."
	}
	return filepath.FromSlash(path)
}
