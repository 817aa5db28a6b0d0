// Package shape holds bytes back, so that no more of them move in a second than the user allows.
//
// A [Shaper] keeps one token bucket for each direction and one more for each peer that has limits of its own; bytes
// need tokens of both. Who waits for the same direction is served round robin by bytes: of those whose own limit
// lets them, the peer that was given least goes first, however many sessions it has. Limits may change at any time
// and hold at once, also for who already waits.
//
// The decisions are in [Rules] (what holds when) and in queue (who is next); both are pure and take the time as an
// argument. The package has no goroutine of its own: a timer exists while somebody waits. While nothing is limited a
// call costs one atomic load.
//
// It does not measure, does not keep its rules, and does not look at the clock for rules by hour on its own: its
// owner calls [Shaper.Tick].
package shape

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Shaper limits both directions of a peer's traffic. Safe for concurrent use.
type Shaper struct {
	now      func() time.Time
	up, down direction

	view atomic.Pointer[view] // what is limited; nil: nothing

	mu    sync.Mutex // guards what follows and makes changes of limits one after the other
	rules Rules
	holds Effective
}

// view says what is limited. It is not changed once it is published.
type view struct {
	all   Pair
	peers map[peer.ID]Pair
}

// direction is the queue of one direction with its lock and its timer.
type direction struct {
	now func() time.Time

	mu    sync.Mutex
	q     queue
	timer *time.Timer // runs while somebody waits; nil before the first did
}

// New makes a Shaper that limits nothing. now tells the local time.
func New(now func() time.Time) *Shaper {
	s := &Shaper{now: now}
	s.up.now, s.down.now = now, now
	s.holds = s.rules.Effective(now())
	return s
}

// Set replaces the rules, which must have passed [Rules.Check], and returns what holds now.
func (s *Shaper) Set(r Rules) Effective {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = r.clone()
	s.apply(s.now())
	return s.holds
}

// Tick looks at the rules by hour and tells whether other limits hold than before.
func (s *Shaper) Tick(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rules.Effective(now) == s.holds {
		return false
	}
	s.apply(now)
	return true
}

// Effective is what the rules say about the time now.
func (s *Shaper) Effective(now time.Time) Effective {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rules.Effective(now)
}

// apply makes the rules hold as they are at now; s.mu is held.
func (s *Shaper) apply(now time.Time) {
	s.holds = s.rules.Effective(now)
	v := &view{all: s.holds.Pair, peers: s.rules.Peers}
	up, down := map[peer.ID]int64{}, map[peer.ID]int64{}
	for id, l := range v.peers {
		if l.Up > 0 {
			up[id] = l.Up
		}
		if l.Down > 0 {
			down[id] = l.Down
		}
	}
	if v.all == (Pair{}) && len(up)+len(down) == 0 {
		v = nil
	}
	s.view.Store(v)
	s.up.limit(v.up(), up)
	s.down.limit(v.down(), down)
}

func (v *view) up() int64 {
	if v == nil {
		return 0
	}
	return v.all.Up
}

func (v *view) down() int64 {
	if v == nil {
		return 0
	}
	return v.all.Down
}

// Limited tells whether anything is limited for p at the moment.
func (s *Shaper) Limited(p peer.ID) bool {
	v := s.view.Load()
	return v != nil && (v.all != Pair{} || v.peers[p] != Pair{})
}

// Up waits until n more bytes may be sent to p. Its one error is the cause of ctx's end.
func (s *Shaper) Up(ctx context.Context, p peer.ID, n int) error {
	v := s.view.Load()
	if v == nil || v.all.Up == 0 && v.peers[p].Up == 0 {
		return nil
	}
	return s.up.wait(ctx, p, n)
}

// Down waits as long as n bytes that have come from p are worth. Its one error is the cause of ctx's end.
func (s *Shaper) Down(ctx context.Context, p peer.ID, n int) error {
	v := s.view.Load()
	if v == nil || v.all.Down == 0 && v.peers[p].Down == 0 {
		return nil
	}
	return s.down.wait(ctx, p, n)
}

// limit changes what holds and serves those whom the change lets through.
func (d *direction) limit(all int64, peers map[peer.ID]int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.q.limit(d.now(), all, peers)
	d.serve()
}

// wait asks for n bytes piece by piece, so that a large n neither overdraws a bucket nor delays others.
func (d *direction) wait(ctx context.Context, p peer.ID, n int) error {
	for ; n > 0; n -= piece {
		if err := d.take(ctx, p, min(n, piece)); err != nil {
			return err
		}
	}
	return nil
}

func (d *direction) take(ctx context.Context, p peer.ID, n int) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	c := &claim{n: n, granted: make(chan struct{})}
	d.mu.Lock()
	d.q.add(p, c)
	d.serve()
	d.mu.Unlock()
	select {
	case <-c.granted:
		return nil
	case <-ctx.Done():
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.q.drop(p, c) {
		return nil // granted in the same moment
	}
	d.serve()
	return context.Cause(ctx)
}

// serve grants what can be granted now and sets the timer for the rest; d.mu is held.
func (d *direction) serve() {
	again := d.q.serve(d.now())
	switch {
	case again == 0 && d.timer != nil:
		d.timer.Stop()
	case again > 0 && d.timer == nil:
		d.timer = time.AfterFunc(again, d.fire)
	case again > 0:
		d.timer.Reset(again)
	}
}

func (d *direction) fire() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.serve()
}
