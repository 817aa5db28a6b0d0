package schedule

import (
	"slices"
	"time"
)

// stallAfter is how long a source that owes something may show no sign of life before others get its work.
const stallAfter = 3 * time.Second

// tick does what follows from time alone.
func (s *Scheduler) tick() {
	s.turn++
	for _, x := range s.sources {
		if x == nil {
			continue
		}
		x.level = 1
		if !x.owes() {
			continue
		}
		quiet := s.now.Sub(x.sign)
		if quiet >= s.c.Patience {
			s.leave(x)
			s.do(Drop{x.id, ErrStalled})
			continue
		}
		if quiet >= stallAfter && x.outN > 0 {
			x.stalled = true
		}
	}
	for _, x := range s.sources {
		if x != nil && x.stalled {
			s.handOver(x)
		}
	}
	if s.regroup && s.c.Order == Rarest {
		s.replan()
	}
	s.fillAll()
}

// handOver takes from a stalled source what another one can give. The rest stays with it.
func (s *Scheduler) handOver(x *source) {
	for _, r := range slices.Clone(x.out) {
		s.cancelIf(x, r, func(i int) bool { return s.given(i, x) })
	}
}

// given tells whether a source that is well, other than x, can give i.
func (s *Scheduler) given(i int, x *source) bool {
	for _, y := range s.sources {
		if y != nil && y != x && !y.stalled && y.gives(i) {
			return true
		}
	}
	return false
}
