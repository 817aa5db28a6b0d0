package dag

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	chunk "github.com/ipfs/boxo/chunker"
	mdag "github.com/ipfs/boxo/ipld/merkledag"
	mdtest "github.com/ipfs/boxo/ipld/merkledag/test"
	"github.com/ipfs/boxo/ipld/unixfs"
	"github.com/ipfs/boxo/ipld/unixfs/importer/balanced"
	"github.com/ipfs/boxo/ipld/unixfs/importer/helpers"
	uio "github.com/ipfs/boxo/ipld/unixfs/io"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"

	"cairn/storage/block"
)

// The oracle is boxo with the parameters of the profile given per call.

func boxoFile(t testing.TB, ds ipld.DAGService, r io.Reader, chunkSize int64, m meta) ipld.Node {
	t.Helper()
	p := helpers.DagBuilderParams{Maxlinks: Width, RawLeaves: true, CidBuilder: mdag.V1CidPrefix(), Dagserv: ds,
		FileMode: m.mode, FileModTime: m.mtime}
	h, err := p.New(chunk.NewSizeSplitter(r, chunkSize))
	if err != nil {
		t.Fatal(err)
	}
	nd, err := balanced.Layout(h)
	if err != nil {
		t.Fatal(err)
	}
	return nd
}

func boxoDir(t testing.TB, ds ipld.DAGService, entries map[string]ipld.Node, m meta) ipld.Node {
	t.Helper()
	d, err := uio.NewDirectory(ds, uio.WithCidBuilder(mdag.V1CidPrefix()), uio.WithSizeEstimationMode(uio.SizeEstimationBlock),
		uio.WithStat(m.mode, m.mtime), uio.WithMaxHAMTFanout(256))
	if err != nil {
		t.Fatal(err)
	}
	d.SetHAMTShardingSize(maxPlainDir)
	for name, nd := range entries {
		if err := d.AddChild(context.Background(), name, nd); err != nil {
			t.Fatal(err)
		}
	}
	nd, err := d.GetNode()
	if err != nil {
		t.Fatal(err)
	}
	return nd
}

var someTime = time.Unix(1_700_000_000, 123456789)

// TestFilesLikeBoxo compares file trees of leaves of one byte around every boundary, with and without metadata.
func TestFilesLikeBoxo(t *testing.T) {
	ctx := context.Background()
	rng := rand.New(rand.NewPCG(1, 2))
	counts := []int{0, 1, 2, 3, 1023, 1024, 1025, 2047, 2048, 2049, 3072}
	for range 10 {
		counts = append(counts, rng.IntN(10_000))
	}
	for _, n := range counts {
		for _, m := range []meta{{}, {hasMode: true, mode: 0o640, mtime: someTime}} {
			data := make([]byte, n)
			for i := range data {
				data[i] = byte(rng.Uint32())
			}
			mem := newMemory()
			b := builder{out: &nodeWriter{sink: mem}}
			if n == 0 {
				if err := b.leaf(ctx, leafRef(nil)); err != nil {
					t.Fatal(err)
				}
			}
			for i := range data {
				if err := b.leaf(ctx, leafRef(data[i:i+1])); err != nil {
					t.Fatal(err)
				}
			}
			got, err := b.finish(ctx, m)
			if err != nil {
				t.Fatal(err)
			}
			want := boxoFile(t, mdtest.Mock(), bytes.NewReader(data), 1, m)
			if n <= 1 && !m.isZero() {
				continue // boxo records no metadata here: see TestWrapper
			}
			if got.cid() != want.Cid() {
				t.Errorf("%d leaves, metadata %v: %s, boxo %s", n, !m.isZero(), got.cid(), want.Cid())
			}
			if size, err := want.Size(); err != nil || size != got.tsize {
				t.Errorf("%d leaves: total size %d, boxo %d, %v", n, got.tsize, size, err)
			}
		}
	}
}

// levelByLevel is a stupid twin of builder: all leaves in a list, then level by level.
func levelByLevel(t *testing.T, refs []ref) ref {
	w := nodeWriter{sink: discard{}}
	for len(refs) > 1 {
		var up []ref
		for c := range slices.Chunk(refs, Width) {
			r, err := w.file(context.Background(), c, meta{})
			if err != nil {
				t.Fatal(err)
			}
			up = append(up, r)
		}
		refs = up
	}
	return refs[0]
}

// TestBuilderThreeLevels compares the streaming builder and its runs of zero leaves with the twin beyond 1 Mi leaves.
func TestBuilderThreeLevels(t *testing.T) {
	ctx := context.Background()
	zero, data := leafRef(make([]byte, LeafSize)), leafRef([]byte("data"))
	const million = Width * Width
	for _, runs := range [][]int64{ // zero leaves, data leaves, zero leaves, ...
		{million}, {million + 1}, {million - 1}, {2*million + 3*Width + 5}, {million, 1}, {1, 1, million + Width},
		{Width - 1, 1, Width, 1}, {Width, Width, Width + 1, Width - 1, 3}, {0, Width, million}, {0, 1, Width}, {1}, {0, 2},
	} {
		b := builder{out: &nodeWriter{sink: discard{}}}
		var all []ref
		for i, n := range runs {
			r := zero
			if i%2 == 1 {
				r = data
				for range n {
					if err := b.leaf(ctx, r); err != nil {
						t.Fatal(err)
					}
				}
			} else if err := b.zeroLeaves(ctx, r, n); err != nil {
				t.Fatal(err)
			}
			all = append(all, slices.Repeat([]ref{r}, int(n))...)
		}
		got, err := b.finish(ctx, meta{})
		if err != nil {
			t.Fatal(err)
		}
		if want := levelByLevel(t, all); got != want {
			t.Errorf("runs %v: %+v, want %+v", runs, got, want)
		}
		if b.leaves != int64(len(all)) {
			t.Errorf("runs %v: %d leaves", runs, b.leaves)
		}
	}
}

