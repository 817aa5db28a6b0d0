//go:build unix

package storage

import (
	"bytes"
	"errors"
	"hash/crc32"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"cairn/storage/block"
	"cairn/storage/block/blocktest"
)

func TestReference(t *testing.T) {
	f := newFixture(t)
	data := blocktest.Data(1, 10_500)
	path := f.write("a", data)
	w := f.NewWriter(t.Context(), WriterOptions{})
	cs := f.reference(w, path, 1000)
	again := f.reference(w, path, 1000)
	f.must(w.Commit(t.Context()))
	f.must(w.Close())
	check := func() {
		t.Helper()
		for i, c := range cs {
			f.want(block.Block{CID: c, Data: data[i*1000 : min(len(data), i*1000+1000)]})
			src, err := f.Source(t.Context(), c)
			if err != nil || src.Owned || src.Path != path || src.Offset != int64(i*1000) {
				t.Fatalf("%+v, %v", src, err)
			}
		}
	}
	check()
	f.reopen()
	check()
	if st := f.Stats(); st.Files != 1 || st.FileBytes != 10_500 || st.Blocks != 0 || len(again) != len(cs) {
		t.Fatalf("%+v", st)
	}
	// Known again by its path in a new process.
	w = f.NewWriter(t.Context(), WriterOptions{})
	defer w.Close()
	f.reference(w, path, 1000)
	f.must(w.Commit(t.Context()))
	if st := f.Stats(); st.Files != 1 {
		t.Fatalf("%+v", st)
	}
	n := 0
	for range f.List(t.Context()) {
		n++
	}
	if n != 11 {
		t.Fatalf("%d listed", n)
	}
	f.must(f.Delete(t.Context(), cs[3]))
	f.absent(cs[3])
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, data) {
		t.Fatal("the user's file was touched")
	}
}

func wantFileError(t *testing.T, err error, path string, want Reason) {
	t.Helper()
	var fe *FileError
	if !errors.As(err, &fe) || fe.Reason != want || fe.Path != path {
		t.Fatalf("%v, want %q %s", err, path, want)
	}
	if !errors.Is(err, ErrReference) || !errors.Is(err, block.ErrNotFound) || errors.Is(err, ErrChangedFile) != (want != Unreadable) {
		t.Fatalf("%v is not what it should be", err)
	}
}

// TestSpoiledReference changes a file in every way, with the file freshly opened or open from an earlier read.
func TestSpoiledReference(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(path string) error
		want  Reason
	}{
		{"gone", os.Remove, Missing},
		{"truncated", func(p string) error { return os.Truncate(p, 1500) }, Changed},
		{"grown", func(p string) error {
			f, err := os.OpenFile(p, os.O_APPEND|os.O_WRONLY, 0)
			if err == nil {
				_, err = f.WriteString("more")
				f.Close()
			}
			return err
		}, Changed},
		{"touched", func(p string) error { return os.Chtimes(p, time.Time{}, time.Unix(1e9, 0)) }, Changed},
		{"one byte, size and time kept", func(p string) error {
			info, err := os.Stat(p)
			if err != nil {
				return err
			}
			f, err := os.OpenFile(p, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			f.WriteAt([]byte{^blocktest.Data(1, 5000)[2500]}, 2500)
			f.Close()
			return os.Chtimes(p, time.Time{}, info.ModTime())
		}, Changed},
		{"directory", func(p string) error { os.Remove(p); return os.Mkdir(p, 0o700) }, NotRegular},
		{"FIFO", func(p string) error { os.Remove(p); return syscall.Mkfifo(p, 0o600) }, NotRegular},
		{"device", func(p string) error { os.Remove(p); return os.Symlink("/dev/zero", p) }, NotRegular},
	} {
		for _, warm := range []bool{false, true} {
			name := c.name
			if warm {
				name += ", open"
			}
			t.Run(name, func(t *testing.T) {
				f := newFixture(t)
				data := blocktest.Data(1, 5000)
				path := f.write("a", data)
				w := f.NewWriter(t.Context(), WriterOptions{})
				defer w.Close()
				cs := f.reference(w, path, 1000)
				f.must(w.Commit(t.Context()))
				if warm {
					f.want(block.Block{CID: cs[2], Data: data[2000:3000]})
				}
				f.must(c.spoil(path))
				got, err := f.Get(t.Context(), cs[2], nil)
				if got != nil {
					t.Fatalf("%d bytes", len(got))
				}
				wantFileError(t, err, path, c.want)
				// Another place that has the block is found.
				other := f.write("b", data)
				f.reference(w, other, 1000)
				f.must(w.Commit(t.Context()))
				f.want(block.Block{CID: cs[2], Data: data[2000:3000]})
				f.must(os.Remove(other))
				if _, err := f.Get(t.Context(), cs[2], nil); !errors.Is(err, ErrReference) {
					t.Fatal(err)
				}
				f.must(f.Put(t.Context(), block.Block{CID: cs[2], Data: data[2000:3000]}))
				f.want(block.Block{CID: cs[2], Data: data[2000:3000]})
			})
		}
	}
}

