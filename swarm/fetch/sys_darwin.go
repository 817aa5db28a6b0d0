package fetch

import (
	"os"

	"golang.org/x/sys/unix"
)

// renameNew renames within r and fails with fs.ErrExist instead of replacing.
func renameNew(r *os.Root, from, to string) error {
	err := renamex(r, from, to, unix.RENAME_EXCL)
	if err == nil || !unknownCall(err) {
		return err
	}
	return renameChecked(r, from, to)
}

// swap exchanges two names in one step.
func swap(r *os.Root, a, b string) error { return renamex(r, a, b, unix.RENAME_SWAP) }

func renamex(r *os.Root, from, to string, flags uint32) error {
	dir, err := r.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	fd := int(dir.Fd())
	if err := unix.RenameatxNp(fd, from, fd, to, flags); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}
