package schedule

import (
	"hash/fnv"
	"math"
	"slices"
)

// budget is how many candidates one search looks at, so that it stays cheap in very large objects.
const budget = 1 << 16

// word returns the bits of word w that stand for leaves x can give.
func (x *source) word(w int) uint64 {
	var b uint64
	switch {
	case !x.partial:
		b = ^uint64(0)
	case x.has != nil:
		b = x.has[w]
	}
	if x.lacks != nil {
		b &^= x.lacks[w]
	}
	for _, r := range x.late { // to be asked again only when it is clear that they do not come
		b &^= r.mask(w)
	}
	return b
}

// gives tells whether x can be asked for i.
func (x *source) gives(i int) bool { return x.word(i/64)&(1<<(i%64)) != 0 }

// open returns the bits of word w that stand for free leaves which x can give.
func (s *Scheduler) open(x *source) func(w int) uint64 {
	return func(w int) uint64 {
		if s.free[w] == 0 {
			return 0
		}
		return s.free[w] & x.word(w)
	}
}

// golden returns where downloader number rank begins, so that those who begin at the same time are far apart.
func golden(rank, leaves int) int {
	_, frac := math.Modf(float64(rank) * 0.6180339887)
	return int(frac * float64(leaves))
}

// start returns a leaf that depends on name alone.
func start(name string, leaves int) int {
	if leaves == 0 {
		return 0
	}
	h := fnv.New64a()
	h.Write([]byte(name))
	return int(h.Sum64() >> 1 % uint64(leaves))
}

// pick chooses the next free leaves for x.
func (s *Scheduler) pick(x *source, bytes int64, leaves int) (Span, bool) {
	if s.freeN == 0 {
		return Span{}, false
	}
	switch {
	case s.c.Order == InOrder:
		return s.lowest(x, bytes, leaves)
	case x.partial:
		return s.rarest(x, bytes, leaves)
	case s.partials > 0:
		return s.portion(x, bytes, leaves)
	}
	return s.onward(x, bytes, leaves)
}

// extend makes a range from lo on, of leaves that are free, that x gives and that ok allows.
func (s *Scheduler) extend(x *source, lo int, bytes int64, leaves int, ok func(i int) bool) Span {
	bytes, leaves = min(bytes, rangeBytes), min(leaves, rangeLeaves)
	hi := lo
	for hi < s.c.Leaves && hi-lo < leaves && s.free.has(hi) && (len(x.late) == 0 && x.has == nil && x.lacks == nil || x.gives(hi)) && ok(hi) {
		bytes -= s.size(hi)
		if bytes < 0 && hi > lo {
			break
		}
		hi++
	}
	return Span{lo, hi}
}

func always(int) bool { return true }

// firstFrom returns the first leaf that x can be asked for, from the given one on and around.
func (s *Scheduler) firstFrom(x *source, from int) int {
	found := -1
	take := func(i int) bool { found = i; return false }
	if scan(from, s.c.Leaves, s.open(x), take) {
		scan(0, from, s.open(x), take)
	}
	return found
}

// lowest picks from the front.
func (s *Scheduler) lowest(x *source, bytes int64, leaves int) (Span, bool) {
	for s.freeN > 0 && s.free[s.low] == 0 {
		s.low++
	}
	i := s.firstFrom(x, 64*s.low)
	if i < 0 {
		return Span{}, false
	}
	return s.extend(x, i, bytes, leaves, always), true
}

// onward picks for a source that has everything while no other downloader is known: front to back from where the
// source's rank said, and around.
func (s *Scheduler) onward(x *source, bytes int64, leaves int) (Span, bool) {
	if x.cursor == 0 {
		return s.lowest(x, bytes, leaves)
	}
	i := s.firstFrom(x, x.cursor)
	if i < 0 {
		return Span{}, false
	}
	r := s.extend(x, i, bytes, leaves, always)
	x.cursor = r.Hi % s.c.Leaves
	return r, true
}

// rarest picks for a downloader: what the fewest have, from a place of our own on, so that not all ask for the same.
func (s *Scheduler) rarest(x *source, bytes int64, leaves int) (Span, bool) {
	best, level, left := -1, math.MaxInt, budget
	look := func(i int) bool {
		if n := int(s.rarity[i]); n < level {
			best, level = i, n
		}
		left--
		return level > x.level && left > 0
	}
	if scan(x.cursor, s.c.Leaves, s.open(x), look) {
		scan(0, x.cursor, s.open(x), look)
	}
	if best < 0 {
		return Span{}, false
	}
	x.level = level
	r := s.extend(x, best, bytes, leaves, func(i int) bool { return int(s.rarity[i]) == level })
	x.cursor = r.Hi % s.c.Leaves
	return r, true
}

// place is which part of what only complete sources have is ours: stripe k if k modulo n is p.
type place struct{ p, n int }

// settle works out the place anew. All downloaders that know each other come to the same order.
func (s *Scheduler) settle() {
	names := []string{s.c.Self}
	for _, x := range s.sources {
		if x != nil && x.partial && x.haveN < s.c.Leaves {
			names = append(names, x.peer)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	s.place = place{slices.Index(names, s.c.Self), len(names)}
}

// mine tells whether leaf i is in one of our stripes.
func (s *Scheduler) mine(i int) bool { return i/s.stripe()%s.place.n == s.place.p }

// replan takes back what complete sources were asked for and is of others' stripes, but for the leaf that is on
// its way: it was asked for when these others were not known, and they ask for it too.
func (s *Scheduler) replan() {
	s.regroup = false
	for _, x := range s.sources {
		if x == nil || x.partial || x.outN < 2 {
			continue
		}
		head := x.out[0].Lo
		for _, r := range slices.Clone(x.out) {
			s.cancelIf(x, r, func(i int) bool { return i != head && !s.mine(i) })
		}
	}
}

// stripe returns the number of leaves in a stripe.
func (s *Scheduler) stripe() int { return int(min(max(stripeBytes/s.mean(), 1), stripeLeaves)) }

// turnOf returns 0 if stripe k is ours, and else how many come before us to take it from who does not get on with it.
func (p place) turnOf(k int) int {
	behind := (p.p - k%p.n + p.n) % p.n
	if behind == 0 {
		return 0
	}
	return 1 + (behind-1+k/p.n)%(p.n-1)
}

// portion picks for a source that has everything while there are other downloaders.
func (s *Scheduler) portion(x *source, bytes int64, leaves int) (Span, bool) {
	width := s.stripe()
	alone := func(i int) bool { return s.rarity == nil || s.rarity[i] == 0 }
	found := -1
	round := s.place.n * width // leaves of which everybody has a stripe
	rounds := (s.c.Leaves + round - 1) / round
	for k := 0; k < rounds && found < 0; k++ {
		lo := (x.cursor/round+k)%rounds*round + s.place.p*width
		scan(lo, min(lo+width, s.c.Leaves), s.open(x), func(i int) bool {
			if alone(i) {
				found = i
			}
			return found < 0
		})
	}
	if found >= 0 {
		x.cursor = found // a search from the same place each time would look at all that is done
		end := (found/width + 1) * width
		return s.extend(x, found, bytes, leaves, func(i int) bool { return i < end && alone(i) }), true
	}
	if r, ok := s.help(x, width, alone); ok {
		return r, true
	}
	return s.backlog(x)
}
