package dag

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"

	mm3 "github.com/spaolacci/murmur3"
)

// A HAMT directory (https://specs.ipfs.tech/unixfs/#hamt-structure-and-parameters) is a trie over the 64-bit
// murmur3 of the names, most significant bits first. A shard is a dag-pb node whose links, in slot order, are named
// by the slot in upper-case hexadecimal, followed by the entry's name if it is an entry and not a shard below. Its
// UnixFS data is a bitmap of the slots taken, big-endian without leading zeros.

// Fan-outs: ours, and the largest that is read.
const (
	fanout    = 256
	maxFanout = 1024
)

// hashedEntry is an entry with the hash of its name.
type hashedEntry struct {
	dirEntry
	hash uint64
}

// hamt makes a sharded directory of two entries or more.
func (w *nodeWriter) hamt(ctx context.Context, entries []dirEntry, m meta) (ref, error) {
	hashed := make([]hashedEntry, len(entries))
	for i, e := range entries {
		hashed[i] = hashedEntry{e, nameHash([]byte(e.name))}
	}
	slices.SortFunc(hashed, func(a, b hashedEntry) int { return cmp.Compare(a.hash, b.hash) })
	return w.shard(ctx, hashed, 0, m)
}

// nameHash is the hash that places a name: the first 64 bits of murmur3-x64-128.
func nameHash(name []byte) uint64 { return mm3.Sum64(name) }

// shard makes the shard over entries, sorted by hash, whose hashes agree in their first depth bytes.
func (w *nodeWriter) shard(ctx context.Context, entries []hashedEntry, depth int, m meta) (ref, error) {
	if depth == 8 {
		return ref{}, fmt.Errorf("%w: the names %q and %q have the same hash", ErrUnsupported, entries[0].name, entries[1].name)
	}
	type slotLink struct {
		slot byte
		name string
		ref  ref
	}
	var links []slotLink
	var bitmap [fanout / 8]byte
	var below uint64
	for rest := entries; len(rest) > 0; {
		slot := byte(rest[0].hash >> (56 - 8*depth))
		n := 1
		for n < len(rest) && byte(rest[n].hash>>(56-8*depth)) == slot {
			n++
		}
		l := slotLink{slot: slot, name: rest[0].name, ref: rest[0].ref}
		if n > 1 {
			r, err := w.shard(ctx, rest[:n], depth+1, meta{})
			if err != nil {
				return ref{}, err
			}
			l.name, l.ref = "", r
		}
		links = append(links, l)
		below += l.ref.tsize
		bitmap[len(bitmap)-1-int(slot/8)] |= 1 << (slot % 8)
		rest = rest[n:]
	}
	const hex = "0123456789ABCDEF"
	w.buf = w.buf[:0]
	for _, l := range links {
		w.buf = appendLink(w.buf, string([]byte{hex[l.slot>>4], hex[l.slot&15]}), l.name, l.ref)
	}
	field := bytes.TrimLeft(bitmap[:], "\x00")
	data := binary.AppendUvarint([]byte{1<<3 | wireVarint, ufsShard, 2<<3 | wireBytes}, uint64(len(field)))
	data = append(data, field...)
	data = append(data, 5<<3|wireVarint, murmur3, 6<<3|wireVarint)
	data = m.append(binary.AppendUvarint(data, fanout))
	w.buf = appendData(w.buf, data)
	return w.put(ctx, 0, below)
}

// hamtPos is a place in a trie: the first bits of the hashes of all names below it.
type hamtPos struct {
	prefix uint64 // left-aligned
	used   int    // how many bits of it count
}

// shardShape returns the bits per level and the length of the slot in link names, after checking the parameters.
func (u *ufsData) shardShape() (lg, digits int, err error) {
	if u.hashType != murmur3 {
		return 0, 0, fmt.Errorf("%w: HAMT directory with hash 0x%x", ErrUnsupported, u.hashType)
	}
	if u.fanout < 8 || u.fanout > maxFanout || u.fanout&(u.fanout-1) != 0 {
		return 0, 0, fmt.Errorf("%w: HAMT directory with a fan-out of %d", ErrBadDAG, u.fanout)
	}
	lg = bits.TrailingZeros64(u.fanout)
	return lg, (lg + 3) / 4, nil
}

// checkShard checks everything about a shard that can be seen in its own block: slots in order and equal to the
// bitmap, names allowed. Whether the names hash to where they stand is checked by checkSlot from the top.
func (n *pbNode) checkShard(u *ufsData) error {
	_, digits, err := u.shardShape()
	if err != nil {
		return err
	}
	if len(u.data) > int(u.fanout)/8 {
		return fmt.Errorf("%w: HAMT bitmap of %d bytes for a fan-out of %d", ErrBadDAG, len(u.data), u.fanout)
	}
	var bitmap [maxFanout / 8]byte
	last := -1
	for i := range n.links {
		slot, ok := slotOf(n.links[i].name, digits)
		if !ok || slot <= last || slot >= int(u.fanout) {
			return fmt.Errorf("%w: HAMT link %d is named %q", ErrBadDAG, i, n.links[i].name)
		}
		last = slot
		if name := n.links[i].name[digits:]; len(name) > 0 {
			if err := checkName(string(name)); err != nil {
				return err
			}
		}
		bitmap[len(bitmap)-1-slot/8] |= 1 << (slot % 8)
	}
	if !bytes.Equal(bytes.TrimLeft(bitmap[:], "\x00"), bytes.TrimLeft(u.data, "\x00")) {
		return fmt.Errorf("%w: HAMT bitmap differs from the links", ErrBadDAG)
	}
	return nil
}

// slotOf reads the slot at the front of a link name.
func slotOf(name []byte, digits int) (slot int, ok bool) {
	if len(name) < digits {
		return 0, false
	}
	for _, c := range name[:digits] {
		switch {
		case c >= '0' && c <= '9':
			slot = slot<<4 | int(c-'0')
		case c >= 'A' && c <= 'F':
			slot = slot<<4 | int(c-'A'+10)
		default:
			return 0, false
		}
	}
	return slot, true
}

// below returns the position of a slot, false when the hash has no bits left.
func (p hamtPos) below(slot, lg int) (hamtPos, bool) {
	if p.used+lg > 64 {
		return p, false
	}
	return hamtPos{p.prefix | uint64(slot)<<(64-p.used-lg), p.used + lg}, true
}

// slot returns the slot of a hash at this position.
func (p hamtPos) slot(hash uint64, lg int) int { return int(hash << p.used >> (64 - lg)) }

// holds tells whether a name with this hash may stand at or below the position.
func (p hamtPos) holds(hash uint64) bool { return p.used == 0 || (hash^p.prefix)>>(64-p.used) == 0 }
