//go:build !linux && !darwin

package fetch

import (
	"errors"
	"os"
)

// renameNew renames within r and fails with fs.ErrExist instead of replacing.
func renameNew(r *os.Root, from, to string) error { return renameChecked(r, from, to) }

// swap exchanges two names in one step, which nothing here can do.
func swap(*os.Root, string, string) error { return errors.ErrUnsupported }
