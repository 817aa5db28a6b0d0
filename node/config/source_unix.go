//go:build unix

package config

import (
	"os"
	"syscall"
)

// nonBlock keeps an open from waiting for the writer of a pipe.
const nonBlock = syscall.O_NONBLOCK

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
