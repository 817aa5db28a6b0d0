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
	"time"

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

func readAt(t *testing.T, r *Reader, off int64, n int) {
	t.Helper()
	if _, err := r.Seek(off, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, make([]byte, n)); err != nil {
		t.Fatal(err)
	}
}

// Reading a range whose end is known fetches only that range.
func TestReaderLimit(t *testing.T) {
	obj := randomFile(t, 60*mib, 55)
	synctest.Test(t, func(t *testing.T) {
		src := source(obj, "a")
		r, err := NewReader(t.Context(), obj.tree, 0, Feed{Sources: []Source{src}})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		want := 0
		for _, c := range []struct {
			limit, off int64
			n, leaves  int
		}{
			{20*mib + 10, 20*mib + 5, 5, 1},   // within a leaf
			{31 * mib, 30 * mib, mib, 1},      // one leaf exactly
			{8 * mib, mib, 7 * mib, 7},        // read-ahead grows, but not beyond
			{8 * mib, 50 * mib, 10, 1},        // reading beyond it works
			{-1, 40 * mib, 10, 2},             // none: one leaf ahead after a jump
			{0, 55 * mib, 10, 1},              // silly
			{100 * mib, 58 * mib, 2 * mib, 2}, // beyond the end
		} {
			r.Limit(c.limit)
			readAt(t, r, c.off, c.n)
			synctest.Wait()
			want += c.leaves
			if asked, _ := src.counts(); asked != want {
				t.Fatalf("%d bytes at %d, limit %d: %d leaves asked for, want %d", c.n, c.off, c.limit, asked, want)
			}
		}
	})
}

// A jump cancels at once what is on its way; going to the end for the size and back does not.
func TestReaderSeekCancels(t *testing.T) {
	obj := randomFile(t, 60*mib, 56)
	synctest.Test(t, func(t *testing.T) {
		src := paced(source(obj, "a"), 100*time.Millisecond)
		r, err := NewReader(t.Context(), obj.tree, 0, Feed{Sources: []Source{src}})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for i := range int64(8) {
			readAt(t, r, i*mib, mib)
		}
		if _, err := r.Seek(0, io.SeekEnd); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Seek(8*mib, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if src.cancelled != 0 {
			t.Errorf("%d leaves cancelled", src.cancelled)
		}
		asked, _ := src.counts()
		if _, err := r.Seek(40*mib, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if src.cancelled < 8 {
			t.Errorf("%d leaves cancelled of %d asked for", src.cancelled, asked)
		}
		start := time.Now()
		if _, err := io.ReadFull(r, make([]byte, mib)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 250*time.Millisecond { // the one under way, then ours
			t.Errorf("took %v after the jump", took)
		}
		// Back where it was: what was cancelled is asked for again.
		readAt(t, r, 9*mib, 3*mib)
	})
}

// Sources may come while it is read, and go.
func TestReaderJoining(t *testing.T) {
	obj := randomFile(t, 8*mib, 57)
	joining := make(chan Source)
	bad := source(obj, "bad")
	bad.hook = func(_ context.Context, i int, d []byte) ([]byte, error) {
		if i == 2 {
			return nil, errors.New("gone")
		}
		return d, nil
	}
	r, err := NewReader(t.Context(), obj.tree, 0, Feed{Joining: joining})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		joining <- bad
		joining <- source(obj, "good")
		close(joining)
	}()
	if n, err := io.Copy(io.Discard, r); err != nil || n != 8*mib {
		t.Errorf("%d bytes, %v", n, err)
	}
	if s := r.Sources(); len(s) != 2 || s[0].Err == nil || s[1].Bytes < 5*mib {
		t.Errorf("%+v", s)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// Reading on uses all sources at once.
func TestReaderUsesAllSources(t *testing.T) {
	obj := randomFile(t, 60*mib, 58)
	synctest.Test(t, func(t *testing.T) {
		var from Feed
		for _, name := range []string{"a", "b", "c"} {
			from.Sources = append(from.Sources, paced(source(obj, name), 100*time.Millisecond))
		}
		r, err := NewReader(t.Context(), obj.tree, 0, from)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		start := time.Now()
		if n, err := io.Copy(io.Discard, r); err != nil || n != 60*mib {
			t.Errorf("%d bytes, %v", n, err)
		}
		if took := time.Since(start); took > 3*time.Second { // alone each would need 6 s
			t.Errorf("took %v", took)
		}
	})
}
