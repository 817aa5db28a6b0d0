package exchange

import (
	"context"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"cairn/swarm/exchange/pb"
)

const (
	maxBits   = 32 << 10              // bytes of bits in one Have
	haveEvery = 25 * time.Millisecond // between two batches of Haves
	gapBits   = 256                   // leaves between two that are told in one Have, when only few are
	fewLeaves = 16 << 10              // up to which leaves are sorted; more are told window by window
)

// Partial is a Tree of which only some leaves are here: a download under way. Trees that Content returns may be
// one. Safe for concurrent use.
type Partial interface {
	Tree
	// Since returns the leaves that have come, in the order they came, from position pos on, and a channel that is
	// closed when there are more. The slice must not be changed.
	Since(pos int) (leaves []uint32, more <-chan struct{})
	// ReadLeaf returns the bytes of leaf i, which were verified when it came and, as with Content.Get, are only looked at
	// for changes since; block.ErrNotFound if it has not come.
	ReadLeaf(ctx context.Context, i int, dst []byte) ([]byte, error)
}

// haves tells the client what of a partial object is here, until the session ends.
func (p *pipeline) haves(ctx context.Context, part Partial) {
	n := part.NumLeaves()
	for pos := 0; ; {
		got, more := part.Since(pos)
		if len(got) == 0 {
			select {
			case <-more:
				continue
			case <-ctx.Done():
				return
			}
		}
		pos += len(got)
		told := eachHave(got, n, func(start int, bits []byte) bool {
			return p.aside(ctx, message(kindHave, &pb.Have{Start: uint64(start), Bits: bits}))
		})
		if !told || !pause(ctx, haveEvery) {
			return
		}
	}
}

// pause waits, and tells whether the context is still on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// eachHave yields Haves that tell of leaves, in any order, of an object of n, until yield says false. bits are
// only valid during the call. Few leaves take little; for many no more memory is used than for one Have.
func eachHave(leaves []uint32, n int, yield func(start int, bits []byte) bool) bool {
	if len(leaves) <= fewLeaves {
		return eachSmallHave(leaves, n, yield)
	}
	buf := make([]byte, maxBits)
	for from := 0; from < n; from += maxBits * 8 {
		clear(buf)
		first, last := maxBits, -1 // bytes with something in them
		for _, l := range leaves {
			if k := int(l) - from; k >= 0 && k < maxBits*8 && int(l) < n {
				buf[k/8] |= 1 << (k % 8)
				first, last = min(first, k/8), max(last, k/8)
			}
		}
		if last >= 0 && !yield(from+first*8, buf[first:last+1]) {
			return false
		}
	}
	return true
}

func eachSmallHave(leaves []uint32, n int, yield func(start int, bits []byte) bool) bool {
	leaves = slices.Clone(leaves)
	slices.Sort(leaves)
	for len(leaves) > 0 {
		start, last := int(leaves[0]), int(leaves[0])
		if start >= n {
			return true
		}
		var buf []byte
		for len(leaves) > 0 {
			l := int(leaves[0])
			if k := l - start; l >= n || l-last > gapBits || k >= maxBits*8 {
				break
			} else {
				for len(buf) <= k/8 {
					buf = append(buf, 0)
				}
				buf[k/8] |= 1 << (k % 8)
			}
			last, leaves = l, leaves[1:]
		}
		if !yield(start, buf) {
			return false
		}
	}
	return true
}

// checkHave checks what a source says it has, of an object of n leaves, and returns how many leaves it named.
func checkHave(m *pb.Have, n int) (start, count int, err error) {
	b := m.Bits
	for _, x := range b {
		count += bits.OnesCount8(x)
	}
	if len(b) > maxBits || count == 0 || m.Start >= uint64(n) {
		return 0, 0, fmt.Errorf("%w: it has %d leaves from %d, told in %d bytes, of an object of %d", ErrProtocol, count, m.Start, len(b), n)
	}
	start = int(m.Start)
	last := start + (len(b)-1)*8 + bits.Len8(b[len(b)-1]) - 1
	if start+(len(b)-1)*8 >= n || last >= n {
		return 0, 0, fmt.Errorf("%w: it has leaf %d of an object of %d", ErrProtocol, last, n)
	}
	return start, count, nil
}
