package dag

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"time"

	"cairn/storage/block"
)

// UnixFS (https://specs.ipfs.tech/unixfs/) is a protobuf message in the data of a dag-pb node: Type (1), Data (2),
// filesize (3), blocksizes (4, repeated, not packed), hashType (5), fanout (6), mode (7), mtime (8: seconds (1,
// int64), nanos (2, fixed32)).

// Values of Type.
const (
	ufsRaw       = 0
	ufsDirectory = 1
	ufsFile      = 2
	ufsSymlink   = 4
	ufsShard     = 5
)

// murmur3 is the multicodec of the hash of HAMT directories: murmur3-x64-64.
const murmur3 = 0x22

// ufsData is a decoded message. data aliases the block.
type ufsData struct {
	typ               uint64
	data              []byte
	hasSize           bool
	size              uint64
	blocks            []uint64
	hashType, fanout  uint64
	hasMode, hasMTime bool
	mode              uint64
	seconds           int64
	nanos             uint32
}

// decodeUnixFS decodes the data of a dag-pb node. Fields may come in any order, each but blocksizes once; fields
// that UnixFS 1.5 does not have are ErrUnsupported, so that a node's size is bounded by what it says.
func decodeUnixFS(b []byte) (ufsData, error) {
	var u ufsData
	var seen uint64
	r := pbReader{b: b}
	for len(r.b) > 0 && r.err == nil {
		tag := r.varint()
		field := tag >> 3
		if r.err != nil {
			break
		}
		if field == 0 || field > 8 {
			return u, fmt.Errorf("%w: unknown UnixFS field %d", ErrUnsupported, field)
		}
		if field != 4 && seen&(1<<field) != 0 {
			r.fail("UnixFS field %d twice", field)
			break
		}
		seen |= 1 << field
		switch tag {
		case 1<<3 | wireVarint:
			u.typ = r.varint()
		case 2<<3 | wireBytes:
			u.data = r.bytes()
		case 3<<3 | wireVarint:
			u.size, u.hasSize = r.varint(), true
		case 4<<3 | wireVarint:
			u.blocks = append(u.blocks, r.varint())
		case 4<<3 | wireBytes: // packed: proto2 readers take both
			for p := (pbReader{b: r.bytes()}); len(p.b) > 0 && r.err == nil; r.err = p.err {
				u.blocks = append(u.blocks, p.varint())
			}
		case 5<<3 | wireVarint:
			u.hashType = r.varint()
		case 6<<3 | wireVarint:
			u.fanout = r.varint()
		case 7<<3 | wireVarint:
			u.mode, u.hasMode = r.varint(), true
		case 8<<3 | wireBytes:
			u.seconds, u.nanos, r.err = decodeTime(r.bytes())
			u.hasMTime = true
		default:
			r.fail("UnixFS field %d has the wrong type", field)
		}
	}
	if r.err == nil && seen&(1<<1) == 0 {
		r.fail("UnixFS data without a type")
	}
	return u, r.err
}

func decodeTime(b []byte) (sec int64, nanos uint32, err error) {
	var seen uint64
	r := pbReader{b: b}
	for len(r.b) > 0 && r.err == nil {
		tag := r.varint()
		if r.err == nil && (tag>>3 > 2 || seen&(1<<(tag>>3)) != 0) {
			r.fail("unexpected field in a UnixFS time")
		}
		seen |= 1 << (tag >> 3 & 7)
		switch {
		case r.err != nil:
		case tag == 1<<3|wireVarint:
			sec = int64(r.varint())
		case tag == 2<<3|wireFixed32 && len(r.b) >= 4:
			nanos = binary.LittleEndian.Uint32(r.b)
			r.b = r.b[4:]
		default:
			r.fail("bad UnixFS time")
		}
	}
	if r.err == nil && (seen&2 == 0 || nanos > 999_999_999) {
		r.fail("bad UnixFS time")
	}
	return sec, nanos, r.err
}

