package membership

import (
	"crypto/sha256"
	"strings"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
)

// keySize is the length of an Ed25519 public key, seed, or SHA-256 digest.
const keySize = 32

// idPrefix stands before the key in the id of a peer with an Ed25519 key: identity multihash of 36 bytes, protobuf
// with key type 1 and 32 bytes of key.
const idPrefix = "\x00\x24\x08\x01\x12\x20"

// idOf returns the peer id of an Ed25519 public key of 32 bytes.
func idOf(key []byte) peer.ID { return peer.ID(idPrefix + string(key)) }

// keyOf returns the public key inside a peer id; nil when it is not an Ed25519 one, as no other key can be a member's.
func keyOf(id peer.ID) []byte {
	if len(id) != len(idPrefix)+keySize || !strings.HasPrefix(string(id), idPrefix) {
		return nil
	}
	return []byte(id[len(idPrefix):])
}

// signerOf returns the id of a key that is about to sign.
func signerOf(k crypto.PrivKey) (peer.ID, error) {
	if k == nil || k.Type() != crypto.Ed25519 {
		return "", faultf(ErrMalformed, "keys of a network are Ed25519 keys")
	}
	return peer.IDFromPrivateKey(k)
}

// networkOf returns the network whose root has this id.
func networkOf(root peer.ID) NetworkID {
	// The protobuf form of the key is the peer id without its two bytes of multihash.
	return sha256.Sum256([]byte(root[2:]))
}

// short is how reasons name a peer whose name is not known.
func short(id peer.ID) string {
	s := id.String()
	return "…" + s[max(len(s)-8, 0):]
}
