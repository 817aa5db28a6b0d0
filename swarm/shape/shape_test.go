package shape

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// crowd is peers that move bytes as fast as they are let, until stop.
type crowd struct {
	s     *Shaper
	ctx   context.Context
	stop  context.CancelFunc
	wg    sync.WaitGroup
	mu    sync.Mutex
	moved map[peer.ID]int64
}

func newCrowd(t *testing.T, r Rules) *crowd {
	t.Helper()
	if err := r.Check(); err != nil {
		t.Fatal(err)
	}
	c := &crowd{s: New(time.Now), moved: map[peer.ID]int64{}}
	c.s.Set(r)
	c.ctx, c.stop = context.WithCancel(context.Background())
	return c
}

// join starts sessions of p that move size bytes at a time.
func (c *crowd) join(p peer.ID, sessions, size int) {
	for range sessions {
		c.wg.Go(func() {
			for c.s.Up(c.ctx, p, size) == nil {
				c.mu.Lock()
				c.moved[p] += int64(size)
				c.mu.Unlock()
			}
		})
	}
}

// during is what each moved in d.
func (c *crowd) during(d time.Duration) map[peer.ID]int64 {
	synctest.Wait()
	before := map[peer.ID]int64{}
	c.mu.Lock()
	for p, n := range c.moved {
		before[p] = n
	}
	c.mu.Unlock()
	time.Sleep(d)
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[peer.ID]int64{}
	for p, n := range c.moved {
		out[p] = n - before[p]
	}
	return out
}

func (c *crowd) end() {
	c.stop()
	c.wg.Wait()
}

// near fails unless got is within 5 % of want.
func near(t *testing.T, what string, got, want int64) {
	t.Helper()
	if d := got - want; d > want/20 || d < -want/20 {
		t.Errorf("%s: %d, want %d within 5 %%", what, got, want)
	}
}

func sum(m map[peer.ID]int64) (n int64) {
	for _, v := range m {
		n += v
	}
	return n
}

func TestRate(t *testing.T) {
	for _, c := range []struct {
		perSecond int64
		size      int
		during    time.Duration
	}{
		{MinRate, 1 << 10, 10 * time.Minute},
		{MinRate, piece, 2 * time.Hour},
		{50_000, 4 << 10, time.Minute},
		{1_000_000, piece, time.Minute},
		{1_000_000, 1 << 20, time.Minute}, // who asks for more than a piece gets it piece by piece
		{200_000_000, piece, 5 * time.Second},
	} {
		t.Run(fmt.Sprintf("%d-%d", c.perSecond, c.size), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newCrowd(t, Rules{Pair: Pair{Up: c.perSecond}})
				defer w.end()
				for i := range 3 {
					w.join(peer.ID(fmt.Sprint(i)), 1+i, c.size)
				}
				near(t, "rate", sum(w.during(c.during)), c.perSecond*int64(c.during/time.Second))
			})
		})
	}
}

func TestBurstIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newCrowd(t, Rules{Pair: Pair{Up: 16 << 20}})
		time.Sleep(time.Hour) // nothing is saved up beyond the bucket
		w.join("a", 4, 16<<10)
		synctest.Wait()
		w.end()
		if w.moved["a"] != 1<<20 {
			t.Errorf("%d bytes at once, want a sixteenth of a second", w.moved["a"])
		}
	})
}

// TestFairness: sessions count for nothing, bytes do, and a peer that asks for little at a time loses nothing.
func TestFairness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newCrowd(t, Rules{Pair: Pair{Up: 3_000_000}})
		defer w.end()
		w.join("one", 1, piece)
		w.join("four", 4, piece)
		w.join("small", 1, 4<<10)
		for p, n := range w.during(30 * time.Second) {
			near(t, string(p), n, 30_000_000)
		}
		w.join("late", 2, 32<<10)
		for p, n := range w.during(40 * time.Second) {
			near(t, string(p), n, 30_000_000)
		}
	})
}

