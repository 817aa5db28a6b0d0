package storage

import (
	"testing"

	"cairn/storage/block"
	"cairn/storage/block/blocktest"
)

// BenchmarkReseal seals 512 MiB of leaves and 10,000 small blocks anew.
func BenchmarkReseal(b *testing.B) {
	f := benchFixture(b)

	for i := range 16 {
		var bs []block.Block
		for j := range 32 {
			bs = append(bs, blocktest.Make(uint64(1000*i+j), 1<<20))
		}
		for j := range 625 {
			bs = append(bs, blocktest.Make(uint64(1<<20+1000*i+j), 1000))
		}
		f.must(f.Put(b.Context(), bs...))
	}
	b.SetBytes(512<<20 + 10_000*1000)
	for b.Loop() {
		f.must(f.RotateKey(true))
		if r, err := f.Reseal(b.Context(), nil); err != nil || r.Values < 10_000 {
			b.Fatal(r, err)
		}
	}
}
