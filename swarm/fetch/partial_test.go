package fetch

import (
	"bytes"
	"context"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"cairn/storage/block"
	"cairn/storage/dag"

	"github.com/libp2p/go-libp2p/core/peer"
)

// checkLeaf fails unless leaf i of p is what the object has there.
func checkLeaf(t *testing.T, obj *object, p *Partial, i int) {
	t.Helper()
	c, _ := obj.tree.Leaf(i)
	want, err := obj.store.Get(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.ReadLeaf(t.Context(), i, make([]byte, 3, 2*mib))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("leaf %d: %d bytes instead of %d, %v", i, len(got), len(want), err)
	}
}

// checkSums fails unless a complete get handed out the checksum of every leaf.
func checkSums(t *testing.T, obj *object, res Result) {
	t.Helper()
	if len(res.Sums) != obj.tree.NumLeaves() {
		t.Fatalf("%d checksums of %d leaves", len(res.Sums), obj.tree.NumLeaves())
	}
	for i, sum := range res.Sums {
		c, _ := obj.tree.Leaf(i)
		data, err := obj.store.Get(t.Context(), c, nil)
		if want := crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)); err != nil || sum != want {
			t.Errorf("leaf %d: checksum %x instead of %x, %v", i, sum, want, err)
		}
	}
}

// What has come can be read while the get runs, after it under the final name, and until Close.
func TestPartialServesWhileItRuns(t *testing.T) {
	lone := randomFile(t, 5000, 80)
	for name, obj := range map[string]*object{
		"file":         randomFile(t, 12*mib+5, 81),
		"directory":    importObject(t, mixed(t), opts),
		"unknown size": lone,
		"empty":        randomFile(t, 0, 82),
	} {
		t.Run(name, func(t *testing.T) {
			n := obj.tree.NumLeaves()
			var p *Partial
			src := source(obj, "a")
			served := 0
			src.hook = func(_ context.Context, i int, d []byte) ([]byte, error) {
				if _, err := p.ReadLeaf(t.Context(), i, nil); !errors.Is(err, block.ErrNotFound) {
					t.Errorf("leaf %d before it came: %v", i, err)
				}
				if leaves, _ := p.Since(served); len(leaves) > 0 {
					checkLeaf(t, obj, p, int(leaves[0]))
					served++
				}
				return d, nil
			}
			dir := memDir(t)
			target := filepath.Join(dir, "out")
			if err := os.WriteFile(target, []byte("old"), 0o644); err != nil {
				t.Fatal(err)
			}
			job := obj.job(target, src)
			job.Target.Force = true
			if obj == lone {
				job.Size = -1
			}
			calls := 0
			job.OnPartial = func(got *Partial) {
				p = got
				calls++
			}
			res, err := Run(t.Context(), job)
			if err != nil || calls != 1 {
				t.Fatalf("%v, %d calls", err, calls)
			}
			checkSums(t, obj, res)
			if p.Tree() != res.Tree || p.NumLeaves() != n || (n > 1 && served == 0) {
				t.Errorf("%d leaves, %d served meanwhile", p.NumLeaves(), served)
			}
			for c := range obj.tree.Nodes() {
				if !p.HasNode(c) {
					t.Errorf("lacks node %s", c)
				}
			}
			leaves, _ := p.Since(0)
			sorted := slices.Sorted(slices.Values(leaves))
			if len(slices.Compact(sorted)) != n {
				t.Errorf("%d of %d leaves told", len(sorted), n)
			}
			// Under the name that the user then gives it, too.
			if err := os.Rename(target, filepath.Join(dir, "elsewhere")); err != nil {
				t.Fatal(err)
			}
			for i := range n {
				checkLeaf(t, obj, p, i)
			}
			if _, err := p.ReadLeaf(t.Context(), n, nil); !errors.Is(err, block.ErrNotFound) {
				t.Errorf("beyond: %v", err)
			}
			if err := errors.Join(p.Close(), p.Close()); err != nil {
				t.Error(err)
			}
			for _, i := range leaves {
				if _, err := p.ReadLeaf(t.Context(), int(i), nil); !p.p.zero[i] && !errors.Is(err, block.ErrNotFound) {
					t.Errorf("after Close: %v", err)
				}
			}
		})
	}
}

