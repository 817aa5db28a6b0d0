package dag

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/ipfs/go-cid"

	"cairn/storage/block"
)

func write(t testing.TB, path string, b []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// hooked is a sink that calls back at every leaf.
type hooked struct {
	discard
	leaf func(off int64) error
}

func (h hooked) Leaf(_ context.Context, _ uint64, off int64, _ cid.Cid, _ []byte) error {
	return h.leaf(off)
}

// TestChanged: a file that is written to, cut or made longer while it is read ends the import and is named.
func TestChanged(t *testing.T) {
	for _, size := range []int{100, 3*LeafSize + 5, smallFile + 5*LeafSize} {
		for name, change := range map[string]func(path string) error{
			"longer":  func(p string) error { return os.Truncate(p, int64(size)+1) },
			"shorter": func(p string) error { return os.Truncate(p, int64(size)-1) },
			"written": func(p string) error { return os.Chtimes(p, someTime, someTime) },
		} {
			dir := tempDir(t)
			path := write(t, filepath.Join(dir, "sub", "f"), content(1, size))
			var once sync.Once
			_, err := ImportPaths(context.Background(), []string{dir}, Options{}, hooked{leaf: func(off int64) (err error) {
				once.Do(func() { err = change(path) })
				return err
			}})
			var pe *fs.PathError
			if !errors.Is(err, ErrChanged) || !errors.As(err, &pe) || pe.Path != path {
				t.Errorf("%d bytes, %s: %v", size, name, err)
			}
		}
	}
}

// TestSinkFails: the error of the sink comes out, whichever method it is from, and nothing hangs.
func TestSinkFails(t *testing.T) {
	dir := tempDir(t)
	for i := range 50 {
		write(t, filepath.Join(dir, "d", strings.Repeat("x", i+1)), content(uint64(i), 100))
	}
	write(t, filepath.Join(dir, "large"), content(3, 20*LeafSize))
	full := errors.New("full")
	for name, s := range map[string]Sink{"file": failing{file: full}, "leaf": failing{leaf: full}, "node": failing{node: full}} {
		if _, err := ImportPaths(context.Background(), []string{dir}, Options{}, s); !errors.Is(err, full) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ImportReader(context.Background(), bytes.NewReader(content(1, 5*LeafSize)), Options{}, failing{leaf: full}); !errors.Is(err, full) {
		t.Error(err)
	}
}

func TestCancelled(t *testing.T) {
	path := write(t, filepath.Join(tempDir(t), "f"), content(1, 20*LeafSize))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	_, err := ImportPaths(ctx, []string{path}, Options{}, hooked{leaf: func(int64) error { cancel(); return nil }})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestPaths(t *testing.T) {
	ctx := context.Background()
	dir := tempDir(t)
	a := write(t, filepath.Join(dir, "a"), []byte("a"))
	b := write(t, filepath.Join(dir, "x", "b"), []byte("b"))
	a2 := write(t, filepath.Join(dir, "x", "a"), []byte("other"))
	mem := newMemory()
	s, err := ImportPaths(ctx, []string{b, a}, Options{}, mem)
	if err != nil {
		t.Fatal(err)
	}
	tree := walk(t, mem, s.Root)
	if s.Kind != Directory || s.Files != 2 || s.Size != 2 || tree.Items()[1].Path != "a" || tree.Items()[2].Path != "b" {
		t.Errorf("%+v %+v", s, tree.Items())
	}
	if !slices.Contains(mem.files, a) || !slices.Contains(mem.files, b) {
		t.Errorf("files %q", mem.files)
	}
	if _, err := ImportPaths(ctx, []string{a, a2}, Options{}, mem); !errors.Is(err, ErrDuplicate) || !strings.Contains(err.Error(), a2) {
		t.Error(err)
	}
	if _, err := ImportPaths(ctx, nil, Options{}, mem); err == nil {
		t.Error("no path")
	}
	gone := filepath.Join(dir, "gone")
	if _, err := ImportPaths(ctx, []string{gone}, Options{}, mem); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), gone) {
		t.Error(err)
	}
}

// TestLinks: a link named directly is followed, those in a tree are kept, whatever they point to.
func TestLinks(t *testing.T) {
	ctx := context.Background()
	dir := tempDir(t)
	target := write(t, filepath.Join(dir, "tree", "f"), []byte("f"))
	for name, to := range map[string]string{"self": "self", "up": "..", "abs": "/etc/passwd", "dangling": "gone", "f2": "f"} {
		if err := os.Symlink(to, filepath.Join(dir, "tree", name)); err != nil {
			t.Skip("no symbolic links here:", err)
		}
	}
	mem := newMemory()
	s, err := ImportPaths(ctx, []string{filepath.Join(dir, "tree")}, Options{}, mem)
	if err != nil {
		t.Fatal(err)
	}
	tree := walk(t, mem, s.Root)
	for _, name := range []string{"self", "up", "abs", "dangling", "f2"} {
		i, ok := tree.Lookup(name)
		if !ok || tree.Items()[i].Kind != Symlink {
			t.Errorf("%q is not a link in %+v", name, tree.Items())
		}
	}
	if s.Files != 1 || s.Size != 1 {
		t.Errorf("%+v", s)
	}
	mem = newMemory()
	if s, err = ImportPaths(ctx, []string{filepath.Join(dir, "tree", "f2")}, Options{}, mem); err != nil || s.Kind != File || len(mem.files) != 1 || filepath.Base(mem.files[0]) != filepath.Base(target) {
		t.Errorf("%+v, %v, %q", s, err, mem.files)
	}
	if err := os.Symlink("tree", filepath.Join(dir, "t2")); err != nil {
		t.Fatal(err)
	}
	if s2, err := ImportPaths(ctx, []string{filepath.Join(dir, "t2")}, Options{}, newMemory()); err != nil || s2.Root != tree.Root() {
		t.Errorf("%+v, %v", s2, err)
	}
	if _, err := ImportPaths(ctx, []string{filepath.Join(dir, "tree", "self")}, Options{}, mem); err == nil {
		t.Error("a loop was followed")
	}
}

// TestPreserve: mode and mtime of files and directories, mtime of links, come back.
func TestPreserve(t *testing.T) {
	dir := tempDir(t)
	small := write(t, filepath.Join(dir, "d", "small"), []byte("x"))
	large := write(t, filepath.Join(dir, "d", "large"), content(1, LeafSize+1))
	for _, p := range []string{small, large, filepath.Join(dir, "d")} {
		mode := fs.FileMode(0o600)
		if p == filepath.Join(dir, "d") {
			mode = 0o701
		}
		if err := errors.Join(os.Chmod(p, mode), os.Chtimes(p, someTime, someTime)); err != nil {
			t.Fatal(err)
		}
	}
	mem := newMemory()
	s, err := ImportPaths(context.Background(), []string{dir}, Options{Preserve: true}, mem)
	if err != nil {
		t.Fatal(err)
	}
	tree := walk(t, mem, s.Root)
	for _, it := range tree.Items()[1:] {
		info, err := os.Lstat(filepath.Join(dir, filepath.FromSlash(it.Path)))
		if err != nil {
			t.Fatal(err)
		}
		if !it.HasMode || it.Mode != info.Mode().Perm() || !it.MTime.Equal(info.ModTime()) {
			t.Errorf("%q: %v %v, want %v %v", it.Path, it.Mode, it.MTime, info.Mode(), info.ModTime())
		}
	}
	plain := newMemory()
	s2, err := ImportPaths(context.Background(), []string{dir}, Options{}, plain)
	if err != nil || s2.Root == s.Root {
		t.Errorf("%v, %v", s2.Root, err)
	}
	if s2.Size != s.Size || s2.Leaves != s.Leaves || s2.Files != s.Files {
		t.Errorf("%+v, %+v", s, s2)
	}
}

// TestProgress: never two at once, never backwards, and the last report is the whole.
func TestProgress(t *testing.T) {
	dir := tempDir(t)
	for i := range 30 {
		write(t, filepath.Join(dir, strings.Repeat("x", i+1)), content(uint64(i), 1000))
	}
	var busy sync.Mutex
	var bytes, files int64
	s, err := ImportPaths(context.Background(), []string{dir}, Options{Workers: 4, Progress: func(b, f int64) {
		if !busy.TryLock() {
			t.Error("two at once")
			return
		}
		defer busy.Unlock()
		if b < bytes || f < files {
			t.Errorf("backwards: %d, %d after %d, %d", b, f, bytes, files)
		}
		bytes, files = b, f
	}}, discard{})
	if err != nil || bytes != 30_000 || files != 30 || s.Size != bytes || s.Files != files {
		t.Errorf("%d, %d, %+v, %v", bytes, files, s, err)
	}
}

// TestSparse: holes cost nothing and give the same CID as zeros that are read.
func TestSparse(t *testing.T) {
	ctx := context.Background()
	dir := tempDir(t)
	const size = 40*LeafSize + 77
	data := make([]byte, size)
	path := filepath.Join(dir, "sparse")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, off := range []int64{3*LeafSize + 100, 3*LeafSize + 500_000, 17 * LeafSize, 39*LeafSize - 10} {
		b := content(uint64(off), 50)
		copy(data[off:], b)
		if _, err := f.WriteAt(b, off); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	want, err := ImportReader(ctx, bytes.NewReader(data), Options{}, discard{})
	if err != nil {
		t.Fatal(err)
	}
	mem := newMemory()
	got, err := ImportPaths(ctx, []string{path}, Options{}, mem)
	if err != nil || got != want {
		t.Errorf("%+v, want %+v, %v", got, want, err)
	}
	zero := block.Sum(cid.Raw, make([]byte, LeafSize))
	if n := mem.leaves[zero]; n == 0 || n > 40 {
		t.Errorf("the leaf of zeros was handed over %d times", n)
	}
	for _, at := range mem.at { // every leaf is where the sink was told
		n := min(LeafSize, size-at.off)
		if block.Sum(cid.Raw, data[at.off:at.off+n]) != at.c {
			t.Errorf("leaf at %d is not %s", at.off, at.c)
		}
	}
	tree := walk(t, mem, got.Root)
	r := NewReader(ctx, tree, 0, mem)
	defer r.Close()
	if b, err := io.ReadAll(r); err != nil || !bytes.Equal(b, data) {
		t.Errorf("read back: %d bytes, %v", len(b), err)
	}
}

// TestSparseTerabyte: 1 TiB of nothing is walked and imported with a handful of distinct nodes.
func TestSparseTerabyte(t *testing.T) {
	path := write(t, filepath.Join(tempDir(t), "tera"), nil)
	const size = 1<<40 + 1
	if err := os.Truncate(path, size); err != nil {
		t.Skip("no files of 1 TiB here:", err)
	}
	mem := newMemory()
	s, err := ImportPaths(context.Background(), []string{path}, Options{}, mem)
	if err != nil {
		t.Fatal(err)
	}
	if s.Size != size || s.Leaves != 1<<20+1 || len(mem.leaves) != 2 || len(mem.nodes) > 6 {
		t.Errorf("%+v, %d leaves, %d nodes", s, len(mem.leaves), len(mem.nodes))
	}
	tree := walk(t, mem, s.Root)
	if tree.NumLeaves() != 1<<20+1 || tree.Size() != size {
		t.Errorf("%d leaves, %d bytes", tree.NumLeaves(), tree.Size())
	}
	if item, off := tree.Locate(1 << 20); item != 0 || off != 1<<40 {
		t.Errorf("the last leaf is at %d of %d", off, item)
	}
}

func TestImportReaderErrors(t *testing.T) {
	broken := errors.New("broken")
	_, err := ImportReader(context.Background(), io.MultiReader(bytes.NewReader(make([]byte, 100)), iotest.ErrReader(broken)), Options{}, discard{})
	if !errors.Is(err, broken) {
		t.Error(err)
	}
	want, err := ImportReader(context.Background(), bytes.NewReader(content(5, 2*LeafSize)), Options{}, discard{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := ImportReader(context.Background(), iotest.HalfReader(bytes.NewReader(content(5, 2*LeafSize))), Options{Workers: 1}, discard{})
	if err != nil || got != want {
		t.Errorf("%+v, %+v, %v", got, want, err)
	}
}
