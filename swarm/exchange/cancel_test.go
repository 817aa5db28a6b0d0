package exchange

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"cairn/storage/block"
	"cairn/swarm/exchange/pb"
	"cairn/swarm/ticket"
)

// TestCancelLeaves: what is queued is skipped in its place, what was planned comes, and the rest is not touched.
func TestCancelLeaves(t *testing.T) {
	sizes := make([]int, 1000)
	for i := range sizes {
		sizes[i] = 50000
	}
	o := newObject(1, 0, sizes...)
	gate := make(chan struct{})
	w := newWorld(t, o, overTCP, func(c *ServerConfig) { c.Content = slow{o, gate} })
	s := w.dial(t, ClientConfig{})
	var log [][2]int // what came, in order: leaves as ranges of one, skips as negative counts
	s.h.Skipped = func(start, count int) { log = append(log, [2]int{start, -count}) }
	asked := false
	ranges := [][2]int{{0, 500}, {700, 100}, {600, 50}}
	err := s.Leaves(t.Context(), func() (int, int, bool) {
		if len(ranges) > 0 {
			r := ranges[0]
			ranges = ranges[1:]
			return r[0], r[1], true
		}
		if !asked { // now that everything is asked for, and nothing can have come
			asked = true
			for _, r := range [][2]int{{490, 60}, {495, 2}, {650, 140}, {600, 1}, {649, 1}, {900, 50}} {
				if err := s.Cancel(r[0], r[1]); err != nil {
					t.Error(err)
				}
			}
			s.Request(495, 10) // again
			s.mu.Lock()
			defer s.mu.Unlock()
			s.left += 10
			time.AfterFunc(0, func() { close(gate) })
		}
		return 0, 0, false
	}, func(i int, b *Buf) error {
		defer b.Release()
		log = append(log, [2]int{i, 1})
		return block.Verify(o.leaves[i], b.Bytes())
	})
	if err != nil {
		t.Fatal(err)
	}
	var want [][2]int
	leaves := func(from, to int) {
		for i := from; i < to; i++ {
			want = append(want, [2]int{i, 1})
		}
	}
	leaves(0, 490)
	want = append(want, [2]int{490, -10}, [2]int{700, -90})
	leaves(790, 800)
	want = append(want, [2]int{600, -1})
	leaves(601, 649)
	want = append(want, [2]int{649, -1})
	leaves(495, 505)
	if !slices.Equal(log, want) {
		t.Errorf("came as %v", log)
	}
}

// TestCancelRaces: cancels, requests and data cross each other on the wire; both sides still agree, and every leaf
// asked for is answered once.
func TestCancelRaces(t *testing.T) {
	for name, listen := range map[string]string{"tcp": overTCP, "quic": overQUIC} {
		t.Run(name, func(t *testing.T) {
			o := newObject(1, 0, mixed(64)...)
			w := newWorld(t, o, listen, nil)
			s := w.dial(t, ClientConfig{})
			var wg sync.WaitGroup
			skipped, came := 0, 0
			s.h.Skipped = func(_, count int) { skipped += count }
			asked := make(chan [2]int, 64)
			wg.Go(func() {
				for r := range asked {
					for i := r[0] + 1; i < r[0]+r[1]; i += 9 {
						if err := s.Cancel(i, min(2, 64-i)); err != nil {
							t.Error(err) // and takes what follows, so that nobody waits
						}
					}
				}
			})
			rounds := 300 // about 2,250 leaves: fewer than the pieces that a server accepts
			err := s.Leaves(t.Context(), func() (int, int, bool) {
				if rounds--; rounds < 0 {
					return 0, 0, false
				}
				r := [2]int{rounds * 7 % 50, 1 + rounds%14}
				asked <- r
				return r[0], r[1], true
			}, func(i int, b *Buf) error {
				defer b.Release()
				came++
				return block.Verify(o.leaves[i], b.Bytes())
			})
			close(asked)
			wg.Wait()
			if err != nil {
				t.Fatal(err)
			}
			if !s.owed.empty() {
				t.Error("something is still owed")
			}
			t.Logf("%d leaves came, %d were skipped", came, skipped)
		})
	}
}

