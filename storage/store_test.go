package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"go.uber.org/goleak"

	"cairn/storage/block"
	"cairn/storage/block/blocktest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("CAIRN_STORAGE_CHILD"); dir != "" {
		if os.Getenv(resealEnv) != "" {
			resealChild(dir)
		}
		child(dir)
		return
	}
	if os.Getenv(flipsEnv) != "" {
		os.Exit(m.Run()) // Badger leaves goroutines behind when its Open fails
	}
	goleak.VerifyTestMain(m)
}

// tempDir is on a memory file system where there is one: the tests sync a lot.
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "cairn-storage")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func roomy(string) (free, total int64, err error) { return 1 << 40, 1 << 41, nil }

// fixture is a store on disk that a test can close and open again.
type fixture struct {
	t    testing.TB
	home string
	cfg  Config
	*Store
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	home := tempDir(t)
	keys, err := CreateKeys(filepath.Join(home, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, home: home, cfg: Config{Dir: filepath.Join(home, "store"), Keys: keys, Free: roomy}}
	f.open()
	t.Cleanup(f.close)
	return f
}

func (f *fixture) open() {
	f.t.Helper()
	s, err := Open(f.cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	f.Store = s
}

func (f *fixture) close() {
	f.t.Helper()
	if f.Store == nil {
		return
	}
	if err := f.Store.Close(); err != nil {
		f.t.Fatal(err)
	}
	f.Store = nil
}

// reopen does what a new process would: the keys are read from their file too.
func (f *fixture) reopen() {
	f.t.Helper()
	f.close()
	f.loadKeys()
	f.open()
}

func (f *fixture) loadKeys() {
	f.t.Helper()
	var err error
	if f.cfg.Keys, err = LoadKeys(filepath.Join(f.home, "keys")); err != nil {
		f.t.Fatal(err)
	}
}

// write makes a file of the user.
func (f *fixture) write(name string, data []byte) string {
	f.t.Helper()
	p := filepath.Join(f.home, name)
	if err := os.WriteFile(p, data, 0o600); err != nil {
		f.t.Fatal(err)
	}
	return p
}

// reference takes a file in by reference, in leaves of leaf bytes, and returns their CIDs.
func (f *fixture) reference(w *Writer, path string, leaf int) (cs []cid.Cid) {
	f.t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		f.t.Fatal(err)
	}
	id, err := w.File(path, info)
	if err != nil {
		f.t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		f.t.Fatal(err)
	}
	for off := 0; off < len(data); off += leaf {
		d := data[off:min(len(data), off+leaf)]
		c := block.Sum(cid.Raw, d)
		if err := w.Leaf(f.t.Context(), id, int64(off), c, d); err != nil {
			f.t.Fatal(err)
		}
		cs = append(cs, c)
	}
	return cs
}

func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// absent fails unless c is not found.
func (f *fixture) absent(c cid.Cid) {
	f.t.Helper()
	if _, err := f.Get(f.t.Context(), c, nil); !errors.Is(err, block.ErrNotFound) {
		f.t.Fatalf("get %s: %v, want not found", c, err)
	}
	if ok, err := f.Has(f.t.Context(), c); ok || err != nil {
		f.t.Fatalf("has %s: %v, %v", c, ok, err)
	}
}

func (f *fixture) want(b block.Block) {
	f.t.Helper()
	got, err := f.Get(f.t.Context(), b.CID, nil)
	if err != nil || !bytes.Equal(got, b.Data) {
		f.t.Fatalf("get %s: %d bytes, %v", b.CID, len(got), err)
	}
}

func TestConformance(t *testing.T) {
	blocktest.Run(t, func(t *testing.T) block.Store { return newFixture(t).Store })
}

func TestReopen(t *testing.T) {
	f := newFixture(t)
	var bs []block.Block
	for i, n := range []int{0, 100, 4096, 1 << 20, block.MaxSize} {
		bs = append(bs, blocktest.Make(uint64(i), n))
	}
	f.must(f.Put(t.Context(), bs...))
	f.must(f.Put(t.Context(), bs[2], bs[3])) // counted once
	before := f.Stats()
	f.reopen()
	for _, b := range bs {
		f.want(b)
	}
	after := f.Stats()
	if before.Blocks != 5 || before.Bytes != 100+4096+1<<20+block.MaxSize || after.Blocks != before.Blocks || after.Bytes != before.Bytes {
		t.Fatalf("stats before %+v, after %+v", before, after)
	}
	f.must(f.Delete(t.Context(), bs[1].CID, bs[3].CID))
	f.reopen()
	f.absent(bs[1].CID)
	f.absent(bs[3].CID)
	f.want(bs[4])
	if st := f.Stats(); st.Blocks != 3 {
		t.Fatalf("stats %+v", st)
	}
}

func entry(id string, i int) Entry {
	return Entry{ID: id, Name: "a name", Root: blocktest.Make(uint64(i), 10).CID, Kind: "file", Size: int64(i),
		Created: time.Unix(1e9, 5).UTC(), Path: "/home/user/private-path",
		Tickets: []TicketRecord{{ID: "t1", Text: "cairn1secret", MaxDownloads: 3}}}
}

func TestEntries(t *testing.T) {
	f := newFixture(t)
	w := f.NewWriter(t.Context(), WriterOptions{})
	defer w.Close()
	for i := range 600 { // more than one page
		f.must(w.Commit(t.Context(), entry(fmt.Sprintf("id%03d", i), i)))
	}
	f.reopen()
	n := 0
	for e, err := range f.Entries() {
		if err != nil {
			t.Fatal(err)
		}
		want := entry(fmt.Sprintf("id%03d", n), n)
		if fmt.Sprint(e) != fmt.Sprint(want) {
			t.Fatalf("entry %d: %v\nwant %v", n, e, want)
		}
		n++
	}
	if n != 600 {
		t.Fatalf("%d entries", n)
	}
	for i := range 3 {
		e, err := f.UpdateEntry("id007", func(e *Entry) error { e.Tickets[0].Downloads++; return nil })
		if err != nil || e.Tickets[0].Downloads != i+1 {
			t.Fatal(e, err)
		}
	}
	stop := errors.New("no")
	if _, err := f.UpdateEntry("id007", func(e *Entry) error { e.Name = "x"; return stop }); !errors.Is(err, stop) {
		t.Fatal(err)
	}
	f.must(f.DeleteEntry("id008"))
	f.must(f.DeleteEntry("id008"))
	f.reopen()
	if e, err := f.Entry("id007"); err != nil || e.Tickets[0].Downloads != 3 || e.Name != "a name" {
		t.Fatal(e, err)
	}
	for _, id := range []string{"id008", "", "nobody", string(make([]byte, 300))} {
		if _, err := f.Entry(id); !errors.Is(err, ErrNoEntry) {
			t.Fatalf("%q: %v", id, err)
		}
	}
	if _, err := f.UpdateEntry("id008", func(*Entry) error { return nil }); !errors.Is(err, ErrNoEntry) {
		t.Fatal(err)
	}
}

func TestUpdateEntryIsAtomic(t *testing.T) {
	f := newFixture(t)
	w := f.NewWriter(t.Context(), WriterOptions{})
	f.must(w.Commit(t.Context(), entry("x", 1)))
	f.must(w.Close())
	done := make(chan error)
	for range 8 {
		go func() {
			var err error
			for range 5 {
				if _, err = f.UpdateEntry("x", func(e *Entry) error { e.Tickets[0].Downloads++; return nil }); err != nil {
					break
				}
			}
			done <- err
		}()
	}
	for range 8 {
		f.must(<-done)
	}
	if e, err := f.Entry("x"); err != nil || e.Tickets[0].Downloads != 40 {
		t.Fatal(e, err)
	}
}

// TestNothingInTheClear looks for what was stored in everything on disk.
func TestNothingInTheClear(t *testing.T) {
	f := newFixture(t)
	b := blocktest.Make(1, 9000)
	small := blocktest.Make(2, 100)
	path := f.write("private-path-of-the-user", blocktest.Data(3, 5000))
	w := f.NewWriter(t.Context(), WriterOptions{})
	f.reference(w, path, 1000)
	f.must(w.Commit(t.Context(), entry("id", 1)))
	f.must(w.Close())
	f.must(f.Put(t.Context(), b, small))
	look := func() {
		t.Helper()
		for p, data := range files(t, f.cfg.Dir) {
			for _, secret := range [][]byte{b.Data[:32], small.Data[:32], []byte("private-path"), []byte("cairn1secret"), []byte("a name")} {
				if bytes.Contains(data, secret) {
					t.Errorf("%s holds %q", p, secret)
				}
			}
		}
	}
	look()
	f.close()
	look()
}

// files reads all regular files below dir.
func files(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	err := filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		all[p], err = os.ReadFile(p)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestCancelled(t *testing.T) {
	f := newFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b := blocktest.Make(1, 10)
	if err := f.Put(ctx, b); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if _, err := f.Get(ctx, b.CID, nil); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	f.must(f.Put(t.Context(), b)) // what was cancelled left nothing locked
}
