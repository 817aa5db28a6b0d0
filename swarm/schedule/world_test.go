package schedule

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// world is the stupid twin: it follows a Scheduler from the outside, with maps, and objects to every action that the
// package's promises do not allow. It is used in all tests.
type world struct {
	t      testing.TB
	s      *Scheduler
	c      Config
	now    time.Time
	wanted map[int]bool // and not arrived
	here   map[int]bool // arrived or kept
	kept   map[int]bool
	peers  map[int]*peer
	log    func(format string, args ...any)
}

// peer is a source as the world sees it.
type peer struct {
	partial bool
	has     map[int]bool // partial
	lacks   map[int]bool
	out     map[int]bool
	order   []int // out, as asked
	late    map[int]bool
}

func (p *peer) gives(i int) bool { return !p.lacks[i] && (!p.partial || p.has[i]) }

func newWorld(t testing.TB, c Config) *world {
	return &world{t: t, s: New(c), c: c, now: time.Unix(1e9, 0), wanted: map[int]bool{}, here: map[int]bool{},
		kept: map[int]bool{}, peers: map[int]*peer{}, log: func(string, ...any) {}}
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("%v: %s", w.now.Sub(time.Unix(1e9, 0)), fmt.Sprintf(format, args...))
}

// step passes e on and checks what comes back.
func (w *world) step(e Event) []Action {
	w.t.Helper()
	w.log("%T%v", e, e)
	unasked, answer := w.before(e)
	acts := w.s.Step(w.now, e)
	w.after(e, unasked, answer, acts)
	w.check()
	return acts
}

// before follows an event. It tells whether it is one for which the source has to be dropped, and the answer to
// Arrived.
func (w *world) before(e Event) (unasked bool, answer Action) {
	switch e := e.(type) {
	case Joined:
		w.peers[e.ID] = &peer{partial: e.Partial, has: map[int]bool{}, lacks: map[int]bool{}, out: map[int]bool{}, late: map[int]bool{}}
	case Left:
		delete(w.peers, e.ID)
	case Has:
		for k := range len(e.Bits) * 8 {
			if p := w.peers[e.ID]; p != nil && e.Bits[k/8]&(1<<(k%8)) != 0 && e.Start+k < w.c.Leaves {
				p.has[e.Start+k] = true
			}
		}
	case Arrived:
		p := w.peers[e.ID]
		switch {
		case p == nil:
			return false, Discard{e.ID, e.Leaf}
		case !p.out[e.Leaf] && !p.late[e.Leaf]:
			return true, nil
		}
		p.gone(e.Leaf)
		delete(p.late, e.Leaf)
		if !w.wanted[e.Leaf] {
			return false, Discard{e.ID, e.Leaf}
		}
		delete(w.wanted, e.Leaf)
		w.here[e.Leaf] = true
		return false, Keep{e.ID, e.Leaf}
	case Missing:
		p := w.peers[e.ID]
		if p == nil {
			return false, nil
		}
		if !p.out[e.Leaf] && !p.late[e.Leaf] {
			return true, nil
		}
		p.gone(e.Leaf)
		delete(p.late, e.Leaf)
		p.lacks[e.Leaf] = true
	case Skipped:
		for i := e.Lo; i < e.Hi; i++ {
			if p := w.peers[e.ID]; p != nil {
				unasked = unasked || !p.late[i]
				delete(p.late, i)
			}
		}
		return unasked, nil
	default:
		w.leaves(e)
	}
	return false, nil
}

// leaves follows an event about leaves.
func (w *world) leaves(e Event) {
	switch e := e.(type) {
	case Want:
		for i := e.Lo; i < e.Hi; i++ {
			if !w.here[i] {
				w.wanted[i] = true
			}
		}
	case Unwant:
		clear(w.wanted)
	case Kept:
		if w.here[e.Leaf] {
			w.kept[e.Leaf] = true
		}
	case Bad:
		if w.here[e.Leaf] && !w.kept[e.Leaf] {
			delete(w.here, e.Leaf)
			w.wanted[e.Leaf] = true
		}
	case Forget:
		delete(w.here, e.Leaf)
		delete(w.kept, e.Leaf)
	}
}

func (p *peer) gone(i int) {
	delete(p.out, i)
	for n, k := range p.order {
		if k == i {
			p.order = append(p.order[:n:n], p.order[n+1:]...)
			break
		}
	}
}

// after checks actions.
func (w *world) after(e Event, unasked bool, answer Action, acts []Action) {
	w.t.Helper()
	for _, a := range acts {
		w.log("    %T%v", a, a)
		switch a := a.(type) {
		case Keep, Discard:
			if a != answer {
				w.fail("%T%v: %T%v; expected %T%v", e, e, a, a, answer, answer)
			}
			answer = nil
		case Drop:
			w.dropped(e, unasked, a)
			unasked = false
		case Request:
			w.requested(a)
		case Cancel:
			p := w.peers[a.ID]
			for i := a.Lo; i < a.Hi; i++ {
				if p == nil || !p.out[i] {
					w.fail("leaf %d cancelled at %d, which is not asked for it", i, a.ID)
				}
				p.gone(i)
				p.late[i] = true
			}
		}
	}
	if answer != nil || unasked {
		w.fail("%T%v was not answered (%v): %v", e, e, answer, acts)
	}
}

func (w *world) dropped(e Event, unasked bool, a Drop) {
	w.t.Helper()
	_, tick := e.(Tick)
	if !(unasked && errors.Is(a.Err, ErrUnasked)) && !(tick && errors.Is(a.Err, ErrStalled)) {
		w.fail("%T%v: dropped %d: %v", e, e, a.ID, a.Err)
	}
	delete(w.peers, a.ID)
}

