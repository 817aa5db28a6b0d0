// Package blocktest is the conformance suite of [block.Store]: what every implementation must do, as tests.
//
// It promises that a store which passes behaves as the interface comments say, alone and under concurrent
// use. It does not test durability or limits, which differ between implementations.
package blocktest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"cairn/storage/block"
)

// Run runs the suite. open returns an empty store for one subtest and cleans up through t.
func Run(t *testing.T, open func(t *testing.T) block.Store) {
	t.Helper()
	for _, c := range []struct {
		name string
		run  func(*testing.T, block.Store)
	}{
		{"RoundTrip", roundTrip},
		{"NotFound", notFound},
		{"CodecIsIgnored", codecIsIgnored},
		{"RefusesLies", refusesLies},
		{"RefusesForeignCIDs", refusesForeign},
		{"Delete", deletes},
		{"List", lists},
		{"Destination", destination},
		{"StupidTwin", twin},
		{"Concurrent", concurrent},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

// Data returns n reproducible random bytes.
func Data(seed uint64, n int) []byte {
	var key [32]byte
	binary.BigEndian.PutUint64(key[:], seed)
	binary.BigEndian.PutUint64(key[8:], uint64(n))
	b := make([]byte, n)
	rand.NewChaCha8(key).Read(b) // never fails
	return b
}

// Make returns a reproducible raw block of n bytes.
func Make(seed uint64, n int) block.Block {
	d := Data(seed, n)
	return block.Block{CID: block.Sum(cid.Raw, d), Data: d}
}

func put(t *testing.T, s block.Store, bs ...block.Block) {
	t.Helper()
	if err := s.Put(context.Background(), bs...); err != nil {
		t.Fatalf("put: %v", err)
	}
}

func want(t *testing.T, s block.Store, b block.Block) {
	t.Helper()
	got, err := s.Get(context.Background(), b.CID, nil)
	if err != nil {
		t.Fatalf("get %s: %v", b.CID, err)
	}
	if !bytes.Equal(got, b.Data) {
		t.Fatalf("get %s: %d other bytes", b.CID, len(got))
	}
	if ok, err := s.Has(context.Background(), b.CID); err != nil || !ok {
		t.Fatalf("has %s: %v, %v", b.CID, ok, err)
	}
}

func roundTrip(t *testing.T, s block.Store) {
	var all []block.Block
	for i, n := range []int{0, 1, 31, 4095, 4096, 4097, 1 << 20, block.MaxSize} {
		all = append(all, Make(uint64(i), n))
	}
	put(t, s)
	put(t, s, all...)
	put(t, s, all[1], all[1]) // again, and twice in one call
	for _, b := range all {
		want(t, s, b)
	}
}

func notFound(t *testing.T, s block.Store) {
	put(t, s, Make(1, 100))
	c := Make(2, 100).CID
	if _, err := s.Get(context.Background(), c, nil); !errors.Is(err, block.ErrNotFound) {
		t.Fatalf("get: %v", err)
	}
	if ok, err := s.Has(context.Background(), c); ok || err != nil {
		t.Fatalf("has: %v, %v", ok, err)
	}
}

func codecIsIgnored(t *testing.T, s block.Store) {
	d := Data(3, 50)
	put(t, s, block.Block{CID: block.Sum(cid.DagProtobuf, d), Data: d})
	want(t, s, block.Block{CID: block.Sum(cid.Raw, d), Data: d})
	want(t, s, block.Block{CID: block.Sum(cid.DagProtobuf, d), Data: d})
}

func refusesLies(t *testing.T, s block.Store) {
	good, lie, big := Make(4, 64), Make(5, 64), Make(6, block.MaxSize+1)
	lie.Data = Data(7, 64)
	if err := s.Put(context.Background(), good, lie); !errors.Is(err, block.ErrCorrupt) {
		t.Fatalf("a lie: %v", err)
	}
	if err := s.Put(context.Background(), big); !errors.Is(err, block.ErrTooLarge) {
		t.Fatalf("too large: %v", err)
	}
	for _, c := range []cid.Cid{lie.CID, big.CID, block.Sum(cid.Raw, lie.Data)} {
		if ok, err := s.Has(context.Background(), c); ok || err != nil {
			t.Fatalf("has what was refused: %v, %v", ok, err)
		}
	}
}

func refusesForeign(t *testing.T, s block.Store) {
	ctx, d := context.Background(), []byte("x")
	mh, err := multihash.Sum(d, multihash.SHA2_512, -1)
	if err != nil {
		t.Fatal(err)
	}
	c := cid.NewCidV1(cid.Raw, mh)
	if _, err := s.Get(ctx, c, nil); !errors.Is(err, block.ErrUnsupported) {
		t.Errorf("get: %v", err)
	}
	if err := s.Put(ctx, block.Block{CID: c, Data: d}); !errors.Is(err, block.ErrUnsupported) {
		t.Errorf("put: %v", err)
	}
	if _, err := s.Has(ctx, c); !errors.Is(err, block.ErrUnsupported) {
		t.Errorf("has: %v", err)
	}
	if err := s.Delete(ctx, c); !errors.Is(err, block.ErrUnsupported) {
		t.Errorf("delete: %v", err)
	}
}

func deletes(t *testing.T, s block.Store) {
	a, b := Make(8, 5000), Make(9, 10)
	put(t, s, a, b)
	if err := s.Delete(context.Background(), a.CID, Make(10, 10).CID); err != nil {
		t.Fatal(err)
	}
	if ok, _ := s.Has(context.Background(), a.CID); ok {
		t.Fatal("still there")
	}
	if _, err := s.Get(context.Background(), a.CID, nil); !errors.Is(err, block.ErrNotFound) {
		t.Fatalf("get after delete: %v", err)
	}
	want(t, s, b)
	put(t, s, a)
	want(t, s, a)
}

func lists(t *testing.T, s block.Store) {
	all := map[cid.Cid]bool{}
	for i := range 20 {
		d := Data(uint64(i), 10*i)
		put(t, s, block.Block{CID: block.Sum(cid.DagProtobuf, d), Data: d})
		all[block.Sum(cid.Raw, d)] = false
	}
	for c, err := range s.List(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		seen, known := all[c]
		if !known || seen {
			t.Fatalf("%s: known %v, listed before %v", c, known, seen)
		}
		all[c] = true
	}
	for c, seen := range all {
		if !seen {
			t.Errorf("%s not listed", c)
		}
	}
	n := 0
	for range s.List(context.Background()) {
		if n++; n == 3 {
			break
		}
	}
	if n != 3 {
		t.Fatalf("stopped after %d", n)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, err := range s.List(ctx) {
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("cancelled list: %v", err)
		}
	}
}

// destination: a dst that is too small, large enough, or holds old bytes must never show in the result.
func destination(t *testing.T, s block.Store) {
	b := Make(11, 5000)
	put(t, s, b)
	for _, dst := range [][]byte{nil, make([]byte, 10), make([]byte, 9000), make([]byte, 0, 5000)} {
		got, err := s.Get(context.Background(), b.CID, dst)
		if err != nil || !bytes.Equal(got, b.Data) {
			t.Fatalf("dst of %d/%d: %v", len(dst), cap(dst), err)
		}
		clear(got) // the store must not have handed out its own memory
	}
	want(t, s, b)
}

// twin runs random operations against the store and against a map.
func twin(t *testing.T, s block.Store) {
	ctx, r, m := context.Background(), rand.New(rand.NewPCG(1, 2)), map[int]bool{}
	bs := make([]block.Block, 24)
	for i := range bs {
		bs[i] = Make(uint64(100+i), 1+r.IntN(9000))
	}
	for step := range 400 {
		i := r.IntN(len(bs))
		switch r.IntN(3) {
		case 0:
			put(t, s, bs[i])
			m[i] = true
		case 1:
			if err := s.Delete(ctx, bs[i].CID); err != nil {
				t.Fatal(err)
			}
			delete(m, i)
		default:
			got, err := s.Get(ctx, bs[i].CID, nil)
			if m[i] && (err != nil || !bytes.Equal(got, bs[i].Data)) || !m[i] && !errors.Is(err, block.ErrNotFound) {
				t.Fatalf("step %d: twin has %v, store says %v", step, m[i], err)
			}
		}
	}
}

func concurrent(t *testing.T, s block.Store) {
	var wg sync.WaitGroup
	errs := make(chan error, 8)
	for g := range cap(errs) {
		wg.Go(func() {
			errs <- func() error {
				for i := range 20 {
					// half of the blocks are shared between all goroutines
					b := Make(uint64(i%2*1000*g+i), 6000)
					if err := s.Put(context.Background(), b); err != nil {
						return err
					}
					got, err := s.Get(context.Background(), b.CID, nil)
					if err != nil {
						return err
					}
					if !bytes.Equal(got, b.Data) {
						return fmt.Errorf("other bytes for %s", b.CID)
					}
				}
				return nil
			}()
		})
	}
	wg.Wait()
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
}
