package schedule

import (
	"math"
	"time"
)

// sample is how long the rate of a source is taken over.
const sample = 500 * time.Millisecond

// source is what the Scheduler keeps per source.
type source struct {
	id      int
	tag     uint16 // stands for it in Scheduler.owner; never 0
	peer    string
	partial bool

	has   set // partial: leaves that it has, nil while it has none
	haveN int // partial: number of leaves in has
	lacks set // leaves it said it can not give; nil while there are none

	out  []Span // asked and neither arrived nor cancelled, in the order asked; no leaf twice, none that is in late
	outN int    // leaves in out
	outB int64  // bytes in out
	late []Span // cancelled; may come all the same until Skipped says no

	cursor int // where the search for leaves begins
	level  int // partial: rarity that is good enough

	window int64 // bytes that may be on their way, before limits
	bytes  int64 // arrived

	// The running sample of the rate. Only time in which something is asked counts.
	rate    float64       // bytes per second; 0: not known
	got     int64         // bytes in the sample
	gone    time.Duration // of the sample, up to since
	since   time.Time     // from when time counts while outN > 0, else from when the source is idle
	arrival time.Time     // of the last leaf, or when out became non-empty

	sign    time.Time // last sign of life, or when it began to owe something
	stalled bool      // no sign for a while; it is asked for nothing
	probe   bool      // it was stalled: one leaf at a time until one has come
	dry     uint64    // Scheduler.turn at which there was nothing for it; 0: has to be looked at
}

// owes tells whether something should come from x.
func (x *source) owes() bool { return x.outN > 0 || len(x.late) > 0 }

// elapsed returns how long the sample of the rate is running.
func (x *source) elapsed(now time.Time) time.Duration {
	if x.outN > 0 {
		return x.gone + now.Sub(x.since)
	}
	return x.gone
}

// begins and ends note that out becomes non-empty and empty.
func (x *source) begins(now time.Time) { x.since, x.arrival = now, now }
func (x *source) ends(now time.Time)   { x.gone, x.since = x.gone+now.Sub(x.since), now }

// count takes note of n bytes that arrived.
func (x *source) count(n int64, now time.Time) {
	x.bytes += n
	x.got += n
	x.window += n
	x.arrival = now
	took := x.elapsed(now)
	if took < sample {
		return
	}
	r := float64(x.got) / took.Seconds()
	if x.rate > 0 {
		r = (x.rate + r) / 2
	}
	x.rate = r
	x.got, x.gone = 0, 0
	if x.outN > 0 {
		x.since = now
	}
}

// speed returns the bytes per second to expect of x, 0 if nothing is known. Waiting for a leaf of the given size
// lowers it.
func (x *source) speed(leaf int64, now time.Time) float64 {
	took := x.elapsed(now)
	if took < sample {
		return x.rate
	}
	bound := float64(x.got+leaf) / took.Seconds()
	if x.rate == 0 {
		return bound
	}
	return min(x.rate, bound)
}

// eta returns the seconds until x has delivered n bytes more, of leaves of the given size; +Inf never comes out. A source
// about which nothing is known yet is given credit.
func (x *source) eta(n, leaf int64, now time.Time) float64 {
	r := x.speed(leaf, now)
	if r == 0 {
		return 0
	}
	left := float64(n) / r
	if wait := now.Sub(x.arrival).Seconds(); r == x.rate && x.outN > 0 {
		left -= min(wait, float64(leaf)/r) // part of the first leaf is here already
	}
	return math.Max(left, 0)
}

// alive notes a sign of life.
func (x *source) alive(now time.Time) {
	x.sign = now
	if x.stalled {
		x.stalled, x.probe, x.dry = false, true, 0
		x.window = firstWindow
	}
}
