package fetch

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"cairn/storage/block"
	"cairn/storage/dag"

	"github.com/ipfs/go-cid"
)

const mib = 1 << 20

func TestFile(t *testing.T) {
	for _, size := range []int{0, 1, 4096, mib - 1, mib, mib + 1, 5*mib + 17} {
		obj := randomFile(t, size, 1)
		src := source(obj, "a")
		dir := memDir(t)
		job := obj.job(filepath.Join(dir, "out"), src)
		var nodes []cid.Cid
		job.OnNode = func(b block.Block) error { nodes = append(nodes, b.CID); return nil }
		var last Snapshot
		job.Progress = func(s Snapshot) { last = s }
		res, err := Run(t.Context(), job)
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		same(t, obj.path, filepath.Join(dir, "out"))
		only(t, dir, "out")
		if res.Size != int64(size) || res.Fetched != int64(size) || res.Resumed != 0 || res.Files != 1 || res.Path != job.Target.Path {
			t.Errorf("%d bytes: result %+v", size, res)
		}
		if last.Phase != PhaseDone || last.Done != int64(size) || last.Total != int64(size) || last.Sources[0].Bytes != int64(size) {
			t.Errorf("%d bytes: last snapshot %+v", size, last)
		}
		info, err := os.Stat(job.Target.Path)
		if err != nil {
			t.Fatal(err)
		}
		if w := res.Written[0]; len(res.Written) != 1 || w.Path != job.Target.Path || w.Size != int64(size) || !w.MTime.Equal(info.ModTime()) {
			t.Errorf("written %+v, on disk %v", res.Written, info.ModTime())
		}
		if info.Mode() != 0o644 {
			t.Errorf("mode %v", info.Mode())
		}
		inner := 0
		for range obj.tree.Nodes() {
			inner++
		}
		if len(nodes) != inner {
			t.Errorf("%d nodes handed over, want %d", len(nodes), inner)
		}
		asked, sent := src.counts()
		want := (size + mib - 1) / mib
		if asked != want || sent != want || src.dones != 1 || src.held.Load() != 0 {
			t.Errorf("%d bytes: asked %d, sent %d, done %d, held %d", size, asked, sent, src.dones, src.held.Load())
		}
	}
}

func TestFileOfUnknownSize(t *testing.T) {
	obj := randomFile(t, 5000, 2)
	job := obj.job(filepath.Join(memDir(t), "out"), source(obj, "a"))
	job.Size = -1
	res, err := Run(t.Context(), job)
	if err != nil || res.Size != 5000 || res.Fetched != 5000 {
		t.Fatalf("%+v, %v", res, err)
	}
	same(t, obj.path, job.Target.Path)
}

func TestWrongSizeInTicket(t *testing.T) {
	obj := randomFile(t, 5000, 2)
	job := obj.job(filepath.Join(memDir(t), "out"), source(obj, "a"))
	job.Size = 4999
	if _, err := Run(t.Context(), job); !errors.Is(err, ErrNoSource) {
		t.Errorf("a lone leaf of another size: %v", err)
	}
	obj = randomFile(t, 3*mib, 2)
	job = obj.job(filepath.Join(memDir(t), "out"), source(obj, "a"))
	job.Size = 4999
	var warned []string
	job.Warn = func(s string) { warned = append(warned, s) }
	if _, err := Run(t.Context(), job); err != nil || len(warned) != 1 {
		t.Errorf("%v, warned %q", err, warned)
	}
}

func TestResumeAfterCancel(t *testing.T) {
	const leaves = 24
	obj := randomFile(t, leaves*mib-5, 3)
	target := filepath.Join(memDir(t), "out")
	for round := range 6 {
		stopAt := rand.IntN(leaves - 2)
		first := source(obj, "a")
		ctx, cancel := context.WithCancelCause(t.Context())
		boom := errors.New("interrupted")
		first.hook = func(_ context.Context, i int, data []byte) ([]byte, error) {
			if i == stopAt {
				cancel(boom)
				return nil, boom
			}
			return data, nil
		}
		res, err := Run(ctx, obj.job(target, first))
		if !errors.Is(err, boom) {
			t.Fatalf("round %d: %v", round, err)
		}
		if _, err := os.Stat(target); err == nil {
			t.Fatal("partial file under the final name")
		}
		if len(res.Dropped()) != 0 {
			t.Errorf("dropped %+v by a cancel", res.Dropped())
		}
		_, sent := first.counts()
		second := source(obj, "b")
		res, err = Run(t.Context(), obj.job(target, second))
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		asked, _ := second.counts()
		if asked != leaves-sent {
			t.Errorf("stopped at %d: %d sent, then %d asked, want %d", stopAt, sent, asked, leaves-sent)
		}
		if want := int64(sent) * mib; res.Resumed != want {
			t.Errorf("resumed %d, want %d", res.Resumed, want)
		}
		same(t, obj.path, target)
		if err := os.Remove(target); err != nil {
			t.Fatal(err)
		}
	}
}