func TestFileCacheBounds(t *testing.T) {
	f := newFixture(t)
	w := f.NewWriter(t.Context(), WriterOptions{})
	defer w.Close()
	var cs []cid.Cid
	for i := range 2*keepOpen + 5 {
		cs = append(cs, f.reference(w, f.write(string(rune('A'+i)), blocktest.Data(uint64(i), 100)), 100)...)
	}
	f.must(w.Commit(t.Context()))
	for _, c := range cs {
		if _, err := f.Get(t.Context(), c, nil); err != nil {
			t.Fatal(err)
		}
		if n := f.files.lru.Len(); n > keepOpen {
			t.Fatalf("%d files open", n)
		}
	}
}

func TestReferenceVerified(t *testing.T) {
	f := newFixture(t)
	path := f.write("a", blocktest.Data(1, 100))
	info, err := os.Stat(path)
	f.must(err)
	w := f.NewWriter(t.Context(), WriterOptions{})
	defer w.Close()
	id, err := w.File(path, info)
	f.must(err)
	// A reference that was wrong from the start.
	c := block.Sum(cid.Raw, blocktest.Data(2, 100))
	f.must(w.Reference(t.Context(), id, 0, c, 100))
	f.must(w.Commit(t.Context()))
	if got, err := f.Get(t.Context(), c, nil); got != nil || !errors.Is(err, ErrChangedFile) {
		t.Fatal(got, err)
	}
	for _, bad := range []error{
		w.Reference(t.Context(), 0, 0, c, 100), w.Reference(t.Context(), id, -1, c, 100), w.Reference(t.Context(), id, 0, c, block.MaxSize+1),
	} {
		if bad == nil {
			t.Fatal("taken")
		}
	}
}

// What is read to be sent is not hashed, but a byte that flipped, or a reference that was wrong, is told all the same.
func TestGetToSend(t *testing.T) {
	f := newFixture(t)
	data := blocktest.Data(1, 5000)
	path := f.write("a", data)
	info, err := os.Stat(path)
	f.must(err)
	w := f.NewWriter(t.Context(), WriterOptions{})
	defer w.Close()
	id, err := w.File(path, info)
	f.must(err)
	c, owned := block.Sum(cid.Raw, data), block.Block{CID: block.Sum(cid.Raw, blocktest.Data(3, 5000)), Data: blocktest.Data(3, 5000)}
	f.must(w.Leaf(t.Context(), id, 0, c, data))
	wrong := block.Sum(cid.Raw, blocktest.Data(2, 100))
	f.must(w.Reference(t.Context(), id, 0, wrong, 100)) // without the bytes at hand there is no checksum
	known := block.Block{CID: block.Sum(cid.Raw, data[:200]), Data: data[:200]}
	f.must(w.Reference(t.Context(), id, 0, known.CID, 200, crc32.Checksum(known.Data, castagnoli)))
	mistaken := block.Block{CID: block.Sum(cid.Raw, data[:300]), Data: data[:300]}
	f.must(w.Reference(t.Context(), id, 0, mistaken.CID, 300, 7))
	f.must(w.Commit(t.Context()))
	f.must(f.Put(t.Context(), owned))
	if got, err := f.Get(t.Context(), mistaken.CID, nil); err != nil || !bytes.Equal(got, mistaken.Data) {
		t.Fatal(got, err)
	}
	if got, err := f.GetToSend(t.Context(), mistaken.CID, nil); got != nil || !errors.Is(err, ErrChangedFile) {
		t.Fatal("the checksum was not looked at", got, err)
	}
	for _, want := range []block.Block{{CID: c, Data: data}, known, owned} {
		got, err := f.GetToSend(t.Context(), want.CID, nil)
		f.must(err)
		if !bytes.Equal(got, want.Data) {
			t.Fatal("other bytes")
		}
	}
	if got, err := f.GetToSend(t.Context(), wrong, nil); got != nil || !errors.Is(err, ErrChangedFile) {
		t.Fatal(got, err)
	}
	flipped := bytes.Clone(data)
	flipped[4000] ^= 1
	f.write("a", flipped)
	f.must(os.Chtimes(path, info.ModTime(), info.ModTime()))
	if got, err := f.GetToSend(t.Context(), c, nil); got != nil || !errors.Is(err, ErrChangedFile) {
		t.Fatal(got, err)
	}
}
