//go:build unix

package dag

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSpecialFiles: FIFOs, sockets and devices never block: left out inside a tree, refused when named.
func TestSpecialFiles(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "f"), []byte("f"))
	fifo, socket := filepath.Join(dir, "fifo"), filepath.Join(dir, "sock")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var warnings []string
	mem := newMemory()
	s, err := ImportPaths(ctx, []string{dir}, Options{Warn: func(w string) { warnings = append(warnings, w) }}, mem)
	if err != nil {
		t.Fatal(err)
	}
	if tree := walk(t, mem, s.Root); s.Skipped != 2 || len(warnings) != 2 || len(tree.Items()) != 2 || !strings.Contains(strings.Join(warnings, ""), fifo) {
		t.Errorf("%+v, %q, %+v", s, warnings, tree.Items())
	}
	for _, p := range []string{fifo, socket, "/dev/zero", "/dev/null"} {
		if _, err := ImportPaths(ctx, []string{p}, Options{}, mem); !errors.Is(err, ErrSpecial) || !strings.Contains(err.Error(), p) {
			t.Errorf("%s: %v", p, err)
		}
	}
	// What a scan took for a file or directory may be something else when it is opened.
	for _, asDir := range []bool{false, true} {
		for _, p := range []string{fifo, socket} {
			f, err := openNonblock(p, asDir)
			if err != nil {
				continue
			}
			if info, err := f.Stat(); err != nil || info.Mode().IsRegular() || asDir {
				t.Errorf("%s opened as %v, %v", p, info.Mode(), err)
			}
			f.Close()
		}
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink("f", link); err != nil {
		t.Fatal(err)
	}
	if _, err := openNonblock(link, false); !isSwapped(err) {
		t.Errorf("a link was followed: %v", err)
	}
}

// TestLyingSize: a file that gives more than its size says is not taken for an empty one.
func TestLyingSize(t *testing.T) {
	const path = "/proc/self/status"
	if _, err := os.Stat(path); err != nil {
		t.Skip("no /proc here")
	}
	if _, err := ImportPaths(context.Background(), []string{path}, Options{}, discard{}); !errors.Is(err, ErrChanged) {
		t.Error(err)
	}
}

// TestUnreadable: a file inside a tree that may not be read ends the import and is named.
func TestUnreadable(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root reads everything")
	}
	dir := t.TempDir()
	path := write(t, filepath.Join(dir, "sub", "secret"), []byte("x"))
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := ImportPaths(context.Background(), []string{dir}, Options{}, discard{}); !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), path) {
		t.Error(err)
	}
}
