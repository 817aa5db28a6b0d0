//go:build linux || darwin || freebsd

package dag

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// isSparse tells whether a file has fewer blocks than its size needs.
func isSparse(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Blocks*512 < info.Size()
}

// nextData returns the first run of data at or after off: all of the rest when the file system cannot tell.
func nextData(f *os.File, off, size int64) extent {
	start, err := f.Seek(off, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) {
		return extent{size, size}
	}
	if err != nil || start < off {
		return extent{off, size}
	}
	end, err := f.Seek(start, unix.SEEK_HOLE)
	if err != nil || end <= start {
		end = size
	}
	return extent{min(start, size), min(end, size)}
}
