package node

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"

	"cairn/storage/vault"
)

// secretFiles is the key under which small files of the home are sealed while the keys are under a passphrase.
const secretFiles = "files"

// fileSeal seals what small files of the home say (AES-256-GCM, in base64 after a "~"), as long as the keys are under a
// passphrase: names in a stolen copy would tell as much as the library does. Without one the key would lie beside them,
// and the files stay readable for people.
type fileSeal struct{ v *vault.Vault }

// sealedText begins a text that was sealed.
const sealedText = '~'

func (s fileSeal) on() bool { return s.v != nil && s.v.Info().Passphrase }

// aead is the key, made when it is first needed.
func (s fileSeal) aead() (cipher.AEAD, error) {
	key, err := s.v.Get(secretFiles)
	if errors.Is(err, vault.ErrNoSecret) {
		key = make([]byte, 32)
		rand.Read(key)
		err = s.v.Put(secretFiles, key)
	}
	if err != nil {
		return nil, err
	}
	defer clear(key)
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(b)
}

// wrap returns what is written for a text without line breaks. purpose keeps files apart.
func (s fileSeal) wrap(purpose string, plain []byte) ([]byte, error) {
	if !s.on() {
		return plain, nil
	}
	a, err := s.aead()
	if err != nil {
		return nil, fmt.Errorf("seal %s: %w", purpose, err)
	}
	nonce := make([]byte, a.NonceSize(), a.NonceSize()+len(plain)+a.Overhead())
	rand.Read(nonce)
	sealed := a.Seal(nonce, nonce, plain, []byte(purpose))
	out := make([]byte, 1+base64.RawStdEncoding.EncodedLen(len(sealed)))
	out[0] = sealedText
	base64.RawStdEncoding.Encode(out[1:], sealed)
	return out, nil
}

// unwrap returns the text; what was not sealed comes back as it is.
func (s fileSeal) unwrap(purpose string, text []byte) ([]byte, error) {
	if len(text) == 0 || text[0] != sealedText {
		return text, nil
	}
	if s.v == nil {
		return nil, fmt.Errorf("open %s: there are no keys", purpose)
	}
	a, err := s.aead()
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", purpose, err)
	}
	sealed := make([]byte, base64.RawStdEncoding.DecodedLen(len(text)-1))
	n, err := base64.RawStdEncoding.Decode(sealed, bytes.TrimRight(text[1:], "\r\n"))
	if err != nil || n < a.NonceSize() {
		return nil, fmt.Errorf("open %s: it is damaged", purpose)
	}
	plain, err := a.Open(nil, sealed[:a.NonceSize()], sealed[a.NonceSize():n], []byte(purpose))
	if err != nil {
		return nil, fmt.Errorf("open %s: it is damaged, or of other keys", purpose)
	}
	return plain, nil
}
