package storage

import (
	"bytes"
	"crypto/hmac"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	identityFile = "store.id"
	dbDir        = "db"
)

// storeState is how far a store got. Making one goes through these in order, each step synced:
//
//	none -> store.id says new -> Badger holds the format key -> store.id says ready -> key file says made
//
// so that after a crash at any point it is known whether data can be missing.
type storeState string

const (
	storeNone  storeState = ""
	storeNew   storeState = "new"
	storeReady storeState = "ready"
)

// Fits tells, without writing, whether k are the keys of the store in dir; a directory without a store fits the keys of one
// that was never made. Errors: ErrWrongKey (of another store), ErrOldKeys, ErrStoreLost, ErrFormat.
func Fits(dir string, k *Keys) error {
	_, _, err := checkIdentity(dir, k)
	if err != nil {
		return fmt.Errorf("compare keys with store: %w", err)
	}
	return nil
}

// checkIdentity tells the state of dir and its newest data key without writing. Errors: ErrWrongKey, ErrStoreLost, ErrFormat.
func checkIdentity(dir string, k *Keys) (state storeState, newest uint32, err error) {
	state, newest, err = readIdentity(dir, k)
	if err != nil {
		return "", 0, err
	}
	data, err := hasData(filepath.Join(dir, dbDir))
	if err != nil {
		return "", 0, err
	}
	_, err = os.Stat(filepath.Join(dir, segmentDir))
	segs := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", 0, err
	}
	switch {
	case k.made() && state != storeReady:
		return "", 0, fmt.Errorf("%w: %s is empty or another directory, but the key file says that a store was there", ErrStoreLost, dir)
	case state == storeNone && data:
		return "", 0, fmt.Errorf("%w: %s holds data but no %s", ErrStoreLost, dir, identityFile)
	case state == storeReady && !(data && segs):
		return "", 0, fmt.Errorf("%w: %s holds %s but no data", ErrStoreLost, dir, identityFile)
	}
	return state, newest, nil
}

// readIdentity reads store.id: four lines, "cairn-store 1 STATE", the store's id, the newest data key that may have sealed
// anything, and an HMAC of both that only the right keys give.
func readIdentity(dir string, k *Keys) (storeState, uint32, error) {
	f, err := os.Open(filepath.Join(dir, identityFile))
	if errors.Is(err, fs.ErrNotExist) {
		return storeNone, 0, nil
	} else if err != nil {
		return "", 0, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return "", 0, err
	}
	lines := bytes.Split(text, []byte("\n"))
	if !bytes.HasPrefix(lines[0], []byte("cairn-store ")) || len(lines) < 2 {
		return "", 0, fmt.Errorf("%w: %s is not readable", ErrStoreLost, identityFile)
	} else if !bytes.HasPrefix(lines[0], []byte("cairn-store 1 ")) {
		return "", 0, fmt.Errorf("%w: %s", ErrFormat, identityFile)
	}
	var newest uint32
	if len(lines) > 2 {
		fmt.Sscanf(string(lines[2]), "key %d", &newest) // any other text differs below
	}
	for _, s := range []storeState{storeNew, storeReady} {
		if !hmac.Equal(text, identity(k, s, newest)) {
			continue
		}
		if newest > k.newest() {
			return "", 0, fmt.Errorf("%w: it uses data key %d", ErrOldKeys, newest)
		}
		return s, newest, nil
	}
	return "", 0, ErrWrongKey
}

func identity(k *Keys, s storeState, newest uint32) []byte {
	proof := k.mac("store", fmt.Sprintf("%s %d", k.store, newest))
	return fmt.Appendf(nil, "cairn-store 1 %s\n%s\nkey %d\n%x\n", s, k.store, newest, proof)
}

func writeIdentity(dir string, k *Keys, s storeState, newest uint32) error {
	if err := writeFileSynced(filepath.Join(dir, identityFile), identity(k, s, newest), true); err != nil {
		return err
	}
	return syncDir(filepath.Dir(dir)) // dir itself may be new
}

// hasData tells whether dir holds Badger's files.
func hasData(dir string) (bool, error) {
	_, err := os.Stat(filepath.Join(dir, "MANIFEST"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
