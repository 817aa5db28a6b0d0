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

// checkIdentity tells the state of dir without writing. Errors: ErrWrongKey, ErrStoreLost, ErrFormat.
func checkIdentity(dir string, k *Keys) (storeState, error) {
	state, err := readIdentity(dir, k)
	if err != nil {
		return "", err
	}
	data, err := hasData(filepath.Join(dir, dbDir))
	if err != nil {
		return "", err
	}
	_, err = os.Stat(filepath.Join(dir, segmentDir))
	segs := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	switch {
	case k.made() && state != storeReady:
		return "", fmt.Errorf("%w: %s is empty or another directory, but the key file says that a store was there", ErrStoreLost, dir)
	case state == storeNone && data:
		return "", fmt.Errorf("%w: %s holds data but no %s", ErrStoreLost, dir, identityFile)
	case state == storeReady && !(data && segs):
		return "", fmt.Errorf("%w: %s holds %s but no data", ErrStoreLost, dir, identityFile)
	}
	return state, nil
}

// readIdentity reads store.id: three lines, "cairn-store 1 STATE", the store's id, and an HMAC of it that only
// the right keys give.
func readIdentity(dir string, k *Keys) (storeState, error) {
	f, err := os.Open(filepath.Join(dir, identityFile))
	if errors.Is(err, fs.ErrNotExist) {
		return storeNone, nil
	} else if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return "", err
	}
	for _, s := range []storeState{storeNew, storeReady} {
		if hmac.Equal(text, identity(k, s)) {
			return s, nil
		}
	}
	if head, _, ok := bytes.Cut(text, []byte("\n")); !ok || !bytes.HasPrefix(head, []byte("cairn-store ")) {
		return "", fmt.Errorf("%w: %s is not readable", ErrStoreLost, identityFile)
	} else if !bytes.HasPrefix(head, []byte("cairn-store 1 ")) {
		return "", fmt.Errorf("%w: %s", ErrFormat, identityFile)
	}
	return "", ErrWrongKey
}

func identity(k *Keys, s storeState) []byte {
	return fmt.Appendf(nil, "cairn-store 1 %s\n%s\n%x\n", s, k.file.Store, k.mac("store", k.file.Store))
}

func writeIdentity(dir string, k *Keys, s storeState) error {
	if err := writeFileSynced(filepath.Join(dir, identityFile), identity(k, s), true); err != nil {
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
