//go:build unix

package api

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// runtimeDir is fixed and does not follow XDG_RUNTIME_DIR or TMPDIR: they differ between a login and a service.
func runtimeDir() (string, error) {
	return fmt.Sprintf("/tmp/cairn-%d", os.Getuid()), nil
}

func ownedPrivately(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Getuid() && info.Mode().Perm()&0o077 == 0
}
