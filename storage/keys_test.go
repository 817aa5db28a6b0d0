package storage

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"cairn/storage/block"
	"cairn/storage/block/blocktest"
)

func TestKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	if _, err := LoadKeys(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	k, err := CreateKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := CreateKeys(path); !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Fatal(info.Mode(), err)
	}
	if left, _ := filepath.Glob(path + "*"); len(left) != 1 {
		t.Fatalf("left behind: %v", left)
	}
	l, err := LoadKeys(path)
	if err != nil || !bytes.Equal(l.mac("x", "y"), k.mac("x", "y")) {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains([]byte(k.String()), k.file.Data[0].Key) || len(k.String()) > 60 {
		t.Fatal("String tells too much")
	}
	// Every flipped bit and every truncation is noticed. White space may change without harm.
	for i := range whole {
		bad := bytes.Clone(whole)
		bad[i] ^= 4
		if f, err := decodeKeyFile(bad); err == nil && !bytes.Equal(f.Data[0].Key, k.file.Data[0].Key) {
			t.Fatalf("byte %d flipped: other keys, no error", i)
		}
		if _, err := decodeKeyFile(whole[:i]); err == nil && i < len(whole)-1 {
			t.Fatalf("%d bytes of %d: no error", i, len(whole))
		}
	}
	newer := bytes.Replace(whole, []byte(`"version": 1`), []byte(`"version": 2`), 1)
	if _, err := decodeKeyFile(newer); !errors.Is(err, ErrFormat) {
		t.Fatal(err)
	}
}

func TestKeyRotation(t *testing.T) {
	f := newFixture(t)
	f.keys.limit = 10
	var bs []block.Block
	for i := range 35 {
		bs = append(bs, blocktest.Make(uint64(i), 50))
	}
	var wg sync.WaitGroup
	for _, b := range bs {
		wg.Go(func() {
			if err := f.Put(t.Context(), b); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(f.keys.file.Data); n != 4 {
		t.Fatalf("%d data keys after 35 seals of 10", n)
	}
	f.reopen()
	for _, b := range bs {
		f.want(b)
	}
	// The count survives too, on the safe side.
	if id, n := f.keys.seals(); id != 4 || n < 5 {
		t.Fatalf("key %d, %d seals", id, n)
	}
}

func FuzzOpenSealed(f *testing.F) {
	k, err := CreateKeys(filepath.Join(f.TempDir(), "keys"))
	if err != nil {
		f.Fatal(err)
	}
	good, err := k.seal(nil, []byte("name"), []byte("plain"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:10])
	f.Add([]byte{})
	f.Add(append(bytes.Clone(good), 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := k.open(nil, []byte("name"), b)
		if err == nil && !bytes.Equal(b, good) {
			t.Fatalf("forged: %q", got)
		}
		if err != nil && !errors.Is(err, block.ErrCorrupt) {
			t.Fatal(err)
		}
		if bytes.Equal(b, good) && string(got) != "plain" {
			t.Fatalf("%q, %v", got, err)
		}
	})
}

func TestSealBindsName(t *testing.T) {
	k, err := CreateKeys(filepath.Join(t.TempDir(), "keys"))
	if err != nil {
		t.Fatal(err)
	}
	v, err := k.seal(nil, []byte("one"), []byte("plain"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.open(nil, []byte("two"), v); !errors.Is(err, block.ErrCorrupt) {
		t.Fatal(err)
	}
	w, _ := k.seal(nil, []byte("one"), []byte("plain"))
	if bytes.Equal(v, w) {
		t.Fatal("the same nonce twice")
	}
}

func FuzzDecodeIndex(f *testing.F) {
	d := digest{1, 2, 3}
	f.Add(refKey(d, 7), ref{file: 7, offset: 8, length: 9}.encode())
	f.Add(refKey(d, 7), ref{file: 7, offset: 8, length: 9, summed: true, sum: 10}.encode())
	f.Add([]byte("r/"), []byte{})
	f.Add([]byte(keyTotals), totals{Blocks: 1}.encode())
	f.Fuzz(func(t *testing.T, key, val []byte) {
		if d, r, err := decodeRef(key, val); err == nil {
			if !bytes.Equal(refKey(d, r.file), append([]byte(prefRef), key[2:]...)) || !bytes.Equal(r.encode(), val) {
				t.Fatal("does not encode to what it was decoded from")
			}
		}
		if tt, err := decodeTotals(val); err == nil {
			_ = tt.encode()
		}
		digestOf(key)
		decodeKeyFile(val)
	})
}
