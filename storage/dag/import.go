package dag

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
)

// smallFile is the size in bytes up to which a file is read by one worker; larger ones are spread over all.
const smallFile = 8 * LeafSize

// ImportPaths imports files and directories. One path gives that object, several a directory of their base names
// (ErrDuplicate if two are equal). A path that is itself a symbolic link is followed; links inside a tree are kept
// as links. FIFOs, sockets and devices inside a tree are left out with a warning; named directly they are ErrSpecial.
// Whatever cannot be read, or changes while it is read (ErrChanged), ends the import with an fs.PathError.
func ImportPaths(ctx context.Context, paths []string, o Options, s Sink) (Summary, error) {
	top := &dirBuild{}
	seen := make(map[string]string, len(paths))
	var sources []string
	for _, p := range paths {
		abs, err := filepath.Abs(p)
		if err != nil {
			return Summary{}, fmt.Errorf("import %s: %w", p, err)
		}
		name := filepath.Base(abs)
		if other, dup := seen[name]; dup {
			return Summary{}, fmt.Errorf("import %s and %s: %w", other, p, ErrDuplicate)
		}
		if len(paths) > 1 && checkName(name) != nil {
			return Summary{}, pathError(p, errors.New("has no name to be imported under"))
		}
		seen[name] = p
		sources = append(sources, abs)
	}
	if len(paths) == 0 {
		return Summary{}, errors.New("import: no path")
	}
	slices.SortFunc(sources, func(a, b string) int { return strings.Compare(filepath.Base(a), filepath.Base(b)) })
	for _, p := range sources {
		top.entries = append(top.entries, dirEntry{name: filepath.Base(p)})
	}

	kind := Directory
	im, ctx := newImporter(ctx, o, s)
	var root ref
	top.built = func(r ref) { root = r }
	if len(sources) == 1 {
		top.build = func(context.Context, *nodeWriter) (ref, error) { return top.entries[0].ref, nil }
	}
	err := im.run(ctx, func(ctx context.Context, w *worker) error {
		top.pending.Store(1)
		for i, p := range sources {
			k, err := w.source(ctx, p, top, i)
			if err != nil {
				return err
			}
			if len(sources) == 1 {
				kind = k
			}
		}
		return top.complete(ctx, w)
	})
	if err != nil {
		return Summary{}, err
	}
	return im.summary(root, kind), nil
}

// ImportReader imports what r gives until io.EOF as one file. Leaves have id 0. A read that blocks is not
// interrupted by ctx.
func ImportReader(ctx context.Context, r io.Reader, o Options, s Sink) (Summary, error) {
	im, ctx := newImporter(ctx, o, s)
	var root ref
	err := im.run(ctx, func(ctx context.Context, w *worker) (err error) {
		b := &builder{out: &w.out}
		win := newWindow(im, b)
		for off := int64(0); ; off += LeafSize {
			sl, err := win.next(ctx)
			if err != nil {
				return err
			}
			if sl.buf == nil {
				sl.buf = make([]byte, LeafSize)
			}
			n, err := io.ReadFull(r, sl.buf)
			if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
				return fmt.Errorf("import: %w", err)
			}
			if n == 0 && off > 0 {
				win.tail--
				break
			}
			if err := im.submit(ctx, func(ctx context.Context, _ *worker) error {
				sl.ref = leafRef(sl.buf[:n])
				if err := im.leaf(ctx, 0, off, sl.ref, sl.buf[:n]); err != nil {
					return err
				}
				sl.done <- struct{}{}
				return nil
			}); err != nil {
				return err
			}
			if n < LeafSize {
				break
			}
		}
		root, err = win.finish(ctx, meta{})
		im.done(0, 1)
		return err
	})
	if err != nil {
		return Summary{}, err
	}
	return im.summary(root, File), nil
}

// leaf hands a leaf over and counts it.
func (im *importer) leaf(ctx context.Context, id uint64, off int64, r ref, data []byte) error {
	if err := im.sink.Leaf(ctx, id, off, r.cid(), data); err != nil {
		return err
	}
	im.leaves.Add(1)
	im.done(int64(len(data)), 0)
	return nil
}

