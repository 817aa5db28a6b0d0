package schedule

import "math"

// Times in seconds.
const (
	soon     = 0.5  // not worth a second request
	quick    = 0.2  // not worth taking work from who has it
	clearly  = 0.75 // share of the time the other needs
	sparing  = 5.0  // what asking a complete source for what a downloader has must save
	trust    = 1.5  // at most that long is the owner of a stripe waited for
	doubled  = 1.5  // what asking a downloader for what another one was asked for must save besides
	creditOf = 1.5  // times what the owner of a stripe should need for it
)

// help picks, for a complete source that has nothing of our own stripes left, from the stripes of others, from the
// back. Who has more left than it is about to ask for is helped by those whose turn it is, with a stripe at a time;
// who has little is trusted to bring it, until it takes clearly longer than it should.
func (s *Scheduler) help(x *source, width int, alone func(i int) bool) (Span, bool) {
	n := s.place.n
	if x.outN > 0 {
		return Span{}, false
	}
	left, back := make([]int, n), make([]int, n)
	enough := int(s.limit(x)/s.mean()) + 2*width
	late, turn := -1, math.MaxInt
	look := budget
	scanDown(0, s.c.Leaves, s.open(x), func(i int) bool {
		look--
		if !alone(i) {
			return look > 0
		}
		k := i / width
		left[k%n]++
		t := s.place.turnOf(k)
		if t < turn {
			late, turn = i, t
		}
		if t == 1 && back[k%n] == 0 {
			back[k%n] = i + 1
		}
		return look > 0
	})
	most := 0
	for p := range left {
		if back[p] > 0 && left[p] > left[most] || back[most] == 0 {
			most = p
		}
	}
	if hi := back[most]; hi > 0 && left[most] > enough {
		return s.backTo(x, hi-1, alone), true
	}
	if late < 0 {
		return Span{}, false
	}
	need := x.eta(int64(left[late/width%n])*s.size(late), s.mean(), s.now)
	wait := min(creditOf*need+soon, trust) + float64(turn-1)*(soon+x.eta(s.size(late), s.mean(), s.now))/2
	if s.now.Sub(x.since).Seconds() < wait {
		return Span{}, false
	}
	return Span{late, late + 1}, true
}

// backlog picks, for a complete source that is idle, what downloaders have, if they need long for all they can give
// and it would be a real help.
func (s *Scheduler) backlog(x *source) (Span, bool) {
	var rates float64
	left := int64(s.freeN) * s.mean()
	for _, y := range s.sources {
		if y == nil || !y.partial || y.stalled || y.haveN == 0 {
			continue
		}
		if y.rate == 0 && s.now.Sub(y.since).Seconds() < sparing {
			return Span{}, false // not known yet
		}
		rates += y.speed(s.mean(), s.now)
		left += y.outB
	}
	last := -1
	scanDown(0, s.c.Leaves, s.open(x), func(i int) bool { last = i; return false })
	if last < 0 || float64(left) < sparing*rates || x.rate > 0 && x.rate < rates/2 {
		return Span{}, false
	}
	return s.backTo(x, last, always), true
}

// backTo makes a range that ends with leaf i and is within its stripe, of leaves that are free, that x gives and that ok
// allows.
func (s *Scheduler) backTo(x *source, i int, ok func(i int) bool) Span {
	width := s.stripe()
	lo := i
	for lo > i/width*width && s.free.has(lo-1) && x.gives(lo-1) && ok(lo-1) {
		lo--
	}
	return Span{lo, i + 1}
}

// relieve gives x, for which nothing is free, up to so many bytes of the work of a source that needs longer.
func (s *Scheduler) relieve(x *source, room int64) (Span, bool) {
	if s.outN == 0 || x.probe {
		return Span{}, false
	}
	leaf := s.mean()
	mine := x.eta(x.outB, leaf, s.now)
	if x.outN > 0 && mine > soon/2 {
		return Span{}, false
	}
	if s.c.Order == Rarest {
		if v, r := s.steal(x, mine, room); v != nil {
			s.cancel(v, r)
			return r, true
		}
	}
	if x.outN > 0 {
		return Span{}, false
	}
	return s.again(x)
}

// worth tells whether it pays that x, after its own work of mine seconds, does what needs did seconds instead of
// v, which needs need; gain is what it has to bring. A complete source is spared what a downloader has.
func worth(x, v *source, mine, did, need, gain float64) bool {
	if v.partial && !x.partial {
		return need >= sparing+mine+did && did <= (need-mine)/3
	}
	if v.partial && x.partial {
		gain += doubled // what is cancelled while it is sent comes in vain
	}
	return need >= gain+mine && did <= clearly*(need-mine)
}

// took returns the seconds for so many bytes, 0 if the rate is not known.
func took(bytes int64, rate float64) float64 {
	if rate == 0 {
		return 0
	}
	return float64(bytes) / rate
}

// steal picks the later part of the work of the source that needs longest, so that both are done at the same time.
// The first leaf of the victim is left alone: it may be here any moment.
func (s *Scheduler) steal(x *source, mine float64, room int64) (victim *source, best Span) {
	leaf := s.mean()
	fast := x.speed(leaf, s.now)
	var longest float64
	for _, v := range s.sources {
		if v == nil || v == x || v.outN < 2 {
			continue
		}
		need := v.eta(v.outB, leaf, s.now)
		if need <= longest || !worth(x, v, mine, took(leaf, fast), need, quick) {
			continue
		}
		part := v.outB / 2
		if slow := v.speed(leaf, s.now); fast > 0 {
			part = int64((need - mine) * slow * fast / (slow + fast))
		}
		if r := s.tail(v, x, min(part, room)); r.Len() > 0 {
			victim, best, longest = v, r, need
		}
	}
	return victim, best
}

// tail returns the last stretch of what v alone was asked for and x can give, of about so many bytes.
func (s *Scheduler) tail(v, x *source, bytes int64) Span {
	head := v.out[0].Lo
	for n := len(v.out) - 1; n >= 0; n-- {
		r := v.out[n]
		hi := r.Hi
		lo := hi
		for i := r.Hi - 1; i >= r.Lo; i-- {
			fits := i != head && s.owner[i] == v.tag && x.gives(i)
			if _, two := s.second[i]; two {
				fits = false
			}
			if !fits {
				if lo < hi {
					break
				}
				lo, hi = i, i
				continue
			}
			bytes -= s.size(i)
			if bytes < 0 && lo < hi || hi-i > rangeLeaves {
				break
			}
			lo = i
		}
		if lo < hi {
			return Span{lo, hi}
		}
	}
	return Span{}
}

// again is the end-game: it picks a leaf that one other source was asked for and is not expected to bring soon.
func (s *Scheduler) again(x *source) (Span, bool) {
	leaf := s.mean()
	fast := x.speed(leaf, s.now)
	best, longest := -1, 0.0
	for _, v := range s.sources {
		if v == nil || v == x || v.outN == 0 || v.eta(v.outB, leaf, s.now) < soon {
			continue
		}
		var before int64
		for _, r := range v.out {
			for i := r.Lo; i < r.Hi; i++ {
				size := s.size(i)
				before += size
				if _, two := s.second[i]; two || s.owner[i] != v.tag || !x.gives(i) {
					continue
				}
				need := v.eta(before, leaf, s.now)
				if !worth(x, v, 0, took(size, fast), need, soon) {
					continue
				}
				better := need > longest
				if s.c.Order == InOrder {
					better = best < 0 || i < best
				}
				if better {
					best, longest = i, need
				}
			}
		}
	}
	return Span{best, best + 1}, best >= 0
}
