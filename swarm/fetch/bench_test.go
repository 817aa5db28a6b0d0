package fetch

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"cairn/storage/dag"
	"cairn/swarm/schedule"
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

// BenchmarkLeaf: what a leaf costs beside hashing and writing it, in an object of so many; it should not depend on that.
func BenchmarkLeaf(b *testing.B) {
	for _, leaves := range []int{20_480, 1_000_000} {
		for _, sources := range []int{1, 4} {
			b.Run(fmt.Sprintf("%d from %d", leaves, sources), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					e := &engine{members: newMembers(0, nil), leaves: leaves}
					e.sched = schedule.New(schedule.Config{Leaves: leaves, Size: func(int) int { return mib }})
					e.sched.Step(time.Now(), schedule.Want{Span: schedule.Span{Hi: leaves}})
					e.check = func(int, []byte) error { return nil }
					e.keep = e.check
					part := &Partial{from: make([]uint8, leaves)}
					e.kept = func(a arrival) bool {
						part.add(a.i, early)
						return false
					}
					for range sources {
						e.join(b.Context(), flat{source(nil, "a"), make([]byte, mib)})
					}
					e.start()
					ctx, cancel := context.WithCancel(b.Context())
					watched := make(chan struct{})
					go func() {
						defer close(watched)
						e.watch(ctx)
					}()
					if err := e.wait(ctx); err != nil {
						b.Error(err)
					}
					e.shut()
					cancel()
					<-watched
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*leaves), "ns/leaf")
			})
		}
	}
}