// dirBuild is a directory whose entries are being imported. The last entry to be done makes its node, and so on up,
// so that the scanner never waits for a directory.
type dirBuild struct {
	parent  *dirBuild
	index   int // in parent.entries
	entries []dirEntry
	meta    meta
	// pending counts the entries not done, plus one while the scanner is adding entries. Whoever takes it to zero
	// has seen every write to entries.
	pending atomic.Int64
	build   func(context.Context, *nodeWriter) (ref, error) // nil: make a directory
	built   func(ref)                                       // of the top
}

// complete says that one entry of d is done.
func (d *dirBuild) complete(ctx context.Context, w *worker) error {
	for d.pending.Add(-1) == 0 {
		var r ref
		var err error
		if d.build != nil {
			r, err = d.build(ctx, &w.out)
		} else {
			kept := slices.DeleteFunc(d.entries, func(e dirEntry) bool { return e.name == "" })
			r, err = w.out.directory(ctx, kept, d.meta)
		}
		if err != nil {
			return err
		}
		if d.parent == nil {
			d.built(r)
			return nil
		}
		d.parent.entries[d.index].ref = r
		d.entries = nil
		d = d.parent
	}
	return nil
}

// source imports one of the paths that the caller named.
func (w *worker) source(ctx context.Context, path string, d *dirBuild, i int) (Kind, error) {
	info, err := os.Lstat(path)
	if err == nil && info.Mode()&fs.ModeSymlink != 0 {
		given := path
		if path, err = filepath.EvalSymlinks(given); err == nil {
			info, err = os.Lstat(path)
		}
		if pe := (*fs.PathError)(nil); err != nil && !errors.As(err, &pe) { // a loop is told without its path
			err = &fs.PathError{Op: "open", Path: given, Err: errLoop}
		}
	}
	switch {
	case err != nil:
		return 0, err
	case info.IsDir():
		return Directory, w.tree(ctx, path, d, i)
	case info.Mode().IsRegular():
		return File, w.file(ctx, path, info.Size(), d, i, false)
	}
	return 0, pathError(path, ErrSpecial)
}

// tree scans a directory.
func (w *worker) tree(ctx context.Context, path string, parent *dirBuild, index int) error {
	f, err := openNonblock(path, true)
	if err != nil {
		return raced(path, err)
	}
	list, err := f.ReadDir(-1)
	d := &dirBuild{parent: parent, index: index}
	if err == nil && w.im.o.Preserve {
		var info fs.FileInfo
		if info, err = f.Stat(); err == nil {
			d.meta = metaOf(info)
		}
	}
	f.Close()
	if err != nil {
		return err
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	d.entries = make([]dirEntry, len(list))
	for i, e := range list {
		d.entries[i].name = e.Name()
	}
	parent.pending.Add(1)
	d.pending.Store(1)
	for i, e := range list {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		full := filepath.Join(path, e.Name())
		switch e.Type() {
		case fs.ModeDir:
			err = w.tree(ctx, full, d, i)
		case fs.ModeSymlink:
			err = w.link(ctx, full, d, i)
		case 0:
			var info fs.FileInfo
			if info, err = e.Info(); err == nil {
				err = w.file(ctx, full, info.Size(), d, i, true)
			} else {
				err = raced(full, err)
			}
		default:
			w.special(full, d, i)
		}
		if err != nil {
			return err
		}
	}
	return d.complete(ctx, w)
}

// special leaves an entry out.
func (w *worker) special(path string, d *dirBuild, i int) {
	d.entries[i].name = ""
	w.im.skip(fmt.Sprintf("%q skipped: %v", path, ErrSpecial))
}

// link imports a symbolic link as such.
func (w *worker) link(ctx context.Context, path string, d *dirBuild, i int) error {
	target, err := os.Readlink(path)
	if err != nil {
		return raced(path, err)
	}
	var m meta
	if w.im.o.Preserve {
		info, err := os.Lstat(path)
		if err != nil {
			return raced(path, err)
		}
		m.mtime = info.ModTime()
	}
	d.entries[i].ref, err = w.out.symlink(ctx, filepath.ToSlash(target), m)
	return err
}

func metaOf(info fs.FileInfo) meta {
	return meta{hasMode: true, mode: info.Mode(), mtime: info.ModTime()}
}

func pathError(path string, err error) error {
	return &fs.PathError{Op: "import", Path: path, Err: err}
}

// raced turns errors that can only come from a change since the scan into ErrChanged.
func raced(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) || isSwapped(err) {
		return pathError(path, ErrChanged)
	}
	return err
}