// TestCancelOfNothing sends nothing, and a cancel of what has been sent is not answered.
func TestCancelOfNothing(t *testing.T) {
	meter := &Meter{}
	w := newWorld(t, newObject(1, 0, 10, 20, 30), overTCP, nil)
	s := w.dial(t, ClientConfig{Meter: meter})
	before := meter.Total().Up
	if err := s.Cancel(0, 3); err != nil || meter.Total().Up != before {
		t.Errorf("%v, %d bytes sent", err, meter.Total().Up-before)
	}
	for _, bad := range [][2]int{{-1, 1}, {0, 0}, {0, 4}, {1, 1<<63 - 1}} {
		if err := s.Cancel(bad[0], bad[1]); err == nil {
			t.Errorf("cancel of %v", bad)
		}
	}
	c := w.rawDial(t)
	c.enter(w.t)
	c.send(leavesMessage(0, 1))
	leaf := frame(kindLeaf, 10, 0, w.o.blocks[w.o.leaves[0]])
	if !c.reads(leaf) {
		t.Error("another answer")
	}
	c.message(kindCancel, &pb.Cancel{Start: 0, Count: 3})
	c.send(leavesMessage(0, 1))
	if !c.reads(leaf) {
		t.Error("another answer")
	}
}

// counted tells of each Lookup.
type counted struct {
	Rights
	looked chan struct{}
}

func (c counted) Lookup(id ticket.KeyID) (Grant, bool) {
	c.looked <- struct{}{}
	return c.Rights.Lookup(id)
}

// TestCancelsCost: a cancel that has to look through many ranges counts as several requests.
func TestCancelsCost(t *testing.T) {
	const ranges, cancels, rate = 4000, 1000, 8000
	o := newObject(1, 0, slices.Repeat([]int{10}, 2*ranges+2)...)
	gate, looked := make(chan struct{}), make(chan struct{}, 2*ranges)
	w := newWorld(t, o, overTCP, func(c *ServerConfig) {
		c.Content, c.Limits.Requests = slow{o, gate}, rate
		c.Rights = counted{c.Rights, looked}
	})
	c := w.rawDial(t)
	c.enter(w.t)
	<-looked
	began := time.Now()
	var all []byte
	for i := range ranges {
		all = append(all, leavesMessage(uint64(2*i), 1)...)
	}
	for range cancels {
		all = appendMessage(all, kindCancel, &pb.Cancel{Start: 2*ranges + 1, Count: 1})
	}
	c.send(append(all, leavesMessage(1, 1)...))
	for range ranges + 1 {
		<-looked
	}
	// Without the cost of cancels all would pass at once.
	least := time.Duration(ranges+cancels*(ranges-depth)/cancelLooks-rate) * time.Second / rate
	if took := time.Since(began); took < least {
		t.Errorf("it took %v, want at least %v", took, least)
	}
}

// FuzzTodo compares the queue of a server with a list of leaves, one by one.
func FuzzTodo(f *testing.F) {
	f.Add([]byte{0, 0, 20, 1, 5, 3, 2, 2, 2, 0, 3, 3, 1, 0, 50})
	f.Add([]byte{0, 0, 9, 0, 9, 9, 0, 0, 9, 1, 3, 12, 2, 1, 1, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		td := newTodo(Limits{}.withDefaults())
		type leaf struct {
			i    int
			gone bool
		}
		var twin []leaf
		b = b[:min(len(b), 1500)] // as in FuzzOwed
		pop := func() {
			rq, ok := td.first()
			if !ok {
				if len(twin) > 0 {
					t.Fatalf("nothing, want %v", twin)
				}
				return
			}
			for i := range rq.count {
				if want := (leaf{rq.start + i, rq.kind == kindSkipped}); len(twin) == 0 || twin[0] != want {
					t.Fatalf("%+v, want %v", rq, twin)
				}
				twin = twin[1:]
			}
		}
		for len(b) > 2 {
			op, start, count := b[0]%3, int(b[1]), int(b[2])+1
			b = b[3:]
			switch op {
			case 0:
				if td.push(request{kind: kindGetLeaves, start: start, count: count}) != nil {
					return
				}
				for i := range count {
					twin = append(twin, leaf{start + i, false})
				}
			case 1:
				if _, err := td.cancel(start, count); err != nil {
					return
				}
				for k := range twin {
					if i := twin[k].i; i >= start && i < start+count {
						twin[k].gone = true
					}
				}
			case 2:
				pop()
			}
		}
		for len(twin) > 0 {
			pop()
		}
	})
}