func TestResumeDistrustsTheDisk(t *testing.T) {
	obj := randomFile(t, 6*mib, 4)
	target := filepath.Join(memDir(t), "out")
	data, err := os.ReadFile(obj.path)
	if err != nil {
		t.Fatal(err)
	}
	data[2*mib+100] ^= 1 // leaf 2
	data = data[:4*mib+9]
	if err := os.WriteFile(TempPath(target, obj.sum.Root), data, 0o600); err != nil {
		t.Fatal(err)
	}
	src := source(obj, "a")
	if _, err := Run(t.Context(), obj.job(target, src)); err != nil {
		t.Fatal(err)
	}
	if src.asked[2] != 1 || src.asked[4] != 1 || src.asked[5] != 1 || len(src.asked) != 3 {
		t.Errorf("asked %v", src.asked)
	}
	same(t, obj.path, target)
}

func TestZeroLeavesAreNotFetched(t *testing.T) {
	path := filepath.Join(memDir(t), "sparse")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(randomBytes(mib, 9), 10*mib); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(64*mib), f.Close()); err != nil {
		t.Fatal(err)
	}
	obj := importObject(t, path, dag.Options{})
	target := filepath.Join(memDir(t), "out")
	src := source(obj, "a")
	res, err := Run(t.Context(), obj.job(target, src))
	if err != nil || len(src.asked) != 1 || res.Resumed != 63*mib || res.Fetched != mib {
		t.Fatalf("%+v, %v, asked %v", res, err, src.asked)
	}
	same(t, path, target)
	checkSums(t, obj, res)
	if used, known := allocated(t, target); known && used > 3*mib {
		t.Errorf("%d bytes of disk used", used)
	}
	// What is not zero where zeros belong is replaced, in a later run too.
	if err := errors.Join(os.Remove(target), os.WriteFile(TempPath(target, obj.sum.Root), bytes.Repeat([]byte("x"), 3*mib+5), 0o644)); err != nil {
		t.Fatal(err)
	}
	if res, err = Run(t.Context(), obj.job(target, src)); err != nil {
		t.Fatal(err)
	}
	same(t, path, target)
	checkSums(t, obj, res)
	if d := block.Sum(cid.Raw, make([]byte, mib)); !slices.Equal(d.Hash()[2:], zeroLeaf[:]) {
		t.Error("zeroLeaf is not the hash of zeros")
	}
}

func TestOnNodeFails(t *testing.T) {
	obj := randomFile(t, 3*mib, 14)
	full := errors.New("store is full")
	dir := memDir(t)
	job := obj.job(filepath.Join(dir, "out"), source(obj, "a"))
	job.OnNode = func(block.Block) error { return full }
	res, err := Run(t.Context(), job)
	if !errors.Is(err, full) || len(res.Dropped()) != 0 {
		t.Errorf("%v, dropped %+v", err, res.Dropped())
	}
	only(t, dir)
}

func TestLocalSource(t *testing.T) {
	obj := randomFile(t, 5*mib, 15)
	res, err := Run(t.Context(), obj.job(filepath.Join(memDir(t), "out"), NewLocalSource("me", obj.store, obj.tree)))
	if err != nil {
		t.Fatal(err)
	}
	same(t, obj.path, res.Path)
	c, _ := obj.tree.Leaf(3)
	if err := obj.store.Delete(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	_, err = Run(t.Context(), obj.job(filepath.Join(memDir(t), "out"), NewLocalSource("me", obj.store, obj.tree)))
	var none *NoSourceError
	if !errors.As(err, &none) || none.Missing != 1 {
		t.Error(err)
	}
}

func TestPreserve(t *testing.T) {
	path := filepath.Join(memDir(t), "f")
	when := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	if err := errors.Join(os.WriteFile(path, []byte("hello"), 0o600), os.Chmod(path, 0o4750|fs.ModeSetuid), os.Chtimes(path, when, when)); err != nil {
		t.Fatal(err)
	}
	obj := importObject(t, path, dag.Options{Preserve: true})
	job := obj.job(filepath.Join(memDir(t), "out"), source(obj, "a"))
	job.Preserve = true
	job.Warn = func(s string) { t.Error(s) }
	res, err := Run(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(res.Path)
	if err != nil || info.Mode() != 0o750 || !info.ModTime().Equal(when) || !res.Written[0].MTime.Equal(when) {
		t.Errorf("%v %v %v", info.Mode(), info.ModTime(), err)
	}
	plain := randomFile(t, 10, 1)
	job = plain.job(filepath.Join(memDir(t), "out"), source(plain, "a"))
	job.Preserve = true
	warned := 0
	job.Warn = func(string) { warned++ }
	if _, err := Run(t.Context(), job); err != nil || warned != 1 {
		t.Errorf("%v, %d warnings", err, warned)
	}
}
