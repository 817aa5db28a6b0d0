package dag

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// BenchmarkLarge imports a cached 1 GiB file by reference, and beside it hashes the same file on all cores in the
// simplest way: each core its own part, one buffer of 1 MiB each.
func BenchmarkLarge(b *testing.B) {
	const size = 1 << 30
	path := filepath.Join(tempDir(b), "large")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	buf := make([]byte, LeafSize)
	rng := rand.NewChaCha8([32]byte{1})
	for range size / LeafSize {
		rng.Read(buf)
		if _, err := f.Write(buf); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("import", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			if _, err := ImportPaths(context.Background(), []string{path}, Options{}, discard{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("hash", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			var next atomic.Int64
			var wg sync.WaitGroup
			for range runtime.GOMAXPROCS(0) {
				wg.Go(func() {
					buf := make([]byte, LeafSize)
					for {
						off := next.Add(LeafSize) - LeafSize
						if off >= size {
							return
						}
						if _, err := f.ReadAt(buf, off); err != nil {
							b.Error(err)
							return
						}
						sha256.Sum256(buf)
					}
				})
			}
			wg.Wait()
		}
	})
}

// BenchmarkSmall imports 10,000 files of 4 KiB, and beside it opens, reads and hashes them on all cores.
func BenchmarkSmall(b *testing.B) {
	const files, size = 10_000, 4 << 10
	dir := tempDir(b)
	var paths []string
	for i := range files {
		buf := make([]byte, size)
		copy(buf, fmt.Sprint(i))
		paths = append(paths, filepath.Join(dir, fmt.Sprintf("file-%05d", i)))
		if err := os.WriteFile(paths[i], buf, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("import", func(b *testing.B) {
		b.SetBytes(files * size)
		for b.Loop() {
			if _, err := ImportPaths(context.Background(), []string{dir}, Options{}, discard{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("hash", func(b *testing.B) {
		b.SetBytes(files * size)
		for b.Loop() {
			var next atomic.Int64
			var wg sync.WaitGroup
			for range runtime.GOMAXPROCS(0) {
				wg.Go(func() {
					for i := next.Add(1) - 1; i < files; i = next.Add(1) - 1 {
						data, err := os.ReadFile(paths[i])
						if err != nil {
							b.Error(err)
							return
						}
						sha256.Sum256(data)
					}
				})
			}
			wg.Wait()
		}
	})
}
