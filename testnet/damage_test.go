package testnet

import (
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// flip changes one byte of a file in place and leaves its size and time as they were.
func flip(t *testing.T, path string, off int64) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], off); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x10
	if _, err := f.WriteAt(b[:], off); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
}

// TestFlippedByteInAReferencedFile: the guard of size and time does not see it, the hash does.
func TestFlippedByteInAReferencedFile(t *testing.T) {
	a := up(t, newHome(t))
	src := file(t, "f", 40*mib)
	good := share(t, a.Home, file(t, "other", 3*mib))
	ticket := share(t, a.Home, src)
	flip(t, src, 23*mib+17)

	out := filepath.Join(dir(t), "out")
	r := wantCode(t, newHome(t), []int{5, 6}, "get", ticket, "-o", out)
	absent(t, out)
	if !strings.Contains(r.Stderr, tail(a.Ready.PeerID)) {
		t.Errorf("the error does not name the peer %s: %s", a.Ready.PeerID, r)
	}
	r = must(t, a.Home, "verify") // no damage of ours: listed apart
	if !strings.Contains(r.Stdout, src) {
		t.Errorf("verify does not name the changed file: %s", r)
	}
	must(t, newHome(t), "get", good, "-o", out) // the peer serves everything else
}

// tail is what a shortened peer id still shows.
func tail(id string) string { return id[len(id)-6:] }

// TestFlippedByteHealsFromAnotherSource: with a second source the object comes through whole.
func TestFlippedByteHealsFromAnotherSource(t *testing.T) {
	a, b := up(t, newHome(t)), up(t, newHome(t))
	src, twin := file(t, "f", 40*mib), filepath.Join(dir(t), "f")
	first := share(t, a.Home, src)
	must(t, b.Home, "get", first, "-o", twin)
	second := share(t, b.Home, twin)
	flip(t, src, 23*mib+17)
	out := filepath.Join(dir(t), "out")
	must(t, newHome(t), "get", first, second, "-o", out)
	same(t, twin, out)
}

// TestFlippedByteInTheStore: whatever byte of the store changes, nothing but the right bytes or an error comes out,
// and a changed block is found by verify.
func TestFlippedByteInTheStore(t *testing.T) {
	d := dice(t)
	h := newHome(t)
	src := file(t, "f", 8*mib)
	want, err := os.ReadFile(src)
	if err != nil {
		t.Fatal(err)
	}
	id := must(t, h, "add", "--copy", src).Value()

	for _, where := range []struct {
		name string
		pick func(*testing.T, *rand.Rand, Home) (string, int64)
	}{{"block", inValueLog}, {"any file", anywhere}} {
		t.Run(where.name, func(t *testing.T) {
			found := 0
			for range *faultRuns {
				// Opening a damaged store may change its files: each strike hits a copy.
				copied := homeAt(t, filepath.Join(dir(t), "home"))
				if err := os.CopyFS(copied.Dir, os.DirFS(h.Dir)); err != nil {
					t.Fatal(err)
				}
				private(t, copied.Dir)
				path, off := where.pick(t, d, copied)
				flip(t, path, off)
				r := run(t, copied, "verify")
				whole := readsOnly(t, copied, id, want)
				if r.Code == 0 && !whole {
					t.Errorf("verify finds nothing, yet not all can be read: %s", r)
				}
				if r.Code == 5 {
					found++
				}
				if t.Failed() {
					t.Fatalf("byte %d of %s", off, path)
				}
				os.RemoveAll(filepath.Dir(copied.Dir))
			}
			t.Logf("verify found damage in %d of %d", found, *faultRuns)
			if where.name == "block" && *faultRuns >= 10 && found == 0 {
				t.Error("verify never found a damaged block")
			}
		})
	}
}

// readsOnly fails if cat gives other bytes than a beginning of want, and tells whether it gave all.
func readsOnly(t *testing.T, h Home, id string, want []byte) bool {
	t.Helper()
	r := run(t, h, "cat", id)
	if !strings.HasPrefix(string(want), r.Stdout) {
		t.Errorf("cat gave wrong bytes: %s", r)
	}
	whole := len(r.Stdout) == len(want)
	if r.Code == 0 && !whole {
		t.Errorf("cat gave %d of %d bytes and success", len(r.Stdout), len(want))
	}
	return whole
}

// inValueLog picks a byte that lies in sealed content.
func inValueLog(t *testing.T, d *rand.Rand, h Home) (string, int64) {
	t.Helper()
	files := storeFiles(t, h, ".seg")
	if len(files) == 0 {
		t.Fatal("the store has no value log")
	}
	for range 1000 {
		path := files[d.IntN(len(files))]
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() < 64 {
			continue
		}
		off := 32 + d.Int64N(info.Size()-32)
		if inContent(t, path, off) {
			return path, off
		}
	}
	t.Fatal("no content in the value log")
	return "", 0
}

// inContent tells written bytes from the zeros of a preallocated file.
func inContent(t *testing.T, path string, off int64) bool {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 16)
	n, _ := f.ReadAt(b, off)
	for _, c := range b[:n] {
		if c == 0 {
			return false // random bytes have one in sixteen times; then another place is tried
		}
	}
	return n == len(b)
}

// anywhere picks a byte of any file of the home.
func anywhere(t *testing.T, d *rand.Rand, h Home) (string, int64) {
	t.Helper()
	files := storeFiles(t, h, "")
	for {
		path := files[d.IntN(len(files))]
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > 0 {
			return path, d.Int64N(min(info.Size(), 64<<10)) // the beginnings are where structure is
		}
	}
}

func storeFiles(t *testing.T, h Home, ext string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(h.Dir, "store"), func(p string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() && strings.HasSuffix(p, ext) {
			files = append(files, p)
		}
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("list store: %d files, %v", len(files), err)
	}
	return files
}

// private gives a copied home the modes of a real one.
func private(t *testing.T, home string) {
	t.Helper()
	err := filepath.WalkDir(home, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			return os.Chmod(p, 0o700)
		}
		return os.Chmod(p, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestLostStore: an emptied store directory is not taken for a new one.
func TestLostStore(t *testing.T) {
	h := newHome(t)
	id := must(t, h, "add", "--copy", file(t, "f", mib)).Value()
	store := filepath.Join(h.Dir, "store")
	if err := os.Rename(store, store+".away"); err != nil {
		t.Fatal(err)
	}
	for _, empty := range []bool{false, true} {
		if empty {
			if err := os.RemoveAll(store); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(store, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if r := run(t, h, "ls"); r.Code == 0 {
			t.Errorf("empty=%v: a lost store was replaced by an empty one: %s", empty, r)
		}
	}
	if err := os.RemoveAll(store); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(store+".away", store); err != nil {
		t.Fatal(err)
	}
	must(t, h, "cat", id)
}

// TestWrongKey: a store under another key is refused with nothing changed.
func TestWrongKey(t *testing.T) {
	h, other := newHome(t), newHome(t)
	id := must(t, h, "add", "--copy", file(t, "f", mib)).Value()
	must(t, other, "add", "--copy", file(t, "f", mib))
	key := filepath.Join(h.Dir, "keys")
	own, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := os.ReadFile(filepath.Join(other.Dir, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(key, foreign, 0o600); err != nil {
		t.Fatal(err)
	}
	wantCode(t, h, []int{12}, "cat", id)
	if err := os.WriteFile(key, own, 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, h, "cat", id)
}
