package storage

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"

	"cairn/storage/block"
)

// A sealed value is
//
//	version 1 byte (1) ‖ key id 4 (big endian) ‖ nonce 12 (random) ‖ ciphertext ‖ tag 16
//
// AES-256-GCM with additional data version ‖ key id ‖ name, where name is the multihash for a block and the
// whole index key for everything else: a value moved under another key does not open.
const (
	sealVersion  = 1
	sealHead     = 1 + 4
	sealNonce    = 12
	sealOverhead = sealHead + sealNonce + 16
)

// seal appends the sealed form of plain to dst, which must not overlap plain.
func (k *Keys) seal(dst, name, plain []byte) ([]byte, error) {
	d, err := k.sealer()
	if err != nil {
		return nil, err
	}
	at := len(dst)
	dst = append(dst, sealVersion)
	dst = binary.BigEndian.AppendUint32(dst, d.id)
	var aad [128]byte
	ad := append(append(aad[:0], dst[at:]...), name...)
	var nonce [sealNonce]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	dst = append(dst, nonce[:]...)
	return d.aead.Seal(dst, nonce[:], plain, ad), nil
}

// open appends the plain form of sealed to dst[:0]. Any other bytes than seal made give block.ErrCorrupt.
func (k *Keys) open(dst, name, sealed []byte) ([]byte, error) {
	if len(sealed) < sealOverhead || sealed[0] != sealVersion {
		return nil, fmt.Errorf("open sealed value of %d bytes: %w", len(sealed), block.ErrCorrupt)
	}
	a, ok := k.opener(binary.BigEndian.Uint32(sealed[1:]))
	if !ok {
		return nil, fmt.Errorf("open sealed value: unknown data key: %w", block.ErrCorrupt)
	}
	var aad [128]byte
	ad := append(append(aad[:0], sealed[:sealHead]...), name...)
	out, err := a.Open(dst[:0], sealed[sealHead:sealHead+sealNonce], sealed[sealHead+sealNonce:], ad)
	if err != nil {
		return nil, fmt.Errorf("open sealed value: %w", block.ErrCorrupt)
	}
	return out, nil
}
