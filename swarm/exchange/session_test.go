package exchange

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"cairn/storage/block"
)

func TestMissingLeaf(t *testing.T) {
	w := newWorld(t, newObject(1, 0, mixed(24)...), overTCP, nil)
	s := w.dial(t, ClientConfig{})
	for _, tc := range []struct {
		err  error
		want Reason
	}{{block.ErrNotFound, NotFound}, {block.ErrCorrupt, Changed}, {errors.New("io"), Unreadable}} {
		w.o.mu.Lock()
		w.o.broken[w.o.leaves[7]] = tc.err
		w.o.broken[w.o.leaves[9]] = tc.err
		w.o.mu.Unlock()
		var got []int
		err := s.Leaves(t.Context(), every(24, 3), w.o.check(&got))
		var m *MissingError
		if !errors.As(err, &m) || m.Index != 7 || m.Reason != tc.want || m.Count != 2 {
			t.Fatalf("%v, want leaf 7 missing: %v", err, tc.want)
		}
		if slices.Contains(got, 7) || slices.Contains(got, 9) || !slices.IsSorted(got) {
			t.Errorf("delivered %v", got)
		}
		if len(got) != 22 { // everything was asked for at once
			t.Errorf("the rest was not delivered: %v", got)
		}
	}
	clear(w.o.broken)
	var got []int
	if err := s.Leaves(t.Context(), every(24, 5), w.o.check(&got)); err != nil || len(got) != 24 {
		t.Errorf("session is not usable after a missing leaf: %v, %v", got, err)
	}
}

// TestLeafOfOtherSize: a store that hands out verified bytes of another size than the tree says is not believed.
func TestLeafOfOtherSize(t *testing.T) {
	o := newObject(1, 0, 10, 20)
	w := newWorld(t, o, overTCP, func(c *ServerConfig) { c.Content = lying{o} })
	s := w.dial(t, ClientConfig{})
	var got []int
	err := s.Leaves(t.Context(), every(2, 2), o.check(&got))
	var m *MissingError
	if !errors.As(err, &m) || m.Index != 0 || m.Reason != Changed {
		t.Errorf("%v", err)
	}
}

type lying struct{ *object }

func (l lying) Tree(context.Context, Grant) (Tree, func(), error) {
	return oneMore(l), func() {}, nil
}

type oneMore struct{ *object }

func (o oneMore) Leaf(i int) (cidT, int) { c, n := o.object.Leaf(i); return c, n + 1 }

func TestMissingNode(t *testing.T) {
	w := newWorld(t, newObject(1, 5), overTCP, nil)
	w.o.broken[w.o.nodes[2]] = block.ErrNotFound
	s := w.dial(t, ClientConfig{})
	for range 2 { // the second round shows that both sides still count alike
		var missing []cidT
		n := 0
		for b, err := range s.Nodes(t.Context(), w.o.nodes) {
			var m *MissingError
			switch {
			case errors.As(err, &m):
				missing = append(missing, m.CID)
			case err != nil:
				t.Fatal(err)
			default:
				n++
				if block.Verify(b.CID, b.Data) != nil {
					t.Error("other bytes")
				}
			}
		}
		if n != 5 || len(missing) != 1 || missing[0] != w.o.nodes[2] {
			t.Errorf("%d nodes, missing %v", n, missing)
		}
	}
}

func TestNodesBrokenOff(t *testing.T) {
	w := newWorld(t, newObject(1, 5), overTCP, nil)
	s := w.dial(t, ClientConfig{})
	for range s.Nodes(t.Context(), w.o.nodes[:1]) {
		break // the last one has come: nothing is on its way
	}
	n := 0
	for range s.Nodes(t.Context(), w.o.nodes) {
		n++
		break
	}
	if n != 1 {
		t.Error("session was closed although nothing was on its way")
	}
	for _, err := range s.Nodes(t.Context(), w.o.nodes) {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%v, want ErrClosed", err)
		}
	}
	for range s.Nodes(t.Context(), nil) {
		break
	}
}