func (w *world) requested(a Request) {
	w.t.Helper()
	p := w.peers[a.ID]
	if p == nil || a.Len() <= 0 || a.Len() > rangeLeaves {
		w.fail("bad request %v", a)
	}
	for i := a.Lo; i < a.Hi; i++ {
		switch {
		case i < 0 || i >= w.c.Leaves || !w.wanted[i]:
			w.fail("leaf %d requested, which is not wanted", i)
		case p.out[i] || p.late[i]:
			w.fail("leaf %d requested again of %d", i, a.ID)
		case !p.gives(i):
			w.fail("leaf %d requested of %d, which does not have it", i, a.ID)
		}
		asked := w.askedOf(i)
		if asked > 1 || asked == 1 && a.Len() > 1 {
			w.fail("leaf %d requested of a third source or not alone", i)
		}
		if asked == 1 {
			for k := range w.wanted {
				if w.askedOf(k) == 0 && p.gives(k) && !p.late[k] && !w.spared(p, k) {
					w.fail("leaf %d requested of %d for a second time, but %d is free", i, a.ID, k)
				}
			}
		}
		p.out[i] = true
		p.order = append(p.order, i)
	}
}

// spared tells whether k is for somebody else to ask p for, or for another source.
func (w *world) spared(p *peer, k int) bool {
	if p.partial || w.c.Order == InOrder {
		return false
	}
	for _, q := range w.peers {
		if q.partial {
			return true
		}
	}
	return false
}

func (w *world) askedOf(i int) (n int) {
	for _, p := range w.peers {
		if p.out[i] {
			n++
		}
	}
	return n
}

// check compares what both think, and the Scheduler's books with each other.
func (w *world) check() {
	w.t.Helper()
	pending := len(w.wanted) + len(w.here) - len(w.kept)
	if got := w.s.Pending(); got != pending {
		w.fail("Pending is %d, must be %d", got, pending)
	}
	if err := w.s.consistent(); err != nil {
		w.fail("%v", err)
	}
	able := false
	for id, p := range w.peers {
		src, ok := w.s.Source(id)
		n := 0
		w.s.Asked(id, func(r Span) bool {
			for i := r.Lo; i < r.Hi; i++ {
				if !p.out[i] || !w.wanted[i] {
					w.fail("leaf %d is out of %d, says Asked", i, id)
				}
				n++
			}
			return true
		})
		if !ok || src.Asked != len(p.out) || n != len(p.out) || src.Partial != p.partial {
			w.fail("source %d: %+v, %d by Asked, must have %d", id, src, n, len(p.out))
		}
		for i := range w.wanted {
			able = able || p.gives(i) || p.out[i]
		}
	}
	for i := range w.wanted {
		if n := w.askedOf(i); n == 0 != w.s.free.has(i) {
			w.fail("leaf %d is asked of %d, free is %v", i, n, w.s.free.has(i))
		}
	}
	// A cancelled leaf is not asked for until it is known not to come, but it may come.
	if stuck := w.s.Stuck(); stuck && able && !w.anyLate() || !stuck && len(w.wanted) > 0 && !able {
		w.fail("Stuck is %v", stuck)
	}
}

func (w *world) anyLate() bool {
	for _, p := range w.peers {
		if len(p.late) > 0 {
			return true
		}
	}
	return false
}

// consistent checks the invariants that the fields of a Scheduler promise.
func (s *Scheduler) consistent() error {
	out := map[int]int{}
	rarity := make([]uint16, s.c.Leaves)
	partials := 0
	for _, x := range s.sources {
		if x == nil {
			continue
		}
		if x.partial {
			partials++
		}
		n, have := 0, 0
		for _, r := range x.out {
			for i := r.Lo; i < r.Hi; i++ {
				n++
				out[i]++
				if !s.isOut(x, i) || !x.gives(i) {
					return fmt.Errorf("leaf %d is in out of %d, owner %d", i, x.id, s.owner[i])
				}
			}
		}
		for i := range s.c.Leaves {
			if x.has != nil && x.has.has(i) {
				have++
				rarity[i]++
			}
		}
		if n != x.outN || have != x.haveN || x.outN > maxLeaves {
			return fmt.Errorf("source %d: outN %d is %d, haveN %d is %d", x.id, x.outN, n, x.haveN, have)
		}
		if x.outN > 2 && x.outB > maxWindow+2<<20 { // the last leaf of a request may not fit
			return fmt.Errorf("source %d: %d bytes on their way", x.id, x.outB)
		}
	}
	free, held := 0, 0
	for i := range s.c.Leaves {
		places := 0
		if s.free.has(i) {
			free++
			places++
		}
		if s.here.has(i) {
			places++
			if !s.kept.has(i) {
				held++
			}
		}
		if out[i] > 0 {
			places++
		}
		_, two := s.second[i]
		if places > 1 || (out[i] > 0) != (s.owner[i] != 0) || (out[i] == 2) != two || out[i] > 2 || s.kept.has(i) && !s.here.has(i) {
			return fmt.Errorf("leaf %d is in %d places, out %d times, owner %d, two %v", i, places, out[i], s.owner[i], two)
		}
		if s.rarity != nil && s.rarity[i] != rarity[i] {
			return fmt.Errorf("rarity of %d is %d, must be %d", i, s.rarity[i], rarity[i])
		}
	}
	if free != s.freeN || held != s.heldN || len(out) != s.outN || partials != s.partials {
		return fmt.Errorf("freeN %d is %d, heldN %d is %d, outN %d is %d", s.freeN, free, s.heldN, held, s.outN, len(out))
	}
	return nil
}