// meta is what Preserve records.
type meta struct {
	hasMode bool
	mode    fs.FileMode
	mtime   time.Time // zero: none
}

// meta returns mode and mtime. Years outside 1 to 9999 count as none: the format does not allow them.
func (u *ufsData) meta() (m meta) {
	if u.hasMode {
		m.hasMode, m.mode = true, goMode(uint32(u.mode))
	}
	if t := time.Unix(u.seconds, int64(u.nanos)).UTC(); u.hasMTime && t.Year() >= 1 && t.Year() <= 9999 {
		m.mtime = t
	}
	return m
}

// goMode turns the twelve permission bits of Unix into Go's; the upper bits are ignored.
func goMode(m uint32) fs.FileMode {
	g := fs.FileMode(m & 0o777)
	for bit, f := range map[uint32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if m&bit != 0 {
			g |= f
		}
	}
	return g
}

// unixMode is the inverse of goMode.
func unixMode(g fs.FileMode) uint32 {
	m := uint32(g.Perm())
	for bit, f := range map[uint32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if g&f != 0 {
			m |= bit
		}
	}
	return m
}

// append ends a UnixFS message with mode and mtime.
func (m meta) append(b []byte) []byte {
	if m.hasMode {
		b = binary.AppendUvarint(append(b, 7<<3|wireVarint), uint64(unixMode(m.mode)))
	}
	if !m.mtime.IsZero() {
		t := binary.AppendUvarint([]byte{1<<3 | wireVarint}, uint64(m.mtime.Unix()))
		if n := m.mtime.Nanosecond(); n > 0 {
			t = binary.LittleEndian.AppendUint32(append(t, 2<<3|wireFixed32), uint32(n))
		}
		b = append(append(b, 8<<3|wireBytes, byte(len(t))), t...)
	}
	return b
}

func (m meta) isZero() bool { return !m.hasMode && m.mtime.IsZero() }

// appendFile appends the message of a file node over children.
func appendFile(b []byte, children []ref, m meta) []byte {
	var size uint64
	for i := range children {
		size += children[i].size
	}
	b = binary.AppendUvarint(append(b, 1<<3|wireVarint, ufsFile, 3<<3|wireVarint), size)
	for i := range children {
		b = binary.AppendUvarint(append(b, 4<<3|wireVarint), children[i].size)
	}
	return m.append(b)
}

// symlinkBlock encodes a symbolic link.
func symlinkBlock(target string, m meta) []byte {
	b := binary.AppendUvarint([]byte{1<<3 | wireVarint, ufsSymlink, 2<<3 | wireBytes}, uint64(len(target)))
	return appendData(nil, m.append(append(b, target...)))
}

// checkFile checks a file node: sizes agree with the links, no inline data. sizes is the content below in bytes.
func (u *ufsData) checkFile(links int) error {
	if len(u.data) > 0 {
		return fmt.Errorf("%w: file data inside a dag-pb node (only raw leaves are read)", ErrUnsupported)
	}
	if len(u.blocks) != links {
		return fmt.Errorf("%w: file node with %d links and %d block sizes", ErrBadDAG, links, len(u.blocks))
	}
	var sum uint64
	for _, n := range u.blocks {
		sum = satAdd(sum, n)
	}
	if sum != u.size || sum > 1<<62 {
		return fmt.Errorf("%w: file size %d, but its blocks have %d bytes", ErrBadDAG, u.size, sum)
	}
	return nil
}

// checkLeaf checks what a parent says about a raw leaf of size bytes.
func checkLeaf(l *pbLink, size uint64) error {
	if size > block.MaxSize {
		return fmt.Errorf("%w: leaf of %d bytes", ErrBadDAG, size)
	}
	if l.hasTsize && l.tsize != size {
		return fmt.Errorf("%w: leaf of %d bytes with a total size of %d", ErrBadDAG, size, l.tsize)
	}
	return nil
}
