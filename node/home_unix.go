//go:build !windows

package node

import (
	"os"

	"cairn/web/api"
)

// private refuses a secret file that others can read.
func private(path string) error {
	fi, err := os.Stat(path)
	if err != nil {
		return api.Errorf(api.CodeNotPermitted, "%s: %s", path, reason(err))
	}
	if fi.Mode().Perm()&0o077 != 0 {
		return api.Errorf(api.CodeNotPermitted, "%s can be read by others", path).WithHint("run: chmod 600 %s", path)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
