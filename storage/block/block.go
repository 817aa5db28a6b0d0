// Package block is the contract of a content-addressed block store.
//
// A block is an immutable run of bytes named by a CID (version 1, sha2-256). The package holds the one-verb
// interfaces that consumers ask for, the gate that every block passes on its way in and out ([Verify],
// [Verified]), an in-memory store for tests and small uses, and, in blocktest, the suite that every
// implementation passes.
//
// It promises that bytes handed out by a [Verified] store hash to their CID. It does not promise durability
// (the implementation does), ordering, or anything about what a block's bytes mean. It starts no goroutines.
package block

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"iter"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// MaxSize is the largest block in bytes that any part of Cairn accepts: 2 MiB, as in Bitswap.
const MaxSize = 2 << 20

// Conditions that callers branch on.
var (
	ErrNotFound = errors.New("block not found")
	// ErrCorrupt: stored bytes do not hash to their CID (or a seal did not open).
	ErrCorrupt = errors.New("block is corrupt")
	// ErrTooLarge: a block is larger than MaxSize.
	ErrTooLarge = errors.New("block is too large")
	// ErrNoSpace: taking the bytes would eat into the store's reserve or quota.
	ErrNoSpace = errors.New("not enough space")
	// ErrUnsupported: a CID of another version or hash function than ours.
	ErrUnsupported = errors.New("unsupported CID")
)

// Block is bytes with the CID that names them.
type Block struct {
	CID  cid.Cid
	Data []byte
}

// Getter reads blocks.
type Getter interface {
	// Get returns the bytes of c. It may use dst[:0] as the backing store when its capacity is large enough,
	// so the result is valid only until dst is used again; dst may be nil.
	// Errors: ErrNotFound, ErrCorrupt, ErrUnsupported.
	Get(ctx context.Context, c cid.Cid, dst []byte) ([]byte, error)
}

// Putter stores blocks.
type Putter interface {
	// Put stores all blocks and returns when they are synced. It does not keep Data. Putting a block that is
	// already there succeeds. Errors: ErrNoSpace, ErrTooLarge, ErrCorrupt (Data does not hash to CID).
	Put(ctx context.Context, blocks ...Block) error
}

// Haser tells what is there without reading it.
type Haser interface {
	Has(ctx context.Context, c cid.Cid) (bool, error)
}

// Deleter removes blocks. Deleting what is not there succeeds.
type Deleter interface {
	Delete(ctx context.Context, cs ...cid.Cid) error
}

// Lister enumerates the blocks held, each once, in no particular order. The codec of the listed CIDs is
// always raw: stores key by multihash.
type Lister interface {
	List(ctx context.Context) iter.Seq2[cid.Cid, error]
}

// Store is everything a block store can do.
type Store interface {
	Getter
	Putter
	Haser
	Deleter
	Lister
}

// Sum returns the CIDv1 (sha2-256) of data under a codec, cid.Raw or cid.DagProtobuf.
func Sum(codec uint64, data []byte) cid.Cid {
	d := sha256.Sum256(data)
	return FromDigest(codec, d)
}

// FromDigest returns the CIDv1 of a sha2-256 digest under a codec.
func FromDigest(codec uint64, digest [sha256.Size]byte) cid.Cid {
	mh, err := multihash.Encode(digest[:], multihash.SHA2_256)
	if err != nil {
		panic(err) // sha2-256 with 32 bytes always encodes
	}
	return cid.NewCidV1(codec, mh)
}

// Digest returns the sha2-256 digest inside c, or ErrUnsupported for another version, codec or hash.
func Digest(c cid.Cid) (d [sha256.Size]byte, err error) {
	p := c.Prefix()
	if p.MhType != multihash.SHA2_256 || p.MhLength != sha256.Size {
		return d, fmt.Errorf("%w: %s uses another hash than sha2-256", ErrUnsupported, c)
	}
	h := c.Hash()
	copy(d[:], h[len(h)-sha256.Size:])
	return d, nil
}

// Verify is the gate: nil when data hashes to c and is at most MaxSize.
func Verify(c cid.Cid, data []byte) error {
	if len(data) > MaxSize {
		return fmt.Errorf("%w: %d bytes", ErrTooLarge, len(data))
	}
	want, err := Digest(c)
	if err != nil {
		return err
	}
	got := sha256.Sum256(data)
	if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
		return fmt.Errorf("%w: %s", ErrCorrupt, c)
	}
	return nil
}
