package vault

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// aside is where a new file is written before it gets its name. There is one such name, so that what a crash left is
// found: it may hold secrets that the file keeps under a passphrase by now.
func aside(path string) string { return path + ".new" }

// readPrivate reads a file that nobody else may read.
func readPrivate(path string) ([]byte, error) {
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() { // opening a FIFO would wait
		return nil, fmt.Errorf("%w: %s is not a file", ErrDamaged, path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if exposed(info) {
		return nil, fmt.Errorf("%w: %s", ErrExposed, path)
	}
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}

// writeNew makes path with mode 0600, whole or not at all. Error: fs.ErrExist.
func writeNew(path string, text []byte) error {
	if _, err := os.Lstat(path); err == nil {
		return &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	}
	return place(path, text, func(tmp string) error {
		err := os.Link(tmp, path) // fails where a file appeared meanwhile
		if err == nil || errors.Is(err, fs.ErrExist) {
			return errors.Join(err, os.Remove(tmp))
		}
		return os.Rename(tmp, path) // a file system without links
	})
}

// replace puts text in the place of path. After a crash one of the two is there.
func replace(path string, text []byte) error {
	return place(path, text, func(tmp string) error { return os.Rename(tmp, path) })
}

func place(path string, text []byte, name func(tmp string) error) (err error) {
	tmp := aside(path)
	if err := removeAside(path); err != nil {
		return err
	}
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp)
		}
	}()
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err := name(tmp); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func removeAside(path string) error {
	if err := os.Remove(aside(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
