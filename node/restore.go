package node

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"

	"cairn/storage"
	"cairn/storage/vault"
	"cairn/web/api"
)

// KeyRestore says which backup of keys to bring back into a home, and how it opens.
type KeyRestore struct {
	Home     string // absolute; made if it is not there
	File     string // the backup
	Identity string // file with age identities; empty: Ask is asked for the backup's passphrase
	// Ask is asked for the backup's passphrase with 1, 2, 3 while it is wrong; nil and no error: there is no other.
	Ask func(attempt int) ([]byte, error)
	// Passphrase is what the restored keys are put under, and what opens keys that are there: as in Config.
	Passphrase func(attempt int) ([]byte, error)
}

// KeyRestored says what was brought back.
type KeyRestored struct {
	PeerID string
	Name   string
	Keys   []string
	Same   bool // they were there already
}

// RestoreKeys brings keys back from a backup, into a home without keys that no peer uses. Keys that are there are not replaced, and
// keys that do not fit the store that is there are refused; then nothing is written. Errors are *api.Error.
func RestoreKeys(_ context.Context, r KeyRestore) (_ KeyRestored, err error) {
	defer func() { err = explained(err) }()
	b, err := r.open()
	if err != nil {
		return KeyRestored{}, err
	}
	defer b.wipe()
	out := KeyRestored{PeerID: b.PeerID, Name: b.Name, Keys: b.names()}
	h, err := openHome(r.Home)
	if err != nil {
		return KeyRestored{}, err
	}
	defer h.close()
	path := vaultPath(r.Home)
	if _, serr := os.Lstat(path); serr == nil {
		out.Same = true
		return out, sameKeys(path, b, r.Passphrase)
	} else if !errors.Is(serr, fs.ErrNotExist) {
		return KeyRestored{}, serr
	}
	if err := b.fit(r.Home); err != nil {
		return KeyRestored{}, err
	}
	var pass []byte
	if r.Passphrase != nil {
		if pass, err = r.Passphrase(0); err != nil {
			return KeyRestored{}, err
		}
		if err := checkPassphrase(string(pass)); pass != nil && err != nil {
			return KeyRestored{}, err
		}
		defer clear(pass)
	}
	v, err := vault.Create(path, pass, b.Secrets)
	if err != nil {
		return KeyRestored{}, explainVault(path, err)
	}
	v.Close()
	return out, nil
}

// open reads and decrypts the backup.
func (r KeyRestore) open() (*backup, error) {
	file, err := readUpTo(r.File, maxBackup)
	if err != nil {
		return nil, err
	}
	if r.Identity != "" {
		ids, err := readUpTo(r.Identity, 1<<20)
		if err != nil {
			return nil, err
		}
		defer clear(ids)
		return openBackup(file, "", ids)
	}
	var wrong error
	for attempt := 1; ; attempt++ {
		var pass []byte
		if r.Ask != nil {
			if pass, err = r.Ask(attempt); err != nil {
				return nil, err
			}
		}
		if pass == nil && attempt == 1 {
			return nil, api.Errorf(api.CodeWrongKey, "the backup is encrypted, and nobody can be asked for its passphrase here").
				WithHint("run the command in a terminal, or use --file-passphrase-fd N or --identity FILE")
		}
		if pass == nil {
			return nil, wrong
		}
		b, err := openBackup(file, string(pass), nil)
		clear(pass)
		var e *api.Error
		if err == nil || !errors.As(err, &e) || e.Code != api.CodeWrongKey || attempt == 3 {
			return b, err
		}
		wrong = err
	}
}

func readUpTo(path string, most int64) ([]byte, error) {
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() { // opening a FIFO would wait
		return nil, api.Errorf(api.CodeUsage, "%s is not a file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		return nil, errNoBackup()
	}
	return b, err
}

// sameKeys is nil if the keys at path are those of b.
func sameKeys(path string, b *backup, ask func(int) ([]byte, error)) error {
	v, err := vault.Open(path, ask)
	if err != nil {
		return explainVault(path, err)
	}
	defer v.Close()
	for name, s := range b.Secrets {
		have, err := v.Get(name)
		if name == secretStore && err == nil {
			if same, err := storage.SameKeys(have, s); err != nil || !same {
				return errOtherKeys(path)
			}
		} else if err != nil || !bytes.Equal(have, s) {
			return errOtherKeys(path)
		}
	}
	return nil
}

func errOtherKeys(path string) error {
	return api.Errorf(api.CodeConflict, "%s holds other keys than the backup", path).
		WithHint("nothing was written; choose another directory with --home, or move that file away first")
}

// fit checks that a peer can live on these keys and that they open the store in the home. For a home without a store the keys are
// set to make a new one: the old one is lost, or comes back before the peer starts.
func (b *backup) fit(home string) error {
	for _, name := range []string{secretDoor, secretIdentity, secretStore} {
		if len(b.Secrets[name]) == 0 {
			return errNoBackup()
		}
	}
	e := &heldEnvelope{bytes.Clone(b.Secrets[secretStore])}
	k, err := storage.OpenKeys(e)
	if err != nil {
		return err
	}
	if hasStore(home) {
		return storage.Fits(storeDir(home), k)
	}
	if err := k.Unmake(); err != nil {
		return err
	}
	clear(b.Secrets[secretStore])
	b.Secrets[secretStore] = e.b
	return nil
}

// heldEnvelope keeps a store's keys in memory.
type heldEnvelope struct{ b []byte }

func (e *heldEnvelope) Load() ([]byte, error) { return bytes.Clone(e.b), nil }

func (e *heldEnvelope) Save(b []byte) error {
	e.b = bytes.Clone(b)
	return nil
}
