package config

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"cairn/web/api"

	"github.com/gofrs/flock"
)

// FileName is the file in the home.
const FileName = "config.toml"

// lockWait bounds the wait for another process that changes the file.
const lockWait = 5 * time.Second

// Source is where a peer's configuration comes from. The variables and flags are those that the process was started
// with; only the file changes. The zero value has neither home nor anything else: all of it is defaults.
type Source struct {
	Home  string            // absolute
	Env   map[string]string // see Input
	Flags map[string]string
}

// NewSource takes the variables of this process. home need not be absolute.
func NewSource(home string, flags map[string]string) (Source, error) {
	abs, err := filepath.Abs(home)
	if err != nil {
		return Source{}, bad("home %s: %v", quote(home), err)
	}
	return Source{Home: abs, Env: Environ(os.Environ()), Flags: flags}, nil
}

// Environ picks from variables, each NAME=VALUE, those that may be ours.
func Environ(all []string) map[string]string {
	out := map[string]string{}
	for _, kv := range all {
		if name, value, ok := strings.Cut(kv, "="); ok && strings.HasPrefix(name, "CAIRN_") {
			out[name] = value
		}
	}
	return out
}

// Path is the file.
func (s Source) Path() string { return filepath.Join(s.Home, FileName) }

// Load reads the file and makes the configuration. Its errors are *api.Error: of CodeUsage with Problems behind them
// when the configuration is wrong, of CodeNotPermitted or CodeFailed when the file can not be read.
func (s Source) Load() (*Loaded, error) {
	data, err := s.read()
	if err != nil {
		return nil, err
	}
	return s.LoadText(data)
}

// LoadText is Load as if the file held data; nil: as if there was none.
func (s Source) LoadText(data []byte) (*Loaded, error) {
	host, _ := os.Hostname() // a machine without a name makes a peer without one
	l, probs := Load(Input{Home: s.Home, Host: host, File: s.Path(), Data: data, Env: s.Env, Flags: s.Flags})
	if err := probs.Err(); err != nil {
		return nil, err
	}
	l.Config.From, l.Config.Settings = s, l.Settings
	return l, nil
}

func (s Source) read() ([]byte, error) {
	if s.Home == "" {
		return nil, nil
	}
	data, err := ReadFile(s.Path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// ReadFile reads a configuration file of at most MaxFile bytes. It does not wait: what is no regular file is refused.
// A missing file is fs.ErrNotExist in the chain of the error.
func ReadFile(path string) ([]byte, error) {
	unreadable := func(code api.Code, err error) error {
		return api.Errorf(code, "%s: %s", path, reason(err)).WithHint("correct that, or move the file away to run with defaults").Because(err)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|nonBlock, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, broken := os.Lstat(path); broken == nil {
			return nil, unreadable(api.CodeFailed, errors.New("it is a link to something that is not there"))
		}
		return nil, api.Errorf(api.CodeNotFound, "%s: no such file", path).Because(err)
	case errors.Is(err, fs.ErrPermission):
		return nil, unreadable(api.CodeNotPermitted, err)
	case err != nil:
		return nil, unreadable(api.CodeFailed, err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		what := "it is not a regular file"
		if fi.IsDir() {
			what = "it is a directory"
		}
		err = errors.New(what)
	}
	if err != nil {
		return nil, unreadable(api.CodeFailed, err)
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxFile+1)) // one more, so that the parser sees that it is too large
	if err != nil {
		return nil, unreadable(api.CodeFailed, err)
	}
	return data, nil
}

// Set changes one key in the file, or takes it out when the value is empty, and returns the configuration that the
// file makes then. Everything is checked before anything is written; the new file is synced when Set returns. Only one
// process at a time changes the file.
func (s Source) Set(ctx context.Context, name, value string) (*Loaded, error) {
	if _, ok := Find(name); !ok {
		return nil, Unknown(name)
	}
	if err := os.MkdirAll(s.Home, 0o700); err != nil {
		return nil, api.Errorf(api.CodeNoHome, "data directory %s: %s", s.Home, reason(err)).WithHint("choose another with --home DIR or CAIRN_HOME")
	}
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	l := flock.New(filepath.Join(s.Home, FileName+".lock"), flock.SetPermissions(0o600))
	if ok, err := l.TryLockContext(ctx, 20*time.Millisecond); !ok {
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return nil, fmt.Errorf("lock %s: %w", s.Path(), err)
		}
		return nil, api.Errorf(api.CodeLocked, "%s is being changed by another process", s.Path()).WithHint("try again when it has ended")
	}
	defer func() { _ = l.Unlock() }() // the kernel does at the latest when this process ends
	old, err := s.read()
	if err != nil {
		return nil, err
	}
	data, err := Edit(s.Path(), old, name, value)
	if err != nil {
		return nil, err
	}
	loaded, err := s.LoadText(data)
	if err != nil {
		return nil, s.blame(old, err)
	}
	if string(data) == string(old) {
		return loaded, nil
	}
	path, err := filepath.EvalSymlinks(s.Path()) // a linked file is replaced where it is
	if err != nil {
		path = s.Path()
	}
	if err := replace(path, data); err != nil {
		return nil, api.Errorf(api.CodeFailed, "%s can not be written: %s", s.Path(), reason(err)).WithHint("look at the permissions and the free space of its folder").Because(err)
	}
	return loaded, nil
}

// blame makes the error of a change that would leave a configuration that can not be used: what was wrong before stands
// where it stands in the file, what the change makes wrong stands nowhere yet.
func (s Source) blame(old []byte, err error) error {
	if _, before := s.LoadText(old); before != nil {
		return before
	}
	probs, ok := errors.AsType[Problems](err)
	if !ok {
		return err
	}
	probs = slices.Clone(probs)
	for i := range probs {
		probs[i].File, probs[i].Line = "", 0
	}
	return probs.Err()
}

// replace puts a new file in the place of an old one: written aside, synced, renamed, and the directory synced. After
// a crash there is the old or the new file.
func replace(path string, data []byte) error {
	tmp := path + ".new"
	_ = os.Remove(tmp) // from a crash before the rename: it was never used
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		_ = os.Remove(tmp)
		return err
	}
	return syncDir(filepath.Dir(path))
}

// reason is the innermost text of an I/O error: "permission denied" instead of "open /a/b: permission denied".
func reason(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err.Error()
	}
	if le, ok := errors.AsType[*os.LinkError](err); ok {
		return le.Err.Error()
	}
	return err.Error()
}