// TestCancel ends a call in the middle: it returns at once, nothing stays behind on either side.
func TestCancel(t *testing.T) {
	sizes := make([]int, 200)
	for i := range sizes {
		sizes[i] = 100000
	}
	for name, listen := range map[string]string{"tcp": overTCP, "quic": overQUIC} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, newObject(1, 0, sizes...), listen, nil)
			pool := &Pool{}
			s := w.dial(t, ClientConfig{Pool: pool})
			ctx, cancel := context.WithCancel(t.Context())
			n := 0
			err := s.Leaves(ctx, every(200, 10), func(i int, b *Buf) error {
				b.Release()
				if n++; n == 20 {
					cancel()
				}
				return nil
			})
			if !errors.Is(err, context.Canceled) || n > 21 {
				t.Errorf("%d leaves, %v", n, err)
			}
			if err := <-w.ended; err == nil {
				t.Error("server took it for a session closed in good order")
			}
			if pool.InUse() != 0 {
				t.Errorf("%d bytes not released", pool.InUse())
			}
			if err := s.Done(t.Context(), testID); !errors.Is(err, ErrClosed) {
				t.Errorf("%v, want ErrClosed", err)
			}
		})
	}
}

// TestCancelWhileWaiting: the context also ends a call that waits for bytes, and one that waits for its turn.
func TestCancelWhileWaiting(t *testing.T) {
	o := newObject(1, 0, 10)
	w := newWorld(t, o, overTCP, func(c *ServerConfig) { c.Content = slow{o, make(chan struct{})} })
	s := w.dial(t, ClientConfig{})
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan struct{})
	first, second := make(chan error), make(chan error)
	go func() {
		next := once([2]int{0, 1})
		first <- s.Leaves(ctx, func() (int, int, bool) {
			a, b, ok := next()
			if !ok {
				close(asked)
			}
			return a, b, ok
		}, nil)
	}()
	<-asked
	go func() { second <- s.Done(ctx, testID) }()
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if err := <-second; !errors.Is(err, context.Canceled) && !errors.Is(err, ErrClosed) {
		t.Errorf("%v", err)
	}
}

func TestCloseInProgress(t *testing.T) {
	o := newObject(1, 0, 10)
	w := newWorld(t, o, overTCP, func(c *ServerConfig) { c.Content = slow{o, make(chan struct{})} })
	s := w.dial(t, ClientConfig{})
	asked, result := make(chan struct{}), make(chan error)
	go func() {
		next := once([2]int{0, 1})
		result <- s.Leaves(t.Context(), func() (int, int, bool) {
			a, b, ok := next()
			if !ok {
				close(asked)
			}
			return a, b, ok
		}, nil)
	}()
	<-asked
	s.Close()
	if err := <-result; !errors.Is(err, ErrClosed) {
		t.Errorf("%v, want ErrClosed", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	<-w.ended
}

func TestDeliverError(t *testing.T) {
	w := newWorld(t, newObject(1, 0, 10, 20), overTCP, nil)
	s := w.dial(t, ClientConfig{})
	mine := errors.New("mine")
	if err := s.Leaves(t.Context(), every(2, 2), func(_ int, b *Buf) error { b.Release(); return mine }); err != mine {
		t.Errorf("%v, want the caller's own error", err)
	}
	for _, bad := range [][2]int{{-1, 1}, {0, 0}, {0, 3}, {2, 1}, {1, 1<<63 - 1}} {
		s = w.dial(t, ClientConfig{})
		if err := s.Leaves(t.Context(), once(bad), nil); err == nil || errors.Is(err, ErrProtocol) {
			t.Errorf("range %v: %v", bad, err)
		}
	}
}

// TestBuffersChangeHands: leaves are released by other goroutines, later, and never overwritten before.
func TestBuffersChangeHands(t *testing.T) {
	w := newWorld(t, newObject(1, 0, mixed(400)...), overTCP, nil)
	pool := &Pool{}
	s := w.dial(t, ClientConfig{Pool: pool})
	type leaf struct {
		i int
		b *Buf
	}
	ch := make(chan leaf, 8)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for l := range ch {
				if err := block.Verify(w.o.leaves[l.i], l.b.Bytes()); err != nil {
					t.Errorf("leaf %d: %v", l.i, err)
				}
				l.b.Release()
				l.b.Release() // harmless
			}
		})
	}
	err := s.Leaves(t.Context(), every(400, 7), func(i int, b *Buf) error { ch <- leaf{i, b}; return nil })
	close(ch)
	wg.Wait()
	if err != nil || pool.InUse() != 0 {
		t.Errorf("%v, %d bytes not released", err, pool.InUse())
	}
}

