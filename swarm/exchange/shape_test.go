package exchange

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"cairn/storage/block"
	"cairn/swarm/exchange/pb"
	"cairn/swarm/shape"
)

// gatekeeper is a Shaper that counts, and lets bytes through as a test wants.
type gatekeeper struct {
	limited bool
	wait    func(context.Context) error

	mu       sync.Mutex
	up, down int
	largest  int
	peers    map[peer.ID]bool
}

func (g *gatekeeper) pass(ctx context.Context, p peer.ID, n int, sum *int) error {
	g.mu.Lock()
	*sum += n
	g.largest = max(g.largest, n)
	if g.peers == nil {
		g.peers = map[peer.ID]bool{}
	}
	g.peers[p] = true
	g.mu.Unlock()
	if g.wait != nil {
		return g.wait(ctx)
	}
	return nil
}

func (g *gatekeeper) Up(ctx context.Context, p peer.ID, n int) error { return g.pass(ctx, p, n, &g.up) }
func (g *gatekeeper) Down(ctx context.Context, p peer.ID, n int) error {
	return g.pass(ctx, p, n, &g.down)
}
func (g *gatekeeper) Limited(peer.ID) bool { return g.limited }

// TestShaped: both sides ask for every byte of content once, and for nothing else, in pieces while limited.
func TestShaped(t *testing.T) {
	for _, limited := range []bool{false, true} {
		up, down := &gatekeeper{limited: limited}, &gatekeeper{limited: limited}
		w := newWorld(t, newObject(1, 40, mixed(64)...), overTCP, func(c *ServerConfig) { c.Shape = up })
		s := w.dial(t, ClientConfig{Shape: down})
		nodes := 0
		for b, err := range s.Nodes(t.Context(), w.o.nodes) {
			if nodes += len(b.Data); err != nil {
				t.Fatal(err)
			}
		}
		var got []int
		if err := s.Leaves(t.Context(), every(64, 5), w.o.check(&got)); err != nil {
			t.Fatal(err)
		}
		if err := s.Done(t.Context(), testID); err != nil {
			t.Fatal(err)
		}
		want := int(w.o.size()) + nodes
		if up.up != want || up.down != 0 || down.down != want || down.up != 0 {
			t.Errorf("limited %v: sent %d, received %d, want %d", limited, up.up, down.down, want)
		}
		if limited && max(up.largest, down.largest) > smallPiece {
			t.Errorf("pieces of %d and %d bytes", up.largest, down.largest)
		}
		if !up.peers[w.ch.ID()] || !down.peers[w.sh.ID()] || len(up.peers)+len(down.peers) != 2 {
			t.Error("asked about another peer")
		}
	}
}

