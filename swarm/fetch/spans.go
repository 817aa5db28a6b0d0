package fetch

import "slices"

// span is the half-open range of leaf indexes [lo, hi).
type span struct{ lo, hi int }

func (s span) len() int { return s.hi - s.lo }

// spans is a set of leaf indexes as sorted ranges that neither touch nor overlap.
type spans []span

// find returns the position of the first range that ends after i.
func (s spans) find(i int) int {
	n, _ := slices.BinarySearchFunc(s, i, func(r span, i int) int {
		if r.hi <= i {
			return -1
		}
		return 1
	})
	return n
}

func (s spans) has(i int) bool {
	n := s.find(i)
	return n < len(s) && s[n].lo <= i
}

func (s spans) count() int {
	n := 0
	for _, r := range s {
		n += r.len()
	}
	return n
}

// add puts r into the set.
func (s *spans) add(r span) {
	if r.len() <= 0 {
		return
	}
	// Ranges that touch r are merged with it.
	from := s.find(r.lo - 1)
	to := from
	for to < len(*s) && (*s)[to].lo <= r.hi {
		r.lo = min(r.lo, (*s)[to].lo)
		r.hi = max(r.hi, (*s)[to].hi)
		to++
	}
	*s = slices.Replace(*s, from, to, r)
}

// remove takes r out of the set.
func (s *spans) remove(r span) {
	if r.len() <= 0 {
		return
	}
	from := s.find(r.lo)
	if from == len(*s) || (*s)[from].lo >= r.hi {
		return
	}
	// The usual case, the front of the first range, moves nothing.
	if f := &(*s)[from]; f.lo == r.lo && f.hi > r.hi {
		f.lo = r.hi
		return
	}
	if from == 0 && (*s)[0].lo >= r.lo && (*s)[0].hi <= r.hi && (len(*s) == 1 || (*s)[1].lo >= r.hi) {
		*s = (*s)[1:]
		return
	}
	var keep [2]span
	k := 0
	to := from
	for to < len(*s) && (*s)[to].lo < r.hi {
		if have := (*s)[to]; have.lo < r.lo {
			keep[k] = span{have.lo, r.lo}
			k++
		}
		if have := (*s)[to]; have.hi > r.hi {
			keep[k] = span{r.hi, have.hi}
			k++
		}
		to++
	}
	*s = slices.Replace(*s, from, to, keep[:k]...)
}

// without calls yield for each part of r that is not in the set, until yield returns false.
func (s spans) without(r span, yield func(span) bool) bool {
	for n := s.find(r.lo); n < len(s) && s[n].lo < r.hi; n++ {
		if s[n].lo > r.lo && !yield(span{r.lo, s[n].lo}) {
			return false
		}
		r.lo = s[n].hi
	}
	if r.lo < r.hi {
		return yield(r)
	}
	return true
}
