package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"cairn/storage/block"
	"cairn/storage/block/blocktest"
)

// tree lists names, sizes and contents' lengths below dir, to show that nothing was written.
func tree(t *testing.T, dir string) string {
	t.Helper()
	return fmt.Sprint(files(t, dir))
}

func TestIdentity(t *testing.T) {
	// Each case spoils a store that holds a block; Open must say want and write nothing.
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, f *fixture)
		want  error
	}{
		{"other keys", func(t *testing.T, f *fixture) {
			k, err := CreateKeys(filepath.Join(f.home, "other"))
			if err != nil {
				t.Fatal(err)
			}
			f.cfg.Keys = k
		}, ErrWrongKey},
		{"emptied", func(t *testing.T, f *fixture) {
			f.must(os.RemoveAll(f.cfg.Dir))
			f.must(os.Mkdir(f.cfg.Dir, 0o700))
		}, ErrStoreLost},
		{"gone", func(t *testing.T, f *fixture) { f.must(os.RemoveAll(f.cfg.Dir)) }, ErrStoreLost},
		{"store.id gone", func(t *testing.T, f *fixture) { f.must(os.Remove(filepath.Join(f.cfg.Dir, identityFile))) }, ErrStoreLost},
		{"store.id gone, new keys", func(t *testing.T, f *fixture) {
			f.must(os.Remove(filepath.Join(f.cfg.Dir, identityFile)))
			k, err := CreateKeys(filepath.Join(f.home, "other"))
			f.must(err)
			f.cfg.Keys = k
		}, ErrStoreLost},
		{"data emptied", func(t *testing.T, f *fixture) {
			f.must(os.RemoveAll(filepath.Join(f.cfg.Dir, dbDir)))
			f.must(os.Mkdir(filepath.Join(f.cfg.Dir, dbDir), 0o700))
		}, ErrStoreLost},
		{"segments gone", func(t *testing.T, f *fixture) { f.must(os.RemoveAll(filepath.Join(f.cfg.Dir, segmentDir))) }, ErrStoreLost},
		{"newer", func(t *testing.T, f *fixture) {
			f.must(os.WriteFile(filepath.Join(f.cfg.Dir, identityFile), []byte("cairn-store 2 ready\n"), 0o600))
		}, ErrFormat},
		{"disk full", func(t *testing.T, f *fixture) {
			f.cfg.Free = func(string) (int64, int64, error) { return 1 << 20, 1 << 40, nil }
		}, block.ErrNoSpace},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			f.must(f.Put(t.Context(), blocktest.Make(1, 100)))
			f.close()
			f.loadKeys()
			c.spoil(t, f)
			before := tree(t, f.home)
			if s, err := Open(f.cfg); !errors.Is(err, c.want) {
				if err == nil {
					s.Close()
				}
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if after := tree(t, f.home); after != before {
				t.Fatal("something was written")
			}
		})
	}
}

// TestMakingIsCrashSafe stops the making of a store after each of its steps.
func TestMakingIsCrashSafe(t *testing.T) {
	for _, c := range []struct {
		name string
		stop func(f *fixture)
	}{
		{"after store.id", func(f *fixture) { f.must(os.RemoveAll(filepath.Join(f.cfg.Dir, dbDir))) }},
		{"after the format key", func(f *fixture) {}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			f.close()
			c.stop(f)
			f.must(writeIdentity(f.cfg.Dir, f.cfg.Keys, storeNew, 1))
			file := f.cfg.Keys.file
			file.Made = false
			f.must(f.cfg.Keys.save(file))
			f.loadKeys()
			f.open()
			f.must(f.Put(t.Context(), blocktest.Make(1, 100)))
			f.reopen()
			f.want(blocktest.Make(1, 100))
			if !f.keys.made() {
				t.Fatal("not marked as made")
			}
		})
	}
}