// TestWaitingForTheShaperIsNoStall: neither side takes the time that a limit costs for a stall.
func TestWaitingForTheShaperIsNoStall(t *testing.T) {
	const stall = 300 * time.Millisecond
	for name, side := range map[string]int{"server": 0, "client": 1} {
		t.Run(name, func(t *testing.T) {
			waits := 0
			g := &gatekeeper{limited: true, wait: func(ctx context.Context) error {
				if waits++; waits <= 2 && !pause(ctx, 2*stall) {
					return context.Cause(ctx)
				}
				return nil
			}}
			w := newWorld(t, newObject(1, 0, 100000, 150000, 10), overTCP, func(c *ServerConfig) {
				if c.Timeouts.Write = stall; side == 0 {
					c.Shape = g
				}
			})
			cfg := ClientConfig{Stall: stall}
			if side == 0 {
				cfg.Stall = time.Minute // the client can not know why nothing comes
			} else {
				cfg.Shape = g
			}
			s := w.dial(t, cfg)
			var got []int
			if err := s.Leaves(t.Context(), every(3, 3), w.o.check(&got)); err != nil || len(got) != 3 {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

// TestShaperEndsWithTheSession: a limit that lets nothing through holds nothing open, on either side.
func TestShaperEndsWithTheSession(t *testing.T) {
	inside := make(chan struct{}, 8)
	never := func(ctx context.Context) error {
		inside <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}
	w := newWorld(t, newObject(1, 0, 100000, 10), overTCP, func(c *ServerConfig) { c.Shape = &gatekeeper{limited: true, wait: never} })
	s := w.dial(t, ClientConfig{})
	result := make(chan error)
	go func() { result <- s.Leaves(t.Context(), every(2, 1), w.o.check(new([]int))) }()
	<-inside
	if !w.srv.DropSession(1, ErrRevoked) || w.srv.DropSession(2, ErrRevoked) {
		t.Error("dropped another session")
	}
	if err := <-result; !errors.Is(err, ErrRevoked) { // nothing of the leaf has left, so there is room for the reason
		t.Errorf("%v, want ErrRevoked", err)
	}
	if err := <-w.ended; !errors.Is(err, ErrRevoked) {
		t.Errorf("ended with %v", err)
	}

	w = newWorld(t, newObject(1, 0, 100000, 10), overTCP, nil)
	pool := &Pool{}
	s = w.dial(t, ClientConfig{Pool: pool, Shape: &gatekeeper{limited: true, wait: never}})
	go func() { result <- s.Leaves(t.Context(), every(2, 1), w.o.check(new([]int))) }()
	<-inside
	s.Close()
	if err := <-result; !errors.Is(err, ErrClosed) {
		t.Errorf("%v, want ErrClosed", err)
	}
	if pool.InUse() != 0 {
		t.Error("a buffer was not released")
	}
}

// TestLowestLimit: at 1 KiB/s for either side a leaf comes, within the usual time for a stall, and the client sees bytes
// move all the time.
func TestLowestLimit(t *testing.T) {
	t.Parallel()
	for name, slow := range map[string]shape.Pair{"server": {Up: shape.MinRate}, "client": {Down: shape.MinRate}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sh := shape.New(time.Now)
			sh.Set(shape.Rules{Pair: slow})
			sh.Up(t.Context(), "", 64<<10) // what the bucket holds at the begin
			sh.Down(t.Context(), "", 64<<10)
			meter := &Meter{}
			cfg := ClientConfig{Meter: meter}
			w := newWorld(t, newObject(1, 0, 20<<10, 4<<10), overTCP, func(c *ServerConfig) {
				if name == "server" {
					c.Shape = sh
				}
			})
			if name == "client" {
				cfg.Shape = sh
			}
			s := w.dial(t, cfg)
			quiet, stop := make(chan time.Duration), make(chan struct{})
			go func() {
				var longest time.Duration
				moved, last := time.Now(), int64(0)
				for tick := time.NewTicker(100 * time.Millisecond); ; {
					select {
					case <-tick.C:
					case <-stop:
						quiet <- longest
						return
					}
					if n := meter.Peer(w.sh.ID()).Down; n != last {
						moved, last = time.Now(), n
					}
					longest = max(longest, time.Since(moved))
				}
			}()
			var got []int
			if err := s.Leaves(t.Context(), every(2, 2), w.o.check(&got)); err != nil || len(got) != 2 {
				t.Errorf("%v, %v", got, err)
			}
			close(stop)
			if longest := <-quiet; longest > 10*time.Second {
				t.Errorf("nothing moved for %s", longest)
			}
		})
	}
}

// TestRation: bytes that cost time are asked for little by little.
func TestRation(t *testing.T) {
	var r ration
	for i, step := range []struct {
		took time.Duration
		want int
	}{{0, leastRation}, {0, 2 * leastRation}, {time.Second, mostRation}, {0, leastRation}, {0, 2 * leastRation}, {0, mostRation}, {0, mostRation}} {
		if n := r.next(1 << 20); n != step.want {
			t.Errorf("step %d: %d, want %d", i, n, step.want)
		}
		if n := r.next(10); n != 10 {
			t.Errorf("step %d: %d of 10", i, n)
		}
		r.took(step.took)
	}
}

// TestReadAheadOfSlowLines: little is read ahead of a line until it has shown to be fast, so that a cancel finds
// something to stop.
func TestReadAheadOfSlowLines(t *testing.T) {
	w := newPacedWriter(&line{}, time.Minute, free{}, "", func(int) {})
	ahead := func() int64 { return w.readAhead(4 << 20) }
	if n := ahead(); n != slowAhead {
		t.Errorf("%d at the begin", n)
	}
	w.sample(time.Second, 300<<10)
	if n := ahead(); n != 300<<10 {
		t.Errorf("%d at 300 KiB/s", n)
	}
	w.sample(10*time.Second, 1000)
	if n := ahead(); n != leastAhead {
		t.Errorf("%d at 100 bytes/s", n)
	}
	w.sample(time.Second, 3<<20)
	if n := ahead(); n != slowAhead {
		t.Errorf("%d at 3 MiB/s", n)
	}
	w.fast = true
	w.sample(time.Millisecond, 1)
	if n := ahead(); n != 4<<20 {
		t.Errorf("%d on a fast line", n)
	}
	w.fast = false
	w.sample(time.Millisecond, 1)
	if n := ahead(); n != slowAhead || w.readAhead(1000) != 1000 {
		t.Errorf("%d when it is fast no more", n)
	}
}

// TestFair: a session that asks for everything, and one that does not read at all, leave another that asks for a
// leaf now and then its answers.
func TestFair(t *testing.T) {
	o := newObject(1, 0, append(mixed(64), slicesOf(64, 1<<20)...)...)
	w := newWorld(t, o, overTCP, func(c *ServerConfig) { c.Limits.ReadAheadAll = 1 << 20 })
	greedy, stuck, modest := newHost(t), newHost(t), w.ch
	g, d, m := w.dialFrom(t, greedy, ClientConfig{}), w.dialFrom(t, stuck, ClientConfig{}), w.dialFrom(t, modest, ClientConfig{})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		n := 0
		g.Leaves(ctx, func() (int, int, bool) { n++; return 0, o.NumLeaves(), n <= 1000 }, func(_ int, b *Buf) error { b.Release(); return nil })
	})
	blocked := make(chan struct{})
	var once1 sync.Once
	wg.Go(func() {
		d.Leaves(ctx, once([2]int{0, o.NumLeaves()}), func(_ int, b *Buf) error {
			b.Release()
			once1.Do(func() { close(blocked) })
			<-ctx.Done()
			return nil
		})
	})
	<-blocked
	slowest := time.Duration(0)
	for i := range 30 {
		began := time.Now()
		if err := m.Leaves(t.Context(), once([2]int{i, 1}), func(i int, b *Buf) error {
			defer b.Release()
			return block.Verify(o.leaves[i], b.Bytes())
		}); err != nil {
			t.Fatal(err)
		}
		slowest = max(slowest, time.Since(began))
	}
	if slowest > 2*time.Second {
		t.Errorf("a leaf took %s", slowest)
	}
	cancel()
	wg.Wait()
}

func slicesOf(n, size int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = size
	}
	return s
}

