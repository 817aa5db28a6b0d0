package ticket

import (
	"encoding/binary"
	"hash/crc32"
	"strings"
	"unicode"
)

// alphabet of the text after the prefix: RFC 4648 base32 in lower case. It has none of 0, 1, 8 and 9, so the
// version digit of the prefix is never mistaken for content.
const alphabet = "abcdefghijklmnopqrstuvwxyz234567"

const (
	brand   = "cairn"
	prefix  = brand + "1"
	crcSize = 4
)

// seal wraps a payload: uvarint length ‖ payload ‖ CRC-32C over prefix, length and payload. A CRC-32C finds
// every run of damage up to 32 bits (six neighbouring characters), and others but for one in 4 thousand million.
func seal(payload []byte) []byte {
	b := append(binary.AppendUvarint(nil, uint64(len(payload))), payload...)
	return binary.BigEndian.AppendUint32(b, checksum(b))
}

func checksum(b []byte) uint32 {
	t := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum([]byte(prefix), t), t, b)
}

// encodeText writes b in base32 after the prefix, the last character filled with zero bits.
func encodeText(b []byte) string {
	var s strings.Builder
	s.Grow(len(prefix) + len(b)*8/5 + 1)
	s.WriteString(prefix)
	var acc, bits uint
	for _, c := range b {
		acc, bits = acc<<8|uint(c), bits+8
		for bits >= 5 {
			bits -= 5
			s.WriteByte(alphabet[acc>>bits&31])
		}
	}
	if bits > 0 {
		s.WriteByte(alphabet[acc<<(5-bits)&31])
	}
	return s.String()
}

// decodeText turns base32 values into bytes; exact is false when bits that must be zero are not, or a character
// adds no byte.
func decodeText(vals []byte) (b []byte, exact bool) {
	b = make([]byte, 0, len(vals)*5/8)
	var acc, bits uint
	for _, v := range vals {
		acc, bits = acc<<5|uint(v), bits+5
		if bits >= 8 {
			bits -= 8
			b = append(b, byte(acc>>bits))
		}
	}
	return b, bits < 5 && acc&(1<<bits-1) == 0
}

// chars are the characters of a text that count, in lower case, with their positions in it (from 1).
type chars struct {
	c   []byte
	pos []int
}

// strip drops white space and the invisible characters that pasting brings. bad is the position of the first
// character that no ticket has, 0 if there is none.
func strip(text string) (out chars, bad int) {
	n := 0
	for _, r := range text {
		n++
		if unicode.IsSpace(r) || r == '\u200b' || r == '\ufeff' || r == '\u00ad' || r == '\u2060' {
			continue
		}
		r = unicode.ToLower(r)
		if r > unicode.MaxASCII || !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9') {
			if bad == 0 {
				bad = n
			}
			r = 0
		}
		if len(out.c) > MaxText {
			break
		}
		out.c, out.pos = append(out.c, byte(r)), append(out.pos, n)
	}
	return out, bad
}

// unseal checks length and checksum.
func unseal(vals []byte) (payload []byte, err error) {
	b, exact := decodeText(vals)
	n, k := binary.Uvarint(b)
	if k <= 0 || n > MaxText {
		return nil, ErrTruncated
	}
	want := k + int(n) + crcSize
	switch {
	case len(b) < want:
		return nil, ErrTruncated
	case len(b) > want:
		return nil, ErrMalformed
	case !exact || checksum(b[:want-crcSize]) != binary.BigEndian.Uint32(b[want-crcSize:]):
		return nil, ErrChecksum
	}
	return b[k : want-crcSize], nil
}

// maxRepair bounds the work of locate, in characters; it is far above what usual tickets have.
const maxRepair = 1024

// locate finds the one character whose replacement makes the text right, or returns -1. It only serves to name
// a place: a repaired ticket is never used. why is what unseal found.
func locate(vals []byte, why error) int {
	n := len(vals)
	if n > maxRepair {
		return -1
	}
	if why != ErrChecksum {
		n = min(n, 4) // only the length, two bytes at most, can be what is wrong
	}
	for i, v := range vals[:n] {
		for r := range byte(len(alphabet)) {
			if vals[i] = r; r == v {
				continue
			}
			if _, err := unseal(vals); err == nil {
				vals[i] = v
				return i
			}
		}
		vals[i] = v
	}
	return -1
}
