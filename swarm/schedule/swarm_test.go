package schedule

import (
	"testing"
	"time"
)

const mb = 1e6

// room is a swarm of one source and downloaders that begin within 100 ms and are introduced to each other 200 ms later.
func room(n *network, downloaders int, rate, common float64) {
	if common > 0 {
		n.common = &link{rate: common}
	}
	source := n.add(rate, rate, true)
	for k := range downloaders {
		x := n.add(rate, rate, false)
		n.after(time.Duration(k)*100*time.Millisecond/time.Duration(downloaders), func() {
			x.begin()
			x.connect(source, k)
			n.after(200*time.Millisecond, func() {
				for _, y := range n.nodes {
					if y != x && !y.full && y.s != nil {
						x.connect(y, 0)
						y.connect(x, 0)
					}
				}
			})
		})
	}
}

// outcome of a simulation.
type outcome struct {
	slowest float64 // seconds until the last was done
	copies  float64 // that the source sent
	twice   int     // leaves that came in vain
}

func (n *network) outcome(limit float64) (o outcome) {
	n.t.Helper()
	n.run(limit, func() bool {
		for _, x := range n.nodes {
			if !x.full && !x.gone && x.done == 0 {
				return false
			}
		}
		return true
	})
	for _, x := range n.nodes {
		o.slowest = max(o.slowest, x.done)
		o.twice += x.wasted
	}
	o.copies = n.nodes[0].sent / n.size / float64(n.leaves)
	return o
}

func TestRooms(t *testing.T) {
	for _, c := range []struct {
		name                string
		downloaders, leaves int
		size, rate, common  float64
		time, copies        float64 // bars; time in units of size / rate, 0: none
	}{
		{"8 downloaders, 64 leaves, 50 Mbit/s", 8, 64, 1 << 20, 6.25 * mb, 0, 1.35, 1.25},
		{"4 downloaders, 1024 leaves, 1 GB/s in all", 4, 1024, 1 << 20, 1e9, 1e9, 0, 1.25},
		{"2 downloaders, 1024 leaves, 10 MB/s", 2, 1024, 1 << 20, 10 * mb, 0, 1.1, 1.25},
		{"30 downloaders, 256 leaves, 10 MB/s", 30, 256, 1 << 20, 10 * mb, 0, 1.35, 1.25},
		{"4 downloaders, 4000 leaves of 4 KiB, 10 MB/s", 4, 4000, 4096, 10 * mb, 0, 2, 1.25},
	} {
		t.Run(c.name, func(t *testing.T) {
			ideal := float64(c.leaves) * c.size / c.rate
			n := newNetwork(t, c.leaves, c.size)
			room(n, c.downloaders, c.rate, c.common)
			got := n.outcome(100 * ideal)
			var base outcome
			if c.downloaders <= 8 {
				n = newNetwork(t, c.leaves, c.size)
				n.make = newGreedy
				room(n, c.downloaders, c.rate, c.common)
				base = n.outcome(100 * ideal)
			}
			t.Logf("slowest %.2f s = %.2f x size / link, source sent %.2f copies, %d leaves in vain; front to back %.2f s, %.2f copies",
				got.slowest, got.slowest/ideal, got.copies, got.twice, base.slowest, base.copies)
			if c.time > 0 && got.slowest > c.time*ideal {
				t.Errorf("slowest took %.2f times size / link, at most %.2f", got.slowest/ideal, c.time)
			}
			if got.copies > c.copies {
				t.Errorf("the source sent %.2f copies, at most %.2f", got.copies, c.copies)
			}
		})
	}
}

// pair is a downloader with two complete sources.
func pair(t *testing.T, make func(Config) stepper, leaves int, first, second float64) (n *network, x *node) {
	n = newNetwork(t, leaves, 1<<20)
	if make != nil {
		n.make = make
	}
	n.add(first, first, true)
	n.add(second, second, true)
	x = n.add(1e10, 1e10, false)
	n.after(0, func() {
		x.begin()
		x.connect(n.nodes[0], 0)
		x.connect(n.nodes[1], 0)
	})
	return n, x
}

