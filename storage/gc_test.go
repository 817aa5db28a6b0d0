package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ipfs/go-cid"

	"cairn/storage/block"
	"cairn/storage/block/blocktest"
)

func (f *fixture) gc(mark Mark) GCResult {
	f.t.Helper()
	res, err := f.GC(f.t.Context(), mark, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	return res
}

func keep(bs ...block.Block) Mark {
	return func(_ context.Context, visit func(cid.Cid)) error {
		for _, b := range bs {
			visit(b.CID)
			visit(b.CID) // objects share blocks
		}
		return nil
	}
}

func TestGC(t *testing.T) {
	f := newFixture(t)
	bs := someBlocks(40)
	f.must(f.Put(t.Context(), bs...))
	data := blocktest.Data(1, 3000)
	a, b := f.write("a", data), f.write("b", blocktest.Data(2, 3000))
	w := f.NewWriter(t.Context(), WriterOptions{})
	as, bcs := f.reference(w, a, 1000), f.reference(w, b, 1000)
	f.must(w.Commit(t.Context()))
	f.must(w.Close())
	res := f.gc(keep(append(bs[:10:10], block.Block{CID: as[0]})...))
	if res.Marked != 11 || res.Blocks != 30 || res.Refs != 5 || res.Files != 1 {
		t.Fatalf("%+v", res)
	}
	check := func() {
		t.Helper()
		for i, x := range bs {
			if i < 10 {
				f.want(x)
			} else {
				f.absent(x.CID)
			}
		}
		f.want(block.Block{CID: as[0], Data: data[:1000]})
		f.absent(bcs[0])
		if st := f.Stats(); st.Blocks != 10 || st.Files != 1 || st.FileBytes != 3000 {
			t.Fatalf("%+v", st)
		}
	}
	check()
	f.reopen()
	check()
	for _, p := range []string{a, b} {
		if _, err := os.Stat(p); err != nil {
			t.Fatal("a user's file is gone", err)
		}
	}
	// The path of a deleted record is new again.
	w = f.NewWriter(t.Context(), WriterOptions{})
	f.reference(w, b, 1000)
	f.must(w.Commit(t.Context()))
	f.must(w.Close())
	if _, err := f.Get(t.Context(), bcs[2], nil); err != nil {
		t.Fatal(err)
	}
}

func TestGCMarkFails(t *testing.T) {
	f := newFixture(t)
	bs := someBlocks(3)
	f.must(f.Put(t.Context(), bs...))
	stop := errors.New("cannot read an entry")
	if _, err := f.GC(t.Context(), func(context.Context, func(cid.Cid)) error { return stop }, nil); !errors.Is(err, stop) {
		t.Fatal(err)
	}
	for _, b := range bs {
		f.want(b)
	}
	if _, err := f.GC(t.Context(), func(ctx context.Context, _ func(cid.Cid)) error {
		_, err := f.GC(ctx, keep(), nil)
		if !errors.Is(err, ErrBusy) {
			t.Errorf("a second one: %v", err)
		}
		return stop
	}, nil); !errors.Is(err, stop) {
		t.Fatal(err)
	}
}

// TestGCSparesWriters: what a writer touched stays until it is closed, whether it stored it or found it; and
// through a GC that was under way when it closed.
func TestGCSparesWriters(t *testing.T) {
	f := newFixture(t)
	bs := someBlocks(6)
	f.must(f.Put(t.Context(), bs[0], bs[1]))
	w := f.NewWriter(t.Context(), WriterOptions{Copy: true})
	if ok, err := w.Has(bs[0].CID); !ok || err != nil {
		t.Fatal(ok, err)
	}
	f.must(w.Leaf(t.Context(), 0, 0, bs[1].CID, bs[1].Data))
	f.must(w.Leaf(t.Context(), 0, 0, bs[2].CID, bs[2].Data)) // still queued, perhaps
	late := f.NewWriter(t.Context(), WriterOptions{Copy: true})
	f.must(late.Leaf(t.Context(), 0, 0, bs[3].CID, bs[3].Data))
	path := f.write("a", blocktest.Data(9, 100))
	refs := f.NewWriter(t.Context(), WriterOptions{})
	cs := f.reference(refs, path, 100)
	f.gc(func(context.Context, func(cid.Cid)) error {
		f.must(late.Commit(t.Context(), entry("late", 1))) // its entry is not seen by this mark
		f.must(late.Close())
		f.must(f.Put(t.Context(), bs[4]))
		return nil
	})
	f.must(w.Commit(t.Context()))
	f.must(refs.Commit(t.Context()))
	for _, b := range bs[:5] {
		f.want(b)
	}
	if _, err := f.Get(t.Context(), cs[0], nil); err != nil {
		t.Fatal(err)
	}
	f.must(w.Close())
	f.must(w.Close())
	f.must(refs.Close())
	f.gc(keep(bs[4]))
	for i, b := range bs {
		if i == 4 {
			f.want(b)
		} else {
			f.absent(b.CID)
		}
	}
	f.absent(cs[0])
}

// TestGCRace runs collections beside writers that store, or find, the same few blocks. After each commit all
// blocks of the writer must be there, as long as it is open.
func TestGCRace(t *testing.T) {
	f := newFixture(t)
	bs := someBlocks(30)
	path := f.write("a", blocktest.Data(5, 20_000))
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 0))
			for range 25 {
				w := f.NewWriter(t.Context(), WriterOptions{Copy: g > 0})
				var mine []cid.Cid
				if g == 0 {
					mine = f.reference(w, path, 1000)
				}
				for range 5 {
					b := bs[r.IntN(len(bs))]
					ok, err := w.Has(b.CID)
					if err == nil && !ok {
						err = w.Leaf(t.Context(), 0, 0, b.CID, b.Data)
					}
					if err != nil {
						t.Error(err)
					}
					mine = append(mine, b.CID)
				}
				if err := w.Commit(t.Context()); err != nil {
					t.Error(err)
				}
				for _, c := range mine {
					if _, err := f.Get(t.Context(), c, nil); err != nil {
						t.Errorf("committed and gone: %v", err)
					}
				}
				w.Close()
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	var deleted int64
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		var res GCResult
		if !f.guard.begin() {
			t.Fatal("busy")
		}
		var live liveSet
		live.close()
		if err := f.sweep(t.Context(), &live, &res); err != nil { // without the slow part
			t.Error(err)
		}
		f.guard.end()
		deleted += res.Blocks
	}
	if deleted < 30 {
		t.Fatalf("%d blocks deleted: the test means nothing", deleted)
	}
	for _, b := range bs {
		f.absent(b.CID)
	}
	if st := f.Stats(); st.Blocks != 0 || st.Files != 0 {
		t.Fatalf("%+v", st)
	}
}

