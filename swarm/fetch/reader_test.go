package fetch

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"cairn/storage/block"
	"cairn/storage/dag"
)

func TestReaderReadsAll(t *testing.T) {
	for _, size := range []int{0, 1, mib, mib + 1, 40*mib + 3} {
		obj := randomFile(t, size, 50)
		want, err := os.ReadFile(obj.path)
		if err != nil {
			t.Fatal(err)
		}
		a, b := source(obj, "a"), source(obj, "b")
		sources := []Source{a}
		if size > mib {
			sources = append(sources, b)
		}
		r, err := NewReader(t.Context(), obj.tree, 0, Feed{Sources: sources})
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: got %d, %v", size, len(got), err)
		}
		if err := errors.Join(r.Close(), r.Close()); err != nil {
			t.Error(err)
		}
		if _, err := r.Read(make([]byte, 1)); err == nil || err == io.EOF {
			t.Errorf("read after close: %v", err)
		}
		na, _ := a.counts()
		nb, _ := b.counts()
		if leaves := (size + mib - 1) / mib; na+nb < leaves || (leaves < 2 && na+nb > leaves) {
			t.Errorf("%d bytes: %d leaves asked", size, na+nb)
		}
		if a.held.Load() != 0 || b.held.Load() != 0 {
			t.Errorf("%d buffers held", a.held.Load()+b.held.Load())
		}
	}
}

// The first bytes come before the last leaf is fetched, and what is ahead is bounded.
func TestReaderStreams(t *testing.T) {
	obj := randomFile(t, 60*mib, 51)
	synctest.Test(t, func(t *testing.T) {
		src := source(obj, "a")
		r, err := NewReader(t.Context(), obj.tree, 0, Feed{Sources: []Source{src}})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		buf := make([]byte, 100)
		for i := range 60 {
			if _, err := r.Seek(int64(i)*mib, io.SeekStart); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(r, buf); err != nil {
				t.Fatal(err)
			}
			synctest.Wait() // all that is fetched ahead has been
			asked, _ := src.counts()
			if most := min(i+1+min(1<<i, maxAhead), 60); asked > most {
				t.Fatalf("at leaf %d %d leaves have been asked for, want at most %d", i, asked, most)
			}
			if i == 30 && asked < i+maxAhead {
				t.Errorf("at leaf %d only %d have been asked for", i, asked)
			}
		}
		for i, n := range src.asked {
			if n != 1 {
				t.Errorf("leaf %d asked %d times", i, n)
			}
		}
	})
}

func TestReaderRanges(t *testing.T) {
	obj := randomFile(t, 20*mib+7, 52)
	want, err := os.ReadFile(obj.path)
	if err != nil {
		t.Fatal(err)
	}
	src := source(obj, "a")
	r, err := NewReader(t.Context(), obj.tree, 0, Feed{Sources: []Source{src}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Seek(12*mib-5, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 10)
	if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, want[12*mib-5:12*mib+5]) {
		t.Errorf("%q, %v", got, err)
	}
	if n, _ := src.counts(); n < 2 || n > 4 {
		t.Errorf("%d leaves asked for 10 bytes", n)
	}
	rnd := rand.New(rand.NewPCG(5, 5))
	for range 60 {
		off := rnd.Int64N(int64(len(want)) + 10)
		n := rnd.IntN(3 * mib / 2)
		if rnd.IntN(3) == 0 {
			_, err = r.Seek(off-int64(len(want)), io.SeekEnd)
		} else {
			_, err = r.Seek(off, io.SeekStart)
		}
		if off-int64(len(want)) > 0 && err == nil && off > int64(len(want)) {
			if k, err := r.Read(got); k != 0 || err != io.EOF {
				t.Errorf("behind the end: %d, %v", k, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, n)
		k, err := io.ReadFull(r, buf)
		end := min(off+int64(n), int64(len(want)))
		if int64(k) != end-off || !bytes.Equal(buf[:k], want[off:end]) || (k == n) != (err == nil) {
			t.Fatalf("%d at %d: %d bytes, %v", n, off, k, err)
		}
	}
	if _, err := r.Seek(-1, io.SeekStart); err == nil {
		t.Error("seek before the beginning")
	}
	if err := r.Close(); err != nil || src.held.Load() != 0 {
		t.Errorf("%v, %d buffers held", err, src.held.Load())
	}
}

func TestReaderInsideATree(t *testing.T) {
	root := mixed(t)
	obj := importObject(t, root, opts)
	for item, it := range obj.tree.Items() {
		r, err := NewReader(t.Context(), obj.tree, item, Feed{Sources: []Source{source(obj, "a")}})
		if it.Kind != dag.File {
			if !errors.Is(err, dag.ErrUnsupported) {
				t.Errorf("%s: %v", it.Path, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if it.Leaves <= 1 && item%7 != 0 {
			r.Close()
			continue
		}
		got, err := io.ReadAll(r)
		want, rerr := os.ReadFile(filepath.Join(root, it.Path))
		if err != nil || rerr != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v %v", it.Path, len(got), err, rerr)
		}
		r.Close()
	}
}

func TestReaderOfUnknownSize(t *testing.T) {
	obj := randomFile(t, 4000, 53)
	tree, err := dag.Walk(t.Context(), obj.sum.Root, -1, dag.FromGetter(obj.store), dag.DefaultBudget(), nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(t.Context(), tree, 0, Feed{Sources: []Source{source(obj, "a")}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || len(got) != 4000 || r.Size() != 4000 {
		t.Errorf("%d bytes, %v, size %d", len(got), err, r.Size())
	}
}

func TestReaderFailures(t *testing.T) {
	obj := randomFile(t, 6*mib, 54)
	bad, good := source(obj, "bad"), source(obj, "good")
	bad.hook = func(_ context.Context, i int, d []byte) ([]byte, error) { return d[:10], nil }
	r, err := NewReader(t.Context(), obj.tree, 0, Feed{Sources: []Source{bad, good}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err != nil || len(got) != 6*mib {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	r.Close()

	r, err = NewReader(t.Context(), obj.tree, 0, Feed{Sources: []Source{bad}})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := r.Read(make([]byte, 10)); n != 0 || !errors.Is(err, ErrNoSource) || !errors.Is(err, block.ErrCorrupt) {
		t.Errorf("%d bytes, %v", n, err)
	}
	r.Close()

	ctx, cancel := context.WithCancelCause(t.Context())
	boom := errors.New("enough")
	stuck := source(obj, "stuck")
	stuck.hook = func(ctx context.Context, _ int, _ []byte) ([]byte, error) {
		cancel(boom)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if r, err = NewReader(ctx, obj.tree, 0, Feed{Sources: []Source{stuck}}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(make([]byte, 10)); !errors.Is(err, boom) {
		t.Error(err)
	}
	r.Close()
}
