package testnet

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const mib = 1 << 20

func TestShareAndGet(t *testing.T) {
	a := up(t, newHome(t))
	tests := []struct {
		name string
		make func(t *testing.T, dir string) []string
	}{
		{"empty file", func(t *testing.T, d string) []string { return write(t, d, "empty", 0) }},
		{"small file", func(t *testing.T, d string) []string { return write(t, d, "one byte", 1) }},
		{"one leaf", func(t *testing.T, d string) []string { return write(t, d, "leaf", mib) }},
		{"many leaves", func(t *testing.T, d string) []string { return write(t, d, "many.bin", 37*mib+12345) }},
		{"odd names", func(t *testing.T, d string) []string { return write(t, d, "a\nb\x1b[31m \"ü\".txt", 10) }},
		{"empty directory", func(t *testing.T, d string) []string {
			p := filepath.Join(d, "nothing")
			if err := os.Mkdir(p, 0o755); err != nil {
				t.Fatal(err)
			}
			return []string{p}
		}},
		{"directory", func(t *testing.T, d string) []string {
			p := filepath.Join(d, "tree")
			if err := RandomTree(p, 250, 4096, 7); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("part-000/file-00001.bin", filepath.Join(p, "inside")); err != nil {
				t.Fatal(err)
			}
			return []string{p}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			paths := tt.make(t, dir(t))
			ticket := share(t, a.Home, paths...)
			out := filepath.Join(dir(t), "out")
			g := result(t, run(t, newHome(t), "get", "--json", ticket, "-o", out))
			same(t, paths[0], out)
			if g.Path != out {
				t.Errorf("result names %q, want %q", g.Path, out)
			}
		})
	}
}

func write(t *testing.T, dir, name string, size int64) []string {
	t.Helper()
	p := filepath.Join(dir, name)
	if err := RandomFile(p, size, uint64(size)); err != nil {
		t.Fatal(err)
	}
	return []string{p}
}

func TestSeveralPathsBecomeADirectory(t *testing.T) {
	a := up(t, newHome(t))
	src := dir(t)
	one, two := write(t, src, "one", 2*mib)[0], write(t, src, "two", 77)[0]
	if err := RandomTree(filepath.Join(src, "sub"), 20, 100, 3); err != nil {
		t.Fatal(err)
	}
	ticket := share(t, a.Home, one, two, filepath.Join(src, "sub"))
	out := filepath.Join(dir(t), "out")
	must(t, newHome(t), "get", ticket, "-o", out)
	same(t, src, out)
}

// TestTenThousandFiles is the case for which a block at a time is too slow. The time is the benchmark's business.
func TestTenThousandFiles(t *testing.T) {
	a := up(t, newHome(t))
	src := filepath.Join(dir(t), "tree")
	if err := RandomTree(src, 10_000, 4096, 1); err != nil {
		t.Fatal(err)
	}
	ticket := share(t, a.Home, src)
	out := filepath.Join(dir(t), "out")
	g := result(t, run(t, newHome(t), "get", "--json", ticket, "-o", out))
	if g.Files != 10_000 {
		t.Errorf("%d files, want 10000", g.Files)
	}
	same(t, src, out)
}

func TestGetPutsTheFileUnderItsNameInTheWorkingDirectory(t *testing.T) {
	a := up(t, newHome(t))
	src := file(t, "holiday.zip", 3*mib)
	ticket := share(t, a.Home, src)
	out := dir(t)
	must(t, newHome(t), "get", ticket, "-o", out)
	same(t, src, filepath.Join(out, "holiday.zip"))

	r := wantCode(t, newHome(t), []int{1}, "get", ticket, "-o", out)
	if !strings.Contains(r.Stderr, "holiday.zip") || !strings.Contains(r.Stderr, "--force") {
		t.Errorf("the error names neither the file nor the way out: %s", r)
	}
	if err := os.WriteFile(filepath.Join(out, "holiday.zip"), []byte("other"), 0o644); err != nil {
		t.Fatal(err)
	}
	must(t, newHome(t), "get", ticket, "-o", out, "--force")
	same(t, src, filepath.Join(out, "holiday.zip"))
}