// TestPeerLimits: both limits hold, what a limited peer may not take goes to the others, and a limit that ends does
// not let the peer make up for it at their cost.
func TestPeerLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rules := Rules{Pair: Pair{Up: 1_000_000}, Peers: map[peer.ID]Pair{"slow": {Up: 100_000}, "alone": {Up: 500_000}}}
		w := newCrowd(t, rules)
		w.join("slow", 4, piece)
		w.join("a", 1, piece)
		w.join("b", 1, piece)
		got := w.during(time.Minute)
		near(t, "slow", got["slow"], 6_000_000)
		near(t, "a", got["a"], 27_000_000)
		near(t, "b", got["b"], 27_000_000)
		w.s.Set(Rules{Pair: rules.Pair})
		for p, n := range w.during(time.Minute) {
			near(t, string(p)+" after", n, 20_000_000)
		}
		w.end()

		w = newCrowd(t, Rules{Peers: rules.Peers})
		defer w.end()
		w.join("alone", 2, piece)
		near(t, "alone", w.during(time.Minute)["alone"], 30_000_000)
		if !w.s.Limited("slow") || w.s.Limited("a") {
			t.Error("who is limited is told wrongly")
		}
	})
}

// TestNobodyStarves: however many strangers come, each for one piece, who waits gets through.
func TestNobodyStarves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newCrowd(t, Rules{Pair: Pair{Up: 1_000_000}})
		defer w.end()
		w.join("old", 1, piece)
		var id atomic.Int64
		for range 8 {
			w.wg.Go(func() {
				for w.s.Up(w.ctx, peer.ID(fmt.Sprint("stranger", id.Add(1))), piece) == nil {
				}
			})
		}
		if n := w.during(time.Minute)["old"]; n < 60_000_000/10 {
			t.Errorf("%d bytes for one of nine", n)
		}
		if n := len(w.s.up.q.accounts); n > maxIdle+9 {
			t.Errorf("%d accounts are kept", n)
		}
	})
}

// TestChangeWhileWaiting: new limits hold at once for who waits.
func TestChangeWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(time.Now)
		s.Set(Rules{Pair: Pair{Down: MinRate}})
		if err := s.Down(t.Context(), "a", piece); err != nil { // the bucket is empty now
			t.Fatal(err)
		}
		for _, c := range []struct {
			rules Rules
			after time.Duration
		}{
			{Rules{}, 0},
			{Rules{Pair: Pair{Up: MinRate}}, 0}, // the other direction
			{Rules{Pair: Pair{Down: piece}}, time.Second},
			{Rules{Peers: map[peer.ID]Pair{"b": {Down: MinRate}}}, 0},
		} {
			s.Set(Rules{Pair: Pair{Down: MinRate}})
			for range 2 { // takes what the bucket of the step before has left
				_ = s.Down(t.Context(), "a", piece)
			}
			var took time.Duration
			done := make(chan error)
			go func() {
				began := time.Now()
				err := s.Down(t.Context(), "a", piece)
				took = time.Since(began)
				done <- err
			}()
			synctest.Wait()
			s.Set(c.rules)
			if err := <-done; err != nil || took > c.after+time.Millisecond {
				t.Errorf("%+v: %v after %s, want %s", c.rules, err, took, c.after)
			}
		}
	})
}

func TestContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(time.Now)
		s.Set(Rules{Pair: Pair{Up: MinRate}})
		_ = s.Up(t.Context(), "a", piece)
		why := errors.New("why")
		ctx, cancel := context.WithCancelCause(t.Context())
		done := make(chan error)
		go func() { done <- s.Up(ctx, "a", piece) }()
		synctest.Wait()
		cancel(why)
		if err := <-done; !errors.Is(err, why) {
			t.Errorf("waiting: %v", err)
		}
		if err := s.Up(ctx, "a", 1); !errors.Is(err, why) {
			t.Errorf("after: %v", err)
		}
		if q := &s.up.q; len(q.waiting) != 0 || len(q.accounts["a"].line) != 0 {
			t.Error("who gave up still stands in line")
		}
		began := time.Now() // nothing was paid for what did not move
		if _ = s.Up(t.Context(), "b", 1<<10); time.Since(began) > time.Second+time.Millisecond {
			t.Errorf("the next waited %s", time.Since(began))
		}
	})
}

