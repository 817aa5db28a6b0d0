package schedule

import (
	"math/bits"
	"slices"
	"time"
)

// Scheduler plans one download. Use New.
//
// A leaf that is wanted is in exactly one of these places until it is kept: free; out of one source; out of two sources
// (end-game); arrived (here and not kept). A leaf in late of a source may be anywhere besides.
type Scheduler struct {
	c    Config
	now  time.Time
	acts []Action

	free  set // wanted and asked of nobody
	freeN int
	low   int // all words of free before this one are 0
	here  set // arrived or kept
	kept  set // part of here
	heldN int // leaves that arrived and are not kept

	owner  []uint16       // tag of the source that a leaf is out of; 0: none
	second map[int]uint16 // the same for the second one; owner is set then
	outN   int            // leaves out of one source or two

	sources []*source // by tag-1; nil: not in use
	byID    map[int]*source
	count   int // sources

	partials int      // sources with partial set
	rarity   []uint16 // partial sources that have a leaf; nil while there never was one
	place    place    // of this downloader among those that still lack something

	regroup bool // place changed: what complete sources were asked for has to be looked at

	knownB, knownN int64  // sizes of leaves seen, for the mean
	turn           uint64 // when free leaves were last added or time passed; see source.dry
}

// New returns a scheduler that wants nothing yet.
func New(c Config) *Scheduler {
	if c.Patience <= 0 {
		c.Patience = 15 * time.Second
	}
	if c.Size == nil {
		c.Size = func(int) int { return 0 }
	}
	return &Scheduler{c: c, free: newSet(c.Leaves), here: newSet(c.Leaves), kept: newSet(c.Leaves),
		owner: make([]uint16, c.Leaves), second: make(map[int]uint16), byID: make(map[int]*source), turn: 1}
}

// Step takes note of an event and returns what to do. The slice is valid until the next Step.
func (s *Scheduler) Step(now time.Time, e Event) []Action {
	s.now, s.acts = now, s.acts[:0]
	switch e := e.(type) {
	case Joined:
		s.join(e)
	case Left:
		if x := s.byID[e.ID]; x != nil {
			s.leave(x)
			s.fillAll()
		}
	case Has:
		s.hasMore(e)
	case Arrived:
		s.arrived(e)
	case Missing:
		s.missing(e)
	case Skipped:
		s.skipped(e)
	case Progress:
		if x := s.byID[e.ID]; x != nil {
			stalled := x.stalled
			if x.alive(now); stalled {
				s.fill(x)
			}
		}
	case Want:
		s.want(e.Span)
		s.fillAll()
	case Unwant:
		s.unwant()
	case Kept:
		if s.held(e.Leaf) {
			s.kept.add(e.Leaf)
			s.heldN--
		}
	case Bad:
		if s.held(e.Leaf) {
			s.here.del(e.Leaf)
			s.heldN--
			s.put(e.Leaf)
			s.fillAll()
		}
	case Forget:
		s.forget(e.Leaf)
	case Tick:
		s.tick()
	}
	return s.acts
}

func (s *Scheduler) do(a Action) { s.acts = append(s.acts, a) }

func (s *Scheduler) valid(i int) bool { return i >= 0 && i < s.c.Leaves }

// held tells whether leaf i has arrived and waits for Kept or Bad.
func (s *Scheduler) held(i int) bool { return s.valid(i) && s.here.has(i) && !s.kept.has(i) }

// mean returns the bytes of a typical leaf, at least 1.
func (s *Scheduler) mean() int64 {
	if s.knownN == 0 {
		return 64 << 10
	}
	return max(1, s.knownB/s.knownN)
}

// size returns the bytes of leaf i, estimated if they are not known.
func (s *Scheduler) size(i int) int64 {
	if n := s.c.Size(i); n > 0 {
		return int64(n)
	}
	return s.mean()
}

// put makes leaf i free.
func (s *Scheduler) put(i int) {
	s.free.add(i)
	s.freeN++
	s.low = min(s.low, i/64)
	s.turn++
}

