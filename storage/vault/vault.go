// Package vault keeps the secrets of a peer in one file: small byte strings by name, under a passphrase if the user wants one.
//
// It promises: a change is synced when the call returns, and a crash at any point leaves the old file or the new one;
// a wrong passphrase opens nothing and writes nothing; a damaged file is told apart from a wrong passphrase; a hostile file
// cannot make the process use more than 256 MiB; a file that others can read is refused; no secret is in an error.
//
// It does not know what the secrets mean, does not lock the file against another process (the home's lock does), and
// does not hide secrets from whoever reads this process's memory. Bytes of an older file may stay on the disk where
// the file system keeps what was replaced. storage/DESIGN.md has the form of the file.
//
// It starts no goroutines. The derived key stays in memory until Close, because data keys change while nobody is there to
// be asked; the passphrase does not.
package vault

import (
	"bytes"
	"crypto/subtle"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Conditions that callers branch on. A missing file is fs.ErrNotExist, one that is there already fs.ErrExist.
var (
	// ErrWrongPassphrase: the passphrase given does not open the file. Nothing was written.
	ErrWrongPassphrase = errors.New("the passphrase is wrong")
	// ErrLocked: the file is under a passphrase and there was no way to ask for it.
	ErrLocked = errors.New("the keys are under a passphrase")
	// ErrDamaged: the file is not what was written.
	ErrDamaged = errors.New("the key file is damaged")
	// ErrFormat: a newer version wrote the file, or it asks for more than this one is willing to spend.
	ErrFormat = errors.New("unknown form of key file")
	// ErrExposed: other users of the machine can read or write the file.
	ErrExposed = errors.New("the key file can be read by others")
	// ErrNoSecret: no secret has this name.
	ErrNoSecret = errors.New("no such key")
)

const (
	maxTries   = 3
	maxName    = 64
	maxSecret  = 1 << 20
	maxSecrets = 256
)

// Vault is an open file of secrets. Safe for concurrent use.
type Vault struct {
	path string
	now  func() time.Time
	cost kdf // of the next passphrase; smaller in tests

	mu      sync.Mutex
	kdf     kdf
	key     []byte // derived from the passphrase; nil with kdf none
	changed time.Time
	secrets map[string][]byte
}

// Info says how the secrets are protected.
type Info struct {
	Passphrase bool
	KDF        string    // "none", or "argon2id" with its parameters
	Changed    time.Time // of the last write
}

// Create makes the file with these secrets, under pass if it is not empty. Errors: fs.ErrExist.
func Create(path string, pass []byte, secrets map[string][]byte) (*Vault, error) {
	return create(path, pass, secrets, usualCost())
}

func create(path string, pass []byte, secrets map[string][]byte, cost kdf) (*Vault, error) {
	v := &Vault{path: path, now: time.Now, cost: cost, secrets: make(map[string][]byte)}
	for name, s := range secrets {
		if err := checkSecret(name, s); err != nil {
			return nil, fmt.Errorf("create key file: %w", err)
		}
		v.secrets[name] = bytes.Clone(s)
	}
	var err error
	if v.kdf, v.key, err = newKey(cost, pass); err != nil {
		return nil, fmt.Errorf("create key file: %w", err)
	}
	v.changed = v.stamp()
	text, err := encode(v.kdf, v.key, v.changed, v.secrets)
	if err != nil {
		return nil, fmt.Errorf("create key file: %w", err)
	}
	if err := writeNew(path, text); err != nil {
		return nil, fmt.Errorf("create key file: %w", err)
	}
	return v, nil
}

// Open reads the file. While it is locked, ask is called with 1, 2 and 3 for the passphrase; a nil answer without an error means
// that there is none, or no other. Errors: fs.ErrNotExist, ErrLocked, ErrWrongPassphrase, ErrDamaged, ErrFormat, ErrExposed, those
// of ask. Nothing is written unless it opens, and then only what an interrupted write left behind is removed.
func Open(path string, ask func(attempt int) ([]byte, error)) (*Vault, error) {
	// The user may keep the file elsewhere and link to it; replacing the link would put a copy into the home.
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	text, err := readPrivate(path)
	if err != nil {
		return nil, fmt.Errorf("open key file: %w", err)
	}
	f, err := decode(text)
	if err != nil {
		return nil, fmt.Errorf("open key file %s: %w", path, err)
	}
	v := &Vault{path: path, now: time.Now, cost: usualCost(), kdf: f.KDF, changed: f.Changed}
	if v.key, v.secrets, err = unlock(f, ask); err != nil {
		return nil, fmt.Errorf("open key file %s: %w", path, err)
	}
	if err := removeAside(path); err != nil {
		return nil, fmt.Errorf("open key file: %w", err)
	}
	return v, nil
}

// unlock asks until f opens.
func unlock(f file, ask func(int) ([]byte, error)) (key []byte, secrets map[string][]byte, err error) {
	if f.KDF.Name == kdfNone {
		secrets, err = f.open(nil)
		return nil, secrets, err
	}
	if ask == nil {
		return nil, nil, ErrLocked
	}
	for attempt := 1; attempt <= maxTries; attempt++ {
		pass, err := ask(attempt)
		if err != nil {
			return nil, nil, err
		}
		if pass == nil && attempt == 1 {
			return nil, nil, ErrLocked
		}
		if pass == nil {
			break
		}
		key := f.KDF.derive(pass)
		clear(pass)
		secrets, err = f.open(key)
		if err == nil {
			return key, secrets, nil
		}
		clear(key)
		if !errors.Is(err, ErrWrongPassphrase) {
			return nil, nil, err
		}
	}
	return nil, nil, ErrWrongPassphrase
}

// Get returns a copy of a secret. Error: ErrNoSecret.
func (v *Vault) Get(name string) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	s, ok := v.secrets[name]
	if !ok {
		return nil, fmt.Errorf("read key %q: %w", name, ErrNoSecret)
	}
	return bytes.Clone(s), nil
}

