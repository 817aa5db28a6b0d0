package fetch

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// syncEach: files must be synced one by one, because there is no call that syncs a whole tree.
const syncEach = false

// syncData makes the bytes and the size of f durable, not its times.
func syncData(f *os.File) error {
	return retryEINTR(func() error { return unix.Fdatasync(int(f.Fd())) })
}

// syncTree makes all below dir durable, by syncing its file system once.
func syncTree(dir *os.File, _ *os.Root) error {
	return retryEINTR(func() error { return unix.Syncfs(int(dir.Fd())) })
}

// nextData returns the next range with data at or after off. Holes read as zero.
func nextData(f *os.File, off, size int64) (from, to int64, err error) {
	from, err = f.Seek(off, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) {
		return size, size, nil
	}
	if errors.Is(err, unix.EINVAL) { // the file system does not know
		return off, size, nil
	}
	if err != nil {
		return 0, 0, err
	}
	if to, err = f.Seek(from, unix.SEEK_HOLE); err != nil {
		return 0, 0, err
	}
	return min(from, size), min(to, size), nil
}

// renameNew renames within r and fails with fs.ErrExist instead of replacing.
func renameNew(r *os.Root, from, to string) error {
	err := renameat2(r, from, to, unix.RENAME_NOREPLACE)
	if !unknownCall(err) {
		return err
	}
	return renameChecked(r, from, to)
}

// swap exchanges two names in one step.
func swap(r *os.Root, a, b string) error { return renameat2(r, a, b, unix.RENAME_EXCHANGE) }

func renameat2(r *os.Root, from, to string, flags uint) error {
	dir, err := r.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	fd := int(dir.Fd())
	if err := unix.Renameat2(fd, from, fd, to, flags); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}
