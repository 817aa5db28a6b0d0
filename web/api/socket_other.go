//go:build !unix

package api

import (
	"io/fs"
	"os"
	"path/filepath"
)

// runtimeDir lies in the user's profile, which the system keeps from other users.
func runtimeDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", Errorf(CodeFailed, "the user's cache directory is not known").WithHint("use a data directory with a shorter path")
	}
	return filepath.Join(dir, "cairn-run"), nil
}

func ownedPrivately(fs.FileInfo) bool { return true }
