package storage

import (
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

func openNoBlock(path string) (*os.File, error) { return os.Open(path) }

func allocated(info fs.FileInfo) int64 { return info.Size() }

// syncDir does nothing: directories cannot be synced, NTFS journals names.
func syncDir(string) error { return nil }

func diskFree(dir string) (free, total int64, err error) {
	p, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, 0, err
	}
	var avail, all, unused uint64
	if err := windows.GetDiskFreeSpaceEx(p, &avail, &all, &unused); err != nil {
		return 0, 0, &os.PathError{Op: "GetDiskFreeSpaceEx", Path: dir, Err: err}
	}
	return int64(avail), int64(all), nil
}

// keepOpen is 0: an open file could not be deleted or replaced by its owner.
const keepOpen = 0