func TestLocked(t *testing.T) {
	f := newFixture(t)
	if s, err := Open(f.cfg); !errors.Is(err, ErrLocked) {
		if err == nil {
			s.Close()
		}
		t.Fatal(err)
	}
	f.must(f.Put(t.Context(), blocktest.Make(1, 10)))
}

func TestSpace(t *testing.T) {
	f := newFixture(t)
	free := int64(1 << 40)
	f.close()
	f.cfg.Free = func(string) (int64, int64, error) { return free, 1 << 40, nil }
	f.cfg.Reserve = 100 << 20
	f.open()
	a, b := blocktest.Make(1, 1<<20), blocktest.Make(2, 1<<20)
	w := f.NewWriter(t.Context(), WriterOptions{})
	defer w.Close()
	f.must(w.Commit(t.Context(), entry("e", 1)))
	f.must(f.Put(t.Context(), a))

	free = 100<<20 + 1000 // less than the block
	if err := f.Put(t.Context(), b); !errors.Is(err, block.ErrNoSpace) {
		t.Fatal(err)
	}
	f.absent(b.CID)
	f.must(f.Put(t.Context(), a)) // is there: takes nothing
	f.want(a)
	if _, err := f.UpdateEntry("e", func(e *Entry) error { e.Name = "y"; return nil }); err != nil {
		t.Fatal(err)
	}
	free = 50 << 20 // less than the reserve
	f.must(f.Delete(t.Context(), a.CID))
	f.must(f.DeleteEntry("e"))
	f.reopen()

	free = 1 << 20 // Badger must not even write a delete
	if err := f.Delete(t.Context(), b.CID); !errors.Is(err, block.ErrNoSpace) {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context(), entry("e2", 1)); !errors.Is(err, block.ErrNoSpace) {
		t.Fatal(err)
	}
	free = 1 << 40
	f.must(f.Put(t.Context(), b)) // nothing is left counted
	if st := f.Stats(); st.Queued != 0 {
		t.Fatalf("%+v", st)
	}
}

// A reference is small, but many are not: the disk is looked at now and then, and every time after it was too full.
func TestSpaceForReferences(t *testing.T) {
	f := newFixture(t)
	free, looks := int64(1<<40), 0
	f.close()
	f.cfg.Free = func(string) (int64, int64, error) { looks++; return free, 1 << 40, nil }
	f.open()
	path := f.write("a", blocktest.Data(1, 1000))
	info, err := os.Stat(path)
	f.must(err)
	w := f.NewWriter(t.Context(), WriterOptions{})
	defer w.Close()
	looks = 0
	id, err := w.File(path, info)
	f.must(err)
	n := 0
	add := func() error {
		n++
		return w.Reference(t.Context(), id, int64(n), blocktest.Make(uint64(n), 10).CID, 10)
	}
	for range 10*unasked - 2 {
		f.must(add())
	}
	if looks != 10 {
		t.Errorf("looked %d times", looks)
	}
	free = 1 << 20
	for err, n = nil, 0; err == nil && n <= unasked; {
		err = add()
	}
	for range 3 {
		if err = add(); !errors.Is(err, block.ErrNoSpace) {
			t.Fatal(err)
		}
	}
	free = 1 << 40
	f.must(add())
	f.must(w.Commit(t.Context()))
}

func TestReserve(t *testing.T) {
	for _, c := range []struct{ ask, total, want int64 }{
		{0, 1 << 50, 1 << 30}, {0, 10 << 30, (10 << 30) / 20}, {0, 100 << 20, 64 << 20}, {1, 1 << 40, 64 << 20}, {5 << 30, 1 << 40, 5 << 30},
	} {
		s, err := newSpace("", func(string) (int64, int64, error) { return 0, c.total, nil }, c.ask)
		if err != nil || s.reserve != c.want {
			t.Errorf("asked %d of %d: %d, %v", c.ask, c.total, s.reserve, err)
		}
	}
}

func TestDiskFree(t *testing.T) {
	free, total, err := diskFree(t.TempDir())
	if err != nil || free <= 0 || total < free {
		t.Fatal(free, total, err)
	}
}
