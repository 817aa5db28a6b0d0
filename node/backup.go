package node

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"cairn/web/api"

	"filippo.io/age"
)

const (
	backupFormat  = "cairn-key-backup"
	backupVersion = 1
	maxBackup     = 16 << 20 // bytes of the file
	// scryptWork is scrypt's log2(N) for a backup's passphrase: 256 MiB and about a second. A file may ask for up to maxScrypt.
	scryptWork = 18
	maxScrypt  = 20
)

// backup is what the encrypted file holds: all secrets of the vault, and what tells a person whose they are.
type backup struct {
	Format  string            `json:"format"`
	Version int               `json:"version"`
	Created time.Time         `json:"created"`
	PeerID  string            `json:"peer_id"` // of the door host
	Name    string            `json:"name"`
	Secrets map[string][]byte `json:"secrets"`
}

func (b *backup) names() []string { return slices.Sorted(maps.Keys(b.Secrets)) }

func (b *backup) wipe() {
	for _, s := range b.Secrets {
		clear(s)
	}
}

// seal encrypts b with age, under a passphrase or for recipients.
func (b *backup) seal(pass string, recipients []string, work int) ([]byte, error) {
	to, err := backupRecipients(pass, recipients, work)
	if err != nil {
		return nil, err
	}
	plain, err := json.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("encode backup: %w", err)
	}
	defer clear(plain)
	var out bytes.Buffer
	w, err := age.Encrypt(&out, to...)
	if err == nil {
		_, err = w.Write(plain)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("encrypt backup: %w", err)
	}
	return out.Bytes(), nil
}

func backupRecipients(pass string, recipients []string, work int) ([]age.Recipient, error) {
	if len(recipients) == 0 {
		r, err := age.NewScryptRecipient(pass)
		if err != nil {
			return nil, api.Errorf(api.CodeUsage, "a backup needs a passphrase or a recipient")
		}
		r.SetWorkFactor(work)
		return []age.Recipient{r}, nil
	}
	var all []age.Recipient
	for _, text := range recipients {
		rs, err := age.ParseRecipients(strings.NewReader(text))
		if err != nil || len(rs) != 1 {
			return nil, api.Errorf(api.CodeUsage, "%q is not an age recipient", text).WithHint("one begins with age1; `age-keygen` prints it")
		}
		all = append(all, rs...)
	}
	return all, nil
}

// openBackup decrypts a backup under a passphrase, or with the identities that identityFile holds. Errors are *api.Error.
func openBackup(file []byte, pass string, identityFile []byte) (*backup, error) {
	var ids []age.Identity
	if identityFile != nil {
		var err error
		if ids, err = age.ParseIdentities(bytes.NewReader(identityFile)); err != nil {
			return nil, api.Errorf(api.CodeUsage, "the identity file holds no age identity").WithHint("it is what `age-keygen` wrote, with a line AGE-SECRET-KEY-1...")
		}
	} else {
		id, err := age.NewScryptIdentity(pass)
		if err != nil {
			return nil, api.Errorf(api.CodeWrongKey, "the backup needs its passphrase")
		}
		id.SetMaxWorkFactor(maxScrypt)
		ids = append(ids, id)
	}
	r, err := age.Decrypt(bytes.NewReader(file), ids...)
	var no *age.NoIdentityMatchError
	switch {
	case errors.As(err, &no) && slices.Contains(no.StanzaTypes, "scrypt") == (identityFile != nil):
		if identityFile != nil {
			return nil, api.Errorf(api.CodeWrongKey, "the backup is under a passphrase, not for an identity").WithHint("leave --identity out")
		}
		return nil, api.Errorf(api.CodeWrongKey, "the backup is encrypted for a recipient, not under a passphrase").WithHint("name the file with its identity: --identity FILE")
	case errors.Is(err, age.ErrIncorrectIdentity):
		what := "passphrase"
		if identityFile != nil {
			what = "identity"
		}
		return nil, api.Errorf(api.CodeWrongKey, "the %s does not open this backup", what).WithHint("nothing was written; try again with the right one")
	case err != nil:
		return nil, errNoBackup()
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxBackup))
	defer clear(plain)
	if err != nil {
		return nil, errNoBackup()
	}
	return decodeBackup(plain)
}

func decodeBackup(plain []byte) (*backup, error) {
	b := new(backup)
	if err := json.Unmarshal(plain, b); err != nil || b.Format != backupFormat {
		return nil, errNoBackup()
	}
	if b.Version != backupVersion {
		return nil, api.Errorf(api.CodeFailed, "the backup was written by a newer version of cairn").WithHint("use that one")
	}
	return b, nil
}

func errNoBackup() error {
	return api.Errorf(api.CodeIntegrity, "this is not a whole backup of keys").WithHint("it is a file that `cairn key backup FILE` wrote")
}

func errBackupThere(path string) error {
	return api.Errorf(api.CodeConflict, "%s is already there", path).WithHint("choose another name, or move that file away")
}

// writeBackup makes a file of mode 0600 that is not there yet, synced. What an error left of it is removed.
func writeBackup(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return errBackupThere(path)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}
