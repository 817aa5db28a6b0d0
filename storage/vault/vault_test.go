package vault

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func newVault(t *testing.T, pass string) (*Vault, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	v, err := create(path, []byte(pass), map[string][]byte{"door": []byte("secret of the door")}, cheap())
	if err != nil {
		t.Fatal(err)
	}
	return v, path
}

// cheap keeps argon2id quick.
func cheap() kdf { return kdf{Name: kdfArgon2id, Time: 2, Memory: 64, Threads: 1} }

// answers is an ask that gives these passphrases and then no more.
func answers(passes ...string) func(int) ([]byte, error) {
	return func(attempt int) ([]byte, error) {
		if attempt > len(passes) {
			return nil, nil
		}
		return []byte(passes[attempt-1]), nil
	}
}

func open(t *testing.T, path string, passes ...string) *Vault {
	t.Helper()
	v, err := Open(path, answers(passes...))
	if err != nil {
		t.Fatal(err)
	}
	v.cost = cheap()
	return v
}

func want(t *testing.T, v *Vault, name, secret string) {
	t.Helper()
	if got, err := v.Get(name); err != nil || string(got) != secret {
		t.Fatalf("%s: %q, %v", name, got, err)
	}
}

func TestVault(t *testing.T) {
	for _, pass := range []string{"", "a passphrase"} {
		v, path := newVault(t, pass)
		if _, err := Create(path, nil, nil); !errors.Is(err, fs.ErrExist) {
			t.Fatal(err)
		}
		if err := v.Put("store", []byte{0, 1, 2}); err != nil {
			t.Fatal(err)
		}
		if err := v.Put("gone", nil); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(v.Delete("gone"), v.Delete("never was")); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			want(t, v, "door", "secret of the door")
			want(t, v, "store", "\x00\x01\x02")
			if _, err := v.Get("gone"); !errors.Is(err, ErrNoSecret) {
				t.Fatal(err)
			}
			if n := v.Names(); !slices.Equal(n, []string{"door", "store"}) {
				t.Fatal(n)
			}
			v.Close()
			if err := v.Put("late", nil); err == nil {
				t.Fatal("written after Close")
			}
			v = open(t, path, pass)
		}
		if i := v.Info(); i.Passphrase != (pass != "") || i.Changed.IsZero() || (i.KDF == "none") != (pass == "") {
			t.Fatal(i)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if pass != "" && (bytes.Contains(text, []byte("door")) || bytes.Contains(text, []byte(pass))) {
			t.Fatalf("in the clear: %s", text)
		}
		if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Fatal(info, err)
		}
		if all, _ := filepath.Glob(path + "*"); len(all) != 1 {
			t.Fatal("left behind:", all)
		}
	}
}

func TestGetIsACopy(t *testing.T) {
	v, _ := newVault(t, "")
	s, _ := v.Get("door")
	clear(s)
	clear(v.All()["door"])
	want(t, v, "door", "secret of the door")
	in := []byte("mine")
	if err := v.Put("x", in); err != nil {
		t.Fatal(err)
	}
	clear(in)
	want(t, v, "x", "mine")
}

