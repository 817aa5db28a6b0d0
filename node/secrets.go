package node

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"cairn/storage"
	"cairn/storage/vault"
	"cairn/web/api"

	"github.com/libp2p/go-libp2p/core/crypto"
)

// Names of the secrets in the vault.
const (
	secretDoor     = "door"     // Ed25519 key of the door host, in libp2p's encoding
	secretIdentity = "identity" // Ed25519 key of the member that this peer may become, likewise
	secretStore    = "store"    // the store's keys, see storage.Envelope
)

// keysFile is the vault in the home.
const keysFile = "keys"

func vaultPath(dir string) string { return filepath.Join(dir, keysFile) }

// HomeExists says whether dir holds a peer's data.
func HomeExists(dir string) bool {
	_, err := os.Stat(vaultPath(dir))
	return err == nil || hasStore(dir)
}

func hasStore(dir string) bool {
	_, err := os.Stat(filepath.Join(storeDir(dir), "store.id"))
	return err == nil
}

func storeDir(dir string) string { return filepath.Join(dir, "store") }

// openVault opens the secrets of a home, or makes them for one that never had any. Nothing is written before they are open.
func openVault(dir string, ask func(attempt int) ([]byte, error)) (*vault.Vault, error) {
	path := vaultPath(dir)
	v, err := vault.Open(path, ask)
	if err == nil {
		if err := complete(v); err != nil {
			v.Close()
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return v, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, explainVault(path, err)
	}
	for _, old := range []string{"door.key", "store.key"} {
		if _, err := os.Lstat(filepath.Join(dir, old)); err == nil {
			return nil, api.Errorf(api.CodeNoHome, "%s was made by an early version of cairn, which kept its keys in %s", dir, old).
				WithHint("use that version, or begin anew with another directory: --home DIR")
		}
	}
	if hasStore(dir) {
		return nil, api.Errorf(api.CodeWrongKey, "%s is not there, but the store that it opens is", path).
			WithHint("bring it back with `cairn key restore FILE` or from a copy; nothing was written")
	}
	return makeVault(path, ask)
}

// complete tells whether the vault holds what a peer needs.
func complete(v *vault.Vault) error {
	for _, name := range []string{secretDoor, secretIdentity, secretStore} {
		s, err := v.Get(name)
		if err != nil {
			return api.Errorf(api.CodeWrongKey, "the key file holds no key %q", name).
				WithHint("move it away and bring it back with `cairn key restore FILE`")
		}
		clear(s)
	}
	return nil
}

// makeVault makes all keys of a new peer at once, so that a crash leaves all or none.
func makeVault(path string, ask func(attempt int) ([]byte, error)) (*vault.Vault, error) {
	var pass []byte
	if ask != nil {
		var err error
		if pass, err = ask(0); err != nil {
			return nil, explainVault(path, err)
		}
		if err := checkPassphrase(string(pass)); pass != nil && err != nil {
			return nil, err
		}
		defer clear(pass)
	}
	secrets := map[string][]byte{}
	for _, name := range []string{secretDoor, secretIdentity} {
		k, _, err := crypto.GenerateEd25519Key(rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("make key: %w", err)
		}
		if secrets[name], err = crypto.MarshalPrivateKey(k); err != nil {
			return nil, fmt.Errorf("encode key: %w", err)
		}
	}
	var err error
	if secrets[secretStore], err = storage.MakeKeys(); err != nil {
		return nil, err
	}
	defer func() {
		for _, s := range secrets {
			clear(s)
		}
	}()
	v, err := vault.Create(path, pass, secrets)
	if err != nil {
		return nil, explainVault(path, err)
	}
	return v, nil
}

// privateKey reads a libp2p key out of the vault.
func privateKey(v *vault.Vault, name string) (crypto.PrivKey, error) {
	raw, err := v.Get(name)
	if err != nil {
		return nil, err
	}
	defer clear(raw)
	k, err := crypto.UnmarshalPrivateKey(raw)
	if err != nil { // its text may say what is in the key
		return nil, api.Errorf(api.CodeWrongKey, "the key %q in the key file is not readable", name).
			WithHint("move the key file away and bring it back with `cairn key restore FILE`")
	}
	return k, nil
}

// storeEnvelope keeps the store's keys in the vault.
type storeEnvelope struct{ v *vault.Vault }

func (e storeEnvelope) Load() ([]byte, error) { return e.v.Get(secretStore) }

func (e storeEnvelope) Save(b []byte) error { return e.v.Put(secretStore, b) }

// explainVault is explain for the key file at path.
func explainVault(path string, err error) error {
	switch {
	case errors.Is(err, vault.ErrWrongPassphrase):
		return api.Errorf(api.CodeWrongKey, "the passphrase does not open %s", path).WithHint("nothing was written; try again with the right one")
	case errors.Is(err, vault.ErrLocked):
		return api.Errorf(api.CodeWrongKey, "%s is under a passphrase, and nobody can be asked for it here", path).
			WithHint("run the command in a terminal, or give it with --passphrase-fd N or as the systemd credential cairn.passphrase")
	case errors.Is(err, vault.ErrExposed):
		return api.Errorf(api.CodeNotPermitted, "%s can be read by others", path).WithHint("run: chmod 600 %s", path)
	case errors.Is(err, vault.ErrDamaged):
		return api.Errorf(api.CodeWrongKey, "%s is damaged", path).
			WithHint("move it away and bring it back with `cairn key restore FILE`; nothing was written").Because(err)
	case errors.Is(err, vault.ErrFormat):
		return api.Errorf(api.CodeFailed, "%s was written by a newer version of cairn", path).WithHint("use that one").Because(err)
	case errors.Is(err, fs.ErrExist):
		return api.Errorf(api.CodeConflict, "%s is already there", path)
	}
	return err
}