// What the user does to the files is noticed on every read.
func TestPartialDistrustsTheDisk(t *testing.T) {
	file, tree := randomFile(t, 3*mib, 83), importObject(t, makeTree(t, map[string]string{"a": "1", "b": string(randomBytes(3*mib, 5)), "c": "3"}), opts)
	for _, obj := range []*object{file, tree} {
		var p *Partial
		job := obj.job(filepath.Join(memDir(t), "out"), source(obj, "a"))
		job.OnPartial = func(got *Partial) { p = got }
		res, err := Run(t.Context(), job)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		victim := res.Written[len(res.Written)/2].Path
		item, _ := obj.tree.Lookup("b")
		first := obj.tree.Items()[max(item, 0)].FirstLeaf
		f, err := os.OpenFile(victim, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("changed"), mib+5); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Truncate(2*mib+5), f.Close()); err != nil {
			t.Fatal(err)
		}
		checkLeaf(t, obj, p, first)
		for _, i := range []int{first + 1, first + 2} {
			if data, err := p.ReadLeaf(t.Context(), i, nil); !errors.Is(err, block.ErrCorrupt) || len(data) > 0 {
				t.Errorf("leaf %d: %d bytes, %v", i, len(data), err)
			}
		}
		if obj == tree {
			if err := os.Remove(filepath.Join(res.Path, "a")); err != nil {
				t.Fatal(err)
			}
			if _, err := p.ReadLeaf(t.Context(), 0, nil); !errors.Is(err, block.ErrNotFound) {
				t.Errorf("a removed file: %v", err)
			}
		}
	}
}

// What an earlier run left and zeros come first; a get that failed goes on to serve what is kept.
func TestPartialOfAnEarlierRun(t *testing.T) {
	path := filepath.Join(memDir(t), "f")
	data := slices.Concat(randomBytes(2*mib, 1), make([]byte, mib), randomBytes(2*mib, 2))
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	obj := importObject(t, path, dag.Options{})
	target := filepath.Join(memDir(t), "out")
	if err := os.WriteFile(TempPath(target, obj.sum.Root), data[:mib], 0o644); err != nil {
		t.Fatal(err)
	}
	src := source(obj, "a")
	src.hook = func(_ context.Context, i int, d []byte) ([]byte, error) {
		if i == 4 {
			return nil, errors.New("gone")
		}
		return d, nil
	}
	var p *Partial
	var more <-chan struct{}
	job := obj.job(target, src)
	job.OnPartial = func(got *Partial) {
		p = got
		var leaves []uint32
		if leaves, more = p.Since(0); !slices.Equal(leaves, []uint32{0, 2}) {
			t.Errorf("has %v at first", leaves)
		}
		if pieces := p.Pieces(2); !slices.Equal(pieces.Done, []byte{66, 0}) || !slices.Equal(pieces.Source, []byte{0, 0}) {
			t.Errorf("pieces at first: %+v", pieces)
		}
	}
	if _, err := Run(t.Context(), job); !errors.Is(err, ErrNoSource) {
		t.Fatal(err)
	}
	defer p.Close()
	<-more
	leaves, _ := p.Since(2)
	if !slices.Equal(slices.Sorted(slices.Values(leaves)), []uint32{1, 3}) {
		t.Errorf("then came %v", leaves)
	}
	for _, i := range []int{0, 1, 2, 3} {
		checkLeaf(t, obj, p, i)
	}
	if _, err := p.ReadLeaf(t.Context(), 4, nil); !errors.Is(err, block.ErrNotFound) {
		t.Error(err)
	}
}