func TestTwoSources(t *testing.T) {
	for _, c := range []struct {
		name          string
		first, second float64
		leaves        int
		most          float64 // times what both rates together need
	}{
		{"equal", 50 * mb, 50 * mb, 512, 1.02},
		{"one at a tenth", 100 * mb, 10 * mb, 1024, 1.05},
		{"the slow one first", 10 * mb, 100 * mb, 1024, 1.05},
		{"one at a tenth, short", 100 * mb, 10 * mb, 64, 1.1},
		{"one at 1 byte/s", 100 * mb, 1, 512, 1.02},
		{"the one at 1 byte/s first", 1, 100 * mb, 512, 1.05},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, _ := pair(t, nil, c.leaves, c.first, c.second)
			got := n.outcome(1e5)
			var base outcome
			if min(c.first, c.second) > 1 {
				n, _ = pair(t, newGreedy, c.leaves, c.first, c.second)
				base = n.outcome(1e5)
			}
			ideal := float64(c.leaves) * (1 << 20) / (c.first + c.second)
			t.Logf("%.2f s = %.3f x ideal, %d leaves in vain; front to back %.2f s", got.slowest, got.slowest/ideal, got.twice, base.slowest)
			if got.slowest > c.most*ideal {
				t.Errorf("took %.3f times the ideal, at most %.3f", got.slowest/ideal, c.most)
			}
		})
	}
}

// A source that is gone costs no time but what it would have brought; one that falls silent 3 s of its work at most.
func TestSourceEnds(t *testing.T) {
	for _, silent := range []bool{false, true} {
		n, x := pair(t, nil, 1024, 50*mb, 50*mb)
		half := float64(1024<<20) / (100 * mb) / 2
		n.after(time.Duration(half*1e9), func() {
			if silent {
				n.nodes[0].up.rate, n.changed = 1e-9, true
			} else {
				n.nodes[0].kill()
			}
		})
		n.outcome(1e5)
		ideal := half * 3 // the other half at half of the rate
		t.Logf("silent %v: %.2f s, %.2f without loss", silent, x.done, ideal)
		if x.done > ideal+3 {
			t.Errorf("lost %.2f s", x.done-ideal)
		}
	}
}

// A downloader that goes in the middle takes nothing with it.
func TestDownloaderLeaves(t *testing.T) {
	n := newNetwork(t, 256, 1<<20)
	room(n, 4, 10*mb, 0)
	n.after(12*time.Second, n.nodes[2].kill)
	got := n.outcome(1e5)
	ideal := 256 * float64(1<<20) / (10 * mb)
	t.Logf("slowest %.2f s = %.2f x size / link, %.2f copies", got.slowest, got.slowest/ideal, got.copies)
	if got.slowest > 1.25*ideal || got.copies > 1.25 {
		t.Error("more than 1.25 times size / link, or 1.25 copies")
	}
}

// A slow downloader holds up nobody but itself, and one that comes late is served by the others.
func TestUnequalRoom(t *testing.T) {
	n := newNetwork(t, 256, 1<<20)
	room(n, 4, 10*mb, 0)
	n.nodes[1].up.rate, n.nodes[1].down.rate = mb, mb
	late := n.add(10*mb, 10*mb, false)
	n.after(10*time.Second, func() {
		late.begin()
		late.connect(n.nodes[0], 4)
		n.after(200*time.Millisecond, func() {
			for _, y := range n.nodes[1:5] {
				late.connect(y, 0)
				y.connect(late, 0)
			}
		})
	})
	got := n.outcome(1e5)
	ideal := 256 * float64(1<<20) / (10 * mb)
	for _, x := range n.nodes[1:] {
		t.Logf("done after %.2f s = %.2f x size / link", x.done, x.done/ideal)
	}
	t.Logf("%.2f copies", got.copies)
	for _, x := range n.nodes[2:5] {
		if x.done > 1.35*ideal {
			t.Errorf("a fast one took %.2f times size / link", x.done/ideal)
		}
	}
	if n.nodes[1].done > 10*1.1*ideal || late.done > 10+1.35*ideal {
		t.Error("the slow or the late one took too long")
	}
}

// A downloader that says it has everything, and brings next to nothing of it, does not keep the source from being asked.
func TestLiar(t *testing.T) {
	for _, rate := range []float64{1, 100e3} {
		n := newNetwork(t, 512, 1<<20)
		source, liar, x := n.add(100*mb, 100*mb, true), n.add(rate, rate, false), n.add(100*mb, 100*mb, false)
		for i := range n.leaves {
			liar.has.add(i)
		}
		liar.done = 1e-9
		n.after(0, func() {
			x.begin()
			x.connect(source, 0)
			x.connect(liar, 0)
		})
		got := n.outcome(1e5)
		ideal := 512 * float64(1<<20) / (100 * mb)
		t.Logf("%v bytes/s: %.2f s, ideal %.2f s", rate, got.slowest, ideal)
		if got.slowest > ideal+5 {
			t.Errorf("took %.2f s, must be %.2f s", got.slowest, ideal)
		}
	}
}