// FuzzOwed compares what a client is owed with a list of answers, one by one.
func FuzzOwed(f *testing.F) {
	f.Add([]byte{0, 0, 20, 1, 5, 3, 2, 2, 2, 0, 3, 3, 1, 0, 50, 3, 5, 2})
	f.Add([]byte{0, 0, 1, 4, 0, 0, 0, 1, 1, 1, 0, 9, 3, 0, 1, 2, 0, 0, 3, 1, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		o := &owed{in: &pacedReader{s: tape{}}, stall: time.Second, done: time.Second}
		type leaf struct {
			i    int
			gone bool
		}
		var twin []leaf           // an Acked has the index -1
		b = b[:min(len(b), 1500)] // the twin takes the square of it: long ones outlast the time for fuzzing, which fails
		for len(b) > 2 {
			op, start, count := b[0]%5, int(b[1]), int(b[2])+1
			b = b[3:]
			switch op {
			case 0:
				o.push(answer{kind: kindLeaf, next: start, end: start + count})
				for i := range count {
					twin = append(twin, leaf{start + i, false})
				}
			case 1:
				any := false
				for k := range twin {
					if i := twin[k].i; i >= start && i < start+count && !twin[k].gone {
						twin[k].gone, any = true, true
					}
				}
				if got := o.cancel(start, count); got != any {
					t.Fatalf("cancel told %v, want %v", got, any)
				}
			case 2:
				a, ok := o.head()
				if ok != (len(twin) > 0) {
					t.Fatalf("owed %v, want %v", ok, twin)
				}
				if !ok {
					continue
				}
				if a.kind == kindAcked {
					a.next = -1
				}
				if a.next != twin[0].i || a.cancelled != twin[0].gone {
					t.Fatalf("%+v, want %+v", a, twin[0])
				}
				o.took()
				twin = twin[1:]
			case 3:
				ok := len(twin) >= count
				for i := 0; ok && i < count; i++ {
					ok = twin[i] == leaf{start + i, true}
				}
				if err := o.skip(uint64(start), uint64(count)); (err == nil) != ok {
					t.Fatalf("skip of %d from %d: %v, want ok %v of %v", count, start, err, ok, twin)
				} else if err != nil {
					return // the session has ended
				}
				twin = twin[count:]
			case 4:
				o.push(answer{kind: kindAcked, end: 1, acked: make(chan struct{})})
				twin = append(twin, leaf{-1, false})
			}
			if o.empty() != (len(twin) == 0) || (o.in.limit == 0) != (len(twin) == 0) {
				t.Fatalf("empty %v, limit %v, want %v", o.empty(), o.in.limit, twin)
			}
		}
	})
}

// TestRunOnce and what a session does with calls at the wrong time.
func TestRunOnce(t *testing.T) {
	w := newWorld(t, newObject(1, 2, 10), overTCP, nil)
	s := w.dial(t, ClientConfig{})
	if err := s.Request(0, 1); err != nil {
		t.Fatal(err)
	}
	if err := s.Done(t.Context(), testID); err == nil || errors.Is(err, ErrProtocol) {
		t.Errorf("%v, want an error of the caller", err)
	}
	s = w.dial(t, ClientConfig{})
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(0, func() { cancel(cause) })
	if err := s.Run(ctx, Handler{}); err != cause {
		t.Errorf("%v, want the cause", err)
	}
	if err := s.Run(t.Context(), Handler{}); !errors.Is(err, ErrClosed) {
		t.Errorf("%v, want ErrClosed", err)
	}
	if err := s.Request(0, 1); !errors.Is(err, ErrClosed) || !errors.Is(err, cause) {
		t.Errorf("%v, want ErrClosed", err)
	}
	if err := s.Swarm(); !errors.Is(err, ErrClosed) {
		t.Errorf("%v, want ErrClosed", err)
	}
	s = w.dial(t, ClientConfig{})
	if err := s.Run(ctx, Handler{}); err != cause { // it has ended before
		t.Errorf("%v, want the cause", err)
	}
	if err := s.Request(0, 1); !errors.Is(err, ErrClosed) || !errors.Is(err, cause) {
		t.Errorf("%v, want ErrClosed", err)
	}
	for range 3 { // the first was reset with a leaf owed, the others had nothing on their way
		<-w.ended
	}
}