// TestGCGivesSpaceBack: rule D7, scaled: segments of 8 MiB.
func TestGCGivesSpaceBack(t *testing.T) {
	f := newFixture(t)
	f.close()
	f.cfg.segment = 8 << 20
	f.open()
	var live []block.Block
	var liveBytes int64
	r := rand.New(rand.NewPCG(1, 1))
	seed := uint64(0)
	for round := range 3 {
		for range 64 {
			seed++
			b := blocktest.Make(seed, 1<<20)
			f.must(f.Put(t.Context(), b))
			if r.IntN(4) == 0 {
				live = append(live, b)
				liveBytes += 1 << 20
			}
		}
		res := f.gc(keep(live...))
		bound := liveBytes*21/20 + 8<<20 + 16<<20 // the newest segment, and the index's own files
		t.Logf("round %d: %d MiB live, %d -> %d MiB on disk", round, liveBytes>>20, res.DiskBefore>>20, res.DiskAfter>>20)
		if res.DiskAfter > bound {
			t.Fatalf("%d bytes on disk, at most %d", res.DiskAfter, bound)
		}
		for _, b := range live {
			f.want(b)
		}
	}
	f.reopen()
	for _, b := range live {
		f.want(b)
	}
}

// TestReadsDuringGC reads blocks while they are moved from segment to segment, and deletes some at the same time:
// they must not come back.
func TestReadsDuringGC(t *testing.T) {
	f := newFixture(t)
	f.close()
	f.cfg.segment = 64 << 10
	f.open()
	bs := someBlocks(90)
	f.must(f.Put(t.Context(), bs...))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var reads atomic.Int64
	wg.Go(func() {
		for i := 0; ; i = (i + 3) % len(bs) {
			select {
			case <-stop:
				return
			default:
			}
			if got, err := f.Get(t.Context(), bs[i].CID, nil); err != nil || !bytes.Equal(got, bs[i].Data) {
				t.Errorf("block %d: %v", i, err)
				return
			}
			reads.Add(1)
		}
	})
	wg.Go(func() {
		for i := 1; i < len(bs); i += 3 {
			if err := f.Delete(t.Context(), bs[i].CID); err != nil {
				t.Error(err)
			}
		}
	})
	for round := range 5 {
		var live []block.Block
		for i, b := range bs {
			if i%3 != 2 || i/3%5 > round {
				live = append(live, b)
			}
		}
		f.gc(keep(live...))
	}
	close(stop)
	wg.Wait()
	for i, b := range bs {
		switch i % 3 {
		case 0:
			f.want(b)
		default:
			f.absent(b.CID)
		}
	}
	if n := reads.Load(); n < 100 {
		t.Fatalf("%d reads: the test means nothing", n)
	}
	if st := f.Stats(); st.Blocks != 30 {
		t.Fatalf("%+v", st)
	}
}

func TestVerifyFiles(t *testing.T) {
	f := newFixture(t)
	w := f.NewWriter(t.Context(), WriterOptions{})
	defer w.Close()
	var paths []string
	for i := range 5 {
		paths = append(paths, f.write(fmt.Sprint("file", i), blocktest.Data(uint64(i), 4000)))
		f.reference(w, paths[i], 1000)
	}
	f.must(w.Commit(t.Context()))
	f.must(f.Put(t.Context(), someBlocks(4)...))
	f.must(os.Remove(paths[1]))
	f.must(os.Truncate(paths[3], 10))
	got := map[string]Reason{}
	steps := 0
	res, err := f.Verify(t.Context(), func(x Finding) { got[x.Path] = x.Reason }, func(VerifyResult) { steps++ })
	if err != nil || len(got) != 2 || got[paths[1]] != Missing || got[paths[3]] != Changed {
		t.Fatalf("%v, %v", got, err)
	}
	want := VerifyResult{Blocks: 4, Bytes: res.Bytes, Refs: 3*4 + 2, RefBytes: 12_000, Files: 5, Changed: 1, Missing: 1}
	if res != want || steps < 16 {
		t.Fatalf("%+v, want %+v, %d steps", res, want, steps)
	}
}
