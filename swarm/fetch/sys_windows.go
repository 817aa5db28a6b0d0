package fetch

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"

	"golang.org/x/sys/windows"
)

// lockTemp locks the name p.temp by a file beside it: an open file could not be renamed here. The file goes
// away with the lock.
func lockTemp(p *place) (unlock func(), err error) {
	name := p.temp + ".lock"
	f, err := p.parent.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, p.wrap(err)
	}
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	if err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, new(windows.Overlapped)); err != nil {
		f.Close()
		if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
			return nil, fmt.Errorf("%w: %s", ErrBusy, p.path())
		}
		return nil, p.wrap(err)
	}
	return func() {
		f.Close()
		_ = p.parent.Remove(name) // fails while another has it open, who then owns it
	}, nil
}

// syncDir does nothing: NTFS journals names, and directories cannot be flushed.
func syncDir(*os.Root) error { return nil }

// freeSpace returns the bytes that this user may still write below dir.
func freeSpace(dir string) (int64, error) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(name, &free, nil, nil); err != nil {
		return 0, &fs.PathError{Op: "GetDiskFreeSpaceEx", Path: dir, Err: err}
	}
	return int64(min(free, math.MaxInt64)), nil
}

func isNoSpace(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL) ||
		errors.Is(err, windows.ERROR_DISK_QUOTA_EXCEEDED)
}

func isReadOnly(err error) bool { return errors.Is(err, windows.ERROR_WRITE_PROTECT) }

// links returns the number of names of a file; not known here without opening it.
func links(fs.FileInfo) int { return 1 }
