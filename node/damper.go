package node

import (
	"iter"
	"time"
)

const (
	dampBurst  = 10               // of one kind that pass at once
	dampEvery  = 30 * time.Second // after which another one passes
	dampAll    = 200              // of all kinds that pass at once
	dampAllPer = 2 * time.Second  // after which another one passes
	dampKinds  = 1024             // that are told apart; more share one
	dampOthers = "others"
)

// damper lets the first of many equal events pass and counts the rest. Time is an argument. Not safe for concurrent
// use.
type damper struct {
	all   bucket
	kinds map[string]*bucket
	swept time.Time // when kinds were last forgotten for want of room
}

// bucket is a token bucket that counts from a time at which it is empty of events.
type bucket struct {
	free time.Time // when everything that passed has been paid for
	left uint64    // did not pass since the last count
}

func newDamper() *damper { return &damper{kinds: map[string]*bucket{}} }

// let tells whether an event of a kind passes.
func (d *damper) let(now time.Time, kind string) bool {
	b := d.kinds[kind]
	if b == nil {
		if since := now.Sub(d.swept); len(d.kinds) >= dampKinds && (since < 0 || since >= dampEvery) {
			d.swept = now
			d.forget(now)
		}
		if len(d.kinds) >= dampKinds {
			kind = dampOthers
		}
		if b = d.kinds[kind]; b == nil {
			b = &bucket{}
			d.kinds[kind] = b
		}
	}
	full, allFull := b.full(now, dampBurst, dampEvery), d.all.full(now, dampAll, dampAllPer)
	if full || allFull {
		b.left++
		return false
	}
	b.pay(now, dampEvery)
	d.all.pay(now, dampAllPer)
	return true
}

// rest yields what did not pass since the last call, and how often, and forgets kinds that have been quiet.
func (d *damper) rest(now time.Time) iter.Seq2[string, uint64] {
	return func(yield func(string, uint64) bool) {
		for kind, b := range d.kinds {
			n := b.left
			b.left = 0
			if n > 0 && !yield(kind, n) {
				return
			}
		}
		d.forget(now)
	}
}

func (d *damper) forget(now time.Time) {
	for kind, b := range d.kinds {
		if ahead := b.free.Sub(now); b.left == 0 && (ahead <= 0 || ahead > dampBurst*dampEvery) { // or from before the clock was set back
			delete(d.kinds, kind)
		}
	}
}

func (b *bucket) full(now time.Time, burst int, every time.Duration) bool {
	// A clock that was set back must not shut the bucket for long.
	if most := now.Add(time.Duration(burst) * every); b.free.After(most) {
		b.free = most
	}
	return b.free.Sub(now) > time.Duration(burst-1)*every
}

func (b *bucket) pay(now time.Time, every time.Duration) {
	if b.free.Before(now) {
		b.free = now
	}
	b.free = b.free.Add(every)
}