// TestOwnTimeIsNoStall: what a limit or a handler takes of this side's time is not taken from the source's. The
// source sends the second half of what it has only after that.
func TestOwnTimeIsNoStall(t *testing.T) {
	const stall = 300 * time.Millisecond
	o := newObject(1, 0, 100000, 100000)
	leaf := func(i int) []byte { return frame(kindLeaf, 100000, uint64(i), o.blocks[o.leaves[i]]) }
	for name, tc := range map[string]struct{ first, second []byte }{
		"shaper":       {leaf(0)[:70000], append(leaf(0)[70000:], leaf(1)...)},
		"leaf handler": {leaf(0), leaf(1)},
		"have handler": {append(leaf(0), haveMessage(0, 1)...), leaf(1)},
	} {
		t.Run(name, func(t *testing.T) {
			waited := make(chan struct{})
			w := rawServer(t, o, func(_ *pb.Challenge, a *pb.Accept) { a.Partial = true }, func(c *raw) {
				readMessageOf(c, kindGetLeaves)
				c.st.Write(tc.first)
				<-waited
				pause(t.Context(), stall/10) // the client is waiting for bytes again
				c.st.Write(tc.second)
				c.rest()
			})
			var first sync.Once
			long := func(at string) {
				if at == name {
					first.Do(func() { pause(t.Context(), 2*stall); close(waited) })
				}
			}
			g := &gatekeeper{limited: true, wait: func(context.Context) error { long("shaper"); return nil }}
			s := w.dial(t, ClientConfig{Stall: stall, Shape: g})
			s.h.Have = func(int, []byte) { long("have handler") }
			err := s.Leaves(t.Context(), once([2]int{0, 2}), func(i int, b *Buf) error {
				defer b.Release()
				long("leaf handler")
				return block.Verify(o.leaves[i], b.Bytes())
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}