func TestPassphrase(t *testing.T) {
	v, path := newVault(t, "")
	if err := v.SetPassphrase([]byte("x"), []byte("first")); !errors.Is(err, ErrWrongPassphrase) {
		t.Fatal(err)
	}
	if err := v.SetPassphrase(nil, []byte("first")); err != nil {
		t.Fatal(err)
	}
	if err := v.SetPassphrase([]byte("other"), []byte("second")); !errors.Is(err, ErrWrongPassphrase) {
		t.Fatal(err)
	}
	open(t, path, "wrong", "wrong too", "first")
	before, _ := os.ReadFile(path)
	if err := v.Rewrap([]byte("no")); !errors.Is(err, ErrWrongPassphrase) {
		t.Fatal(err)
	}
	if now, _ := os.ReadFile(path); !bytes.Equal(now, before) {
		t.Fatal("a refused change was written")
	}
	if err := v.Rewrap([]byte("first")); err != nil {
		t.Fatal(err)
	}
	if old, now := decoded(t, before), decoded(t, read(t, path)); bytes.Equal(old.KDF.Salt, now.KDF.Salt) {
		t.Fatal("the same salt")
	}
	if err := v.SetPassphrase([]byte("first"), []byte("second")); err != nil {
		t.Fatal(err)
	}
	want(t, open(t, path, "second"), "door", "secret of the door")
	if err := v.Put("more", []byte("m")); err != nil { // under the new key, although nobody is asked
		t.Fatal(err)
	}
	want(t, open(t, path, "second"), "more", "m")
	if err := v.SetPassphrase([]byte("second"), nil); err != nil {
		t.Fatal(err)
	}
	want(t, open(t, path), "more", "m")
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func decoded(t *testing.T, b []byte) file {
	t.Helper()
	f, err := decode(b)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestWrongPassphrase(t *testing.T) {
	_, path := newVault(t, "right")
	// What a crash left stays until the right passphrase comes.
	if err := os.WriteFile(aside(path), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := read(t, path)
	if _, err := Open(path, nil); !errors.Is(err, ErrLocked) {
		t.Error(err)
	}
	if _, err := Open(path, answers()); !errors.Is(err, ErrLocked) {
		t.Error(err)
	}
	if _, err := Open(path, answers("wrong")); !errors.Is(err, ErrWrongPassphrase) {
		t.Error(err)
	}
	asked := 0
	_, err := Open(path, func(int) ([]byte, error) { asked++; return []byte("wrong"), nil })
	if !errors.Is(err, ErrWrongPassphrase) || asked != maxTries {
		t.Error(err, asked)
	}
	stop := errors.New("stop")
	if _, err := Open(path, func(int) ([]byte, error) { return nil, stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
	if !bytes.Equal(read(t, path), before) || string(read(t, aside(path))) != "half" {
		t.Error("a wrong passphrase wrote something")
	}
	open(t, path, "right")
	if _, err := os.Stat(aside(path)); !errors.Is(err, fs.ErrNotExist) {
		t.Error("what a crash left is still there:", err)
	}
}

func TestExposed(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no modes")
	}
	_, path := newVault(t, "")
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, nil); !errors.Is(err, ErrExposed) {
			t.Errorf("%o: %v", mode, err)
		}
	}
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	open(t, path)
}

func TestLink(t *testing.T) {
	v, path := newVault(t, "")
	v.Close()
	link := filepath.Join(t.TempDir(), "keys")
	if err := os.Symlink(path, link); err != nil {
		t.Skip(err)
	}
	v = open(t, link)
	if err := v.Put("x", []byte("y")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Fatal("the link was replaced by a copy of the keys")
	}
	want(t, open(t, path), "x", "y")
}

func TestDamage(t *testing.T) {
	for _, pass := range []string{"", "p"} {
		_, path := newVault(t, pass)
		whole := read(t, path)
		for i := range whole {
			bad := bytes.Clone(whole)
			bad[i] ^= 4
			f, err := decode(bad)
			if err == nil { // white space, or the case of a name
				if !bytes.Equal(f.Plain, decoded(t, whole).Plain) || !bytes.Equal(f.Sealed, decoded(t, whole).Sealed) {
					t.Fatalf("byte %d flipped: other keys, no error", i)
				}
			} else if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrFormat) {
				t.Fatalf("byte %d: %v", i, err)
			}
			if _, err := decode(whole[:i]); err == nil && i < len(whole)-1 {
				t.Fatalf("%d bytes of %d: no error", i, len(whole))
			}
		}
		if err := os.Truncate(path, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, answers(pass)); !errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
	}
	if _, err := Open(t.TempDir(), nil); !errors.Is(err, ErrDamaged) {
		t.Fatal(err)
	}
}

// forge writes a file whose checksum is right.
func forge(t *testing.T, change func(*file)) []byte {
	t.Helper()
	_, path := newVault(t, "p")
	f := decoded(t, read(t, path))
	change(&f)
	var err error
	if f.Sum, err = f.sum(); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A hostile file may not make us work for hours or use more memory than the bound, and fields cannot be exchanged.
func TestHostile(t *testing.T) {
	for name, change := range map[string]func(*file){
		"16 GiB":       func(f *file) { f.KDF.Memory = 16 << 20 },
		"many passes":  func(f *file) { f.KDF.Time = 1 << 30 },
		"no passes":    func(f *file) { f.KDF.Time = 0 },
		"no threads":   func(f *file) { f.KDF.Threads = 0 },
		"many threads": func(f *file) { f.KDF.Threads = 255 },
		"no memory":    func(f *file) { f.KDF.Memory = 0 },
		"short salt":   func(f *file) { f.KDF.Salt = f.KDF.Salt[:8] },
		"long salt":    func(f *file) { f.KDF.Salt = make([]byte, 1<<20) },
		"other kdf":    func(f *file) { f.KDF.Name = "scrypt" },
		"newer":        func(f *file) { f.Version = 2 },
	} {
		if _, err := decode(forge(t, change)); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*file){
		"both forms":   func(f *file) { f.Plain = []byte("{}") },
		"without kdf":  func(f *file) { f.KDF = kdf{Name: kdfNone} },
		"without keys": func(f *file) { f.Sealed = nil },
	} {
		if _, err := decode(forge(t, change)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	path := filepath.Join(t.TempDir(), "keys")
	for name, change := range map[string]func(*file){
		"cheaper": func(f *file) { f.KDF.Time = 1 },
		"older":   func(f *file) { f.Changed = f.Changed.AddDate(-1, 0, 0) },
	} {
		if err := os.WriteFile(path, forge(t, change), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, answers("p")); !errors.Is(err, ErrWrongPassphrase) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBounds(t *testing.T) {
	v, path := newVault(t, "")
	for name, s := range map[string][]byte{"": nil, strings.Repeat("n", maxName+1): nil, "big": make([]byte, maxSecret+1)} {
		if err := v.Put(name, s); err == nil {
			t.Errorf("name of %d, secret of %d bytes: taken", len(name), len(s))
		}
	}
	var err error
	for i := 0; i <= maxSecrets && err == nil; i++ {
		err = v.Put(strings.Repeat("n", 1+i/100)+string(rune('0'+i%100)), nil)
	}
	if err == nil {
		t.Error("too many secrets taken")
	}
	for i := range 6 {
		if err = v.Put("big"+string(rune('0'+i)), make([]byte, maxSecret)); err != nil {
			break
		}
	}
	if err == nil {
		t.Error("more was written than is read back")
	}
	open(t, path)
}

func FuzzDecode(f *testing.F) {
	good, err := encode(kdf{Name: kdfNone}, nil, unixTime(1), map[string][]byte{"a": []byte("b")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"format":"cairn-keys","version":1,"kdf":{"name":"argon2id","memory_kib":4294967295}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := decode(b)
		if err != nil {
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrFormat) {
				t.Fatal(err)
			}
			return
		}
		if v.KDF.Memory > maxMemory || v.KDF.Time > maxTime {
			t.Fatal(v.KDF)
		}
		if _, err := v.open(make([]byte, 32)); v.KDF.Name == kdfArgon2id && err == nil {
			t.Fatal("opens under zeros")
		}
	})
}

// The cost of a passphrase that users get.
func TestUsualCost(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	v, err := Create(path, []byte("p"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if k := v.Info().KDF; k != "argon2id (64 MiB, 3 passes, 4 lanes)" {
		t.Fatal(k)
	}
	open(t, path, "p")
}

func BenchmarkUnlock(b *testing.B) {
	path := filepath.Join(b.TempDir(), "keys")
	if _, err := Create(path, []byte("p"), nil); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Open(path, answers("p")); err != nil {
			b.Fatal(err)
		}
	}
}