// All returns a copy of every secret, for a backup.
func (v *Vault) All() map[string][]byte {
	v.mu.Lock()
	defer v.mu.Unlock()
	all := make(map[string][]byte, len(v.secrets))
	for name, s := range v.secrets {
		all[name] = bytes.Clone(s)
	}
	return all
}

// Names returns the names of all secrets, sorted.
func (v *Vault) Names() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Sorted(maps.Keys(v.secrets))
}

// Put writes a secret, in place of one of the same name: at most 1 MiB, the name at most 64 bytes.
func (v *Vault) Put(name string, secret []byte) error {
	if err := checkSecret(name, secret); err != nil {
		return fmt.Errorf("write key %q: %w", name, err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.secrets == nil {
		return fmt.Errorf("write key %q: %w", name, fs.ErrClosed)
	}
	next := maps.Clone(v.secrets)
	next[name] = bytes.Clone(secret)
	old := v.secrets[name]
	if err := v.save(v.kdf, v.key, next); err != nil {
		return fmt.Errorf("write key %q: %w", name, err)
	}
	clear(old)
	return nil
}

// Delete removes a secret. Deleting none succeeds.
func (v *Vault) Delete(name string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	old, ok := v.secrets[name]
	if !ok {
		return nil
	}
	next := maps.Clone(v.secrets)
	delete(next, name)
	if err := v.save(v.kdf, v.key, next); err != nil {
		return fmt.Errorf("delete key %q: %w", name, err)
	}
	clear(old)
	return nil
}

func checkSecret(name string, s []byte) error {
	if name == "" || len(name) > maxName || len(s) > maxSecret {
		return fmt.Errorf("a name of %d and a secret of %d bytes: at most %d and %d", len(name), len(s), maxName, maxSecret)
	}
	return nil
}

// Check tells whether pass is the passphrase; where there is none, whether pass is empty. Error: ErrWrongPassphrase.
func (v *Vault) Check(pass []byte) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.check(pass)
}

func (v *Vault) check(pass []byte) error {
	if v.secrets == nil {
		return fs.ErrClosed
	}
	if v.key == nil {
		if len(pass) > 0 {
			return fmt.Errorf("%w: there is none", ErrWrongPassphrase)
		}
		return nil
	}
	key := v.kdf.derive(pass)
	defer clear(key)
	if subtle.ConstantTimeCompare(key, v.key) != 1 {
		return ErrWrongPassphrase
	}
	return nil
}

// SetPassphrase puts all under another passphrase, none if next is empty. Error: ErrWrongPassphrase.
func (v *Vault) SetPassphrase(old, next []byte) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.check(old); err != nil {
		return fmt.Errorf("set passphrase: %w", err)
	}
	if err := v.rewrap(next); err != nil {
		return fmt.Errorf("set passphrase: %w", err)
	}
	return nil
}

// Rewrap makes a new salt and key for wrapping, under the passphrase that holds already. Error: ErrWrongPassphrase.
func (v *Vault) Rewrap(pass []byte) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.check(pass); err != nil {
		return fmt.Errorf("rewrap keys: %w", err)
	}
	if err := v.rewrap(pass); err != nil {
		return fmt.Errorf("rewrap keys: %w", err)
	}
	return nil
}

func (v *Vault) rewrap(pass []byte) error {
	k, key, err := newKey(v.cost, pass)
	if err != nil {
		return err
	}
	old := v.key
	if err := v.save(k, key, v.secrets); err != nil {
		clear(key)
		return err
	}
	clear(old)
	return nil
}

// save writes the file and takes over what is in it then; call with mu held.
func (v *Vault) save(k kdf, key []byte, secrets map[string][]byte) error {
	if len(secrets) > maxSecrets {
		return fmt.Errorf("more than %d keys", maxSecrets)
	}
	now := v.stamp()
	text, err := encode(k, key, now, secrets)
	if err != nil {
		return err
	}
	if err := replace(v.path, text); err != nil {
		return err
	}
	v.kdf, v.key, v.changed, v.secrets = k, key, now, secrets
	return nil
}

func (v *Vault) stamp() time.Time { return v.now().UTC().Truncate(time.Second) }

// Info says how the secrets are protected.
func (v *Vault) Info() Info {
	v.mu.Lock()
	defer v.mu.Unlock()
	return Info{Passphrase: v.key != nil, KDF: v.kdf.String(), Changed: v.changed}
}

// String tells nothing of the secrets.
func (v *Vault) String() string { return "keys in " + v.path }

// Close overwrites the secrets in memory. Nothing can be read or written after it.
func (v *Vault) Close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	clear(v.key)
	for _, s := range v.secrets {
		clear(s)
	}
	v.secrets = nil
}
