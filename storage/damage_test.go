package storage

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cairn/storage/block"
	"cairn/storage/block/blocktest"
)

// flip changes one byte of a file.
func flip(t testing.TB, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x41
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
}

// find returns the file below dir that holds what, and where.
func find(t testing.TB, dir string, what []byte) (path string, at int64) {
	t.Helper()
	for p, data := range files(t, dir) {
		if i := bytes.LastIndex(data, what); i >= 0 {
			return p, int64(i)
		}
	}
	t.Fatal("not found on disk")
	return "", 0
}

func someBlocks(n int) (bs []block.Block) {
	for i := range n {
		bs = append(bs, blocktest.Make(uint64(1000+i), 6000+100*i))
	}
	return bs
}

// TestFlippedValue flips each part of one sealed block, in a segment and in the index, of an open and of a closed
// store. Only this block may be gone, storing it again heals it, and nothing ends by a panic.
func TestFlippedValue(t *testing.T) {
	for _, c := range []struct {
		name string
		off  int64 // from the multihash in the record
	}{
		{"seal version", recordHead}, {"key id", recordHead + 4}, {"nonce", recordHead + 8}, {"ciphertext", 3000}, {"tag", recordHead + 6300 + sealOverhead - 1},
	} {
		for _, closed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, closed %v", c.name, closed), func(t *testing.T) {
				f := newFixture(t)
				bs := someBlocks(7)
				for _, b := range bs {
					f.must(f.Put(t.Context(), b))
				}
				d, err := block.Digest(bs[3].CID)
				f.must(err)
				path, at := find(t, filepath.Join(f.cfg.Dir, segmentDir), blockName(blockKey(d)))
				if closed {
					f.close()
					f.loadKeys()
				}
				flip(t, path, at+c.off)
				if closed {
					f.open()
				}
				for i, b := range bs {
					got, err := f.Get(t.Context(), b.CID, nil)
					switch {
					case i != 3:
						if err != nil || !bytes.Equal(got, b.Data) {
							t.Fatalf("block %d: %v", i, err)
						}
					case err == nil && !bytes.Equal(got, b.Data):
						t.Fatal("wrong bytes")
					case err == nil:
						t.Fatal("the flip hit nothing")
					case !errors.Is(err, block.ErrCorrupt):
						t.Fatal(err)
					}
				}
				found := 0
				res, err := f.Verify(t.Context(), func(fd Finding) {
					found++
					if fd.Path != "" || fd.CID != bs[3].CID || !errors.Is(fd.Err, block.ErrCorrupt) {
						t.Errorf("%+v", fd)
					}
				}, nil)
				if err != nil || found != 1 || res.Damaged != 1 || res.Blocks != 7 {
					t.Fatalf("%+v, %v", res, err)
				}
				if st := f.Stats(); st.Damaged != 1 || st.Broken {
					t.Fatalf("%+v", st)
				}
				f.must(f.Put(t.Context(), bs[3]))
				f.reopen()
				for _, b := range bs {
					f.want(b)
				}
				if st := f.Stats(); st.Blocks != 7 {
					t.Fatalf("%+v", st)
				}
			})
		}
	}
}

var flips = flag.Int("flips", 8, "bytes flipped per file by TestFlippedAnywhere")

// flipsEnv marks the process in which TestFlippedAnywhere does its work.
const flipsEnv = "CAIRN_STORAGE_FLIPS"

// TestFlippedAnywhere flips random bytes in every file of a closed store, and of one as a crash leaves it:
// whatever happens, no wrong bytes, no panic; and a closed store that opens has its entry. It runs in a process
// of its own, because a panic in one of Badger's goroutines would end this one.
func TestFlippedAnywhere(t *testing.T) {
	if os.Getenv(flipsEnv) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestFlippedAnywhere$", "-test.v", fmt.Sprintf("-flips=%d", *flips))
		cmd.Env = append(os.Environ(), flipsEnv+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	for _, crashed := range []bool{false, true} {
		t.Run(fmt.Sprintf("crashed %v", crashed), func(t *testing.T) { flipAnywhere(t, crashed) })
	}
}

func flipAnywhere(t *testing.T, crashed bool) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	f := newFixture(t)
	bs := append(someBlocks(5), blocktest.Make(7, 300), blocktest.Make(8, 2000))
	f.must(f.Put(t.Context(), bs...))
	path := f.write("a", blocktest.Data(1, 3000))
	w := f.NewWriter(t.Context(), WriterOptions{})
	f.reference(w, path, 1000)
	f.must(w.Commit(t.Context(), entry("e", 1)))
	f.must(w.Close())
	whole := files(t, f.cfg.Dir)
	f.close()
	if !crashed {
		whole = files(t, f.cfg.Dir)
	}
	opened, refused := 0, 0
	for p, data := range whole {
		used := len(bytes.TrimRight(data, "\x00")) // not the unwritten rest
		for range *flips {
			if used == 0 {
				break
			}
			at := r.Int64N(int64(used))
			switch r.IntN(3) { // heads and tails rather than the middle of blocks
			case 0:
				at = r.Int64N(int64(min(used, 100)))
			case 1:
				at = int64(used) - 1 - r.Int64N(int64(min(used, 60)))
			}
			restore(t, f.cfg.Dir, whole)
			flip(t, p, at)
			f.loadKeys()
			s, err := Open(f.cfg)
			if err != nil {
				refused++
				continue
			}
			opened++
			f.Store = s
			for _, b := range bs {
				if got, err := s.Get(t.Context(), b.CID, nil); err == nil && !bytes.Equal(got, b.Data) {
					t.Fatalf("%s at %d: wrong bytes", p, at)
				}
			}
			e, err := s.Entry("e")
			if err == nil && fmt.Sprint(e) != fmt.Sprint(entry("e", 1)) {
				t.Fatalf("%s at %d: wrong entry", p, at)
			}
			if errors.Is(err, ErrNoEntry) && !crashed {
				t.Fatalf("%s at %d: the entry is gone, and nothing says so", p, at)
			}
			_, _ = s.Verify(t.Context(), func(Finding) {}, nil)
			f.close()
		}
	}
	restore(t, f.cfg.Dir, whole)
	f.loadKeys()
	f.open()
	for _, b := range bs {
		f.want(b)
	}
	if opened == 0 || refused == 0 {
		t.Fatalf("opened %d, refused %d: the test means nothing", opened, refused)
	}
}

