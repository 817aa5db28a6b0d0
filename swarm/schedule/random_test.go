package schedule

import (
	"math/rand/v2"
	"testing"
	"time"
)

// play turns bytes into events, checks every step, then lets one more complete source do what is left.
func play(t testing.TB, script []byte) {
	next := func() int {
		if len(script) == 0 {
			return 0
		}
		b := script[0]
		script = script[1:]
		return int(b)
	}
	leaves := 1 + next()%90
	size := []int{1 << 20, 4096, 300 << 10, 0}[next()%4]
	order := Order(next() % 2)
	w := newWorld(t, Config{Leaves: leaves, Size: func(i int) int { return size * (1 + i%2) }, Order: order, Self: "m"})
	ids := 0
	for len(script) > 0 {
		w.random(next, &ids)
	}
	w.finish(ids)
}

// random does one thing.
func (w *world) random(next func() int, ids *int) {
	op := next()
	id := 1
	if *ids > 0 {
		id = 1 + next()%*ids
	}
	leaf := next() % w.c.Leaves
	p := w.peers[id]
	switch op % 20 {
	case 0:
		if *ids < 8 {
			*ids++
			w.step(Joined{ID: *ids, Peer: string(rune('a' + 5*(*ids))), Partial: leaf%2 == 0, Rank: leaf % 3})
		}
	case 1:
		if leaf%4 == 0 {
			w.step(Left{ID: id})
		}
	case 2:
		if p != nil && p.partial {
			w.step(Has{ID: id, Start: leaf, Bits: []byte{byte(next()), byte(next())}})
		}
	case 3:
		w.step(Arrived{ID: id, Leaf: leaf}) // often not asked for
	case 4:
		if p != nil && len(p.order) > 0 {
			w.step(Missing{ID: id, Leaf: p.order[0]})
		}
	case 5, 6:
		w.late(id, op)
	case 7:
		w.step(Progress{ID: id})
	case 8:
		w.step(Want{Span{leaf, min(leaf+1+next()%40, w.c.Leaves)}})
	case 9:
		if leaf%8 == 0 {
			w.step(Unwant{})
		}
	case 10:
		w.settle(leaf)
	case 11:
		w.step(Forget{Leaf: leaf})
	case 12:
		w.now = w.now.Add(time.Duration(leaf*leaf) * time.Millisecond)
		w.step(Tick{})
	default:
		w.now = w.now.Add(time.Duration(leaf*8) * time.Millisecond)
		if p != nil && len(p.order) > 0 {
			w.step(Arrived{ID: id, Leaf: p.order[0]})
		}
	}
}

// late lets what was cancelled come or not.
func (w *world) late(id, op int) {
	p := w.peers[id]
	if p == nil {
		return
	}
	for i := range w.c.Leaves {
		if p.late[i] {
			if op%2 == 0 {
				w.step(Arrived{ID: id, Leaf: i})
			} else {
				w.step(Skipped{ID: id, Span: Span{i, i + 1}})
			}
			return
		}
	}
}

// settle verifies what arrived; leaf k is bad if bad is k.
func (w *world) settle(bad int) {
	for i := range w.c.Leaves {
		if w.here[i] && !w.kept[i] {
			if i == bad {
				w.step(Bad{Leaf: i})
			} else {
				w.step(Kept{Leaf: i})
			}
		}
	}
}

// finish brings the download to its end: nothing may be forgotten.
func (w *world) finish(ids int) {
	w.t.Helper()
	w.step(Want{Span{0, w.c.Leaves}})
	w.step(Joined{ID: ids + 1, Peer: "z"})
	for range 10000 {
		if w.s.Pending() == 0 {
			return
		}
		w.now = w.now.Add(100 * time.Millisecond)
		w.step(Tick{})
		for id, p := range w.peers {
			for i := range p.late {
				w.step(Skipped{ID: id, Span: Span{i, i + 1}})
			}
		}
		if p := w.peers[ids+1]; p != nil && len(p.order) > 0 {
			w.step(Arrived{ID: ids + 1, Leaf: p.order[0]})
		}
		w.settle(-1)
	}
	for id, p := range w.peers {
		w.t.Logf("%d: %+v", id, p)
		w.t.Logf("%+v", w.s.byID[id])
	}
	w.fail("%d leaves never came: %v", w.s.Pending(), w.wanted)
}

func TestRandom(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		script := make([]byte, r.IntN(900))
		for i := range script {
			script[i] = byte(r.Uint32())
		}
		play(t, script)
	}
}

func FuzzScheduler(f *testing.F) {
	f.Add([]byte{64, 0, 0, 0, 0, 1, 8, 0, 0, 40, 13, 0, 0})
	f.Add([]byte{64, 1, 1, 0, 0, 1, 0, 0, 2, 8, 0, 0, 40, 2, 1, 0, 255, 255, 13, 0, 0, 12, 0, 80})
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) < 2000 {
			play(t, script)
		}
	})
}