func (s *Scheduler) want(r Span) {
	for i := max(r.Lo, 0); i < min(r.Hi, s.c.Leaves); i++ {
		if s.here.has(i) || s.free.has(i) || s.owner[i] != 0 {
			continue
		}
		s.put(i)
		if n := s.c.Size(i); n > 0 {
			s.knownB += int64(n)
			s.knownN++
		}
	}
}

func (s *Scheduler) unwant() {
	for _, x := range s.sources {
		for x != nil && len(x.out) > 0 {
			s.cancel(x, x.out[0])
		}
	}
	clear(s.free)
	s.freeN = 0
}

func (s *Scheduler) forget(i int) {
	if !s.valid(i) || !s.here.has(i) {
		return
	}
	if !s.kept.has(i) {
		s.heldN--
	}
	s.here.del(i)
	s.kept.del(i)
}

func (s *Scheduler) join(e Joined) {
	x := &source{id: e.ID, peer: e.Peer, partial: e.Partial, window: firstWindow, level: 1, since: s.now, sign: s.now}
	tag := slices.Index(s.sources, nil)
	if tag < 0 {
		tag = len(s.sources)
		s.sources = append(s.sources, nil)
	}
	s.sources[tag] = x
	x.tag = uint16(tag + 1)
	s.byID[e.ID] = x
	s.count++
	if e.Partial {
		s.partials++
		x.cursor = start(s.c.Self+e.Peer, s.c.Leaves)
		s.settle()
		s.regroup = true
	} else if e.Rank > 0 {
		x.cursor = golden(e.Rank, s.c.Leaves)
	}
	s.fill(x)
}

// leave forgets x. What it was asked for goes back.
func (s *Scheduler) leave(x *source) {
	for len(x.out) > 0 {
		s.takeBack(x, x.out[0])
	}
	if x.partial {
		s.partials--
		scan(0, 64*len(x.has), func(w int) uint64 { return x.has[w] }, func(i int) bool { s.rarity[i]--; return true })
	}
	s.sources[x.tag-1] = nil
	delete(s.byID, x.id)
	s.count--
	s.settle()
	s.turn++
}

func (s *Scheduler) drop(x *source, err error) {
	s.leave(x)
	s.do(Drop{x.id, err})
	s.fillAll()
}

func (s *Scheduler) hasMore(e Has) {
	x := s.byID[e.ID]
	if x == nil || !x.partial {
		return
	}
	if x.has == nil {
		x.has = newSet(s.c.Leaves)
	}
	if s.rarity == nil {
		s.rarity = make([]uint16, s.c.Leaves)
	}
	before := x.haveN
	for k, b := range e.Bits {
		for ; b != 0; b &= b - 1 {
			i := e.Start + k*8 + bits.TrailingZeros8(b)
			if !s.valid(i) || x.has.has(i) || (x.lacks != nil && x.lacks.has(i)) {
				continue
			}
			x.has.add(i)
			x.haveN++
			s.rarity[i]++
			s.spare(i)
		}
	}
	if x.haveN == before {
		return
	}
	if x.haveN == s.c.Leaves {
		s.settle()
	}
	x.dry = 0
	s.fill(x)
	for _, v := range s.sources {
		if v != nil && !v.partial {
			s.fill(v) // for what it was spared
		}
	}
}

// spare cancels leaf i where a complete source was asked for it, now that a downloader has it, unless it is the next
// to come from there: whoever has everything is to send what nobody else has.
func (s *Scheduler) spare(i int) {
	tag := s.owner[i]
	if tag == 0 || s.c.Order != Rarest {
		return
	}
	v := s.sources[tag-1]
	if _, two := s.second[i]; two || v.partial || v.out[0].Lo == i {
		return
	}
	s.cancel(v, Span{i, i + 1})
}

