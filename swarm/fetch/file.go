package fetch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"
	"time"
)

// fileDest builds a single file: sparse under the temporary name, every leaf written at its place.
type fileDest struct {
	*place
	p      *plan
	f      *os.File
	unlock func()
	isNew  bool
	length atomic.Int64 // written; used when the tree does not know the size
}

// newFileDest opens or makes the temporary file and locks it. Errors: ErrBusy, ErrTarget.
func newFileDest(pl *place, p *plan) (*fileDest, error) {
	d := &fileDest{place: pl, p: p}
	var err error
	if d.f, d.isNew, err = openTemp(pl); err != nil {
		return nil, err
	}
	if d.unlock, err = lockTemp(pl); err != nil {
		d.f.Close()
		return nil, err
	}
	mine, err1 := d.f.Stat()
	now, err2 := pl.parent.Lstat(pl.temp)
	if err := errors.Join(err1, err2); err != nil || !os.SameFile(mine, now) {
		d.close(true)
		return nil, fmt.Errorf("%w: %s", ErrBusy, pl.path())
	}
	return d, nil
}

// openTemp opens the temporary file, which must be a plain file of ours, or makes it.
func openTemp(pl *place) (f *os.File, isNew bool, err error) {
	f, err = pl.parent.OpenFile(pl.temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if !errors.Is(err, fs.ErrExist) {
		return f, true, pl.wrap(err)
	}
	info, err := pl.parent.Lstat(pl.temp)
	if err != nil {
		return nil, false, pl.wrap(err)
	}
	if !info.Mode().IsRegular() || links(info) > 1 {
		return nil, false, fmt.Errorf("%w: %s is not ours, remove it", ErrTarget, pl.temp)
	}
	f, err = pl.parent.OpenFile(pl.temp, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrPermission) && pl.parent.Chmod(pl.temp, 0o600) == nil {
		f, err = pl.parent.OpenFile(pl.temp, os.O_RDWR, 0) // killed after the mode was set
	}
	return f, false, pl.wrap(err)
}

func (d *fileDest) fresh() bool     { return d.isNew }
func (d *fileDest) overhead() int64 { return 4096 }

func (d *fileDest) check(ctx context.Context, found func(i int)) error {
	size := d.p.items[0].Size
	if size >= 0 {
		if err := d.f.Truncate(size); err != nil {
			return d.wrap(err)
		}
	}
	if d.isNew {
		for i, zero := range d.p.zero {
			if zero {
				found(i)
			}
		}
		return nil
	}
	info, err := d.f.Stat()
	if err != nil {
		return d.wrap(err)
	}
	d.length.Store(info.Size())
	s := newScanner(d.p, found)
	err = s.file(ctx, 0, d.f, false)
	if serr := s.end(); err == nil {
		err = d.wrap(serr)
	}
	return err
}

func (d *fileDest) write(i int, data []byte) error {
	_, off := d.p.tree.Locate(i)
	_, err := d.f.WriteAt(data, off)
	d.length.Store(off + int64(len(data))) // matters only for a lone leaf
	return d.wrap(err)
}

func (d *fileDest) finish() ([]Written, error) {
	it := &d.p.items[0]
	if it.Size < 0 {
		if err := d.f.Truncate(d.length.Load()); err != nil {
			return nil, d.wrap(err)
		}
	}
	if it.HasMode {
		if err := d.f.Chmod(it.Mode & 0o777); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			return nil, d.wrap(err)
		}
	}
	if !it.MTime.IsZero() {
		if err := d.parent.Chtimes(d.temp, time.Time{}, it.MTime); err != nil {
			return nil, d.wrap(err)
		}
	}
	if err := d.sync(it.HasMode || !it.MTime.IsZero()); err != nil {
		return nil, d.wrap(err)
	}
	info, err := d.f.Stat()
	if err != nil {
		return nil, d.wrap(err)
	}
	if syncEach { // some of these systems do not rename open files
		if err := d.f.Close(); err != nil {
			return nil, d.wrap(err)
		}
		if info, err = d.parent.Lstat(d.temp); err != nil {
			return nil, d.wrap(err)
		}
	}
	return []Written{{Path: d.path(), Size: info.Size(), MTime: info.ModTime(), Item: 0}}, nil
}

// sync makes the bytes durable, and with all also mode and times.
func (d *fileDest) sync(all bool) error {
	if all {
		return d.f.Sync()
	}
	return syncData(d.f)
}

func (d *fileDest) close(keep bool) {
	d.f.Close() // a second Close fails, which does not matter: errors of writing came from sync
	if !keep {
		_ = d.parent.Remove(d.temp)
	}
	d.unlock()
}
