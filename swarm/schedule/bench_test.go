package schedule

import (
	"testing"
	"time"
)

// deliver plays a download: the source delivers in the order asked, each leaf is kept. With eight more downloaders, that
// have nothing, it ends when the leaves of our own stripes are here.
func deliver(b *testing.B, leaves, size int, partials bool) (steps int) {
	s := New(Config{Leaves: leaves, Size: func(int) int { return size }, Self: "m"})
	now := time.Unix(1e9, 0)
	var queue []Span
	step := func(e Event) {
		steps++
		for _, a := range s.Step(now, e) {
			switch a := a.(type) {
			case Request:
				if a.ID == 1 {
					queue = append(queue, a.Span)
				}
			case Cancel:
				queue = cutOut(queue, a.Span)
			}
		}
	}
	step(Joined{ID: 1})
	rest := 0
	if partials {
		rest = leaves - leaves/9
		for id := range 8 {
			step(Joined{ID: 2 + id, Peer: string(rune('a' + id)), Partial: true})
		}
	}
	step(Want{Span{0, leaves}})
	for s.Pending() > rest {
		now = now.Add(10 * time.Microsecond)
		if steps%10000 < 2 {
			step(Tick{})
		}
		if len(queue) == 0 {
			now = now.Add(100 * time.Millisecond)
			step(Tick{})
			continue
		}
		i := queue[0].Lo
		queue = cutOut(queue, Span{i, i + 1})
		step(Arrived{ID: 1, Leaf: i})
		step(Kept{i})
	}
	return steps
}

func benchDeliver(b *testing.B, leaves, size int, partials bool) {
	b.ReportAllocs()
	steps := 0
	for b.Loop() {
		steps += deliver(b, leaves, size, partials)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(steps), "ns/step")
}

func BenchmarkSmall(b *testing.B)   { benchDeliver(b, 10000, 4<<10, false) }
func BenchmarkMillion(b *testing.B) { benchDeliver(b, 1<<20, 1<<20, false) }
func BenchmarkSwarm(b *testing.B)   { benchDeliver(b, 1<<17, 1<<20, true) }

// BenchmarkRarest asks a downloader that has everything, among seven others, of a million leaves.
func BenchmarkRarest(b *testing.B) {
	const leaves = 1 << 20
	bits := make([]byte, leaves/8)
	for i := range bits {
		bits[i] = 0xff
	}
	s := New(Config{Leaves: leaves, Size: func(int) int { return 1 << 20 }, Self: "m"})
	now := time.Unix(1e9, 0)
	s.Step(now, Want{Span{0, leaves}})
	for id := range 8 {
		s.Step(now, Joined{ID: 1 + id, Peer: string(rune('a' + id)), Partial: true})
		s.Step(now, Has{ID: 1 + id, Bits: bits})
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		id := 1 + n%8
		n++
		leaf := -1
		s.Asked(id, func(r Span) bool { leaf = r.Lo; return false })
		if leaf < 0 {
			b.Fatal("nothing asked")
		}
		now = now.Add(time.Millisecond)
		s.Step(now, Arrived{ID: id, Leaf: leaf})
		s.Step(now, Forget{leaf})
		s.Step(now, Want{Span{leaf, leaf + 1}})
	}
}
