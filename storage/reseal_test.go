package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"github.com/ipfs/go-cid"

	"cairn/storage/block"
	"cairn/storage/block/blocktest"
)

// filled makes a store with something of everything that is sealed, some of it replaced or deleted.
func filled(t *testing.T) (f *fixture, bs []block.Block) {
	t.Helper()
	f = newFixture(t)
	f.close()
	f.cfg.segment = 200_000
	f.open()
	for i := range 60 {
		bs = append(bs, blocktest.Make(uint64(i), 100+700*i)) // the first few lie in the index
	}
	f.must(f.Put(t.Context(), bs...))
	w := f.NewWriter(t.Context(), WriterOptions{})
	f.reference(w, f.write("a file of the user", blocktest.Data(1000, 30_000)), 10_000)
	f.must(w.Commit(t.Context(), entry("e1", 1), entry("e2", 2), entry("gone", 3)))
	f.must(w.Close())
	f.must(f.PutNotes(t.Context(), Note{ID: "n1", Data: []byte(`"a note"`)}))
	f.must(f.PutNotes(t.Context(), Note{ID: "gone", Data: []byte(`"no note"`)}))
	for i := range 5 {
		if _, err := f.UpdateEntry("e1", func(e *Entry) error { e.Size = int64(i); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	return f, bs
}

// nonces collects those of every seal of the store, also in versions and records that nothing leads to any more.
func (f *fixture) nonces() map[[sealNonce]byte]bool {
	f.t.Helper()
	all := make(map[[sealNonce]byte]bool)
	add := func(v []byte) {
		if _, ok := sealedUnder(v); ok {
			all[[sealNonce]byte(v[sealHead:])] = true
		}
	}
	txn := f.read()
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{AllVersions: true})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		if v, err := it.Item().ValueCopy(nil); err == nil && holdsSeals(it.Item().Key()) {
			add(v)
		}
	}
	files, err := filepath.Glob(filepath.Join(f.cfg.Dir, segmentDir, "*"))
	f.must(err)
	for _, name := range files {
		b, err := os.ReadFile(name)
		f.must(err)
		for len(b) > recordHead+sealOverhead {
			p := pointer{length: int(uint32(b[mhLen])<<24 | uint32(b[mhLen+1])<<16 | uint32(b[mhLen+2])<<8 | uint32(b[mhLen+3]))}
			add(b[recordHead:])
			b = b[recordHead+p.length:]
		}
	}
	return all
}

// on counts those that are anywhere in the store's directory.
func (f *fixture) on(nonces map[[sealNonce]byte]bool) (n int) {
	f.t.Helper()
	f.must(filepath.WalkDir(f.cfg.Dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		for i := 0; i+sealNonce <= len(b); i++ {
			if nonces[[sealNonce]byte(b[i:])] {
				n++
			}
		}
		return err
	}))
	return n
}

func (f *fixture) reseal() ResealResult {
	f.t.Helper()
	r, err := f.Reseal(f.t.Context(), nil)
	f.must(err)
	return r
}

// TestReseal: after it the old data keys open nothing in the whole directory, and everything is still there.
func TestReseal(t *testing.T) {
	f, bs := filled(t)
	old := f.nonces()
	f.must(f.Delete(t.Context(), bs[2].CID, bs[50].CID))
	f.must(f.DeleteEntry("gone"))
	f.must(f.DeleteNotes(t.Context(), "gone"))
	if n := f.on(old); n < len(bs) {
		t.Fatalf("%d old seals found: the test means nothing", n)
	}
	if r := f.reseal(); r.Values != 0 || f.Resealing() {
		t.Fatalf("nothing to do: %+v", r)
	}
	f.must(f.RotateKey(false))
	if r := f.reseal(); r.Values != 0 || f.keys.Count() != 2 {
		t.Fatalf("rotated only: %+v, %d keys", r, f.keys.Count())
	}
	f.must(f.RotateKey(true))
	if !f.Resealing() || f.keys.Count() != 3 {
		t.Fatal("not to be resealed")
	}
	told := 0
	r, err := f.Reseal(t.Context(), func(r ResealResult) { told++ })
	if err != nil || told == 0 || r.Values < int64(len(bs)) || r.Total == 0 {
		t.Fatalf("%+v, %v, told %d times", r, err, told)
	}
	if n := f.on(old); n != 0 {
		t.Errorf("%d of %d old seals are still on the disk", n, len(old))
	}
	f.reopen()
	if n := f.keys.Count(); n != 1 || f.Resealing() {
		t.Errorf("%d data keys", n)
	}
	for i, b := range bs {
		if i == 2 || i == 50 {
			f.absent(b.CID)
		} else {
			f.want(b)
		}
	}
	f.want(block.Block{CID: block.Sum(cid.Raw, blocktest.Data(1000, 30_000)[:10_000]), Data: blocktest.Data(1000, 30_000)[:10_000]})
	if e, err := f.Entry("e1"); err != nil || e.Size != 4 {
		t.Error(e, err)
	}
	if _, err := f.Entry("gone"); !errors.Is(err, ErrNoEntry) {
		t.Error(err)
	}
	for n, err := range f.Notes("") {
		if err != nil || n.ID != "n1" || string(n.Data) != `"a note"` {
			t.Error(n, err)
		}
	}
	if st := f.Stats(); st.Blocks != int64(len(bs)-2) {
		t.Errorf("%+v", st)
	}
}