// arrived is the usual event; it costs little.
func (s *Scheduler) arrived(e Arrived) {
	x := s.byID[e.ID]
	if x == nil {
		s.do(Discard{e.ID, e.Leaf})
		return
	}
	if !s.valid(e.Leaf) {
		s.drop(x, ErrUnasked)
		return
	}
	size := int64(e.Bytes)
	if size <= 0 {
		size = s.size(e.Leaf)
	} else if s.c.Size(e.Leaf) <= 0 {
		s.knownB += size
		s.knownN++
	}
	one := Span{e.Leaf, e.Leaf + 1}
	wanted := s.free.has(e.Leaf) || s.owner[e.Leaf] != 0
	switch {
	case s.isOut(x, e.Leaf):
		x.count(size, s.now)
		s.remove(x, one)
	case find(x.late, e.Leaf) >= 0:
		x.bytes += size
		x.late = cutOut(x.late, one)
		x.dry = 0
	default:
		s.drop(x, ErrUnasked)
		return
	}
	x.probe = false
	x.alive(s.now)
	if wanted {
		s.keep(x, e.Leaf)
	} else {
		s.do(Discard{x.id, e.Leaf})
	}
	s.fill(x)
}

// keep takes a wanted leaf from x; nobody else need send it then.
func (s *Scheduler) keep(x *source, i int) {
	s.do(Keep{x.id, i})
	s.here.add(i)
	s.heldN++
	if s.free.has(i) {
		s.free.del(i)
		s.freeN--
	}
	for s.owner[i] != 0 {
		y := s.sources[s.owner[i]-1]
		s.cancel(y, Span{i, i + 1})
		s.fill(y)
	}
}

func (s *Scheduler) missing(e Missing) {
	x := s.byID[e.ID]
	if x == nil {
		return
	}
	if !s.valid(e.Leaf) || !s.isOut(x, e.Leaf) && find(x.late, e.Leaf) < 0 {
		s.drop(x, ErrUnasked)
		return
	}
	one := Span{e.Leaf, e.Leaf + 1}
	if x.lacks == nil {
		x.lacks = newSet(s.c.Leaves)
	}
	x.lacks.add(e.Leaf)
	if x.partial && x.has.has(e.Leaf) {
		x.has.del(e.Leaf)
		x.haveN--
		s.rarity[e.Leaf]--
		s.settle()
	}
	x.late = cutOut(x.late, one)
	x.alive(s.now)
	s.takeBack(x, one)
	s.fillAll()
}

func (s *Scheduler) skipped(e Skipped) {
	x := s.byID[e.ID]
	if x == nil {
		return
	}
	for i := e.Lo; i < e.Hi; i++ {
		if find(x.late, i) < 0 {
			s.drop(x, ErrUnasked)
			return
		}
	}
	x.late = cutOut(x.late, e.Span)
	x.alive(s.now)
	x.dry = 0
	s.fill(x)
}

// Pending returns the number of wanted leaves that are not kept.
func (s *Scheduler) Pending() int { return s.freeN + s.outN + s.heldN }

// Stuck tells whether leaves are wanted, none is on its way, and no source that is there can give any.
func (s *Scheduler) Stuck() bool {
	if s.freeN == 0 || s.outN > 0 {
		return false
	}
	for _, x := range s.byID {
		if !scan(0, s.c.Leaves, func(w int) uint64 { return s.free[w] & x.word(w) }, func(int) bool { return false }) {
			return false
		}
	}
	return true
}

// Source returns the state of a source; false when it is not there.
func (s *Scheduler) Source(id int) (Source, bool) {
	x := s.byID[id]
	if x == nil {
		return Source{}, false
	}
	have := x.haveN
	if !x.partial {
		have = s.c.Leaves
		for _, w := range x.lacks {
			have -= bits.OnesCount64(w)
		}
	}
	return Source{Partial: x.partial, Have: have, Asked: x.outN, Bytes: x.bytes, Rate: x.rate, Stalled: x.stalled}, true
}

// Asked calls yield with each stretch of leaves on its way from a source, until yield returns false.
func (s *Scheduler) Asked(id int, yield func(Span) bool) {
	x := s.byID[id]
	if x == nil {
		return
	}
	for _, r := range x.out {
		if !yield(r) {
			return
		}
	}
}
