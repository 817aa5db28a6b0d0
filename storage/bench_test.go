package storage

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"cairn/storage/block"
	"cairn/storage/block/blocktest"
)

// sourceFile makes a file of n random bytes; CAIRN_BENCH_DIR chooses the disk.
func sourceFile(b testing.TB, dir string, n int64) string {
	b.Helper()
	f, err := os.Create(filepath.Join(dir, "source"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	for i := int64(0); i < n; i += 1 << 20 {
		if _, err := f.Write(blocktest.Data(uint64(i), int(min(1<<20, n-i)))); err != nil {
			b.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
	return f.Name()
}

func benchFixture(b testing.TB) *fixture {
	b.Helper()
	home, err := os.MkdirTemp(os.Getenv("CAIRN_BENCH_DIR"), "cairn-bench")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(home) })
	keys, err := CreateKeys(filepath.Join(home, "keys"))
	if err != nil {
		b.Fatal(err)
	}
	f := &fixture{t: b, home: home, cfg: Config{Dir: filepath.Join(home, "store"), Keys: keys}}
	f.open()
	b.Cleanup(f.close)
	return f
}

// importFile does what the importer does: reads, hashes and hands over leaves on every core.
func importFile(b testing.TB, w *Writer, path string) {
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		b.Fatal(err)
	}
	id, err := w.File(path, info)
	if err != nil {
		b.Fatal(err)
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			buf := make([]byte, 1<<20)
			for {
				off := next.Add(1<<20) - 1<<20
				n, err := f.ReadAt(buf, off)
				if n == 0 {
					return
				}
				if err != nil && !errors.Is(err, io.EOF) {
					b.Error(err)
					return
				}
				if err := w.Leaf(b.Context(), id, off, block.Sum(cid.Raw, buf[:n]), buf[:n]); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if err := w.Commit(b.Context(), entry("e", 1)); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkImport: 1 GiB taken in by a fresh store, copied (hashed, sealed, synced) or referenced, beside the same
// file copied through plain writes and synced. The page cache's memory costs more when it is touched for the
// first time than all the rest, so both take turns and leave nothing behind; compare x-of-cp, not MB/s.
func BenchmarkImport(b *testing.B) {
	const size = 1 << 30
	for _, copied := range []bool{true, false} {
		b.Run(fmt.Sprintf("copy=%v", copied), func(b *testing.B) {
			home, err := os.MkdirTemp(os.Getenv("CAIRN_BENCH_DIR"), "cairn-bench")
			if err != nil {
				b.Fatal(err)
			}
			defer os.RemoveAll(home)
			path := sourceFile(b, home, size)
			b.SetBytes(size)
			var cp, ours time.Duration
			for b.Loop() {
				b.StopTimer()
				cp += copySynced(b, path)
				f := benchFixture(b)
				start := time.Now()
				b.StartTimer()
				w := f.NewWriter(b.Context(), WriterOptions{Copy: copied})
				importFile(b, w, path)
				b.StopTimer()
				ours += time.Since(start)
				reportMemory(b)
				w.Close()
				f.close()
				os.RemoveAll(f.home)
				b.StartTimer()
			}
			b.ReportMetric(cp.Seconds()/ours.Seconds(), "x-of-cp")
		})
	}
}

// copySynced copies path beside itself through plain writes, syncs and removes it.
func copySynced(b *testing.B, path string) time.Duration {
	start := time.Now()
	src, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer src.Close()
	dst, err := os.Create(path + ".copy")
	if err != nil {
		b.Fatal(err)
	}
	defer os.Remove(dst.Name())
	defer dst.Close()
	buf := make([]byte, 1<<20)
	if _, err := io.CopyBuffer(struct{ io.Writer }{dst}, struct{ io.Reader }{src}, buf); err != nil {
		b.Fatal(err)
	}
	if err := dst.Sync(); err != nil {
		b.Fatal(err)
	}
	return time.Since(start)
}

// reportMemory reports anonymous memory now, in MiB (Linux).
func reportMemory(b *testing.B) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return
	}
	var kb int64
	for line := range strings.Lines(string(text)) {
		if _, err := fmt.Sscanf(line, "RssAnon: %d kB", &kb); err == nil {
			b.ReportMetric(float64(kb)/1024, "RssAnon-MiB")
		}
	}
}

// BenchmarkSmallFiles: 10,000 files of 4 KiB, referenced or copied, one commit.
func BenchmarkSmallFiles(b *testing.B) {
	for _, copied := range []bool{true, false} {
		b.Run(fmt.Sprintf("copy=%v", copied), func(b *testing.B) {
			f := benchFixture(b)
			info, err := os.Stat(f.write("x", []byte("x")))
			f.must(err)
			data := blocktest.Data(1, 4096)
			for round := 0; b.Loop(); round++ {
				w := f.NewWriter(b.Context(), WriterOptions{Copy: copied})
				for i := range 10_000 {
					copy(data, fmt.Sprintf("%d %d ", round, i))
					id, err := w.File(fmt.Sprintf("/dir/%d/%d", round, i), info)
					f.must(err)
					f.must(w.Leaf(b.Context(), id, 0, block.Sum(cid.Raw, data), data))
				}
				f.must(w.Commit(b.Context()))
				w.Close()
			}
		})
	}
}

// BenchmarkGet reads leaves of 1 MiB back, owned and referenced.
func BenchmarkGet(b *testing.B) {
	for _, copied := range []bool{true, false} {
		b.Run(fmt.Sprintf("copy=%v", copied), func(b *testing.B) {
			f := benchFixture(b)
			path := sourceFile(b, f.home, 64<<20)
			w := f.NewWriter(b.Context(), WriterOptions{Copy: copied})
			importFile(b, w, path)
			var cs []cid.Cid
			for c, err := range f.List(b.Context()) {
				f.must(err)
				cs = append(cs, c)
			}
			dst := make([]byte, 1<<20)
			b.SetBytes(1 << 20)
			i := 0
			for b.Loop() {
				if _, err := f.Get(b.Context(), cs[i%len(cs)], dst); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}
