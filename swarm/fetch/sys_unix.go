//go:build unix

package fetch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// lockTemp locks what is under p.temp, a file or a directory. The lock goes with the object through renames and
// ends with the process.
func lockTemp(p *place) (unlock func(), err error) {
	for {
		info, err := p.parent.Lstat(p.temp)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: %s was just finished or given up", ErrBusy, p.path())
		}
		if err != nil {
			return nil, p.wrap(err)
		}
		if !info.Mode().IsRegular() && !info.IsDir() {
			return nil, fmt.Errorf("%w: %s is in the way", ErrTarget, p.temp)
		}
		f, err := p.parent.Open(p.temp)
		if err != nil {
			return nil, p.wrap(err)
		}
		err = retryEINTR(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) })
		if errors.Is(err, unix.EWOULDBLOCK) {
			f.Close()
			return nil, fmt.Errorf("%w: %s", ErrBusy, p.path())
		}
		// Network file systems that cannot lock, or not a folder, answer in many ways. Going on without a lock is
		// better than not at all: two gets at once there would write the same bytes to the same places.
		// The last holder may have renamed or removed it between our opening and locking.
		mine, err1 := f.Stat()
		now, err2 := p.parent.Lstat(p.temp)
		if err1 == nil && err2 == nil && os.SameFile(mine, now) {
			return func() { f.Close() }, nil
		}
		f.Close()
	}
}

// syncDir makes the names in a directory durable.
func syncDir(r *os.Root) error {
	dir, err := r.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil && !errors.Is(err, unix.EINVAL) { // some network file systems cannot
		return err
	}
	return nil
}

// freeSpace returns the bytes that an ordinary user may still write below dir.
func freeSpace(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := retryEINTR(func() error { return unix.Statfs(dir, &s) }); err != nil {
		return 0, &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return int64(s.Bavail) * int64(s.Bsize), nil
}

func isNoSpace(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}

func isReadOnly(err error) bool { return errors.Is(err, unix.EROFS) }

// links returns the number of names of a file.
func links(info fs.FileInfo) int {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Nlink)
	}
	return 1
}

func retryEINTR(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// unknownCall: the kernel or the file system lacks the call or its flag.
func unknownCall(err error) bool {
	return errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP)
}
