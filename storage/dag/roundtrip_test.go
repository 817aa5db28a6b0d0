package dag

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) {
	// boxo starts a log worker when it is imported.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/ipfs/go-log/writer.(*MirrorWriter).logRoutine"))
}

// content is deterministic noise.
func content(seed uint64, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(b)
	return b
}

// TestRoundTrip imports random trees and reads them back through Walk, a reader, ListDir, Resolve and a CAR.
func TestRoundTrip(t *testing.T) {
	base := tempDir(t)
	sizes := []int{0, 1, 100, LeafSize - 1, LeafSize, LeafSize + 1, 3*LeafSize + 7, smallFile, smallFile + 1, 10 * LeafSize}
	big := 0
	rapid.Check(t, func(t *rapid.T) {
		root, err := os.MkdirTemp(base, "tree")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(root)
		want := map[string]string{"": "dir"} // path -> dir, link target or content
		dirs := []string{""}
		for i := range rapid.IntRange(0, 12).Draw(t, "entries") {
			parent := rapid.SampledFrom(dirs).Draw(t, "parent")
			name := fmt.Sprintf("%s%d", rapid.SampledFrom([]string{"a", "-b", "\u00fc ", "\xff\xfe", "x\n", strings.Repeat("n", 200)}).Draw(t, "name"), i)
			rel := path.Join(parent, name)
			full := filepath.Join(root, rel)
			switch rapid.IntRange(0, 5).Draw(t, "kind") {
			case 0:
				dirs = append(dirs, rel)
				want[rel], err = "dir", os.Mkdir(full, 0o755)
			case 1:
				want[rel], err = "link ../x", os.Symlink("../x", full)
			default:
				n := rapid.SampledFrom(sizes[:4]).Draw(t, "size")
				if big++; big%4 == 0 { // large ones now and then, for speed
					n = rapid.SampledFrom(sizes).Draw(t, "large")
				}
				b := content(uint64(rapid.IntRange(0, 3).Draw(t, "seed")), n)
				want[rel], err = "file "+string(b), os.WriteFile(full, b, 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		preserve := rapid.Bool().Draw(t, "preserve")
		mem := newMemory()
		s, err := ImportPaths(context.Background(), []string{root}, Options{Preserve: preserve, Workers: rapid.IntRange(1, 4).Draw(t, "workers")}, mem)
		if err != nil {
			t.Fatal(err)
		}
		tree, err := Walk(context.Background(), s.Root, -1, FromGetter(mem), DefaultBudget(), nil)
		if err != nil {
			t.Fatal(err)
		}
		checkTree(t, tree, mem, s, want)
		checkListing(t, tree, mem)
		checkCAR(t, mem, s)
	})
}

type fataler interface {
	Helper()
	Fatalf(string, ...any)
	Errorf(string, ...any)
}

func checkTree(t fataler, tree *Tree, mem *memory, s Summary, want map[string]string) {
	t.Helper()
	if tree.Root() != s.Root || tree.Kind() != s.Kind || tree.Size() != s.Size || int64(tree.NumLeaves()) != s.Leaves {
		t.Errorf("tree %s %v %d %d, summary %+v", tree.Root(), tree.Kind(), tree.Size(), tree.NumLeaves(), s)
	}
	if len(tree.Items()) != len(want) {
		t.Errorf("%d items, want %d", len(tree.Items()), len(want))
	}
	leaf := 0
	parents := map[string]bool{}
	for i, it := range tree.Items() {
		if k, ok := tree.Lookup(it.Path); !ok || k != i {
			t.Errorf("Lookup(%q) = %d, %v", it.Path, k, ok)
		}
		if p := path.Dir(it.Path); it.Path != "" && p != "." && !parents[p] {
			t.Errorf("%q before its directory", it.Path)
		}
		parents[it.Path] = it.Kind == Directory
		if it.FirstLeaf != leaf {
			t.Errorf("%q begins at leaf %d, want %d", it.Path, it.FirstLeaf, leaf)
		}
		var got string
		switch it.Kind {
		case Directory:
			got = "dir"
		case Symlink:
			got = "link " + it.Target
		case File:
			r := NewReader(context.Background(), tree, i, mem)
			b, err := io.ReadAll(r)
			r.Close()
			if err != nil {
				t.Fatalf("read %q: %v", it.Path, err)
			}
			got = "file " + string(b)
			var off int64
			for k := range it.Leaves {
				c, size := tree.Leaf(leaf + k)
				if item, at := tree.Locate(leaf + k); item != i || at != off {
					t.Errorf("leaf %d is at %d of item %d, want %d of %d", leaf+k, at, item, off, i)
				}
				if len(mem.blocks[c]) != size {
					t.Errorf("leaf %d has %d bytes, expected %d", leaf+k, len(mem.blocks[c]), size)
				}
				off += int64(size)
			}
			leaf += it.Leaves
		}
		if got != want[it.Path] {
			t.Errorf("%q: got %.80q, want %.80q", it.Path, got, want[it.Path])
		}
	}
	for c := range tree.Nodes() {
		if mem.nodes[c] == 0 || !tree.HasNode(c) {
			t.Errorf("node %s was not imported", c)
		}
	}
}

// checkListing compares every directory of a tree with ListDir and every item with Resolve.
func checkListing(t fataler, tree *Tree, mem *memory) {
	t.Helper()
	ctx := context.Background()
	for _, it := range tree.Items() {
		c, kind, err := Resolve(ctx, tree.Root(), "/"+it.Path, mem)
		if err != nil || c != it.CID || kind != it.Kind {
			t.Errorf("Resolve(%q) = %s, %v, %v; want %s, %v", it.Path, c, kind, err, it.CID, it.Kind)
		}
		if it.Kind != Directory {
			continue
		}
		var want, got []string
		for _, sub := range tree.Items() {
			if sub.Path != "" && sub.Path != it.Path && (path.Dir(sub.Path) == it.Path || path.Dir(sub.Path) == "." && it.Path == "") {
				size := sub.Size
				if sub.Kind == Directory {
					size = 0
				}
				want = append(want, fmt.Sprint(path.Base(sub.Path), sub.CID, sub.Kind, size, sub.Target, sub.Mode, sub.MTime))
			}
		}
		for e, err := range ListDir(ctx, it.CID, mem) {
			if err != nil {
				t.Fatalf("list %q: %v", it.Path, err)
			}
			if e.Kind == Directory {
				e.Size = 0
			}
			got = append(got, fmt.Sprint(e.Name, e.CID, e.Kind, e.Size, e.Target, e.Mode, e.MTime))
		}
		if !slices.Equal(got, want) {
			t.Errorf("ListDir(%q) = %q, want %q", it.Path, got, want)
		}
	}
}

func checkCAR(t fataler, mem *memory, s Summary) {
	t.Helper()
	var buf bytes.Buffer
	if err := WriteCAR(context.Background(), &buf, s.Root, mem); err != nil {
		t.Fatalf("%v", err)
	}
	back := newMemory()
	got, err := ReadCAR(context.Background(), &buf, DefaultBudget(), back)
	if err != nil {
		t.Fatalf("%v", err)
	}
	if got != s {
		t.Errorf("CAR gives %+v, import gave %+v", got, s)
	}
	if len(back.blocks) != len(mem.blocks) {
		t.Errorf("CAR has %d blocks, import made %d", len(back.blocks), len(mem.blocks))
	}
	for _, m := range []map[cid.Cid]int{back.leaves, back.nodes} {
		for c, n := range m {
			if n != 1 {
				t.Errorf("CAR reader handed over %s %d times", c, n)
			}
		}
	}
}

// TestHAMTRoundTrip walks, lists and resolves a sharded directory.
func TestHAMTRoundTrip(t *testing.T) {
	ctx := context.Background()
	mem := newMemory()
	s, err := ImportPaths(ctx, []string{vectorDir(t, tempDir(t), "d5")}, Options{}, mem)
	if err != nil {
		t.Fatal(err)
	}
	src := &nodeCounter{NodeSource: FromGetter(mem)}
	tree, err := Walk(ctx, s.Root, -1, src, DefaultBudget(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.Items()) != 8001 || src.calls > 4 || src.nodes != len(mem.nodes) {
		t.Errorf("%d items, %d calls for %d nodes of %d", len(tree.Items()), src.calls, src.nodes, len(mem.nodes))
	}
	for i := 1; i < len(tree.Items()); i += 53 {
		it := tree.Items()[i]
		if c, k, err := Resolve(ctx, s.Root, it.Path, mem); err != nil || c != it.CID || k != File {
			t.Fatalf("Resolve(%q) = %s, %v, %v", it.Path, c, k, err)
		}
	}
	if _, _, err := Resolve(ctx, s.Root, "f99999", mem); !isNotExist(err) {
		t.Errorf("absent name: %v", err)
	}
	if _, _, err := Resolve(ctx, s.Root, "f00001/x", mem); !isNotExist(err) || !strings.Contains(err.Error(), "/f00001/x") {
		t.Errorf("below a file: %v", err)
	}
	i := 1
	for e, err := range ListDir(ctx, s.Root, mem) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Name != tree.Items()[i].Path || e.Size != 6 {
			t.Fatalf("entry %d is %+v", i, e)
		}
		i++
	}
	if i != 8001 {
		t.Errorf("%d entries", i)
	}
	checkCAR(t, mem, s)
}

func isNotExist(err error) bool {
	pe, ok := err.(*fs.PathError)
	return ok && pe.Err == fs.ErrNotExist
}
