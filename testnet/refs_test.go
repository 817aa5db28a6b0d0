//go:build unix

package testnet

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestReferencedFileGoesBad: what a share refers to changes under it. The download fails in words, nothing appears
// under the final name, nobody blocks, and the peer serves everything else.
func TestReferencedFileGoesBad(t *testing.T) {
	ruin := []struct {
		name string
		do   func(path string) error
	}{
		{"truncated", func(p string) error { return os.Truncate(p, 5*mib) }},
		{"grown", func(p string) error { return os.Truncate(p, 200*mib) }},
		{"rewritten", func(p string) error { return RandomFile(p, 64*mib, 99) }},
		{"removed", os.Remove},
		{"a directory now", func(p string) error { return replace(p, func() error { return os.Mkdir(p, 0o755) }) }},
		{"a FIFO now", func(p string) error { return replace(p, func() error { return syscall.Mkfifo(p, 0o644) }) }},
		{"a device now", func(p string) error { return replace(p, func() error { return os.Symlink("/dev/zero", p) }) }},
		{"not permitted", func(p string) error { return os.Chmod(p, 0) }},
	}
	for _, when := range []string{"before", "during"} {
		for _, r := range ruin {
			t.Run(when+"/"+r.name, func(t *testing.T) {
				t.Parallel() // each waits for a download to give up
				a := up(t, unprivileged(t, newHome(t)))
				src := file(t, "f", 64*mib)
				other := file(t, "other", 2*mib)
				ticket, good := share(t, a.Home, src), share(t, a.Home, other)
				b := newHome(t)
				out := filepath.Join(dir(t), "out")
				var get *Proc
				if when == "during" {
					get = halfway(t, b, ticket, out)
				}
				if err := r.do(src); err != nil {
					t.Fatal(err)
				}
				if get == nil {
					get = background(t, b, "get", ticket, "-o", out)
				} else if err := get.Signal(syscall.SIGCONT); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 45*time.Second)
				defer cancel()
				res := get.Wait(ctx)
				if ctx.Err() != nil {
					t.Fatalf("it did not end: %s", res)
				}
				if res.Code == 0 && when == "during" {
					return // all had been sent
				}
				if res.Code < 3 || res.Code > 6 {
					t.Errorf("want a failure of the source's (3 to 6): %s", res)
				}
				absent(t, out)
				must(t, newHome(t), "get", good, "-o", out)
				same(t, other, out)
			})
		}
	}
}

// unprivileged makes the peer of a home one that file modes bind, which the superuser's is not.
func unprivileged(t *testing.T, h Home) Home {
	t.Helper()
	if os.Geteuid() != 0 {
		return h
	}
	if _, err := exec.LookPath("setpriv"); err != nil {
		t.Skip("needs setpriv, or another user than root")
	}
	const nobody = 65534
	if err := os.Mkdir(h.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(h.Dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	h.Prefix = []string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"}
	return h
}

func replace(path string, by func() error) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	return by()
}

// halfway starts a get and stops its process (SIGSTOP) as soon as it has made its temporary file.
func halfway(t *testing.T, h Home, ticket, out string) *Proc {
	t.Helper()
	get := background(t, h, "get", "--json", ticket, "-o", out)
	for ctx := limit(t, 20*time.Second); ctx.Err() == nil; {
		all, err := os.ReadDir(filepath.Dir(out))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range all {
			if strings.HasSuffix(e.Name(), ".cairn-part") || e.Name() == filepath.Base(out) {
				if err := get.Signal(syscall.SIGSTOP); err != nil {
					t.Fatal(err)
				}
				return get
			}
		}
	}
	t.Fatal("no temporary file appeared")
	return nil
}

// TestStrangePaths: sharing what is no file fails at once and names it; inside a directory it is skipped.
func TestStrangePaths(t *testing.T) {
	h := newHome(t)
	a := up(t, h)
	d := dir(t)
	fifo := filepath.Join(d, "fifo")
	if err := syscall.Mkfifo(fifo, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{fifo, "/dev/zero", filepath.Join(d, "nowhere")} {
		r := run(t, h, "share", path)
		if r.Code == 0 || r.Stdout != "" || !strings.Contains(r.Stderr, filepath.Base(path)) {
			t.Errorf("want a failure that names %s: %s", path, r)
		}
	}
	if err := os.WriteFile(filepath.Join(d, "real"), []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"loop": "loop", "out": "../../etc/passwd", "abs": "/etc/passwd", "good": "real"} {
		if err := os.Symlink(target, filepath.Join(d, name)); err != nil {
			t.Fatal(err)
		}
	}
	ticket := share(t, a.Home, d)
	out := filepath.Join(dir(t), "out")
	must(t, newHome(t), "get", ticket, "-o", out)
	if b, err := os.ReadFile(filepath.Join(out, "good")); err != nil || string(b) != "content" {
		t.Errorf("link inside the tree: %q, %v", b, err)
	}
	for _, name := range []string{"fifo", "out", "abs"} {
		absent(t, filepath.Join(out, name))
	}
}

// TestSparseFile: a hole is neither read nor sent nor written.
func TestSparseFile(t *testing.T) {
	a := up(t, newHome(t))
	src := filepath.Join(dir(t), "sparse")
	if err := os.WriteFile(src, []byte("beginning"), 0o644); err != nil {
		t.Fatal(err)
	}
	const size = 20 << 30
	if err := os.Truncate(src, size); err != nil {
		t.Fatal(err)
	}
	ticket := share(t, a.Home, src)
	r := must(t, newHome(t), "cat", ticket, "--range", "0-8")
	if r.Stdout != "beginning" {
		t.Errorf("cat: %s", r)
	}
}
