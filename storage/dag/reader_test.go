package dag

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/ipfs/go-cid"

	"cairn/storage/block"
)

// checkReader compares random reads and seeks with the leaves put together.
func checkReader(t *testing.T, tree *Tree, g block.Getter, item int) {
	t.Helper()
	ctx := context.Background()
	it := tree.Items()[item]
	var want []byte
	for i := range it.Leaves {
		c, _ := tree.Leaf(it.FirstLeaf + i)
		b, err := g.Get(ctx, c, nil)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, b...)
	}
	r := NewReader(ctx, tree, item, g)
	defer r.Close()
	if len(want) < 1<<16 {
		if err := iotest.TestReader(r, want); err != nil {
			t.Error(err)
		}
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		off := rng.Int64N(int64(len(want)) + 2)
		if _, err := r.Seek(off, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		n := 1 + rng.IntN(3*LeafSize)
		got, err := io.ReadAll(io.LimitReader(r, int64(n)))
		if err != nil {
			t.Fatal(err)
		}
		off = min(off, int64(len(want)))
		if !bytes.Equal(got, want[off:min(off+int64(n), int64(len(want)))]) {
			t.Fatalf("%d bytes at %d differ", n, off)
		}
	}
}

// counting counts the blocks read and how many at once.
type counting struct {
	block.Getter
	n, now, most atomic.Int64
}

func (c *counting) Get(ctx context.Context, k cid.Cid, dst []byte) ([]byte, error) {
	c.n.Add(1)
	now := c.now.Add(1)
	for m := c.most.Load(); now > m && !c.most.CompareAndSwap(m, now); m = c.most.Load() {
	}
	defer c.now.Add(-1)
	return c.Getter.Get(ctx, k, dst)
}

func importBytes(t testing.TB, b []byte) (*memory, *Tree) {
	t.Helper()
	mem := newMemory()
	s, err := ImportReader(context.Background(), bytes.NewReader(b), Options{}, mem)
	if err != nil {
		t.Fatal(err)
	}
	return mem, walk(t, mem, s.Root)
}

func TestReader(t *testing.T) {
	mem, tree := importBytes(t, content(1, 12*LeafSize+345))
	checkReader(t, tree, mem, 0)
	ctx := context.Background()

	t.Run("range reads no more than it must", func(t *testing.T) {
		c := &counting{Getter: mem}
		r := NewReader(ctx, tree, 0, c)
		defer r.Close()
		if _, err := r.Seek(3*LeafSize+17, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r, make([]byte, 1000)); err != nil || c.n.Load() != 1 {
			t.Errorf("%v, %d leaves read", err, c.n.Load())
		}
	})
	t.Run("in order every leaf once, few at a time", func(t *testing.T) {
		c := &counting{Getter: mem}
		r := NewReader(ctx, tree, 0, c)
		defer r.Close()
		n, err := io.Copy(io.Discard, r)
		if err != nil || n != tree.Size() || c.n.Load() != 13 || c.most.Load() > maxAhead+1 {
			t.Errorf("%d bytes, %v; %d leaves, %d at once", n, err, c.n.Load(), c.most.Load())
		}
	})
	t.Run("seek", func(t *testing.T) {
		r := NewReader(ctx, tree, 0, mem)
		if n, err := r.Seek(-5, io.SeekEnd); n != tree.Size()-5 || err != nil {
			t.Error(n, err)
		}
		if b, err := io.ReadAll(r); len(b) != 5 || err != nil {
			t.Error(len(b), err)
		}
		if _, err := r.Seek(-1, io.SeekStart); !errors.Is(err, fs.ErrInvalid) {
			t.Error(err)
		}
		if _, err := r.Seek(0, 9); !errors.Is(err, fs.ErrInvalid) {
			t.Error(err)
		}
		r.Close()
		if _, err := r.Read(make([]byte, 1)); !errors.Is(err, fs.ErrClosed) {
			t.Error(err)
		}
	})
	t.Run("missing leaf", func(t *testing.T) {
		c, _ := tree.Leaf(2)
		b := mem.blocks[c]
		delete(mem.blocks, c)
		defer func() { mem.blocks[c] = b }()
		r := NewReader(ctx, tree, 0, mem)
		defer r.Close()
		if n, err := io.Copy(io.Discard, r); n != 2*LeafSize || !errors.Is(err, block.ErrNotFound) {
			t.Error(n, err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(ctx)
		r := NewReader(ctx, tree, 0, blocking{})
		cancel()
		if _, err := r.Read(make([]byte, 1)); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		r.Close()
	})
	t.Run("not a file", func(t *testing.T) {
		m := newMemory()
		d := m.dir()
		r := NewReader(ctx, walk(t, m, d.c), 0, m)
		defer r.Close()
		if _, err := r.Read(make([]byte, 1)); !errors.Is(err, fs.ErrInvalid) {
			t.Error(err)
		}
	})
}

type blocking struct{}

func (blocking) Get(ctx context.Context, _ cid.Cid, _ []byte) ([]byte, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestReaderUnknownSize reads a lone raw leaf.
func TestReaderUnknownSize(t *testing.T) {
	m := newMemory()
	tree := walk(t, m, m.raw(1000, 5).c)
	r := NewReader(context.Background(), tree, 0, m)
	defer r.Close()
	if n, err := r.Seek(0, io.SeekEnd); n != 1000 || err != nil {
		t.Fatal(n, err)
	}
	if _, err := r.Seek(990, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); err != nil || !bytes.Equal(b, bytes.Repeat([]byte{5}, 10)) {
		t.Fatal(b, err)
	}
}

// TestReaderLeafSize: bytes that hash right but are not as many as the parent says.
func TestReaderLeafSize(t *testing.T) {
	m := newMemory()
	l := m.raw(5, 1)
	l.size, l.tsize = 6, 6
	tree := walk(t, m, m.node(l).c)
	r := NewReader(context.Background(), tree, 0, m)
	defer r.Close()
	if _, err := r.Read(make([]byte, 10)); !errors.Is(err, ErrBadDAG) {
		t.Error(err)
	}
}

// TestReaderLikeFile compares with the file that was imported.
func TestReaderLikeFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	want := content(9, 5*LeafSize+1)
	if err := os.WriteFile(path, want, 0o644); err != nil {
		t.Fatal(err)
	}
	mem := newMemory()
	s, err := ImportPaths(context.Background(), []string{path}, Options{}, mem)
	if err != nil {
		t.Fatal(err)
	}
	tree := walk(t, mem, s.Root)
	r := NewReader(context.Background(), tree, 0, mem)
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}
