package storage

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

const (
	keyFormatName  = "cairn-store-keys"
	keyFileVersion = 1
	maxKeyFile     = 1 << 20
	// maxSeals is how many values are sealed under one data key: random 96-bit nonces stay safe (NIST SP
	// 800-38D allows 2^32; half of it leaves room for what a crash left uncounted).
	maxSeals = 1 << 31
)

// Envelope is where the bytes of a store's keys are kept: secret, whole, and safe from other stores' keys. Another package
// wraps them (storage/vault).
type Envelope interface {
	// Load returns what was saved last.
	Load() ([]byte, error)
	// Save replaces it. When it returns, the new bytes are synced; after a crash the old or the new ones are there.
	Save([]byte) error
}

// Keys are the secrets of one store: data keys for sealing, and the key that hides paths in the index. They
// live in an envelope. Safe for concurrent use.
type Keys struct {
	env   Envelope
	store string // hex id of the store
	index []byte

	mu      sync.RWMutex
	file    keyFile
	aeads   map[uint32]cipher.AEAD
	current *dataKey
	// announce, if not nil, is told of a new data key once it is saved and before it seals.
	announce func(id uint32) error

	limit int64 // seals per data key; smaller in tests
}

type dataKey struct {
	id    uint32
	aead  cipher.AEAD
	seals atomic.Int64 // values sealed under it so far, at least
}

// keyFile is what the envelope holds: JSON, secrets in base64.
type keyFile struct {
	Format  string      `json:"format"` // "cairn-store-keys"
	Version int         `json:"version"`
	Store   string      `json:"store"` // hex id of the one store that these keys are for
	Made    bool        `json:"made"`  // the store was made: if it is missing, it was lost
	Index   []byte      `json:"index_key"`
	Data    []keyRecord `json:"data_keys"` // the last one seals, all open
	// Reseal, if not 0, is a data key: what is sealed under older ones is being sealed anew, and then they are forgotten.
	Reseal uint32 `json:"reseal,omitempty"`
	Sum    []byte `json:"sum"` // sha256 of the file with this field empty
}

type keyRecord struct {
	ID  uint32 `json:"id"`
	Key []byte `json:"key"`
}

// MakeKeys returns new keys for a store that is not there yet, in the form that an Envelope keeps.
func MakeKeys() ([]byte, error) {
	id, err := randomBytes(16)
	if err != nil {
		return nil, fmt.Errorf("make keys: %w", err)
	}
	index, err := randomBytes(32)
	if err != nil {
		return nil, fmt.Errorf("make keys: %w", err)
	}
	f := keyFile{Format: keyFormatName, Version: keyFileVersion, Store: fmt.Sprintf("%x", id), Index: index}
	if err := f.addKey(); err != nil {
		return nil, fmt.Errorf("make keys: %w", err)
	}
	text, err := f.encode()
	if err != nil {
		return nil, fmt.Errorf("make keys: %w", err)
	}
	return text, nil
}

// OpenKeys reads the keys that e keeps. Errors: ErrFormat (newer), ErrDamaged, those of e.
func OpenKeys(e Envelope) (*Keys, error) {
	text, err := e.Load()
	if err != nil {
		return nil, fmt.Errorf("load keys: %w", err)
	}
	defer clear(text)
	f, err := decodeKeyFile(text)
	if err != nil {
		return nil, fmt.Errorf("load keys: %w", err)
	}
	return newKeys(e, f)
}

// decodeKeyFile checks everything that newKeys relies on.
func decodeKeyFile(text []byte) (f keyFile, err error) {
	if len(text) > maxKeyFile {
		return f, fmt.Errorf("%w: keys of more than %d bytes", ErrDamaged, maxKeyFile)
	}
	if err := json.Unmarshal(text, &f); err != nil || f.Format != keyFormatName {
		return f, fmt.Errorf("%w: not the keys of a store", ErrDamaged)
	}
	if f.Version != keyFileVersion {
		return f, fmt.Errorf("%w: keys of version %d", ErrFormat, f.Version)
	}
	sum := f.Sum
	if want, err := f.sum(); err != nil || !hmac.Equal(sum, want) {
		return f, fmt.Errorf("%w: checksum of the store's keys", ErrDamaged)
	}
	if len(f.Index) != 32 || len(f.Data) == 0 || len(f.Store) != 32 {
		return f, fmt.Errorf("%w: the store's keys are incomplete", ErrDamaged)
	}
	var last uint32
	for _, k := range f.Data {
		if len(k.Key) != 32 || k.ID <= last {
			return f, fmt.Errorf("%w: data key %d", ErrDamaged, k.ID)
		}
		last = k.ID
	}
	return f, nil
}