// TestDirsLikeBoxo compares directories around the threshold of sharding, with and without metadata.
func TestDirsLikeBoxo(t *testing.T) {
	ctx := context.Background()
	for _, m := range []meta{{}, {hasMode: true, mode: 0o750, mtime: someTime}} {
		for _, tc := range []struct{ n, longer int }{
			{0, 0}, {1, 0}, {100, 0}, {5242, 0}, {5243, 0}, {9000, 0},
			{5242, 39}, {5242, 40}, {5242, 41}, // 256 KiB less 1, exactly, and 1 more
			{5242, 23}, {5242, 24}, {5242, 25}, // the same when mode and mtime are recorded
		} {
			n := tc.n
			ds := mdtest.Mock()
			twins := map[string]ipld.Node{}
			var entries []dirEntry
			for i := range n {
				name := fmt.Sprintf("f%05d", i)
				if i == 0 {
					name += strings.Repeat("x", tc.longer)
				}
				twins[name] = mdag.NewRawNode([]byte(name))
				entries = append(entries, dirEntry{name, leafRef([]byte(name))})
			}
			w := nodeWriter{sink: discard{}}
			got, err := w.directory(ctx, entries, m)
			if err != nil {
				t.Fatal(err)
			}
			want := boxoDir(t, ds, twins, m)
			if got.cid() != want.Cid() {
				t.Errorf("%+v entries, metadata %v: %s, boxo %s", tc, !m.isZero(), got.cid(), want.Cid())
			}
			if size, err := want.Size(); err != nil || size != got.tsize {
				t.Errorf("%d entries: total size %d, boxo %d, %v", n, got.tsize, size, err)
			}
		}
	}
}

// TestSymlinksLikeBoxo compares symbolic links.
func TestSymlinksLikeBoxo(t *testing.T) {
	for _, target := range []string{"x", "../x", string(bytes.Repeat([]byte("long/"), 100))} {
		data, err := unixfs.SymlinkData(target)
		if err != nil {
			t.Fatal(err)
		}
		nd := mdag.NodeWithData(data)
		nd.SetCidBuilder(mdag.V1CidPrefix())
		if got := block.Sum(cid.DagProtobuf, symlinkBlock(target, meta{})); got != nd.Cid() {
			t.Errorf("%q: %s, boxo %s", target, got, nd.Cid())
		}
	}
}

// TestWrapper: a file of at most one leaf with metadata is a node over it, which boxo reads, content and metadata.
func TestWrapper(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	for _, content := range []string{"", "hello"} {
		path := filepath.Join(dir, "f")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, someTime, someTime); err != nil {
			t.Fatal(err)
		}
		mem := newMemory()
		s, err := ImportPaths(ctx, []string{path}, Options{Preserve: true}, mem)
		if err != nil {
			t.Fatal(err)
		}
		if s.Root.Type() != cid.DagProtobuf || s.Size != int64(len(content)) {
			t.Errorf("%q: %+v", content, s)
		}
		ds := mdtest.Mock()
		mem.toBoxo(t, ds)
		nd, err := ds.Get(ctx, s.Root)
		if err != nil {
			t.Fatal(err)
		}
		r, err := uio.NewDagReader(ctx, nd, ds)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || string(got) != content {
			t.Errorf("boxo reads %q, %v", got, err)
		}
		if r.Mode().Perm() != 0o600 || !r.ModTime().Equal(someTime) {
			t.Errorf("boxo reads mode %v, time %v", r.Mode(), r.ModTime())
		}
		tree := walk(t, mem, s.Root)
		it := tree.Items()[0]
		if !it.HasMode || it.Mode != 0o600 || !it.MTime.Equal(someTime) || it.Size != int64(len(content)) || int64(it.Leaves) != s.Leaves {
			t.Errorf("item %+v of %+v", it, s)
		}
	}
}

func (m *memory) toBoxo(t *testing.T, ds ipld.DAGService) {
	t.Helper()
	for c, b := range m.blocks {
		var nd ipld.Node
		var err error
		if c.Type() == cid.Raw {
			nd, err = mdag.NewRawNodeWPrefix(b, c.Prefix())
		} else {
			var pn *mdag.ProtoNode
			if pn, err = mdag.DecodeProtobuf(b); err == nil {
				pn.SetCidBuilder(c.Prefix())
				nd = pn
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		if nd.Cid() != c {
			t.Fatalf("boxo calls %s %s", c, nd.Cid())
		}
		if err := ds.Add(context.Background(), nd); err != nil {
			t.Fatal(err)
		}
	}
}

// walk flattens and fails the test on an error.
func walk(t testing.TB, g block.Getter, root cid.Cid) *Tree {
	t.Helper()
	tree, err := Walk(context.Background(), root, -1, FromGetter(g), DefaultBudget(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestModes(t *testing.T) {
	for m := range uint32(0o10000) {
		if got := unixMode(goMode(m)); got != m {
			t.Fatalf("%o -> %o", m, got)
		}
	}
	if goMode(0o4755) != fs.ModeSetuid|0o755 {
		t.Error(goMode(0o4755))
	}
}
