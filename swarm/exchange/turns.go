package exchange

import (
	"slices"
	"sync"
	"time"
)

// Bounds of turns.
const (
	turnsAtOnce = 2
	// turnTime is how long a turn keeps others waiting. A line on which a leaf takes longer has the turn beside others.
	turnTime = time.Second
)

// turns lets few sessions send content at a time, the one that was given least first, so that downloaders get equal
// shares by bytes. Without them the kernel decides: of eight TCP connections through one full queue two were seen to
// get everything for seconds. It is also better for a swarm to have one leaf whole soon than eight at an eighth of
// the rate: what is whole can be passed on. The zero value is ready.
type turns struct {
	mu      sync.Mutex
	holders []*turn
	waiting []*turn
	least   int64 // bytes given to whoever had the last turn before he had it
}

// turn is one session's place. Its fields are guarded by turns.mu.
type turn struct {
	given int64 // bytes of content, from the level at which it began to wait
	since time.Time
	ready chan struct{} // capacity 1
}

func newTurn() *turn { return &turn{ready: make(chan struct{}, 1)} }

// want asks for a turn. The caller asks has until it has it, and then owes give.
func (t *turns) want(me *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	me.given = max(me.given, t.least) // what was not wanted earlier is not made up for
	t.waiting = append(t.waiting, me)
	t.next(time.Now())
}

// has tells whether me has its turn by now, and otherwise when to look again, if not woken through ready before.
func (t *turns) has(me *turn) (bool, time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	t.next(now)
	return slices.Contains(t.holders, me), t.late(now)
}

// give ends a turn in which n bytes were sent, or a wait for one.
func (t *turns) give(me *turn, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	me.given += int64(n)
	t.holders, t.waiting = without(t.holders, me), without(t.waiting, me)
	t.next(time.Now())
}

// next hands out turns that are free. mu is held.
func (t *turns) next(now time.Time) {
	for len(t.waiting) > 0 && t.busy(now) < turnsAtOnce {
		me := slices.MinFunc(t.waiting, func(a, b *turn) int { return int(min(max(a.given-b.given, -1), 1)) })
		t.waiting = without(t.waiting, me)
		t.holders = append(t.holders, me)
		t.least, me.since = me.given, now
		select {
		case me.ready <- struct{}{}:
		default:
		}
	}
}

// busy counts the turns that keep others waiting. mu is held.
func (t *turns) busy(now time.Time) (n int) {
	for _, h := range t.holders {
		if now.Sub(h.since) < turnTime {
			n++
		}
	}
	return n
}

// late is when the next turn stops to keep others waiting. mu is held.
func (t *turns) late(now time.Time) time.Duration {
	first := turnTime
	for _, h := range t.holders {
		if left := turnTime - now.Sub(h.since); left > 0 {
			first = min(first, left)
		}
	}
	return first
}

func without(ts []*turn, me *turn) []*turn {
	return slices.DeleteFunc(ts, func(t *turn) bool { return t == me })
}
