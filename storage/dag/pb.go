package dag

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/ipfs/go-cid"

	"cairn/storage/block"
)

// dag-pb (https://ipld.io/specs/codecs/dag-pb/spec/): PBNode is Links (field 2, each a PBLink) and Data (field 1);
// PBLink is Hash (1), Name (2), Tsize (3). Written in the canonical form: links, then data, every field of a link
// present. Read strictly: minimal varints, known fields, each once, fields of a link in order; data may also stand
// before the links, as other writers do.

// Wire types of protobuf.
const (
	wireVarint  = 0
	wireBytes   = 2
	wireFixed32 = 5
)

// pbLink is a link as it stands in a block. hash and name alias the block.
type pbLink struct {
	hash, name []byte
	tsize      uint64
	hasTsize   bool
}

// cid checks that the link names a block of a kind that Cairn reads and returns its CID.
func (l *pbLink) cid() (cid.Cid, error) {
	c, err := cid.Cast(l.hash)
	if err != nil {
		return cid.Undef, fmt.Errorf("%w: link without a valid CID", ErrBadDAG)
	}
	return c, checkCID(c)
}

// checkCID refuses CIDs that are not sha2-256 with codec raw or dag-pb.
func checkCID(c cid.Cid) error {
	if !c.Defined() {
		return fmt.Errorf("%w: no CID", ErrUnsupported)
	}
	if _, err := block.Digest(c); err != nil {
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	if t := c.Type(); t != cid.Raw && t != cid.DagProtobuf {
		return fmt.Errorf("%w: %s has codec 0x%x, neither raw nor dag-pb", ErrUnsupported, c, t)
	}
	return nil
}

// pbNode is a decoded block. Everything aliases the block.
type pbNode struct {
	links []pbLink
	data  []byte
}

// sumTsize returns the size of everything below the node and of its block of blockSize bytes, saturating.
func (n *pbNode) sumTsize(blockSize int) uint64 {
	t := uint64(blockSize)
	for i := range n.links {
		t = satAdd(t, n.links[i].tsize)
	}
	return t
}

// satAdd adds and stops at the largest value.
func satAdd(a, b uint64) uint64 {
	s, carry := bits.Add64(a, b, 0)
	if carry != 0 {
		return 1<<64 - 1
	}
	return s
}

// satMul multiplies and stops at the largest value.
func satMul(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	if hi != 0 {
		return 1<<64 - 1
	}
	return lo
}

// pbReader takes protobuf fields off the front of b. The first error sticks.
type pbReader struct {
	b   []byte
	err error
}

func (r *pbReader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: "+format, append([]any{ErrBadDAG}, args...)...)
	}
	r.b = nil
}

// varint takes a minimally encoded varint.
func (r *pbReader) varint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || n > 1 && r.b[n-1] == 0 {
		r.fail("bad varint")
		return 0
	}
	r.b = r.b[n:]
	return v
}

// bytes takes a length and that many bytes.
func (r *pbReader) bytes() []byte {
	n := r.varint()
	if n > uint64(len(r.b)) {
		r.fail("field runs past the end")
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

// decodeNode decodes a dag-pb block. The result aliases it.
func decodeNode(b []byte) (pbNode, error) {
	var n pbNode
	var haveData, linksOver bool
	r := pbReader{b: b}
	for len(r.b) > 0 {
		switch tag := r.varint(); {
		case r.err != nil:
		case tag == 1<<3|wireBytes && !haveData:
			n.data, haveData = r.bytes(), true
			linksOver = len(n.links) > 0
		case tag == 2<<3|wireBytes && !linksOver:
			var l pbLink
			if l, r.err = decodeLink(r.bytes()); r.err == nil {
				n.links = append(n.links, l)
			}
		default:
			r.fail("unexpected field %d in a dag-pb node", tag>>3)
		}
		if r.err != nil {
			return pbNode{}, r.err
		}
	}
	if !haveData {
		return pbNode{}, fmt.Errorf("%w: dag-pb node without data", ErrBadDAG)
	}
	return n, nil
}

func decodeLink(b []byte) (l pbLink, err error) {
	r := pbReader{b: b}
	last := uint64(0)
	for len(r.b) > 0 {
		tag := r.varint()
		if r.err == nil && tag>>3 <= last {
			r.fail("fields of a link out of order")
		}
		last = tag >> 3
		switch {
		case r.err != nil:
		case tag == 1<<3|wireBytes:
			l.hash = r.bytes()
		case tag == 2<<3|wireBytes:
			l.name = r.bytes()
		case tag == 3<<3|wireVarint:
			l.tsize, l.hasTsize = r.varint(), true
		default:
			r.fail("unexpected field %d in a dag-pb link", tag>>3)
		}
	}
	if r.err == nil && len(l.hash) == 0 {
		r.fail("link without a CID")
	}
	return l, r.err
}

// ref names a block that was made, with what a parent records about it.
type ref struct {
	digest digest
	codec  uint64 // cid.Raw or cid.DagProtobuf
	size   uint64 // bytes of file content below
	tsize  uint64 // bytes of blocks below, its own included
}

func (r ref) cid() cid.Cid { return block.FromDigest(r.codec, r.digest) }

// cidLen is the length of the CIDs that we write: version, codec, hash function, digest length, digest.
const cidLen = 4 + 32

func varintLen(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

// linkBody returns the encoded size of a PBLink.
func linkBody(name int, tsize uint64) int {
	return 2 + cidLen + 1 + varintLen(uint64(name)) + name + 1 + varintLen(tsize)
}

// linkSize returns what a link with a name of so many bytes adds to a block.
func linkSize(name int, tsize uint64) int {
	n := linkBody(name, tsize)
	return 1 + varintLen(uint64(n)) + n
}

// appendLink appends a link to a block; the name is prefix and name joined.
func appendLink(b []byte, prefix, name string, r ref) []byte {
	n := len(prefix) + len(name)
	b = append(b, 2<<3|wireBytes)
	b = binary.AppendUvarint(b, uint64(linkBody(n, r.tsize)))
	b = append(b, 1<<3|wireBytes, cidLen, 1, byte(r.codec), 0x12, 32)
	b = append(b, r.digest[:]...)
	b = append(b, 2<<3|wireBytes)
	b = binary.AppendUvarint(b, uint64(n))
	b = append(append(b, prefix...), name...)
	b = append(b, 3<<3|wireVarint)
	return binary.AppendUvarint(b, r.tsize)
}

// appendData ends a block with its data.
func appendData(b, data []byte) []byte {
	b = append(b, 1<<3|wireBytes)
	b = binary.AppendUvarint(b, uint64(len(data)))
	return append(b, data...)
}