// TestSmallLeaves: ten thousand small files are one stream, in order, and are counted.
func TestSmallLeaves(t *testing.T) {
	sizes := make([]int, 10000)
	for i := range sizes {
		sizes[i] = 4096 - i%3
	}
	meters := [2]Meter{}
	w := newWorld(t, newObject(1, 0, sizes...), overTCP, func(c *ServerConfig) { c.Meter = &meters[0] })
	s := w.dial(t, ClientConfig{Meter: &meters[1]})
	var got []int
	if err := s.Leaves(t.Context(), every(10000, 1), w.o.check(&got)); err != nil || len(got) != 10000 || !slices.IsSorted(got) {
		t.Errorf("%d leaves, %v", len(got), err)
	}
	s.Close()
	<-w.ended
	st := w.srv.Stats()
	if st.LeavesSent != 10000 || st.BytesSent != w.o.size() {
		t.Errorf("%+v", st)
	}
	up, down := meters[0].Peer(w.ch.ID()), meters[1].Peer(w.sh.ID())
	if up.Up < w.o.size() || up.Up != down.Down || up.Down != down.Up || up.Down == 0 || meters[0].Total() != up || len(meters[1].Peers()) != 1 {
		t.Errorf("server counted %+v, client %+v", up, down)
	}
}

func TestEvents(t *testing.T) {
	var mu sync.Mutex
	var log []string
	var last SessionInfo
	note := func(what string, i SessionInfo) {
		mu.Lock()
		defer mu.Unlock()
		log, last = append(log, what), i
	}
	ended := make(chan struct{})
	w := newWorld(t, newObject(1, 0, mixed(16)...), overTCP, func(c *ServerConfig) {
		c.Timeouts.Progress = 1
		c.Events = Events{
			Started:  func(i SessionInfo) { note("started", i) },
			Progress: func(i SessionInfo) { note("progress", i) },
			Done:     func(i SessionInfo) error { note("done", i); return nil },
			Ended:    func(i SessionInfo, _ error) { note("ended", i); close(ended) },
		}
	})
	s := w.dial(t, ClientConfig{})
	var got []int
	if err := s.Leaves(t.Context(), every(16, 4), w.o.check(&got)); err != nil {
		t.Fatal(err)
	}
	if err := s.Done(t.Context(), testID); err != nil {
		t.Fatal(err)
	}
	s.Close()
	<-ended
	mu.Lock()
	defer mu.Unlock()
	if log[0] != "started" || log[len(log)-1] != "ended" || !slices.Contains(log, "progress") || !slices.Contains(log, "done") {
		t.Errorf("events came as %v", log)
	}
	if last.Sent != w.o.size() || last.Leaves != 16 || !last.Done || last.ID != 1 || last.Peer != w.ch.ID() || last.Transport != "tcp" || last.Addr == "" || last.Started.IsZero() {
		t.Errorf("%+v", last)
	}
}

func TestServerClose(t *testing.T) {
	o := newObject(1, 0, 10)
	w := newWorld(t, o, overTCP, func(c *ServerConfig) { c.Content = slow{o, make(chan struct{})} })
	s := w.dial(t, ClientConfig{})
	half := w.rawDial(t)
	half.hello(w.t.Key().ID())
	errs := make(chan error)
	go func() { errs <- s.Leaves(t.Context(), once([2]int{0, 1}), nil) }()
	w.srv.Close()
	if err := <-errs; !errors.Is(err, ErrLost) {
		t.Errorf("%v, want ErrLost", err)
	}
	if _, err := Dial(t.Context(), w.ch, w.t, ClientConfig{Handshake: 5 * time.Second}); !errors.Is(err, ErrBusy) {
		t.Errorf("%v, want ErrBusy", err)
	}
}