// restore makes dir hold exactly whole.
func restore(t testing.TB, dir string, whole map[string][]byte) {
	t.Helper()
	for p := range files(t, dir) {
		if _, ok := whole[p]; !ok {
			os.Remove(p)
		}
	}
	for p, data := range whole {
		if err := os.WriteFile(p, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDamageCostsOneBlock: GC moves what is whole out of a damaged segment, and the damage with it.
func TestDamageCostsOneBlock(t *testing.T) {
	f := newFixture(t)
	f.close()
	f.cfg.segment = 64 << 10
	f.open()
	bs := someBlocks(60)
	f.must(f.Put(t.Context(), bs...))
	d, err := block.Digest(bs[2].CID)
	f.must(err)
	f.close()
	path, at := find(t, filepath.Join(f.cfg.Dir, segmentDir), blockName(blockKey(d)))
	flip(t, path, at+1000)
	f.loadKeys()
	f.open()
	var live []block.Block
	for i, b := range bs {
		if i%2 == 0 {
			live = append(live, b)
		}
	}
	check := func() {
		t.Helper()
		for _, b := range live {
			if b.CID != bs[2].CID {
				f.want(b)
			} else if _, err := f.Get(t.Context(), b.CID, nil); !errors.Is(err, block.ErrCorrupt) {
				t.Fatal(err)
			}
		}
	}
	check()
	f.gc(keep(live...))
	check()
	f.reopen()
	check()
	f.must(f.Put(t.Context(), bs[2]))
	f.want(bs[2])
}

// TestSpoiledSegment cuts a segment short, or takes it away: its blocks are corrupt, the others whole, and new
// ones can be stored.
func TestSpoiledSegment(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(path string) error
	}{
		{"truncated", func(p string) error { return os.Truncate(p, 20_000) }},
		{"empty", func(p string) error { return os.Truncate(p, 0) }},
		{"gone", os.Remove},
	} {
		for _, open := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, open %v", c.name, open), func(t *testing.T) {
				f := newFixture(t)
				f.close()
				f.cfg.segment = 64 << 10
				f.open()
				bs := someBlocks(30)
				f.must(f.Put(t.Context(), bs...))
				if !open {
					f.close()
					f.loadKeys()
				}
				ids, err := (&segments{dir: filepath.Join(f.cfg.Dir, segmentDir)}).list()
				f.must(err)
				f.must(c.spoil((&segments{dir: filepath.Join(f.cfg.Dir, segmentDir)}).path(ids[len(ids)-1])))
				if !open {
					f.open()
				}
				lost := 0
				for _, b := range bs {
					got, err := f.Get(t.Context(), b.CID, nil)
					if errors.Is(err, block.ErrCorrupt) {
						lost++
					} else if err != nil || !bytes.Equal(got, b.Data) {
						t.Fatal(err)
					}
				}
				if lost == 0 || lost > 15 {
					t.Fatalf("%d of 30 lost", lost)
				}
				if res, err := f.Verify(t.Context(), func(Finding) {}, nil); err != nil || res.Damaged != int64(lost) {
					t.Fatalf("%+v, %v", res, err)
				}
				if open {
					f.reopen()
					for _, b := range bs {
						f.Get(t.Context(), b.CID, nil)
					}
				}
				f.must(f.Put(t.Context(), bs...)) // heals
				for _, b := range bs {
					f.want(b)
				}
			})
		}
	}
}

