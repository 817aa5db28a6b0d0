package exchange

import (
	"context"
	"testing"
)

// stream asks for the whole object again and again, a window of leaves ahead, and returns when n have come.
func stream(b *testing.B, s *Session, leaves, window, n int) {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	got, asked := 0, 0
	ask := func(most int) error {
		for most > 0 && asked < n {
			at := asked % leaves
			c := min(most, n-asked, leaves-at)
			if err := s.Request(at, c); err != nil {
				return err
			}
			asked, most = asked+c, most-c
		}
		return nil
	}
	if err := ask(window); err != nil {
		b.Fatal(err)
	}
	err := s.Run(ctx, Handler{Leaf: func(_ int, buf *Buf) error {
		buf.Release()
		if got++; got == n {
			cancel()
		}
		if asked-got <= window-window/4 {
			return ask(window / 4)
		}
		return nil
	}})
	if got != n {
		b.Fatal(err)
	}
}

func benchmark(b *testing.B, leaf, leaves, window, n int) {
	sizes := make([]int, leaves)
	for i := range sizes {
		sizes[i] = leaf
	}
	w := newWorld(b, newObject(1, 0, sizes...), overTCP, nil)
	b.SetBytes(int64(leaf) * int64(n))
	b.ReportAllocs()
	for b.Loop() {
		stream(b, w.dial(b, ClientConfig{}).Session, leaves, window, n)
	}
}

// BenchmarkLarge moves 1 GiB in leaves of 1 MiB.
func BenchmarkLarge(b *testing.B) { benchmark(b, 1<<20, 32, 32, 1024) }

// BenchmarkSmall moves 10,000 leaves of 4 KiB.
func BenchmarkSmall(b *testing.B) { benchmark(b, 4<<10, 10000, 2048, 10000) }
