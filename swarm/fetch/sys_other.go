//go:build !linux

package fetch

import (
	"io/fs"
	"os"
)

// syncEach: files must be synced one by one, because there is no call that syncs a whole tree.
const syncEach = true

// syncData makes the bytes and the size of f durable.
func syncData(f *os.File) error { return f.Sync() }

// syncTree makes the names below a tree durable; its files have been synced each.
func syncTree(_ *os.File, root *os.Root) error {
	return fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		sub, err := root.OpenRoot(path)
		if err != nil {
			return err
		}
		defer sub.Close()
		return syncDir(sub)
	})
}

// nextData takes everything for data: holes read as zero and are found by hashing.
func nextData(_ *os.File, off, size int64) (from, to int64, err error) { return off, size, nil }
