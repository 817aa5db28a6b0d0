package fetch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"cairn/storage/dag"

	"github.com/ipfs/go-cid"
)

// tempName returns the name under which an object is built beside its target: hidden, and the same in every
// run, so that a later one continues.
func tempName(name string, root cid.Cid, ending string) string {
	const most = 200 // bytes of the name; with the rest it stays below NAME_MAX
	if len(name) > most {
		name = name[:most]
		for !utf8.ValidString(name) && len(name) > most-utf8.UTFMax {
			name = name[:len(name)-1]
		}
	}
	id := root.String()
	return "." + name + "." + id[max(0, len(id)-12):] + ending
}

// TempPath returns where an unfinished get of root to target keeps its bytes.
func TempPath(target string, root cid.Cid) string {
	return filepath.Join(filepath.Dir(target), tempName(filepath.Base(target), root, ".cairn-part"))
}

// place is the folder of the target and the names used in it. Everything goes through parent, so renaming
// the folder meanwhile does no harm.
type place struct {
	dir, name string // absolute folder; final name in it
	temp, old string // names while building, and of what is being replaced
	force     bool
	parent    *os.Root
}

// openPlace checks the target without changing anything. Errors: ErrTarget, ErrExists.
func openPlace(t Target, root cid.Cid) (*place, error) {
	path := filepath.Clean(t.Path)
	p := &place{dir: filepath.Dir(path), name: filepath.Base(path), force: t.Force}
	if !filepath.IsAbs(path) || p.name == "." || p.name == ".." || strings.ContainsRune(p.name, filepath.Separator) {
		return nil, fmt.Errorf("%w: %q is not the absolute path of a file", ErrTarget, t.Path)
	}
	if strings.ContainsRune(path, 0) || checkName(p.name) != nil {
		return nil, fmt.Errorf("%w: %q is not a file name here", ErrTarget, p.name)
	}
	p.temp = tempName(p.name, root, ".cairn-part")
	p.old = tempName(p.name, root, ".cairn-old")
	info, err := os.Stat(p.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: folder %s does not exist", ErrTarget, p.dir)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrTarget, err)
	case !info.IsDir():
		return nil, fmt.Errorf("%w: %s is not a folder", ErrTarget, p.dir)
	}
	if p.parent, err = os.OpenRoot(p.dir); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTarget, err)
	}
	if err := p.free(0); err != nil {
		p.parent.Close()
		return nil, err
	}
	return p, nil
}

func (p *place) path() string { return filepath.Join(p.dir, p.name) }

func (p *place) close() { p.parent.Close() }

// free says whether an object of a kind (0: not known yet) may take the final name. ErrExists if not.
func (p *place) free(kind dag.Kind) error {
	info, err := p.parent.Lstat(p.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("%w: %w", ErrTarget, err)
	case !p.force:
		return fmt.Errorf("%w: %s", ErrExists, p.path())
	case info.IsDir() && kind == dag.File:
		return fmt.Errorf("%w: %s is a folder, which a file does not replace", ErrExists, p.path())
	}
	return nil
}

// commit gives the finished temp its final name. What was there is replaced in one step where the system can
// swap names, and otherwise moved aside first; never is there a moment in which neither exists under some name.
// It returns a warning when what was replaced could not be removed.
func (p *place) commit(kind dag.Kind) (warning string, err error) {
	if err := p.free(kind); err != nil {
		return "", err
	}
	info, err := p.parent.Lstat(p.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = renameNew(p.parent, p.temp, p.name)
		if errors.Is(err, fs.ErrExist) {
			return "", fmt.Errorf("%w: %s", ErrExists, p.path())
		}
		return "", p.wrap(err)
	case err != nil:
		return "", p.wrap(err)
	case !info.IsDir() && kind == dag.File:
		// rename replaces a file, or a symbolic link itself, in one step.
		return "", p.wrap(p.parent.Rename(p.temp, p.name))
	}
	if err := removeAll(p.parent, p.old); err != nil { // of a run that was killed below
		return "", p.wrap(err)
	}
	if err := swap(p.parent, p.temp, p.name); err == nil {
		if err := p.parent.Rename(p.temp, p.old); err != nil {
			return p.leftover(p.temp, err), nil
		}
	} else {
		if err := p.parent.Rename(p.name, p.old); err != nil {
			return "", p.wrap(err)
		}
		if err := p.parent.Rename(p.temp, p.name); err != nil {
			return "", p.wrap(errors.Join(err, p.parent.Rename(p.old, p.name)))
		}
	}
	if err := removeAll(p.parent, p.old); err != nil {
		return p.leftover(p.old, err), nil
	}
	return "", nil
}

func (p *place) leftover(name string, err error) string {
	return fmt.Sprintf("what was replaced is still at %s: %v", filepath.Join(p.dir, name), err)
}

// wrap makes errors of file operations beside the target tell their meaning.
func (p *place) wrap(err error) error {
	switch {
	case err == nil:
		return nil
	case isNoSpace(err):
		return fmt.Errorf("%w in %s: %w", ErrNoSpace, p.dir, err)
	case errors.Is(err, fs.ErrPermission) || isReadOnly(err):
		return fmt.Errorf("%w: no permission to write in %s: %w", ErrTarget, p.dir, err)
	}
	return fmt.Errorf("write %s: %w", p.path(), err)
}

// renameChecked is renameNew for systems that cannot do it in one step.
func renameChecked(r *os.Root, from, to string) error {
	if _, err := r.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
		return fs.ErrExist
	}
	return r.Rename(from, to)
}

// removeAll removes a file or directory of ours, read-only directories in it included.
func removeAll(r *os.Root, name string) error {
	err := r.RemoveAll(name)
	if err == nil || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	if info, lerr := r.Lstat(name); lerr != nil || !info.IsDir() {
		return err
	}
	sub, serr := r.OpenRoot(name)
	if serr != nil {
		if r.Chmod(name, 0o700) != nil {
			return err
		}
		if sub, serr = r.OpenRoot(name); serr != nil {
			return err
		}
	}
	defer sub.Close()
	// fs.WalkDir calls the function before it reads a directory, so children become reachable in time.
	_ = fs.WalkDir(sub.FS(), ".", func(path string, d fs.DirEntry, werr error) error {
		if werr == nil && d.IsDir() {
			_ = sub.Chmod(path, 0o700)
		}
		return nil
	})
	return r.RemoveAll(name)
}

// Discard removes what an unfinished get of root to target left. Nothing there is no error; ErrBusy if a get is
// at work on it.
func Discard(target string, root cid.Cid) error {
	p, err := openPlace(Target{Path: target, Force: true}, root)
	if err != nil {
		return err
	}
	defer p.close()
	if _, err := p.parent.Lstat(p.temp); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	unlock, err := lockTemp(p)
	if err != nil {
		return err
	}
	defer unlock()
	return p.wrap(removeAll(p.parent, p.temp))
}
