package recovery

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/libp2p/go-libp2p/core/crypto"
)

const (
	fileFormat  = "cairn-recovery"
	fileVersion = 1
	// MaxFile bounds a recovery file, in bytes.
	MaxFile = 256 << 10
	// maxCharter bounds the charter in it.
	maxCharter = 64 << 10
	// workFactor is scrypt's log2(N): 256 MiB and about a second for each guess at the passphrase. A file may ask
	// for up to four times as much.
	workFactor    = 18
	maxWorkFactor = 20
)

var (
	// ErrWrongPassphrase: the file is a recovery file, or looks like one, and this passphrase does not open it.
	ErrWrongPassphrase = errors.New("the passphrase does not open this recovery file")
	// ErrFile: this is not a recovery file, or it is damaged.
	ErrFile = errors.New("this is not a whole recovery file")
	// ErrNewer: a newer version wrote the file.
	ErrNewer = errors.New("the recovery file was written by a newer version")
)

// content is what the encrypted file holds.
type content struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
	Key     []byte `json:"key"`     // libp2p's encoding of the private key
	Charter []byte `json:"charter"` // of the network that the key is the root of; its form is the caller's
}

// Seal returns a recovery file: the root key and the network's charter (at most 64 KiB), encrypted under a passphrase with
// age (scrypt), in age's text form. `age -d` opens it too. It takes about a second and 256 MiB.
func Seal(root crypto.PrivKey, charter, passphrase []byte) ([]byte, error) {
	return seal(root, charter, passphrase, workFactor)
}

func seal(root crypto.PrivKey, charter, passphrase []byte, work int) ([]byte, error) {
	if root.Type() != crypto.Ed25519 || len(charter) > maxCharter || len(passphrase) == 0 {
		return nil, errors.New("seal recovery file: an Ed25519 key, a charter of at most 64 KiB and a passphrase are needed")
	}
	key, err := crypto.MarshalPrivateKey(root)
	if err != nil {
		return nil, fmt.Errorf("seal recovery file: %w", err)
	}
	defer clear(key)
	plain, err := json.Marshal(content{Format: fileFormat, Version: fileVersion, Key: key, Charter: charter})
	if err != nil {
		return nil, fmt.Errorf("seal recovery file: %w", err)
	}
	defer clear(plain)
	r, err := age.NewScryptRecipient(string(passphrase))
	if err != nil {
		return nil, fmt.Errorf("seal recovery file: %w", err)
	}
	r.SetWorkFactor(work)
	var out bytes.Buffer
	text := armor.NewWriter(&out)
	w, err := age.Encrypt(text, r)
	if err == nil {
		_, err = w.Write(plain)
	}
	if err == nil {
		err = w.Close()
	}
	if err == nil {
		err = text.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("seal recovery file: %w", err)
	}
	return out.Bytes(), nil
}

// Open reads what Seal returned. Errors: ErrWrongPassphrase, ErrFile, ErrNewer.
func Open(file, passphrase []byte) (root crypto.PrivKey, charter []byte, err error) {
	if len(file) > MaxFile {
		return nil, nil, fmt.Errorf("open recovery file: %w: more than %d bytes", ErrFile, MaxFile)
	}
	id, err := age.NewScryptIdentity(string(passphrase))
	if err != nil { // an empty one
		return nil, nil, fmt.Errorf("open recovery file: %w", ErrWrongPassphrase)
	}
	id.SetMaxWorkFactor(maxWorkFactor)
	r, err := age.Decrypt(armor.NewReader(bytes.NewReader(bytes.TrimSpace(file))), id)
	if errors.Is(err, age.ErrIncorrectIdentity) {
		return nil, nil, fmt.Errorf("open recovery file: %w", openError(err))
	} else if err != nil {
		return nil, nil, fmt.Errorf("open recovery file: %w", ErrFile)
	}
	plain, err := io.ReadAll(io.LimitReader(r, MaxFile))
	defer clear(plain)
	if err != nil { // its own text tells nothing that a user could act on
		return nil, nil, fmt.Errorf("open recovery file: %w", ErrFile)
	}
	root, charter, err = decode(plain)
	if err != nil {
		return nil, nil, fmt.Errorf("open recovery file: %w", err)
	}
	return root, charter, nil
}

// openError tells a wrong passphrase from a file that was made for keys and not for a passphrase.
func openError(err error) error {
	var no *age.NoIdentityMatchError
	if errors.As(err, &no) {
		for _, t := range no.StanzaTypes {
			if t != "scrypt" {
				return fmt.Errorf("%w: it is encrypted for a key, not under a passphrase", ErrFile)
			}
		}
	}
	return ErrWrongPassphrase
}

func decode(plain []byte) (crypto.PrivKey, []byte, error) {
	var c content
	if err := json.Unmarshal(plain, &c); err != nil || c.Format != fileFormat {
		return nil, nil, ErrFile
	}
	defer clear(c.Key)
	if c.Version != fileVersion {
		return nil, nil, ErrNewer
	}
	k, err := crypto.UnmarshalPrivateKey(c.Key)
	if err != nil || k.Type() != crypto.Ed25519 || len(c.Charter) > maxCharter {
		return nil, nil, ErrFile
	}
	return k, c.Charter, nil
}
