package ticket

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Role is the side of a session that makes a proof. A proof of one role is never accepted for the other, so a
// peer's own proof can not be sent back to it.
type Role byte

// The two sides of a session.
const (
	Client Role = 1 // asks
	Server Role = 2 // holds
)

// Key is what both sides of a session derive from a ticket. It is as secret as the ticket.
type Key [32]byte

// KeyID is the public name of a Key. It tells nothing about the key, the secret or the object.
type KeyID [16]byte

// String returns the id in hexadecimal.
func (id KeyID) String() string { return hex.EncodeToString(id[:]) }

// String keeps keys out of logs.
func (k Key) String() string { return "key " + k.ID().String() }

// GoString keeps keys out of logs.
func (k Key) GoString() string { return k.String() }

const (
	labelKey   = "cairn/ticket/1 key"
	labelID    = "cairn/ticket/1 id"
	labelProof = "cairn/ticket/1 proof"
)

// Key derives the session key: HKDF-SHA256 (RFC 5869) with the secret as key material, the root's multihash as
// salt, and a label with the expiry (seconds since 1970, 8 bytes big endian, 0 for never) as info. A ticket
// whose root or expiry was altered therefore gives another key, which nobody knows.
func (t Ticket) Key() Key {
	info := binary.BigEndian.AppendUint64([]byte(labelKey), uint64(unixSeconds(t)))
	b, err := hkdf.Key(sha256.New, t.Secret[:], t.Root.Hash(), string(info), len(Key{}))
	if err != nil {
		panic(err) // 32 bytes are within what HKDF-SHA256 gives
	}
	return Key(b)
}

// ID returns the public name of the key: the first 16 bytes of HMAC-SHA256(key, label).
func (k Key) ID() KeyID {
	h := hmac.New(sha256.New, k[:])
	h.Write([]byte(labelID))
	return KeyID(h.Sum(nil)[:len(KeyID{})])
}

// Proof shows knowledge of the key to the other side of one session: HMAC-SHA256 over a label, the role, both
// nonces, both peer ids and the root, each variable part preceded by its length (2 bytes big endian). The peer
// ids are those that the transport authenticated, so a proof can not be passed on.
func (k Key) Proof(role Role, clientNonce, serverNonce [32]byte, client, server peer.ID, root cid.Cid) [32]byte {
	h := hmac.New(sha256.New, k[:])
	h.Write([]byte(labelProof))
	h.Write([]byte{byte(role)})
	h.Write(clientNonce[:])
	h.Write(serverNonce[:])
	for _, s := range [...]string{string(client), string(server), root.KeyString()} {
		h.Write(binary.BigEndian.AppendUint16(nil, uint16(len(s))))
		h.Write([]byte(s))
	}
	return [32]byte(h.Sum(nil))
}

// Check tells, in time that does not depend on the answer, whether proof is what Proof returns.
func (k Key) Check(proof [32]byte, role Role, clientNonce, serverNonce [32]byte, client, server peer.ID, root cid.Cid) bool {
	want := k.Proof(role, clientNonce, serverNonce, client, server, root)
	return hmac.Equal(want[:], proof[:])
}

func unixSeconds(t Ticket) int64 {
	if t.Expires.IsZero() {
		return 0
	}
	return t.Expires.Unix()
}
