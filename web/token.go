package web

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"math/big"

	"cairn/web/api"
)

// token returns 256 random bits as text.
func token() string {
	var b [32]byte
	rand.Read(b[:]) // never fails since Go 1.24
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func parseKey(text string) (*ecdsa.PublicKey, error) {
	if text == "" {
		return nil, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		var k *ecdsa.PublicKey
		if k, err = ecdsa.ParseUncompressedPublicKey(elliptic.P256(), raw); err == nil {
			return k, nil
		}
	}
	return nil, api.Errorf(api.CodeUsage, "public_key is not a P-256 public key").
		WithHint("the 65 bytes of an uncompressed point, base64url without padding")
}

// verify checks a signature as browsers make it: r and s, 32 bytes each (IEEE P1363).
func verify(k *ecdsa.PublicKey, text, signature string) bool {
	raw, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil || len(raw) != 64 {
		return false
	}
	sum := sha256.Sum256([]byte(text))
	return ecdsa.Verify(k, sum[:], new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:]))
}
