package schedule

import (
	"cmp"
	"slices"
)

// Limits of what is on its way from a source, and of one request.
const (
	firstWindow  = 2 << 20  // bytes
	maxWindow    = 32 << 20 // bytes
	maxLeaves    = 2048     // on their way
	swarmWindow  = 256 << 10
	rangeBytes   = 16 << 20 // at most in one request, unless one leaf alone is larger
	rangeLeaves  = 1024     // at most in one request
	rangeFloor   = 1 << 20  // bytes under which sharing out evenly is not worth a request
	stripeBytes  = 1 << 20  // in a stripe, but
	stripeLeaves = 256      // at most so many leaves
	worthAlone   = 2.0      // seconds of the rate seen to have on its way
	worthInSwarm = 1.0      // the same with other downloaders: what is asked early is not asked of who has it by then
)

// isOut tells whether x was asked for i and has neither delivered it nor been told to cancel it.
func (s *Scheduler) isOut(x *source, i int) bool {
	return s.owner[i] == x.tag || s.owner[i] != 0 && len(s.second) > 0 && s.second[i] == x.tag
}

// ask gives r to x. Leaves in it are free, or out of one other source (end-game).
func (s *Scheduler) ask(x *source, r Span) {
	if !x.owes() {
		x.sign = s.now
	}
	if x.outN == 0 {
		x.begins(s.now)
	}
	for i := r.Lo; i < r.Hi; i++ {
		if s.free.has(i) {
			s.free.del(i)
			s.freeN--
			s.owner[i] = x.tag
			s.outN++
		} else {
			s.second[i] = x.tag
		}
		x.outB += s.size(i)
	}
	x.outN += r.Len()
	x.out = push(x.out, r)
	if n := len(s.acts) - 1; n >= 0 {
		if last, ok := s.acts[n].(Request); ok && last.ID == x.id && last.Hi == r.Lo && s.oneRequest(Span{last.Lo, r.Hi}) {
			s.acts[n] = Request{x.id, Span{last.Lo, r.Hi}}
			return
		}
	}
	s.do(Request{x.id, r})
}

// oneRequest tells whether r is small enough for one request and out of nobody else.
func (s *Scheduler) oneRequest(r Span) bool {
	if r.Len() > rangeLeaves || int64(r.Len())*s.mean() > rangeBytes {
		return false
	}
	for i := r.Lo; i < r.Hi && len(s.second) > 0; i++ {
		if _, two := s.second[i]; two {
			return false
		}
	}
	return true
}

// remove takes r, which is within one span of x.out, out of it. A leaf that is out of nobody else after that is
// nowhere: the caller sees to it.
func (s *Scheduler) remove(x *source, r Span) {
	x.out = cutOut(x.out, r)
	x.outN -= r.Len()
	for i := r.Lo; i < r.Hi; i++ {
		x.outB -= s.size(i)
		other, two := s.second[i]
		switch {
		case !two:
			s.owner[i] = 0
			s.outN--
		case other != x.tag:
			s.owner[i] = other
			fallthrough
		default:
			delete(s.second, i)
		}
	}
	if x.outN == 0 {
		x.outB = 0
		x.ends(s.now)
	}
	x.outB = max(x.outB, 0)
}

// takeBack removes r and makes free what is wanted still.
func (s *Scheduler) takeBack(x *source, r Span) {
	for i := r.Lo; i < r.Hi; i++ {
		if !s.isOut(x, i) {
			continue
		}
		s.remove(x, Span{i, i + 1})
		if s.owner[i] == 0 && !s.here.has(i) {
			s.put(i)
		}
	}
}

// cancel tells x that r, which is within one span of x.out, need not come, and takes it back.
func (s *Scheduler) cancel(x *source, r Span) {
	s.do(Cancel{x.id, r})
	s.takeBack(x, r)
	x.late = push(x.late, r)
	x.dry = 0
}

// cancelIf cancels those leaves of r, which is a span of x.out, for which cond holds.
func (s *Scheduler) cancelIf(x *source, r Span, cond func(i int) bool) {
	lo := r.Lo
	for i := r.Lo; i <= r.Hi; i++ {
		if i < r.Hi && cond(i) {
			continue
		}
		if lo < i {
			s.cancel(x, Span{lo, i})
		}
		lo = i + 1
	}
}

// limit returns the bytes to have on their way from x.
func (s *Scheduler) limit(x *source) int64 {
	floor, worth := int64(firstWindow), worthAlone
	if s.partials > 0 {
		floor, worth = swarmWindow, worthInSwarm
	}
	top := int64(maxWindow)
	if x.rate > 0 {
		top = min(top, int64(x.rate*worth))
	}
	limit := max(min(x.window, top), floor, 2*s.mean())
	if s.partials == 0 && s.count > 1 {
		limit = min(limit, s.share(x))
	}
	return limit
}

// share returns x's part, by rate, of the bytes that are free or on their way, so that all sources end together.
func (s *Scheduler) share(x *source) int64 {
	var sum, known, well float64
	for _, y := range s.sources {
		if y == nil || y.stalled {
			continue
		}
		well++
		if y.rate > 0 {
			sum += y.rate
			known++
		}
	}
	part := 1 / max(well, 1)
	if x.rate > 0 {
		part *= x.rate * known / sum
	}
	least := int64(rangeFloor)
	if s.c.Order == InOrder {
		least = 1
	}
	return max(int64(float64(s.freeN+s.outN)*float64(s.mean())*part), least)
}

// room returns how much more x may be asked for: bytes and leaves, both 0 if it is not time to ask.
func (s *Scheduler) room(x *source) (int64, int) {
	if x.probe {
		if x.outN > 0 {
			return 0, 0
		}
		return 1, 1
	}
	limit := s.limit(x)
	if x.outN > 1 && (x.outB > limit-limit/4 || x.outN > maxLeaves-maxLeaves/4) {
		return 0, 0
	}
	if x.outB >= limit && (x.outN > 1 || s.c.Order == InOrder) {
		return 0, 0
	}
	// Two leaves at least are on their way: while one comes the source knows the next.
	return max(limit-x.outB, 1), maxLeaves - x.outN
}

// fillAll asks all sources for what they have room for: downloaders first, so that what they have is not asked of a
// source that has everything, and the faster before the slower.
func (s *Scheduler) fillAll() {
	all := make([]*source, 0, s.count)
	for _, x := range s.sources {
		if x != nil {
			all = append(all, x)
		}
	}
	slices.SortStableFunc(all, func(a, b *source) int {
		if a.partial != b.partial {
			if a.partial {
				return -1
			}
			return 1
		}
		return cmp.Compare(b.rate, a.rate)
	})
	for _, x := range all {
		s.fill(x)
	}
}

// fill asks x for as much as it has room for.
func (s *Scheduler) fill(x *source) {
	if x.stalled || x.dry == s.turn || s.sources[x.tag-1] != x {
		return
	}
	for {
		bytes, leaves := s.room(x)
		if bytes == 0 {
			return
		}
		for bytes > 0 && leaves > 0 {
			r, ok := s.pick(x, bytes, leaves)
			if !ok {
				r, ok = s.relieve(x, bytes)
			}
			if !ok {
				x.dry = s.turn
				return
			}
			s.ask(x, r)
			for i := r.Lo; i < r.Hi; i++ {
				bytes -= s.size(i)
			}
			leaves -= r.Len()
		}
	}
}
