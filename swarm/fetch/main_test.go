package fetch

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"cairn/storage/block"
	"cairn/storage/dag"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(child())
	}
	goleak.VerifyTestMain(m)
}

// memDir returns a directory that is gone after the test, in memory where there is such a thing, so that syncing
// does not measure the machine's disk.
func memDir(tb testing.TB) string {
	if runtime.GOOS != "linux" {
		return tb.TempDir()
	}
	dir, err := os.MkdirTemp("/dev/shm", "fetch-test-")
	if err != nil {
		return tb.TempDir()
	}
	tb.Cleanup(func() {
		if r, err := os.OpenRoot("/dev/shm"); err == nil {
			_ = removeAll(r, filepath.Base(dir))
			r.Close()
		}
	})
	return dir
}

// object is something to get, with all its blocks.
type object struct {
	store block.Store
	tree  *dag.Tree
	sum   dag.Summary
	path  string // what was imported
}

type memSink struct{ block.Store }

func (memSink) File(string, fs.FileInfo) (uint64, error) { return 0, nil }
func (s memSink) Leaf(ctx context.Context, _ uint64, _ int64, c cid.Cid, data []byte) error {
	return s.Put(ctx, block.Block{CID: c, Data: data})
}
func (s memSink) Node(ctx context.Context, c cid.Cid, data []byte) error {
	return s.Put(ctx, block.Block{CID: c, Data: data})
}

func importObject(tb testing.TB, path string, o dag.Options) *object {
	tb.Helper()
	obj, err := importPath(path, o)
	if err != nil {
		tb.Fatal(err)
	}
	return obj
}

func importPath(path string, o dag.Options) (*object, error) {
	obj := &object{store: block.NewMem(), path: path}
	var err error
	if obj.sum, err = dag.ImportPaths(context.Background(), []string{path}, o, memSink{obj.store}); err != nil {
		return nil, err
	}
	obj.tree, err = dag.Walk(context.Background(), obj.sum.Root, obj.sum.Size, dag.FromGetter(obj.store), dag.DefaultBudget(), nil)
	return obj, err
}

// randomFile makes a file object of n random bytes.
func randomFile(tb testing.TB, n int, seed uint64) *object {
	tb.Helper()
	path := filepath.Join(memDir(tb), "data.bin")
	if err := os.WriteFile(path, randomBytes(n, seed), 0o644); err != nil {
		tb.Fatal(err)
	}
	return importObject(tb, path, dag.Options{})
}

func randomBytes(n int, seed uint64) []byte {
	data := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = r.Read(data)
	return data
}

func (o *object) job(target string, sources ...Source) Job {
	return Job{Root: o.sum.Root, Size: o.sum.Size, Name: "x", Target: Target{Path: target}, Sources: sources}
}

// testSource serves an object as a session does: what it was asked for, in that order.
type testSource struct {
	*object
	name peer.ID
	rank int
	// hook may change or withhold a leaf, or fail; nil: none. Returning (nil, nil) leaves it out, a *MissingError
	// says that it is missing.
	hook func(ctx context.Context, i int, data []byte) ([]byte, error)
	// nodes may replace Nodes.
	nodes func(ctx context.Context, cs []cid.Cid) iter.Seq2[block.Block, error]

	todo      *requests
	mu        sync.Mutex
	asked     map[int]int
	sent      map[int]int
	cancelled int
	dones     int
	held      atomic.Int64 // buffers not released
}

func source(o *object, name string) *testSource {
	return &testSource{object: o, name: peer.ID(name), todo: newRequests(), asked: map[int]int{}, sent: map[int]int{}}
}

type testBuf struct {
	s    *testSource
	data []byte
	gone atomic.Bool
}

func (b *testBuf) Bytes() []byte { return b.data }
func (b *testBuf) Release() {
	if b.gone.Swap(true) {
		panic("released twice")
	}
	clear(b.data) // whoever still looks at it is found out
	b.s.held.Add(-1)
}

func (s *testSource) Peer() peer.ID { return s.name }

func (s *testSource) Done(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dones++
	return nil
}