func newKeys(e Envelope, f keyFile) (*Keys, error) {
	k := &Keys{env: e, store: f.Store, index: f.Index, file: f, aeads: make(map[uint32]cipher.AEAD), limit: maxSeals}
	for _, r := range f.Data {
		if err := k.use(r); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// use makes r known and current.
func (k *Keys) use(r keyRecord) error {
	b, err := aes.NewCipher(r.Key)
	if err != nil {
		return fmt.Errorf("use data key %d: %w", r.ID, err)
	}
	a, err := cipher.NewGCM(b)
	if err != nil {
		return fmt.Errorf("use data key %d: %w", r.ID, err)
	}
	k.aeads[r.ID] = a
	k.current = &dataKey{id: r.ID, aead: a}
	return nil
}

// String names the keys without telling them.
func (k *Keys) String() string { return "keys of store " + k.store }

// sealer returns the data key for one more seal, a fresh one before the limit is reached.
func (k *Keys) sealer() (*dataKey, error) {
	for {
		k.mu.RLock()
		d := k.current
		k.mu.RUnlock()
		if d.seals.Add(1) <= k.limit {
			return d, nil
		}
		if err := k.rotate(d); err != nil {
			return nil, fmt.Errorf("rotate data key: %w", err)
		}
	}
}

// rotate puts a new data key in place of old, unless somebody else was first. The envelope is synced before
// the first seal.
func (k *Keys) rotate(old *dataKey) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.current != old {
		return nil
	}
	return k.addKey(false)
}

// addKey makes a new data key the current one, and with reseal the oldest to be kept; call with mu held.
func (k *Keys) addKey(reseal bool) error {
	f := k.file
	f.Data = append([]keyRecord(nil), f.Data...)
	if err := f.addKey(); err != nil {
		return err
	}
	if reseal {
		f.Reseal = f.Data[len(f.Data)-1].ID
	}
	if err := k.save(f); err != nil {
		return err
	}
	r := f.Data[len(f.Data)-1]
	if k.announce != nil {
		if err := k.announce(r.ID); err != nil {
			return err
		}
	}
	return k.use(r)
}

// follow sets announce.
func (k *Keys) follow(f func(id uint32) error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.announce = f
}

// newest is the id of the data key made last.
func (k *Keys) newest() uint32 {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.file.Data[len(k.file.Data)-1].ID
}

func (k *Keys) opener(id uint32) (cipher.AEAD, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	a, ok := k.aeads[id]
	return a, ok
}

// seals tells the current key and how often it was used, for the record kept in the store.
func (k *Keys) seals() (id uint32, n int64) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.current.id, k.current.seals.Load()
}

// resume takes the recorded number of seals over; records of older keys do not matter.
func (k *Keys) resume(id uint32, n int64) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.current.id == id && n > k.current.seals.Load() {
		k.current.seals.Store(n)
	}
}

// made tells whether the store of these keys was ever made.
func (k *Keys) made() bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.file.Made
}

// markMade records, synced, that the store exists.
func (k *Keys) markMade() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.file.Made {
		return nil
	}
	f := k.file
	f.Made = true
	return k.save(f)
}

// save writes f in place of the envelope; call with mu held.
func (k *Keys) save(f keyFile) error {
	text, err := f.encode()
	if err != nil {
		return err
	}
	defer clear(text)
	if err := k.env.Save(text); err != nil {
		return fmt.Errorf("save keys: %w", err)
	}
	k.file = f
	return nil
}

// mac is HMAC-SHA256 under the index key; purpose keeps uses apart.
func (k *Keys) mac(purpose, s string) []byte {
	h := hmac.New(sha256.New, k.index)
	io.WriteString(h, purpose)
	h.Write([]byte{0})
	io.WriteString(h, s)
	return h.Sum(nil)
}

func (f *keyFile) addKey() error {
	b, err := randomBytes(32)
	if err != nil {
		return err
	}
	var id uint32 = 1
	if n := len(f.Data); n > 0 {
		id = f.Data[n-1].ID + 1
	}
	f.Data = append(f.Data, keyRecord{ID: id, Key: b})
	return nil
}

func (f keyFile) sum() ([]byte, error) {
	f.Sum = nil
	b, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	s := sha256.Sum256(b)
	return s[:], nil
}

func (f keyFile) encode() ([]byte, error) {
	s, err := f.sum()
	if err != nil {
		return nil, err
	}
	f.Sum = s
	b, err := json.MarshalIndent(f, "", "  ")
	return append(b, '\n'), err
}

func randomBytes(n int) ([]byte, error) {
	b := make([]byte, n)
	_, err := rand.Read(b)
	return b, err
}

// writeFileSynced writes a file of mode 0600 that is, after any crash, either whole or not (newly) there: a
// temporary file, synced, then renamed over path (replace) or linked to it (fails with fs.ErrExist).
func writeFileSynced(path string, data []byte, replace bool) (err error) {
	suffix, err := randomBytes(6)
	if err != nil {
		return err
	}
	tmp := fmt.Sprintf("%s.%x.tmp", path, suffix)
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if rerr := os.Remove(tmp); rerr != nil && !errors.Is(rerr, os.ErrNotExist) && err == nil {
			err = rerr
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if replace {
		err = os.Rename(tmp, path)
	} else if err = os.Link(tmp, path); err != nil && !errors.Is(err, os.ErrExist) {
		// A file system without links. Two racing creators are excluded by the home's lock there.
		if _, serr := os.Lstat(path); serr == nil {
			return fmt.Errorf("create %s: %w", path, os.ErrExist)
		}
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}
