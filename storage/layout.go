package storage

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"

	"cairn/storage/block"
)

// Key prefixes. DESIGN.md lists every encoding.
const (
	keyFormat  = "format"
	keyTotals  = "totals"
	prefBlock  = "b/"
	prefRef    = "r/"
	prefFile   = "f/"
	prefPath   = "p/"
	prefEntry  = "e/"
	prefNote   = "n/"
	prefFiller = "z/"

	formatVersion = 1
	mhLen         = 2 + sha256.Size
	refKeyLen     = len(prefRef) + mhLen + 8
	refValueLen   = 12
	refSummedLen  = 16
	maxEntry      = 384 << 10 // bytes of one entry's JSON
	maxEntryID    = 128
)

type digest = [sha256.Size]byte

// mhHead is the multihash prefix of sha2-256: code 0x12, length 0x20.
var mhHead = [2]byte{0x12, 0x20}

func blockKey(d digest) []byte {
	k := make([]byte, 0, len(prefBlock)+mhLen)
	k = append(append(k, prefBlock...), mhHead[:]...)
	return append(k, d[:]...)
}

// refPrefix is what all references to d begin with.
func refPrefix(d digest) []byte {
	k := make([]byte, 0, refKeyLen)
	k = append(append(k, prefRef...), mhHead[:]...)
	return append(k, d[:]...)
}

func refKey(d digest, file uint64) []byte { return binary.BigEndian.AppendUint64(refPrefix(d), file) }

// blockName is a block's name in its seal: the multihash.
func blockName(key []byte) []byte { return key[len(prefBlock):] }

// digestOf reads the digest out of a block or reference key.
func digestOf(key []byte) (d digest, ok bool) {
	if len(key) < len(prefBlock)+mhLen || [2]byte(key[2:4]) != mhHead {
		return d, false
	}
	copy(d[:], key[4:])
	return d, true
}

// ref is one place in a user's file that holds a block.
type ref struct {
	file   uint64
	offset int64
	length int
	summed bool   // whether sum is known
	sum    uint32 // CRC-32C of the bytes: tells decay at a tenth of what a SHA-256 costs, see GetToSend
}

func (r ref) encode() []byte {
	v := binary.BigEndian.AppendUint64(make([]byte, 0, refSummedLen), uint64(r.offset))
	v = binary.BigEndian.AppendUint32(v, uint32(r.length))
	if r.summed {
		v = binary.BigEndian.AppendUint32(v, r.sum)
	}
	return v
}

func decodeRef(key, val []byte) (d digest, r ref, err error) {
	d, ok := digestOf(key)
	if !ok || len(key) != refKeyLen || len(val) != refValueLen && len(val) != refSummedLen {
		return d, r, fmt.Errorf("decode reference: %w", block.ErrCorrupt)
	}
	r.file = binary.BigEndian.Uint64(key[refKeyLen-8:])
	r.offset = int64(binary.BigEndian.Uint64(val))
	n := binary.BigEndian.Uint32(val[8:])
	if r.offset < 0 || n > block.MaxSize {
		return d, r, fmt.Errorf("decode reference: %w", block.ErrCorrupt)
	}
	r.length = int(n)
	if r.summed = len(val) == refSummedLen; r.summed {
		r.sum = binary.BigEndian.Uint32(val[refValueLen:])
	}
	return d, r, nil
}

func fileKey(id uint64) []byte  { return binary.BigEndian.AppendUint64([]byte(prefFile), id) }
func entryKey(id string) []byte { return append([]byte(prefEntry), id...) }
func noteKey(id string) []byte  { return append([]byte(prefNote), id...) }

// pathKey hides the path: whoever reads the disk cannot test for a path without the index key.
func (k *Keys) pathKey(path string) []byte {
	return append([]byte(prefPath), k.mac("path", path)[:16]...)
}

// fileRecord is what is known of a referenced file: where it is and the guard that tells whether it changed.
type fileRecord struct {
	Path  string `json:"path"`
	Size  int64  `json:"size"`
	MTime int64  `json:"mtime"` // nanoseconds since 1970
}

// sealJSON seals a record under its index key.
func (k *Keys) sealJSON(key []byte, v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	return k.seal(make([]byte, 0, len(b)+sealOverhead), key, b)
}

func (k *Keys) openJSON(key, sealed []byte, v any) error {
	b, err := k.open(nil, key, sealed)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("decode record: %w", block.ErrCorrupt)
	}
	return nil
}

// totals are running sums, written with every batch; the number of seals of the current key rides along.
type totals struct {
	Blocks, Bytes    int64 // owned, plain bytes
	Files, FileBytes int64 // referenced
	KeyID            uint32
	Seals            int64
}

func (t totals) encode() []byte {
	v := make([]byte, 0, 48)
	for _, n := range []int64{t.Blocks, t.Bytes, t.Files, t.FileBytes, int64(t.KeyID), t.Seals} {
		v = binary.BigEndian.AppendUint64(v, uint64(n))
	}
	return v
}

func decodeTotals(v []byte) (t totals, err error) {
	if len(v) != 48 {
		return t, fmt.Errorf("decode totals: %w", block.ErrCorrupt)
	}
	n := func(i int) int64 { return int64(binary.BigEndian.Uint64(v[8*i:])) }
	return totals{n(0), n(1), n(2), n(3), uint32(n(4)), n(5)}, nil
}

func be64(b []byte) uint64 { return binary.BigEndian.Uint64(b) }

// fileOf reads the file id that a file or reference key ends with.
func fileOf(key []byte) uint64 { return be64(key[len(key)-8:]) }
