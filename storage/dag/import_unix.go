//go:build unix

package dag

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// openNonblock opens for reading without waiting for a FIFO's writer or a device, and without following a symbolic
// link that took the place of the file since the scan.
func openNonblock(path string, dir bool) (*os.File, error) {
	flags := os.O_RDONLY | unix.O_NONBLOCK | unix.O_NOFOLLOW
	if dir {
		flags |= unix.O_DIRECTORY
	}
	f, err := os.OpenFile(path, flags, 0)
	if errors.Is(err, unix.ENXIO) { // a socket
		return nil, pathError(path, ErrSpecial)
	}
	return f, err
}

// isSwapped tells whether opening failed because the entry is now of another type.
func isSwapped(err error) bool { return errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR) }