func TestSyncFailureLatches(t *testing.T) {
	f := newFixture(t)
	a, b := blocktest.Make(1, 100), blocktest.Make(2, 100)
	f.must(f.Put(t.Context(), a))
	// Exactly what Badger's value.go does when the msync of its value log fails.
	badgerLog{slog.New(slog.DiscardHandler), &f.broken, &f.index}.Errorf("Error while curlf sync: %v\n", errors.New("input/output error"))
	if err := f.Put(t.Context(), b); !errors.Is(err, ErrDamaged) {
		t.Fatal(err)
	}
	w := f.NewWriter(t.Context(), WriterOptions{})
	if err := w.Commit(t.Context(), entry("e", 1)); !errors.Is(err, ErrDamaged) {
		t.Fatal(err)
	}
	if _, err := f.GC(t.Context(), nil, nil); !errors.Is(err, ErrDamaged) {
		t.Fatal(err)
	}
	if err := f.Delete(t.Context(), a.CID); !errors.Is(err, ErrDamaged) {
		t.Fatal(err)
	}
	f.want(a)
	if f.Err() == nil || !f.Stats().Broken {
		t.Fatal("not told")
	}
	f.reopen()
	f.must(f.Put(t.Context(), b))
}

// TestBadgerSaysSo fails when a new version of Badger words differently what badgerLog listens for.
func TestBadgerSaysSo(t *testing.T) {
	dir := badgerSource(t)
	for file, text := range map[string]string{
		"value.go":  `Errorf("Error while curlf sync: `,
		"levels.go": `Errorf("Ignoring table %s"`,
		"db.go":     `Errorf("error flushing memtable to disk: `,
	} {
		data, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(data, []byte(text)) {
			t.Errorf("%s no longer says %s", file, text)
		}
	}
}

func TestIgnoredTable(t *testing.T) {
	f := newFixture(t)
	f.must(f.Put(t.Context(), someBlocks(3)...))
	l := badgerLog{slog.New(slog.DiscardHandler), &f.broken, &f.index}
	l.Errorf("Ignoring table %s", "000001.sst")
	c := blocktest.Make(99, 10).CID
	if _, err := f.Get(t.Context(), c, nil); !errors.Is(err, block.ErrCorrupt) || errors.Is(err, block.ErrNotFound) {
		t.Fatalf("of an index with holes: %v", err)
	}
	f.want(someBlocks(1)[0])
	for _, err := range f.Entries() {
		if !errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
	}
}

// badgerSource finds Badger's source.
func badgerSource(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/dgraph-io/badger/v4").Output()
	if err != nil {
		t.Skipf("go list: %v", err)
	}
	return strings.TrimSpace(string(out))
}

func FuzzDecodePointer(f *testing.F) {
	f.Add(pointer{1, recordHead, 100}.encode())
	f.Add([]byte{pointerVersion})
	f.Add([]byte{sealVersion, 0, 0})
	f.Fuzz(func(t *testing.T, v []byte) {
		p, ok, err := decodePointer(v)
		if ok && err == nil && !bytes.Equal(p.encode(), v) {
			t.Fatalf("%+v", p)
		}
		if !ok && len(v) > 0 && v[0] == pointerVersion {
			t.Fatal("not seen")
		}
	})
}

func FuzzCheckTable(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("Bdgr\x00\x00\x00\x08\x00\x00\x00\x01\x00\x00\x00\x00x"))
	f.Add(make([]byte, 64))
	f.Fuzz(func(t *testing.T, b []byte) {
		checkTable(b)
		if checkManifest(b) == nil {
			namedTables(b)
		}
	})
}

// TestManifest flips every byte, and cuts at every place, of a manifest that Badger wrote: all flips are found,
// and a torn end is let pass.
func TestManifest(t *testing.T) {
	f := newFixture(t)
	f.must(f.Put(t.Context(), someBlocks(3)...))
	f.reopen()
	f.must(f.Put(t.Context(), someBlocks(6)...))
	path := filepath.Join(f.dir, "MANIFEST")
	f.close()
	whole, err := os.ReadFile(path)
	f.must(err)
	f.must(checkManifest(whole))
	for i := range whole {
		if i >= 4 && i < 8 {
			continue // the version: Badger says so
		}
		bad := bytes.Clone(whole)
		bad[i] ^= 0x10
		if checkManifest(bad) == nil {
			t.Errorf("byte %d of %d flipped: not found", i, len(whole))
		}
	}
	for i := len(whole) - 7; i < len(whole); i++ {
		f.must(checkManifest(whole[:i]))
	}
}

// TestHalfTable: a table that a crash left half written, which the manifest does not name, is no damage, nor is a log that it
// left without a byte.
func TestHalfTable(t *testing.T) {
	f := newFixture(t)
	bs := someBlocks(3)
	f.must(f.Put(t.Context(), bs...))
	f.reopen()
	f.close()
	path := filepath.Join(f.cfg.Dir, dbDir, "009999.sst")
	f.must(os.WriteFile(path, make([]byte, 5000), 0o600))
	for _, name := range []string{"00777.mem", "000777.vlog"} {
		f.must(os.WriteFile(filepath.Join(f.cfg.Dir, dbDir, name), nil, 0o600))
	}
	f.open()
	for _, b := range bs {
		f.want(b)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("it is still there")
	}
}
