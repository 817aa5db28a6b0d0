package ticket

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multihash"
)

// Bits of the first byte of the payload. A set bit outside of knownFlags means a newer form.
const (
	flagDagPB  = 1 << 0 // the root's codec is dag-pb, otherwise raw
	flagExpiry = 1 << 1 // an expiry is present
	flagPeerID = 1 << 2 // the peer id is given in full, otherwise as its Ed25519 public key

	knownFlags = flagDagPB | flagExpiry | flagPeerID
)

const (
	maxPeerID  = 64 // bytes of a peer id given in full
	digestSize = 32 // bytes of a SHA-256 digest
)

// Encode returns the ticket's text. The name is cleaned as CleanName does, the expiry cut to whole seconds, and
// addresses of one IP address and port are brought together. Errors wrap ErrInvalid and name the field.
func (t Ticket) Encode() (string, error) {
	b, err := t.payload()
	if err != nil {
		return "", fmt.Errorf("encode ticket: %w: %w", ErrInvalid, err)
	}
	return encodeText(seal(b)), nil
}

func (t Ticket) payload() ([]byte, error) {
	if !t.Root.Defined() || t.Root.Version() != 1 {
		return nil, fmt.Errorf("root is no CIDv1")
	}
	hash, err := multihash.Decode(t.Root.Hash())
	if err != nil || hash.Code != multihash.SHA2_256 || hash.Length != digestSize {
		return nil, fmt.Errorf("root %s uses another hash than sha2-256", t.Root)
	}
	var flags byte
	switch t.Root.Type() {
	case cid.Raw:
	case cid.DagProtobuf:
		flags |= flagDagPB
	default:
		return nil, fmt.Errorf("root %s is neither raw nor dag-pb", t.Root)
	}
	if t.Size < 0 {
		return nil, fmt.Errorf("size %d is negative", t.Size)
	}
	if t.Open() {
		return nil, fmt.Errorf("secret is empty")
	}
	who, full, err := packPeer(t.Peer)
	if err != nil {
		return nil, fmt.Errorf("peer: %w", err)
	}
	if full {
		flags |= flagPeerID
	}
	if len(t.Addrs) > MaxAddrs {
		return nil, fmt.Errorf("%d addresses, at most %d fit", len(t.Addrs), MaxAddrs)
	}
	for _, a := range t.Addrs {
		if n := len(a.Bytes()); n == 0 || n > MaxAddrLen {
			return nil, fmt.Errorf("address %s has %d bytes, at most %d fit", a, n, MaxAddrLen)
		}
	}
	if !t.Expires.IsZero() {
		if t.Expires.Unix() <= 0 {
			return nil, fmt.Errorf("expiry %s is before 1970", t.Expires)
		}
		flags |= flagExpiry
	}

	b := append([]byte{flags}, hash.Digest...)
	b = binary.AppendUvarint(b, uint64(t.Size))
	b = append(b, who...)
	b = append(b, t.Secret[:]...)
	if flags&flagExpiry != 0 {
		b = binary.AppendUvarint(b, uint64(t.Expires.Unix()))
	}
	name := CleanName(t.Name)
	b = binary.AppendUvarint(b, uint64(len(name)))
	b = append(b, name...)
	return appendAddrs(b, t.Addrs), nil
}

// packPeer returns the 32-byte public key inside an Ed25519 peer id, or any other id in full behind its length.
func packPeer(p peer.ID) (b []byte, full bool, err error) {
	if err := p.Validate(); err != nil {
		return nil, false, err
	}
	if k, err := p.ExtractPublicKey(); err == nil && k.Type() == crypto.Ed25519 {
		raw, err := k.Raw()
		return raw, false, err
	}
	if len(p) > maxPeerID {
		return nil, false, fmt.Errorf("id has %d bytes, at most %d fit", len(p), maxPeerID)
	}
	if _, err := peer.IDFromBytes([]byte(p)); err != nil {
		return nil, false, err
	}
	return append(binary.AppendUvarint(nil, uint64(len(p))), p...), true, nil
}

// decoder reads a payload; the first fault stays in reason and everything after it reads as zero.
type decoder struct {
	b      []byte
	reason string
}

func (d *decoder) fail(reason string) {
	if d.reason == "" {
		d.reason = reason
	}
	d.b = nil
}

func (d *decoder) bytes(n int) []byte {
	if n > len(d.b) {
		d.fail("its content ends early")
		return make([]byte, min(n, MaxText))
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) byte() byte { return d.bytes(1)[0] }

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || n > 1 && d.b[n-1] == 0 { // too long, too short, or not the shortest form
		d.fail("it holds a number that can not be read")
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) peer(full bool) peer.ID {
	if full {
		n := d.uvarint()
		if n > maxPeerID {
			d.fail("its peer id is too long")
			return ""
		}
		p, err := peer.IDFromBytes(d.bytes(int(n)))
		if err != nil {
			d.fail("its peer id can not be read")
		}
		return p
	}
	k, err := crypto.UnmarshalEd25519PublicKey(d.bytes(32))
	if err != nil {
		d.fail("its peer id can not be read")
		return ""
	}
	p, err := peer.IDFromPublicKey(k)
	if err != nil {
		d.fail("its peer id can not be read")
	}
	return p
}

// decode reads a payload whose checksum was right.
func decode(payload []byte) (t Ticket, reason string, newer bool) {
	d := &decoder{b: payload}
	flags := d.byte()
	if flags&^byte(knownFlags) != 0 {
		return t, "", true
	}
	digest := d.bytes(digestSize)
	codec := uint64(cid.Raw)
	if flags&flagDagPB != 0 {
		codec = cid.DagProtobuf
	}
	hash, err := multihash.Encode(digest, multihash.SHA2_256)
	if err != nil {
		d.fail("its root can not be read")
	}
	t.Root = cid.NewCidV1(codec, hash)
	size := d.uvarint()
	if size > math.MaxInt64 {
		d.fail("its size is out of range")
	}
	t.Size = int64(size)
	t.Peer = d.peer(flags&flagPeerID != 0)
	copy(t.Secret[:], d.bytes(len(t.Secret)))
	if t.Open() {
		d.fail("its secret is empty")
	}
	if flags&flagExpiry != 0 {
		s := d.uvarint()
		if s == 0 || s > maxExpiry {
			d.fail("its expiry is out of range")
		}
		t.Expires = time.Unix(int64(s), 0).UTC()
	}
	n := d.uvarint()
	if n > MaxName {
		d.fail("its name is too long")
		n = 0
	}
	t.Name = string(d.bytes(int(n)))
	if d.reason == "" {
		if r := checkName(t.Name); r != "" {
			d.fail(r)
		}
	}
	t.Addrs = d.addrs()
	if len(d.b) > 0 {
		d.fail("it holds more than a ticket does")
	}
	if d.reason != "" {
		return Ticket{}, d.reason, false
	}
	return t, "", false
}

// maxExpiry is the end of year 9999, the last that RFC 3339 can write.
const maxExpiry = 253402300799
