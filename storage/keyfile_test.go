package storage

import (
	"fmt"
	"os"
)

// keyFileAt is an envelope that is a file of its own, not under a passphrase.
type keyFileAt string

func (p keyFileAt) Load() ([]byte, error) { return os.ReadFile(string(p)) }

func (p keyFileAt) Save(b []byte) error { return writeFileSynced(string(p), b, true) }

// CreateKeys makes new keys in a file that is not there yet.
func CreateKeys(path string) (*Keys, error) {
	b, err := MakeKeys()
	if err == nil {
		err = writeFileSynced(path, b, false)
	}
	if err != nil {
		return nil, fmt.Errorf("create keys: %w", err)
	}
	return LoadKeys(path)
}

// LoadKeys reads them back.
func LoadKeys(path string) (*Keys, error) { return OpenKeys(keyFileAt(path)) }
