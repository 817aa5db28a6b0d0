package vault

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"time"

	"golang.org/x/crypto/argon2"
)

const (
	format  = "cairn-keys"
	version = 1
	maxFile = 8 << 20

	kdfNone     = "none"
	kdfArgon2id = "argon2id"

	// Argon2id as RFC 9106 recommends it where memory is dear; BenchmarkUnlock says what it costs.
	argonTime    = 3
	argonMemory  = 64 << 10 // KiB
	argonThreads = 4
	saltLen      = 32

	// What a file may ask for.
	maxTime    = 16
	maxMemory  = 256 << 10 // KiB
	maxThreads = 16
	maxSalt    = 64
	minSalt    = 16
)

// file is the form on the disk: JSON, so that a person sees what it is. Names are secrets too.
type file struct {
	Format  string    `json:"format"`
	Version int       `json:"version"`
	Changed time.Time `json:"changed"`
	KDF     kdf       `json:"kdf"`
	// Plain holds the secrets with kdf none; else Sealed does: nonce ‖ AES-256-GCM of them, with the fields above as
	// additional data.
	Plain  []byte `json:"plain,omitempty"`
	Sealed []byte `json:"sealed,omitempty"`
	Sum    []byte `json:"sum"` // sha256 of the file without this field: tells damage from a wrong passphrase
}

// kdf is how the key for wrapping comes from the passphrase.
type kdf struct {
	Name    string `json:"name"`
	Salt    []byte `json:"salt,omitempty"`
	Time    uint32 `json:"time,omitempty"`
	Memory  uint32 `json:"memory_kib,omitempty"`
	Threads uint8  `json:"threads,omitempty"`
}

func (k kdf) String() string {
	if k.Name == kdfNone {
		return kdfNone
	}
	return fmt.Sprintf("%s (%d MiB, %d passes, %d lanes)", k.Name, k.Memory>>10, k.Time, k.Threads)
}

func usualCost() kdf {
	return kdf{Name: kdfArgon2id, Time: argonTime, Memory: argonMemory, Threads: argonThreads}
}

// newKey turns pass into a key with a new salt; no key for no passphrase.
func newKey(cost kdf, pass []byte) (kdf, []byte, error) {
	if len(pass) == 0 {
		return kdf{Name: kdfNone}, nil, nil
	}
	k := cost
	k.Salt = make([]byte, saltLen)
	if _, err := rand.Read(k.Salt); err != nil {
		return kdf{}, nil, err
	}
	return k, k.derive(pass), nil
}

// derive may be called once k was checked.
func (k kdf) derive(pass []byte) []byte {
	return argon2.IDKey(pass, k.Salt, k.Time, k.Memory, k.Threads, 32)
}

func (k kdf) check() error {
	switch {
	case k.Name == kdfNone:
		return nil
	case k.Name != kdfArgon2id:
		return fmt.Errorf("%w: kdf %q", ErrFormat, k.Name)
	case k.Time < 1 || k.Time > maxTime || k.Memory > maxMemory || k.Threads < 1 || k.Threads > maxThreads || k.Memory < 8*uint32(k.Threads):
		return fmt.Errorf("%w: argon2id with %d passes over %d KiB in %d lanes", ErrFormat, k.Time, k.Memory, k.Threads)
	case len(k.Salt) < minSalt || len(k.Salt) > maxSalt:
		return fmt.Errorf("%w: a salt of %d bytes", ErrFormat, len(k.Salt))
	}
	return nil
}

// payload is what is sealed.
type payload struct {
	Secrets map[string][]byte `json:"secrets"`
}

func encode(k kdf, key []byte, changed time.Time, secrets map[string][]byte) ([]byte, error) {
	f := file{Format: format, Version: version, Changed: changed, KDF: k}
	plain, err := json.Marshal(payload{secrets})
	if err != nil {
		return nil, fmt.Errorf("encode keys: %w", err)
	}
	if key == nil {
		f.Plain = plain
	} else {
		defer clear(plain)
		if f.Sealed, err = f.seal(key, plain); err != nil {
			return nil, err
		}
	}
	if f.Sum, err = f.sum(); err != nil {
		return nil, err
	}
	b, err := json.MarshalIndent(f, "", "  ")
	if err == nil && len(b) >= maxFile {
		return nil, fmt.Errorf("encode keys: more than %d bytes", maxFile)
	}
	return append(b, '\n'), err
}

// decode checks everything but the secrets themselves.
func decode(text []byte) (f file, err error) {
	if len(text) > maxFile {
		return f, fmt.Errorf("%w: more than %d bytes", ErrDamaged, maxFile)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	if err := dec.Decode(&f); err != nil || f.Format != format {
		return f, fmt.Errorf("%w: it is not a key file of cairn", ErrDamaged)
	}
	if f.Version != version {
		return f, fmt.Errorf("%w: version %d", ErrFormat, f.Version)
	}
	if want, err := f.sum(); err != nil || subtle.ConstantTimeCompare(want, f.Sum) != 1 {
		return f, fmt.Errorf("%w: its checksum does not match", ErrDamaged)
	}
	if err := f.KDF.check(); err != nil {
		return f, err
	}
	if (f.KDF.Name == kdfNone) != (f.Sealed == nil) || (f.Sealed == nil) == (f.Plain == nil) {
		return f, fmt.Errorf("%w: it holds no keys", ErrDamaged)
	}
	return f, nil
}

// open reads the secrets; key nil: with kdf none. Errors: ErrWrongPassphrase, ErrDamaged.
func (f file) open(key []byte) (map[string][]byte, error) {
	plain := f.Plain
	if key != nil {
		var err error
		if plain, err = f.unseal(key); err != nil {
			return nil, err
		}
		defer clear(plain)
	}
	var p payload
	if err := json.Unmarshal(plain, &p); err != nil || len(p.Secrets) > maxSecrets {
		return nil, fmt.Errorf("%w: what it holds is not readable", ErrDamaged)
	}
	if p.Secrets == nil {
		p.Secrets = make(map[string][]byte)
	}
	return p.Secrets, nil
}

func aead(key []byte) (cipher.AEAD, error) {
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("use key: %w", err)
	}
	return cipher.NewGCM(b)
}

func (f file) seal(key, plain []byte) ([]byte, error) {
	a, err := aead(key)
	if err != nil {
		return nil, err
	}
	ad, err := f.head()
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, a.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return a.Seal(nonce, nonce, plain, ad), nil
}

func (f file) unseal(key []byte) ([]byte, error) {
	a, err := aead(key)
	if err != nil {
		return nil, err
	}
	ad, err := f.head()
	if err != nil {
		return nil, err
	}
	if len(f.Sealed) < a.NonceSize() {
		return nil, fmt.Errorf("%w: it is too short", ErrDamaged)
	}
	plain, err := a.Open(nil, f.Sealed[:a.NonceSize()], f.Sealed[a.NonceSize():], ad)
	if err != nil {
		return nil, ErrWrongPassphrase
	}
	return plain, nil
}

// head is what the seal binds besides the secrets.
func (f file) head() ([]byte, error) {
	f.Plain, f.Sealed, f.Sum = nil, nil, nil
	return json.Marshal(f)
}

func (f file) sum() ([]byte, error) {
	f.Sum = nil
	b, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	s := sha256.Sum256(b)
	return s[:], nil
}
