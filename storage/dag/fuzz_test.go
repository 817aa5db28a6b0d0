package dag

import (
	"bytes"
	"context"
	"testing"

	mdag "github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/boxo/ipld/unixfs"
	"github.com/ipfs/go-cid"

	"cairn/storage/block"
)

// FuzzNode: whatever the strict decoder takes, boxo takes too, and sees the same.
func FuzzNode(f *testing.F) {
	_, _, all := sample()
	for _, b := range all {
		f.Add(b.Data)
	}
	f.Add([]byte{0x0a, 0})
	f.Add([]byte{0x12, 0x80, 0x00})
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := decodeNode(b)
		if err != nil {
			return
		}
		for i := range n.links {
			if _, err := n.links[i].cid(); err != nil {
				return
			}
		}
		twin, err := mdag.DecodeProtobuf(b)
		if err != nil {
			t.Fatalf("boxo: %v", err)
		}
		if !bytes.Equal(twin.Data(), n.data) || len(twin.Links()) != len(n.links) {
			t.Fatal("boxo sees another node")
		}
	})
}

// FuzzUnixFS: whatever the strict decoder takes, boxo takes too, and sees the same.
func FuzzUnixFS(f *testing.F) {
	for _, seed := range [][]byte{
		{8, 1}, {8, 2, 0x18, 3, 0x20, 1, 0x20, 2}, {8, 2, 0x18, 3, 0x22, 2, 1, 2}, {8, 4, 0x12, 1, 'x'}, {8, 5, 0x12, 1, 1, 0x28, 0x22, 0x30, 0x80, 2},
		meta{hasMode: true, mode: 0o644, mtime: someTime}.append([]byte{8, 1}), {8, 1, 0x42, 11, 8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		u, err := decodeUnixFS(b)
		if err != nil {
			return
		}
		if u.typ > 5 || u.mode > 1<<32-1 { // boxo: not in its enumeration, not in 32 bits
			return
		}
		twin, err := unixfs.FSNodeFromBytes(b)
		if err != nil {
			t.Fatalf("boxo: %v", err)
		}
		if int64(u.typ) != int64(twin.Type()) || !bytes.Equal(u.data, twin.Data()) || len(u.blocks) != twin.NumChildren() || u.fanout != twin.Fanout() {
			t.Fatal("boxo sees another message")
		}
		if m := u.meta(); u.hasMode && m.mode.Perm() != twin.Mode().Perm() {
			t.Fatalf("mode %v, boxo %v", m.mode, twin.Mode())
		}
		_ = u.checkFile(1)
	})
}

// FuzzDirectory: a block as a directory with whatever it links to missing. Whatever is taken can be listed.
func FuzzDirectory(f *testing.F) {
	m, _, all := sample()
	f.Add(all[0].Data)
	f.Add(m.blocks[m.shard(256, []byte{1}, lnk{name: "00a", to: m.raw(1, 1)}).c])
	f.Add(symlinkBlock("x", meta{mtime: someTime}))
	f.Fuzz(func(t *testing.T, b []byte) {
		ctx := context.Background()
		m := newMemory()
		c := block.Sum(cid.DagProtobuf, b)
		m.blocks[c] = b
		tree, err := Walk(ctx, c, -1, FromGetter(m), DefaultBudget(), nil)
		for e, err2 := range ListDir(ctx, c, m) {
			if err == nil && tree.Kind() == Directory && err2 != nil {
				t.Fatalf("walked, but cannot be listed: %v", err2)
			}
			if err2 == nil && checkName(e.Name) != nil {
				t.Fatalf("name %q", e.Name)
			}
		}
		if err != nil {
			return
		}
		for _, it := range tree.Items() {
			if got, _, err := Resolve(ctx, c, it.Path, m); err != nil || got != it.CID {
				t.Fatalf("Resolve(%q): %v", it.Path, err)
			}
		}
	})
}

// FuzzCAR: what is taken is complete: it can be walked and written again.
func FuzzCAR(f *testing.F) {
	m, root, all := sample()
	whole := carOf([]cid.Cid{root.c}, all...)
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add(append([]byte("\x0a\xa1\x67version\x02"), append(make([]byte, 16), 51, 0, 0, 0, 0, 0, 0, 0, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)...))
	lone := m.raw(3, 3)
	f.Add(carOf([]cid.Cid{lone.c}, m.blk(lone)))
	f.Fuzz(func(t *testing.T, b []byte) {
		ctx := context.Background()
		mem := newMemory()
		s, err := ReadCAR(ctx, bytes.NewReader(b), DefaultBudget(), mem)
		if err != nil {
			return
		}
		if err := WriteCAR(ctx, &bytes.Buffer{}, s.Root, mem); err != nil {
			t.Fatal(err)
		}
	})
}