// A get that fetched nothing leaves nothing, and serves nothing either.
func TestPartialOfNothing(t *testing.T) {
	obj := randomFile(t, 3*mib, 84)
	dir := memDir(t)
	bad := source(obj, "b")
	bad.hook = func(context.Context, int, []byte) ([]byte, error) { return nil, errors.New("gone") }
	job := obj.job(filepath.Join(dir, "out"), bad)
	var p *Partial
	job.OnPartial = func(got *Partial) { p = got }
	if _, err := Run(t.Context(), job); !errors.Is(err, ErrNoSource) {
		t.Error(err)
	}
	only(t, dir)
	if _, err := p.ReadLeaf(t.Context(), 0, nil); !errors.Is(err, block.ErrNotFound) {
		t.Error(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

func TestPieces(t *testing.T) {
	obj := randomFile(t, 10*mib, 85)
	a, b := source(obj, "a"), source(obj, "b")
	var p *Partial
	var during Pieces
	var once sync.Once
	var mu sync.Mutex
	came := 0
	all := make(chan struct{})
	lack := func(from, to int) func(context.Context, int, []byte) ([]byte, error) {
		return func(_ context.Context, i int, d []byte) ([]byte, error) {
			if from <= i && i < to {
				return nil, &MissingError{Leaf: i}
			}
			mu.Lock()
			came++
			if came == 2 {
				close(all)
			}
			mu.Unlock()
			<-all // both are asked for something
			once.Do(func() { during = p.Pieces(5) })
			return d, nil
		}
	}
	a.hook, b.hook = lack(0, 5), lack(5, 10)
	job := obj.job(filepath.Join(memDir(t), "out"), a, b)
	job.OnPartial = func(got *Partial) { p = got }
	if _, err := Run(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if during.Leaves != 10 || during.PerCell != 2 || !slices.Equal(during.Done, make([]byte, 5)) || !slices.Contains(during.Asked, 1) {
		t.Errorf("meanwhile %+v", during)
	}
	got := p.Pieces(5)
	want := Pieces{Leaves: 10, PerCell: 2, Done: []byte{100, 100, 100, 100, 100}, Source: []byte{2, 2, 255, 1, 1}, Asked: make([]byte, 5), Members: []peer.ID{"a", "b"}}
	if got.Leaves != want.Leaves || got.PerCell != want.PerCell || !slices.Equal(got.Done, want.Done) || !slices.Equal(got.Source, want.Source) ||
		!slices.Equal(got.Asked, want.Asked) || !slices.Equal(got.Members, want.Members) {
		t.Errorf("%+v, want %+v", got, want)
	}
	for cells, perCell := range map[int]int{-1: 10, 0: 10, 1: 10, 3: 4, 4: 3, 10: 1, 1000: 1} {
		got := p.Pieces(cells)
		if n := (10 + perCell - 1) / perCell; got.PerCell != perCell || len(got.Done) != n || len(got.Source) != n || len(got.Asked) != n {
			t.Errorf("%d cells asked: %+v", cells, got)
		}
	}
}

// Commit comes when the object is in its place, and before a source is told so.
func TestCommit(t *testing.T) {
	obj := randomFile(t, 3*mib, 86)
	full := errors.New("library is full")
	for _, fails := range []error{nil, full} {
		src := source(obj, "a")
		job := obj.job(filepath.Join(memDir(t), "out"), src)
		job.Commit = func(_ context.Context, res Result) error {
			same(t, obj.path, res.Path)
			if src.dones != 0 || len(res.Written) != 1 || res.Fetched != 3*mib || res.Tree == nil {
				t.Errorf("told %d times, %+v", src.dones, res)
			}
			return fails
		}
		if _, err := Run(t.Context(), job); !errors.Is(err, fails) || (src.dones == 1) != (fails == nil) {
			t.Errorf("%v, told %d times", err, src.dones)
		}
	}
}

// Some systems do not rename what is open: reading goes on all the same, whether the rename came about or not.
func TestPartialIsReopened(t *testing.T) {
	for _, obj := range []*object{randomFile(t, 3*mib, 87), importObject(t, makeTree(t, map[string]string{"a": "1", "b": string(randomBytes(3*mib, 5))}), opts)} {
		target := filepath.Join(memDir(t), "out")
		if err := gets(t, obj, Target{Path: target}); err != nil {
			t.Fatal(err)
		}
		pl, err := openPlace(Target{Path: target, Force: true}, obj.sum.Root)
		if err != nil {
			t.Fatal(err)
		}
		defer pl.close()
		if err := pl.parent.Rename(pl.name, pl.temp); err != nil {
			t.Fatal(err)
		}
		there, plan := make([]bool, obj.tree.NumLeaves()), newPlan(obj.tree)
		for i := range there {
			c, _ := obj.tree.Leaf(i)
			data, err := obj.store.Get(t.Context(), c, nil)
			if err = errors.Join(err, plan.accept(i, data)); err != nil {
				t.Fatal(err)
			}
			there[i] = true
		}
		p, err := newPartial(pl, plan, there)
		if err != nil {
			t.Fatal(err)
		}
		full := errors.New("no rename")
		for _, fails := range []error{full, nil} {
			err := p.reopened(pl, func() error {
				if p.f != nil || p.dir != nil || len(p.cache.open) > 0 {
					t.Error("something is open")
				}
				if fails != nil {
					return fails
				}
				return pl.parent.Rename(pl.temp, pl.name)
			})
			if err != fails {
				t.Error(err)
			}
			for i := range there {
				checkLeaf(t, obj, p, i)
			}
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if err := p.reopened(pl, func() error { return full }); err != full || p.f != nil || p.dir != nil {
			t.Errorf("after Close: %v", err)
		}
	}
}
