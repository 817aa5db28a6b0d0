package node

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"cairn/web/api"

	"github.com/gofrs/flock"
	"github.com/libp2p/go-libp2p/core/crypto"
)

// home is the data directory while this process owns it.
type home struct {
	dir  string
	lock *flock.Flock
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
	// The number is for people who read the message above; nothing trusts it.
	_ = os.WriteFile(filepath.Join(dir, "pid"), fmt.Appendf(nil, "%d\n", os.Getpid()), 0o600)
	return &home{dir: dir, lock: l}, nil
}

func holder(dir string) string {
	b, err := os.ReadFile(filepath.Join(dir, "pid"))
	if s := strings.TrimSpace(string(b)); err == nil && s != "" {
		return " (process " + s + ")"
	}
	return ""
}

func (h *home) close() error { return h.lock.Unlock() }

// identity reads the door host's Ed25519 key, or makes it.
func (h *home) identity() (crypto.PrivKey, error) {
	path := filepath.Join(h.dir, "door.key")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		k, _, err := crypto.GenerateEd25519Key(rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("make key: %w", err)
		}
		raw, err := crypto.MarshalPrivateKey(k)
		if err != nil {
			return nil, fmt.Errorf("encode key: %w", err)
		}
		return k, writeSecret(path, raw)
	}
	if err != nil {
		return nil, api.Errorf(api.CodeNotPermitted, "%s: %s", path, reason(err))
	}
	if err := private(path); err != nil {
		return nil, err
	}
	k, err := crypto.UnmarshalPrivateKey(b)
	if err != nil {
		return nil, api.Errorf(api.CodeWrongKey, "%s does not hold a key", path).
			WithHint("restore the file from a backup; without it peers no longer know this one")
	}
	return k, nil
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

// ports are what the peer listened on last time, so that addresses in tickets stay good.
type ports struct {
	Spec   string   `json:"spec"` // the configuration that led to them
	Listen []string `json:"listen"`
}

func (h *home) loadPorts() (p ports) {
	if b, err := os.ReadFile(filepath.Join(h.dir, "ports.json")); err == nil {
		_ = json.Unmarshal(b, &p) // a damaged file only costs the old port
	}
	return p
}

func (h *home) savePorts(p ports) error {
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return writeSecret(filepath.Join(h.dir, "ports.json"), b)
}

// HomeExists says whether dir holds a peer's data.
func HomeExists(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "door.key"))
	return err == nil
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
