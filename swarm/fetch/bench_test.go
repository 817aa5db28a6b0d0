package fetch

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"cairn/storage/dag"
)

// flat is a source that costs nothing: every leaf is the same bytes in memory.
type flat struct {
	*testSource
	data []byte
}

type flatBuf []byte

func (b flatBuf) Bytes() []byte { return b }
func (flatBuf) Release()        {}

func (f flat) Run(ctx context.Context, sink Sink) error {
	b := Buf(flatBuf(f.data))
	for {
		i, skipped, err := f.todo.next(ctx)
		if err != nil {
			return err
		}
		if skipped > 0 {
			sink.Skipped(i, skipped)
			continue
		}
		if err := sink.Leaf(i, b); err != nil {
			return err
		}
	}
}

func (f flat) Request(start, count int) error {
	f.todo.add(start, count)
	return nil
}

// BenchmarkFile: leaves in memory, verified, into a new file.
func BenchmarkFile(b *testing.B) {
	const size = 512 * mib
	dir := memDir(b)
	path := filepath.Join(dir, "in")
	leaf := randomBytes(mib, 1)
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	for range size / mib {
		if _, err := f.Write(leaf); err != nil {
			b.Fatal(err)
		}
	}
	f.Close()
	obj := importObject(b, path, dag.Options{})
	if err := os.Remove(path); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		target := filepath.Join(dir, "out")
		if _, err := Run(b.Context(), obj.job(target, flat{source(obj, "a"), leaf})); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := os.Remove(target); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkSmallFiles: 10,000 files of 4 KiB.
func BenchmarkSmallFiles(b *testing.B) {
	const files = 10_000
	dir := memDir(b)
	from := filepath.Join(dir, "from")
	data := randomBytes(4096, 1)
	for i := range files {
		path := filepath.Join(from, fmt.Sprint(i%100))
		if i < 100 {
			if err := os.MkdirAll(path, 0o755); err != nil {
				b.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(path, fmt.Sprint(i)), data, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	obj := importObject(b, from, dag.Options{})
	b.ReportAllocs()
	for b.Loop() {
		target := filepath.Join(dir, "out")
		if _, err := Run(b.Context(), obj.job(target, flat{source(obj, "a"), data})); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := os.RemoveAll(target); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