// TestHoursTakeOver: a rule by hour holds from its minute on, for who waits too, and ends with it.
func TestHoursTakeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // a bubble begins at midnight UTC
		s := New(func() time.Time { return time.Now().UTC() })
		r := Rules{Pair: Pair{Up: MinRate}, Hours: []Hours{{From: 60, To: 120}}}
		e := s.Set(r)
		if e.Up != MinRate || e.Reason != "the limits for all hours" {
			t.Errorf("at midnight: %+v", e)
		}
		_ = s.Up(t.Context(), "a", piece)
		done := make(chan error, 1)
		go func() { done <- s.Up(t.Context(), "a", 8<<20) }() // over two hours of it
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(done) > 0 {
			t.Fatal("not limited before the hour")
		}
		if !s.Tick(time.Now().UTC()) || s.Tick(time.Now().UTC()) {
			t.Error("the change is not told once")
		}
		if err := <-done; err != nil || s.Limited("a") {
			t.Errorf("in the hour: %v, limited %t", err, s.Limited("a"))
		}
		if e := s.Effective(time.Now().UTC()); e.Up != 0 || e.Reason != "the rule for 01:00-02:00" {
			t.Errorf("in the hour: %+v", e)
		}
		time.Sleep(time.Hour)
		if !s.Tick(time.Now().UTC()) || !s.Limited("a") {
			t.Error("not limited after the hour")
		}
	})
}

// TestUnlimitedIsFree: no allocation, no lock that another holds.
func TestUnlimitedIsFree(t *testing.T) {
	s := New(time.Now)
	s.Set(Rules{Hours: []Hours{{From: 0, To: 24 * 60}}})
	s.up.mu.Lock()
	defer s.up.mu.Unlock()
	if n := testing.AllocsPerRun(100, func() {
		if s.Limited("a") || s.Up(t.Context(), "a", 1<<30) != nil {
			t.Error("limited")
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestQueueNeverOverdraws moves time at random and compares what was granted with what the rate allows.
func TestQueueNeverOverdraws(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		var q queue
		perSecond, began := MinRate+rnd.Int64N(1<<uint(11+rnd.IntN(18))), time.Unix(0, 0)
		now, granted := began, int64(0)
		q.limit(now, perSecond, map[peer.ID]int64{"1": perSecond/2 + 1})
		var open []*claim
		for range 500 {
			c := &claim{n: 1 + rnd.IntN(piece), granted: make(chan struct{})}
			q.add(peer.ID(fmt.Sprint(rnd.IntN(5))), c)
			open = append(open, c)
			again := q.serve(now)
			if again == 0 && len(q.waiting) > 0 {
				t.Fatal("claims wait and nobody will ask again")
			}
			now = now.Add(time.Duration(rnd.Int64N(int64(again) + int64(time.Millisecond))))
			open, granted = settled(open, granted)
			most := int64(q.all.Burst()) + int64(now.Sub(began).Seconds()*float64(perSecond)) + 1
			if granted > most {
				t.Fatalf("%d bytes of %d at %d/s", granted, most, perSecond)
			}
		}
		for len(q.waiting) > 0 {
			now = now.Add(q.serve(now))
		}
		if open, _ = settled(open, 0); len(open) > 0 {
			t.Fatalf("%d claims are forgotten", len(open))
		}
	}
}

// settled takes out the granted claims and adds their bytes.
func settled(open []*claim, bytes int64) ([]*claim, int64) {
	var left []*claim
	for _, c := range open {
		select {
		case <-c.granted:
			bytes += int64(c.n)
		default:
			left = append(left, c)
		}
	}
	return left, bytes
}
