package storage

import (
	"errors"
	"os"
	"testing"

	"github.com/ipfs/go-cid"

	"cairn/storage/block"
	"cairn/storage/block/blocktest"
)

// TestMoveIsConditional: GC turns a pointer over only if it is still what GC saw, also when the delete is queued
// in the same batch, or under way.
func TestMoveIsConditional(t *testing.T) {
	f := newFixture(t)
	b := blocktest.Make(1, 9000)
	d, err := block.Digest(b.CID)
	f.must(err)
	key := blockKey(d)
	for _, together := range []bool{true, false} {
		f.must(f.Put(t.Context(), b))
		old, err := f.value(key)
		f.must(err)
		del, move := op{key: key, delta: totals{Blocks: -1, Bytes: -9000}}, op{key: key, val: old, expect: old}
		if together {
			f.must(f.writes.sync(t.Context(), []op{del, move}, nil))
		} else {
			f.must(f.writes.send(t.Context(), request{ops: []op{del}}))
			f.must(f.writes.sync(t.Context(), []op{move}, nil))
		}
		f.absent(b.CID)
		// And it does turn over what is still there.
		f.must(f.Put(t.Context(), b))
		old, err = f.value(key)
		f.must(err)
		f.must(f.writes.sync(t.Context(), []op{{key: key, val: []byte("new"), expect: old}}, nil))
		if v, err := f.value(key); err != nil || string(v) != "new" {
			t.Fatalf("%q, %v", v, err)
		}
		f.must(f.Delete(t.Context(), b.CID))
	}
}

// TestUnfinishedSegment: a record whose index entry is not visible yet keeps its segment from GC.
func TestUnfinishedSegment(t *testing.T) {
	f := newFixture(t)
	b := blocktest.Make(1, 9000)
	d, err := block.Digest(b.CID)
	f.must(err)
	o, err := f.sealBlock(d, b.Data)
	f.must(err)
	f.must(f.segs.sync())
	f.must(f.compactSegments(t.Context()))
	f.must(f.writes.sync(t.Context(), []op{o}, nil))
	f.want(b)
	f.must(f.compactSegments(t.Context()))
	f.want(b)
	// Without an entry it goes.
	o, err = f.sealBlock(d, b.Data)
	f.must(err)
	p, _, err := decodePointer(o.val)
	f.must(err)
	f.must(f.segs.sync())
	o.done()
	f.must(f.compactSegments(t.Context()))
	if _, err := os.Stat(f.segs.path(p.segment)); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	f.want(b)
}

// TestSealedLie: what was wrong before it was sealed opens well and is caught by its hash.
func TestSealedLie(t *testing.T) {
	f := newFixture(t)
	for _, n := range []int{100, 9000} {
		w := f.NewWriter(t.Context(), WriterOptions{Copy: true})
		c := block.Sum(cid.Raw, blocktest.Data(1, n))
		f.must(w.Leaf(t.Context(), 0, 0, c, blocktest.Data(2, n)))
		f.must(w.Commit(t.Context()))
		f.must(w.Close())
		if got, err := f.Get(t.Context(), c, nil); got != nil || !errors.Is(err, block.ErrCorrupt) {
			t.Fatal(len(got), err)
		}
	}
}

// TestSegmentsCarryOn: a store that is opened often does not get a segment each time.
func TestSegmentsCarryOn(t *testing.T) {
	f := newFixture(t)
	for i := range 5 {
		f.must(f.Put(t.Context(), blocktest.Make(uint64(i), 9000)))
		f.reopen()
	}
	if ids, err := f.segs.list(); err != nil || len(ids) != 1 {
		t.Fatal(ids, err)
	}
	for i := range 5 {
		f.want(blocktest.Make(uint64(i), 9000))
	}
}

// TestStaleReader reads through a pointer that GC has turned over since: the second look finds the new place.
func TestStaleReader(t *testing.T) {
	f := newFixture(t)
	b := blocktest.Make(1, 9000)
	f.must(f.Put(t.Context(), b))
	d, err := block.Digest(b.CID)
	f.must(err)
	v, err := f.value(blockKey(d))
	f.must(err)
	p, _, err := decodePointer(v)
	f.must(err)
	if _, err := f.segs.finished(); err != nil {
		t.Fatal(err)
	}
	f.must(f.moveOut(t.Context(), map[uint32]bool{p.segment: true}))
	if _, err := f.segs.read(p, make([]byte, p.length)); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	f.want(b)
	if st := f.Stats(); st.Damaged != 0 {
		t.Fatalf("%+v", st)
	}
}