// TestResealInUse: the store is read, written and changed all the while, and nothing slips through under an old key.
func TestResealInUse(t *testing.T) {
	f, bs := filled(t)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var written atomic.Int64
	for g := range 3 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				b := blocktest.Make(uint64(10_000*(g+1)+i), 200+i%9000)
				if err := f.Put(context.Background(), b); err != nil {
					t.Error(err)
					return
				}
				got, err := f.Get(context.Background(), bs[i%len(bs)].CID, nil)
				if err != nil || !bytes.Equal(got, bs[i%len(bs)].Data) {
					t.Error("read during reseal:", err)
				}
				if _, err := f.UpdateEntry("e2", func(e *Entry) error { e.Size++; return nil }); err != nil {
					t.Error(err)
				}
				if err := f.PutNotes(context.Background(), Note{ID: fmt.Sprint(g), Data: []byte("1")}); err != nil {
					t.Error(err)
				}
				written.Add(1)
			}
		})
	}
	for range 4 {
		for before := written.Load(); written.Load() < before+20 && !t.Failed(); {
			f.must(f.writes.sync(t.Context(), nil, nil))
		}
		f.must(f.RotateKey(true))
		f.reseal()
		if f.keys.Count() != 1 {
			t.Fatal(f.keys.Count(), "data keys")
		}
	}
	stop()
	wg.Wait()
	f.reopen()
	e, err := f.Entry("e2")
	if err != nil || e.Size != 2+written.Load() {
		t.Errorf("size %d after %d changes, %v", e.Size, written.Load(), err)
	}
	for _, b := range bs {
		f.want(b)
	}
	for g := range 3 {
		for i := range int(written.Load()) / 6 {
			f.want(blocktest.Make(uint64(10_000*(g+1)+i), 200+i%9000))
		}
	}
	r, err := f.Verify(t.Context(), func(v Finding) { t.Error(v) }, nil)
	if err != nil || r.Damaged > 0 {
		t.Error(r, err)
	}
}

// TestRotationWaitsForSeals: what is sealed under the old key and not yet queued when the key changes is not missed.
func TestRotationWaitsForSeals(t *testing.T) {
	f, _ := filled(t)
	b := blocktest.Make(9000, 5000)
	d := must(block.Digest(b.CID))
	f.sealing.RLock() // as a writer does
	o, err := f.sealBlock(d, b.Data)
	f.must(err)
	old := f.nonces()
	done := make(chan error, 1)
	go func() {
		err := f.RotateKey(true)
		if err == nil {
			_, err = f.Reseal(context.Background(), nil)
		}
		done <- err
	}()
	for f.sealing.TryRLock() { // until the rotation waits for us
		f.sealing.RUnlock()
		select {
		case err := <-done:
			t.Fatal("the rotation did not wait:", err)
		default:
			runtime.Gosched()
		}
	}
	f.must(f.writes.send(t.Context(), request{ops: []op{o}}))
	f.sealing.RUnlock()
	f.must(<-done)
	if n := f.on(old); n != 0 {
		t.Errorf("%d old seals are still on the disk", n)
	}
	f.want(b)
}

