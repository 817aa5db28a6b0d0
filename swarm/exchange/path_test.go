package exchange

import (
	"slices"
	"sync/atomic"
	"testing"
)

func mixed(n int) []int {
	sizes := make([]int, n)
	for i := range sizes {
		sizes[i] = []int{0, 1, 4096, 5000, 65536, 70000, 1 << 20, 300000}[i%8]
	}
	return sizes
}

func TestWholePath(t *testing.T) {
	for name, listen := range map[string]string{"tcp": overTCP, "quic-v1": overQUIC} {
		t.Run(name, func(t *testing.T) {
			var done atomic.Int64
			w := newWorld(t, newObject(1, 1500, mixed(40)...), listen, func(c *ServerConfig) {
				c.Events.Done = func(i SessionInfo) error { done.Add(1); return nil }
			})
			s := w.dial(t, ClientConfig{})
			if s.Size() != w.o.size() || s.NumLeaves() != 40 || s.Peer() != w.sh.ID() || s.Transport() != name {
				t.Errorf("session says size %d, %d leaves, peer %s, transport %s", s.Size(), s.NumLeaves(), s.Peer(), s.Transport())
			}
			n := 0
			for b, err := range s.Nodes(t.Context(), w.o.nodes) {
				if err != nil {
					t.Fatal(err)
				}
				if b.CID != w.o.nodes[n] || string(b.Data) != string(w.o.blocks[b.CID]) {
					t.Fatalf("node %d is another one", n)
				}
				n++
			}
			if n != len(w.o.nodes) {
				t.Errorf("%d nodes, want %d", n, len(w.o.nodes))
			}
			var got []int
			if err := s.Leaves(t.Context(), once([2]int{30, 10}, [2]int{0, 1}, [2]int{5, 20}), w.o.check(&got)); err != nil {
				t.Fatal(err)
			}
			want := []int{30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 0}
			for i := 5; i < 25; i++ {
				want = append(want, i)
			}
			if !slices.Equal(got, want) {
				t.Errorf("leaves came as %v, want %v", got, want)
			}
			if err := s.Done(t.Context(), testID); err != nil {
				t.Fatal(err)
			}
			if err := s.Done(t.Context(), testID); err != nil {
				t.Fatal(err)
			}
			if done.Load() != 1 {
				t.Errorf("counted %d times, want once", done.Load())
			}
			s.Close()
			if err := <-w.ended; err != nil {
				t.Errorf("session ended with %v", err)
			}
		})
	}
}
