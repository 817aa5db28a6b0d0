package dag

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// cairnReader repeats "cairn\n".
type cairnReader struct{ off int }

func (r *cairnReader) Read(p []byte) (int, error) {
	const line = "cairn\n"
	n := copy(p, line[r.off%len(line):])
	for n < len(p) {
		n += copy(p[n:], line)
	}
	r.off += n
	return n, nil
}

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func pattern(t testing.TB, kind string, size int64) io.Reader {
	switch kind {
	case "zero":
		return io.LimitReader(zeroReader{}, size)
	case "cairn":
		return io.LimitReader(&cairnReader{}, size)
	}
	t.Fatalf("unknown kind %q", kind)
	return nil
}

// vectorDirs builds the directories of cids.txt under dir.
func vectorDir(t testing.TB, dir, name string) string {
	root := filepath.Join(dir, name)
	put := func(path string, content []byte) {
		t.Helper()
		full := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	many := func(n int) {
		for i := range n {
			f := fmt.Sprintf("f%05d", i)
			put(f, []byte(f))
		}
	}
	switch name {
	case "d1":
		b, err := io.ReadAll(pattern(t, "cairn", 1048577))
		if err != nil {
			t.Fatal(err)
		}
		put("a", []byte("a"))
		put("b/c", b)
	case "d3":
		many(3000)
	case "d5":
		many(8000)
	case "d5242":
		many(5242)
	case "d5243":
		many(5243)
	case "d4":
		if err := os.MkdirAll(filepath.Join(root, "empty"), 0o755); err != nil {
			t.Fatal(err)
		}
	case "d7":
		put("x", []byte("x"))
		if err := os.Mkdir(filepath.Join(root, "sub"), 0o755); err != nil {
			t.Fatal(err)
		}
		for link, target := range map[string]string{"l": "x", "sub/up": "../x"} {
			if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
				t.Fatal(err)
			}
		}
	case "d8":
		put("\u00f6 \u00fc/\u00df.txt", []byte("1"))
		put("-dash", []byte("2"))
		put("a b", []byte("3"))
	default:
		t.Fatalf("unknown directory %q", name)
	}
	return root
}

// TestVectors compares with the public vectors of the profile, files both as streams and as files on disk.
func TestVectors(t *testing.T) {
	text, err := os.ReadFile("testdata/cids.txt")
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	dir := tempDir(t)
	lines := 0
	for sc := bufio.NewScanner(bytes.NewReader(text)); sc.Scan(); {
		f := strings.Fields(sc.Text())
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		lines++
		t.Run(strings.Join(f[:len(f)-1], " "), func(t *testing.T) {
			want := f[len(f)-1]
			var s Summary
			switch f[0] {
			case "file":
				size, err := strconv.ParseInt(f[2], 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				if s, err = ImportReader(ctx, pattern(t, f[1], size), Options{}, discard{}); err != nil {
					t.Fatal(err)
				}
				if s.Size != size || s.Files != 1 || s.Kind != File || s.Leaves != max(1, (size+LeafSize-1)/LeafSize) {
					t.Errorf("summary %+v", s)
				}
				path := filepath.Join(dir, "file")
				if f[1] == "zero" { // a hole
					if err := os.WriteFile(path, nil, 0o644); err != nil {
						t.Fatal(err)
					}
					if err := os.Truncate(path, size); err != nil {
						t.Fatal(err)
					}
				} else {
					b, err := io.ReadAll(pattern(t, f[1], size))
					if err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(path, b, 0o644); err != nil {
						t.Fatal(err)
					}
				}
				p, err := ImportPaths(ctx, []string{path}, Options{}, discard{})
				if err != nil {
					t.Fatal(err)
				}
				if p != s {
					t.Errorf("from disk %+v, from a reader %+v", p, s)
				}
			case "dir":
				var err error
				if s, err = ImportPaths(ctx, []string{vectorDir(t, dir, f[1])}, Options{}, discard{}); err != nil {
					t.Fatal(err)
				}
				if s.Kind != Directory {
					t.Errorf("kind %v", s.Kind)
				}
			}
			if s.Root.String() != want {
				t.Errorf("%s, want %s", s.Root, want)
			}
		})
	}
	if lines != 22 {
		t.Errorf("%d vectors", lines)
	}
}