// TestTwoSources is the third peer of the demo: it takes both tickets and must use both.
func TestTwoSources(t *testing.T) {
	a, b := up(t, newHome(t)), up(t, newHome(t))
	src := file(t, "big", 256*mib)
	first := share(t, a.Home, src)
	copied := filepath.Join(dir(t), "big")
	must(t, b.Home, "get", first, "-o", copied)
	second := share(t, b.Home, copied)

	out := filepath.Join(dir(t), "out")
	g := result(t, run(t, newHome(t), "get", "--json", first, second, "-o", out))
	same(t, src, out)
	used := 0
	for _, s := range g.Sources {
		if s.Bytes > 0 {
			used++
		}
	}
	if used != 2 {
		t.Errorf("%d sources gave bytes, want 2: %+v", used, g.Sources)
	}
}

// TestOneSourceOfTwoIsGone: a ticket whose peer is away costs time, not the file.
func TestOneSourceOfTwoIsGone(t *testing.T) {
	a, b := up(t, newHome(t)), up(t, newHome(t))
	src := file(t, "f", 20*mib)
	first, second := share(t, a.Home, src), share(t, b.Home, src)
	a.Kill()
	out := filepath.Join(dir(t), "out")
	must(t, newHome(t), "get", first, second, "-o", out)
	same(t, src, out)
}

func TestShareInTheForeground(t *testing.T) {
	h := newHome(t)
	src := file(t, "f", 5*mib)
	s := background(t, h, "share", src, "--downloads", "1")
	ticket, err := s.Line(limit(t, 20*time.Second), func(l string) bool { return strings.HasPrefix(l, "cairn1") })
	if err != nil {
		t.Fatal(err)
	}
	must(t, h, "ls") // another command in another terminal joins
	out := filepath.Join(dir(t), "out")
	must(t, newHome(t), "get", ticket, "-o", out)
	same(t, src, out)
	r := s.Wait(limit(t, 20*time.Second)) // its one download is done
	if r.Code != 0 || r.Value() != ticket {
		t.Errorf("want exit code 0 and nothing but the ticket on stdout: %s", r)
	}
}

func TestShareEndsByTerm(t *testing.T) {
	s := background(t, newHome(t), "share", file(t, "f", 10), "--json")
	var shared struct{ Ticket string }
	if err := s.Event(limit(t, 20*time.Second), "shared", &shared); err != nil {
		t.Fatal(err)
	}
	r, err := s.Stop(limit(t, 10*time.Second))
	if err != nil || r.Code != 0 {
		t.Fatalf("%v: %s", err, r)
	}
}

func TestLibrary(t *testing.T) {
	h := newHome(t)
	src := file(t, "f", 9*mib+5)
	want, err := os.ReadFile(src)
	if err != nil {
		t.Fatal(err)
	}
	up(t, h)
	id := must(t, h, "add", "--copy", src).Value()
	if !strings.HasPrefix(id, "baf") || strings.Contains(id, "\n") {
		t.Fatalf("add printed %q", id)
	}
	if r := must(t, h, "cat", id); !bytes.Equal([]byte(r.Stdout), want) {
		t.Error("cat differs from the file")
	}
	if r := must(t, h, "cat", id, "--range", "1048570-1048585"); r.Stdout != string(want[1048570:1048586]) {
		t.Error("cat --range differs from the file")
	}
	if r := must(t, h, "cat", "--range", "3-9", share(t, h, src)); r.Stdout != string(want[3:10]) {
		t.Error("cat of a ticket differs from the file")
	}
	car := filepath.Join(dir(t), "f.car")
	if err := os.WriteFile(car, []byte(must(t, h, "export", id).Stdout), 0o644); err != nil {
		t.Fatal(err)
	}
	other := newHome(t)
	if r := must(t, other, "import", car); r.Value() != id {
		t.Errorf("import printed %q, want %q", r.Value(), id)
	}
	if r := must(t, other, "cat", id); !bytes.Equal([]byte(r.Stdout), want) {
		t.Error("cat after import differs from the file")
	}
	var entry struct{ CID, ID string }
	r := must(t, other, "ls", "--json")
	if err := json.Unmarshal([]byte(r.Value()), &entry); err != nil || entry.CID != id {
		t.Fatalf("ls --json: %v: %s", err, r)
	}
	must(t, other, "rm", entry.ID)
	must(t, other, "gc")
	wantCode(t, other, []int{3}, "cat", id)
	verified(t, h)
}
