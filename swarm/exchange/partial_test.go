package exchange

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"cairn/storage/block"
	"cairn/swarm/exchange/pb"
)

// growing is an object of which some leaves are here.
type growing struct {
	*object
	mu    sync.Mutex
	order []uint32
	here  map[int]bool
	more  chan struct{}
}

func newGrowing(o *object) *growing {
	return &growing{object: o, here: map[int]bool{}, more: make(chan struct{})}
}

func (g *growing) come(leaves ...int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, l := range leaves {
		g.order = append(g.order, uint32(l))
		g.here[l] = true
	}
	close(g.more)
	g.more = make(chan struct{})
}

func (g *growing) Tree(ctx context.Context, r Grant) (Tree, func(), error) {
	_, release, err := g.object.Tree(ctx, r)
	return g, release, err
}

func (g *growing) Since(pos int) ([]uint32, <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.order[pos:len(g.order):len(g.order)], g.more
}

func (g *growing) ReadLeaf(ctx context.Context, i int, dst []byte) ([]byte, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.here[i] {
		return nil, block.ErrNotFound
	}
	return g.object.Get(ctx, g.leaves[i], dst)
}

// leavesOf lists what a Have names.
func leavesOf(start int, bits []byte) (out []int) {
	for k := range len(bits) * 8 {
		if bits[k/8]>>(k%8)&1 == 1 {
			out = append(out, start+k)
		}
	}
	return out
}

// TestPartialServer: a client learns what is there and what comes, gets it, and is told what is missing.
func TestPartialServer(t *testing.T) {
	o := newObject(1, 1200, mixed(40)...)
	g := newGrowing(o)
	g.come(3, 1, 39)
	w := newWorld(t, o, overTCP, func(c *ServerConfig) { c.Content = g })
	s := w.dial(t, ClientConfig{})
	if !s.Partial() || !w.srv.Sessions()[0].Partial {
		t.Error("not told that the source is partial")
	}
	had := make(chan []int, 64)
	s.h.Have = func(start int, bits []byte) { had <- leavesOf(start, bits) }
	n := 0
	for b, err := range s.Nodes(t.Context(), o.nodes) { // Haves come between and are kept
		if err != nil || b.CID != o.nodes[n] {
			t.Fatal(b.CID, err)
		}
		n++
	}
	var got []int
	err := s.Leaves(t.Context(), once([2]int{1, 1}, [2]int{2, 1}, [2]int{3, 1}, [2]int{39, 1}), o.check(&got))
	var m *MissingError
	if !errors.As(err, &m) || m.Index != 2 || m.Count != 1 || m.Reason != NotFound || !slices.Equal(got, []int{1, 3, 39}) {
		t.Errorf("%v, %v", got, err)
	}
	expect := func(want ...int) {
		t.Helper()
		var have []int
		for len(have) < len(want) {
			select {
			case h := <-had:
				have = append(have, h...)
			case <-time.After(patience):
				t.Fatalf("was told of %v, want %v", have, want)
			}
		}
		if slices.Sort(have); !slices.Equal(have, want) {
			t.Errorf("was told of %v, want %v", have, want)
		}
	}
	expect(1, 3, 39)
	g.come(2)
	expect(2) // while nothing is asked for
	got = nil
	if err := s.Leaves(t.Context(), once([2]int{2, 2}), o.check(&got)); err != nil || len(got) != 2 {
		t.Error(got, err)
	}
}

// TestHavesAreBatched: however leaf by leaf they come, only one Have leaves in a while.
func TestHavesAreBatched(t *testing.T) {
	const n = 2000
	o := newObject(1, 0, make([]int, n)...)
	g := newGrowing(o)
	w := newWorld(t, o, overTCP, func(c *ServerConfig) { c.Content = g })
	s := w.dial(t, ClientConfig{})
	all := make(chan int)
	frames, told := 0, 0
	s.h.Have = func(start int, bits []byte) {
		frames++
		if told += len(leavesOf(start, bits)); told == n {
			all <- frames
		}
	}
	began := time.Now()
	s.run(t.Context())
	for i := range n {
		g.come(i)
	}
	f := <-all
	if most := int(time.Since(began)/haveEvery) + 2; f > most {
		t.Errorf("%d Haves, at most %d can be due", f, most)
	}
}

func TestEachHave(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, tc := range []struct{ n, some, frames int }{
		{1, 1, 1}, {8, 8, 1}, {1000, 1, 1}, {1000, 400, 1}, {1 << 20, 100, 100}, {1 << 20, fewLeaves, fewLeaves},
		{1 << 20, 1 << 20, 4}, {1<<20 + 1, 1<<20 + 1, 5}, {1 << 20, 1 << 19, 4},
	} {
		leaves := make([]uint32, 0, tc.some)
		for _, l := range rng.Perm(tc.n)[:tc.some] {
			leaves = append(leaves, uint32(l))
		}
		before := slices.Clone(leaves)
		got := map[int]bool{}
		frames := 0
		eachHave(leaves, tc.n, func(start int, bits []byte) bool {
			frames++
			if _, n, err := checkHave(&pb.Have{Start: uint64(start), Bits: bits}, tc.n); err != nil || n != len(leavesOf(start, bits)) {
				t.Errorf("%+v: %d, %v", tc, n, err)
			}
			for _, l := range leavesOf(start, bits) {
				if got[l] {
					t.Errorf("%+v: leaf %d told twice", tc, l)
				}
				got[l] = true
			}
			return true
		})
		if len(got) != tc.some || frames > tc.frames {
			t.Errorf("%+v: %d leaves in %d frames", tc, len(got), frames)
		}
		for _, l := range leaves {
			if !got[int(l)] {
				t.Errorf("%+v: leaf %d not told", tc, l)
			}
		}
		if !slices.Equal(before, leaves) {
			t.Error("the caller's slice was changed")
		}
	}
}

// FuzzHave: what is accepted names at least one leaf and only leaves of the object.
func FuzzHave(f *testing.F) {
	f.Add(uint64(0), []byte{1}, 1)
	f.Add(uint64(3), []byte{0xff, 0x1f}, 16)
	f.Add(uint64(3), []byte{0xff, 0x3f}, 16)
	f.Add(uint64(1<<64-1), []byte{1}, 100)
	f.Add(uint64(0), []byte{0, 0}, 100)
	f.Fuzz(func(t *testing.T, start uint64, bits []byte, n int) {
		if n < 0 || n > 1<<31-1 {
			return
		}
		s, count, err := checkHave(&pb.Have{Start: start, Bits: bits}, n)
		if err != nil {
			if !errors.Is(err, ErrProtocol) {
				t.Fatal(err)
			}
			return
		}
		l := leavesOf(s, bits)
		if len(l) != count || count == 0 || l[0] < 0 || l[len(l)-1] >= n || len(bits) > maxBits {
			t.Fatalf("accepted %v of %d", l, n)
		}
	})
}