// TestResealInterrupted: the old keys stay until the end, and the next run goes on.
func TestResealInterrupted(t *testing.T) {
	f, bs := filled(t)
	f.must(f.RotateKey(true))
	ctx, cancel := context.WithCancel(t.Context())
	_, err := f.Reseal(ctx, func(r ResealResult) {
		if r.Values > 30 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || f.keys.Count() != 2 {
		t.Fatal(err, f.keys.Count())
	}
	f.reopen()
	if !f.Resealing() {
		t.Fatal("forgotten that it was interrupted")
	}
	for _, b := range bs {
		f.want(b)
	}
	r := f.reseal()
	if r.Values == 0 || r.Values >= int64(len(bs)) || f.keys.Count() != 1 {
		t.Fatalf("second run: %+v, %d keys", r, f.keys.Count())
	}
	f.reopen()
	for _, b := range bs {
		f.want(b)
	}
}

func TestResealBusy(t *testing.T) {
	f, _ := filled(t)
	f.must(f.RotateKey(true))
	var inner error
	_, err := f.Reseal(t.Context(), func(ResealResult) { _, inner = f.GC(t.Context(), keep(), nil) })
	if err != nil || !errors.Is(inner, ErrBusy) {
		t.Fatal(err, inner)
	}
}

func TestResealWithoutSpace(t *testing.T) {
	f, bs := filled(t)
	free := int64(1 << 40)
	f.close()
	f.cfg.Free = func(string) (int64, int64, error) { return free, 1 << 41, nil }
	f.open()
	f.must(f.RotateKey(true))
	free = minReserve/4 + minReserve/8 // deletes still go, but no segment could be copied
	if _, err := f.Reseal(t.Context(), nil); !errors.Is(err, block.ErrNoSpace) || f.keys.Count() != 2 {
		t.Fatal(err, f.keys.Count())
	}
	for _, b := range bs {
		f.want(b)
	}
	free = 1 << 40
	f.reseal()
	for _, b := range bs {
		f.want(b)
	}
}

// TestResealDamaged: what cannot be read keeps the old keys, until it is gone.
func TestResealDamaged(t *testing.T) {
	f, bs := filled(t)
	v, err := f.value(blockKey(must(block.Digest(bs[40].CID))))
	f.must(err)
	p, ok, err := decodePointer(v)
	if !ok || err != nil {
		t.Fatal("not in a segment")
	}
	flip(t, f.segs.path(p.segment), p.offset+100)
	f.must(f.RotateKey(true))
	if _, err := f.Reseal(t.Context(), nil); !errors.Is(err, ErrUnsealable) || f.keys.Count() != 2 || !f.Resealing() {
		t.Fatal(err, f.keys.Count())
	}
	if _, err := f.Get(t.Context(), bs[40].CID, nil); !errors.Is(err, block.ErrCorrupt) {
		t.Fatal(err)
	}
	f.must(f.Delete(t.Context(), bs[40].CID))
	f.reseal()
	if f.keys.Count() != 1 {
		t.Fatal(f.keys.Count())
	}
	for i, b := range bs {
		if i != 40 {
			f.want(b)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestOldKeys: a copy of the keys from before a rotation is refused, and nothing is written.
func TestOldKeys(t *testing.T) {
	f, bs := filled(t)
	path := filepath.Join(f.home, "keys")
	copied := must(os.ReadFile(path))
	f.must(f.RotateKey(false))
	f.must(f.Put(t.Context(), blocktest.Make(5000, 10_000)))
	newer := must(os.ReadFile(path))
	f.close()
	f.must(os.WriteFile(path, copied, 0o600))
	f.loadKeys()
	if _, err := Open(f.cfg); !errors.Is(err, ErrOldKeys) || !errors.Is(err, ErrWrongKey) {
		t.Fatal(err)
	}
	if err := Fits(f.cfg.Dir, f.cfg.Keys); !errors.Is(err, ErrOldKeys) {
		t.Fatal(err)
	}
	if same, err := SameKeys(copied, newer); same || err != nil {
		t.Fatal(same, err)
	}
	f.must(os.WriteFile(path, newer, 0o600))
	f.loadKeys()
	f.must(Fits(f.cfg.Dir, f.cfg.Keys))
	f.open()
	for _, b := range bs {
		f.want(b)
	}
}
