package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"cairn/web/api"

	"github.com/gofrs/flock"
)

// home is the data directory while this process owns it.
type home struct {
	dir     string
	lock    *flock.Flock
	claimed bool
}

// openHome makes the directory if there is none and takes its lock. ErrLocked becomes *api.Error of CodeLocked.
// The lock is the kernel's: one left by a process that died blocks nobody.
func openHome(dir string) (*home, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, api.Errorf(api.CodeNoHome, "data directory %s: %s", dir, reason(err)).
			WithHint("choose another with --home DIR or CAIRN_HOME")
	}
	if fi, err := os.Stat(dir); err != nil || !fi.IsDir() {
		return nil, api.Errorf(api.CodeNoHome, "data directory %s: not a directory", dir)
	}
	l := flock.New(filepath.Join(dir, "lock"), flock.SetPermissions(0o600))
	ok, err := l.TryLock()
	if err != nil {
		return nil, api.Errorf(api.CodeNoHome, "data directory %s: %s", dir, reason(err)).
			WithHint("choose another with --home DIR or CAIRN_HOME")
	}
	if !ok {
		return nil, api.Errorf(api.CodeLocked, "%s is in use by another cairn process%s", dir, holder(dir)).
			WithHint("use that one, or stop it first")
	}
	return &home{dir: dir, lock: l}, nil
}

// claim writes this process's number into the home, for people who read holder's words; nothing trusts it. It waits until
// keys and store are open: wrong ones leave the home as it was.
func (h *home) claim() {
	_ = os.WriteFile(filepath.Join(h.dir, "pid"), fmt.Appendf(nil, "%d\n", os.Getpid()), 0o600)
	h.claimed = true
}

func holder(dir string) string {
	b, err := os.ReadFile(filepath.Join(dir, "pid"))
	if s := strings.TrimSpace(string(b)); err == nil && s != "" {
		return " (process " + s + ")"
	}
	return ""
}

func (h *home) close() error {
	if h.claimed { // who waits at the passphrase next is not this process
		_ = os.Remove(filepath.Join(h.dir, "pid"))
	}
	return h.lock.Unlock()
}

// writeSecret writes a new 0600 file and syncs it with its directory.
func writeSecret(path string, b []byte) error {
	tmp := path + ".new"
	_ = os.Remove(tmp) // from a crash before the rename: it was never used
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// reason is the innermost text of an I/O error: "permission denied" instead of "open /a/b: permission denied".
func reason(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	var le *os.LinkError
	if errors.As(err, &le) {
		return le.Err.Error()
	}
	var se *os.SyscallError
	if errors.As(err, &se) {
		return se.Err.Error()
	}
	return err.Error()
}
