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
			x.begin(true)
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