func (s *testSource) Nodes(ctx context.Context, cs []cid.Cid) iter.Seq2[block.Block, error] {
	if s.nodes != nil {
		return s.nodes(ctx, cs)
	}
	return dag.FromGetter(s.store).Nodes(ctx, cs)
}

func (s *testSource) Partial() bool { return false }
func (s *testSource) Rank() int     { return s.rank }

func (s *testSource) Request(start, count int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := start; i < start+count; i++ {
		s.asked[i]++
	}
	s.todo.add(start, count)
	return nil
}

func (s *testSource) Cancel(start, count int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancelled += count
	s.todo.cancel(start, count)
	return nil
}

func (s *testSource) Run(ctx context.Context, sink Sink) error {
	for {
		i, skipped, err := s.todo.next(ctx)
		if err != nil {
			return err
		}
		if skipped > 0 {
			sink.Skipped(i, skipped)
			continue
		}
		if err := s.send(ctx, i, sink); err != nil {
			return err
		}
	}
}

func (s *testSource) send(ctx context.Context, i int, sink Sink) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	data, err := s.leaf(ctx, i)
	var miss *MissingError
	if errors.As(err, &miss) {
		sink.Missing(i, miss.Err)
		return nil
	}
	if err != nil || data == nil {
		return err
	}
	return s.deliver(i, data, sink)
}

func (s *testSource) leaf(ctx context.Context, i int) ([]byte, error) {
	c, _ := s.tree.Leaf(i)
	data, err := s.store.Get(ctx, c, nil)
	if err != nil {
		return nil, &MissingError{Leaf: i, Err: err}
	}
	if s.hook != nil {
		return s.hook(ctx, i, data)
	}
	return data, nil
}

func (s *testSource) deliver(i int, data []byte, sink Sink) error {
	s.mu.Lock()
	s.sent[i]++
	s.mu.Unlock()
	s.held.Add(1)
	return sink.Leaf(i, &testBuf{s: s, data: data})
}

// counts returns how many leaves were asked for and sent, repetitions included.
func (s *testSource) counts() (asked, sent int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.asked {
		asked += n
	}
	for _, n := range s.sent {
		sent += n
	}
	return asked, sent
}

// same fails unless both paths hold the same tree of files with the same bytes.
func same(tb testing.TB, want, got string) {
	tb.Helper()
	a, b := digestTree(tb, want), digestTree(tb, got)
	for p, d := range a {
		if b[p] != d {
			tb.Errorf("%s: %q instead of %q", p, b[p], d)
		}
	}
	for p := range b {
		if _, ok := a[p]; !ok {
			tb.Errorf("%s should not be there", p)
		}
	}
}

func digestTree(tb testing.TB, root string) map[string]string {
	tb.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		switch {
		case d.IsDir():
			out[rel] = "dir"
		case d.Type()&fs.ModeSymlink != 0:
			t, err := os.Readlink(path)
			out[rel] = "link " + t
			return err
		default:
			data, err := os.ReadFile(path)
			out[rel] = fmt.Sprintf("%x", sha256.Sum256(data))
			return err
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// only fails unless exactly these names are in dir.
func only(tb testing.TB, dir string, names ...string) {
	tb.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		tb.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if fmt.Sprint(got) != fmt.Sprint(names) {
		tb.Errorf("%s holds %q, want %q", dir, got, names)
	}
}

// makeTree writes files (path to content; a path ending in / is a directory, content "-> x" a symbolic link).
func makeTree(tb testing.TB, files map[string]string) string {
	tb.Helper()
	root := filepath.Join(memDir(tb), "tree")
	if err := os.Mkdir(root, 0o755); err != nil {
		tb.Fatal(err)
	}
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			tb.Fatal(err)
		}
		var err error
		switch {
		case name[len(name)-1] == '/':
			err = os.MkdirAll(path, 0o755)
		case len(content) > 3 && content[:3] == "-> ":
			err = os.Symlink(content[3:], path)
		default:
			err = os.WriteFile(path, []byte(content), 0o644)
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	return root
}
