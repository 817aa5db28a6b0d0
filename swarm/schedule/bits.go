package schedule

import "math/bits"

// set is a set of leaf indexes, one bit each.
type set []uint64

func newSet(n int) set { return make(set, (n+63)/64) }

func (b set) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }
func (b set) add(i int)      { b[i/64] |= 1 << (i % 64) }
func (b set) del(i int)      { b[i/64] &^= 1 << (i % 64) }

// scan calls yield with the indexes in [lo, hi) whose bit is set in word(w), ascending, until yield returns false.
func scan(lo, hi int, word func(w int) uint64, yield func(i int) bool) bool {
	for w := lo / 64; w*64 < hi; w++ {
		x := word(w)
		if w == lo/64 {
			x &= ^uint64(0) << (lo % 64)
		}
		for x != 0 {
			i := w*64 + bits.TrailingZeros64(x)
			if i >= hi {
				return true
			}
			if !yield(i) {
				return false
			}
			x &= x - 1
		}
	}
	return true
}

// scanDown is scan from the back.
func scanDown(lo, hi int, word func(w int) uint64, yield func(i int) bool) bool {
	for w := (hi - 1) / 64; hi > lo && w >= lo/64; w-- {
		x := word(w)
		if (w+1)*64 > hi {
			x &= 1<<(hi-w*64) - 1
		}
		for x != 0 {
			i := w*64 + 63 - bits.LeadingZeros64(x)
			if i < lo {
				return true
			}
			if !yield(i) {
				return false
			}
			x &^= 1 << (i % 64)
		}
	}
	return true
}

// mask returns the bits of word w that are in s.
func (s Span) mask(w int) uint64 {
	lo, hi := max(s.Lo, w*64), min(s.Hi, w*64+64)
	if lo >= hi {
		return 0
	}
	x := ^uint64(0) << (lo % 64)
	if hi < w*64+64 {
		x &= 1<<(hi-w*64) - 1
	}
	return x
}

// find returns the position in list of the span with leaf i, or -1. Answers come in the order of asking, so it is the
// first one nearly always.
func find(list []Span, i int) int {
	for n, r := range list {
		if r.Lo <= i && i < r.Hi {
			return n
		}
	}
	return -1
}

// cutOut removes r from the spans of list, whose order stays.
func cutOut(list []Span, r Span) []Span {
	if len(list) > 0 && list[0].Lo == r.Lo && list[0].Hi >= r.Hi {
		if list[0].Lo = r.Hi; list[0].Len() == 0 {
			return list[1:]
		}
		return list
	}
	if n := len(list) - 1; n >= 0 && list[n].Lo <= r.Lo && list[n].Hi == r.Hi {
		if list[n].Hi = r.Lo; list[n].Len() == 0 {
			return list[:n]
		}
		return list
	}
	kept := make([]Span, 0, len(list)+1)
	for _, x := range list {
		if left := (Span{x.Lo, min(x.Hi, r.Lo)}); left.Len() > 0 {
			kept = append(kept, left)
		}
		if right := (Span{max(x.Lo, r.Hi), x.Hi}); right.Len() > 0 {
			kept = append(kept, right)
		}
	}
	return kept
}

// push appends r to list, as part of the last span if it continues it.
func push(list []Span, r Span) []Span {
	if n := len(list) - 1; n >= 0 && list[n].Hi == r.Lo {
		list[n].Hi = r.Hi
		return list
	}
	return append(list, r)
}
