package fetch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cairn/storage/dag"
)

var opts = dag.Options{}

// mixed is a tree with all that may be in one.
func mixed(t *testing.T) string {
	t.Helper()
	files := map[string]string{
		"empty":            "",
		"empty folder/":    "",
		"one":              string(randomBytes(mib, 1)),
		"big":              string(randomBytes(5*mib+3, 2)),
		"zeros":            string(make([]byte, 2*mib)),
		"exactly zero":     string(make([]byte, mib)),
		"half zero":        string(make([]byte, mib)) + string(randomBytes(mib+9, 3)),
		"deep/er/and/file": "x",
		"deep/link":        "-> er/and",
		"self":             "-> .",
		"loop":             "-> loop",
		"dangling":         "-> nothing here",
		"up":               "-> deep/../one",
	}
	for i := range 300 {
		files[fmt.Sprintf("many/%03d", i)] = fmt.Sprint("content ", i)
	}
	return makeTree(t, files)
}

func TestDirectory(t *testing.T) {
	obj := importObject(t, mixed(t), opts)
	src := source(obj, "a")
	dir := memDir(t)
	job := obj.job(filepath.Join(dir, "out"), src)
	job.Warn = func(s string) { t.Error(s) }
	res, err := Run(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	same(t, obj.path, res.Path)
	only(t, dir, "out")
	if res.Size != obj.sum.Size || res.Files != obj.sum.Files || res.Fetched+res.Resumed != res.Size || res.Resumed != 4*mib {
		t.Errorf("result %d bytes, %d files, %d fetched, %d resumed", res.Size, res.Files, res.Fetched, res.Resumed)
	}
	if int64(len(res.Written)) != obj.sum.Files {
		t.Errorf("%d files listed", len(res.Written))
	}
	for _, w := range res.Written {
		info, err := os.Lstat(w.Path)
		if err != nil || info.Size() != w.Size || !info.ModTime().Equal(w.MTime) || !info.Mode().IsRegular() {
			t.Errorf("%+v: %v, %v", w, info, err)
		}
		if it := res.Tree.Items()[w.Item]; filepath.Join(res.Path, it.Path) != w.Path || it.Size != w.Size {
			t.Errorf("%+v is item %+v", w, it)
		}
		if info.Mode() != 0o644 {
			t.Errorf("%s has mode %v", w.Path, info.Mode())
		}
	}
	if src.held.Load() != 0 || src.dones != 1 {
		t.Errorf("%d buffers held, told %d times", src.held.Load(), src.dones)
	}
	for i, n := range src.asked {
		if n != 1 {
			t.Errorf("leaf %d asked %d times", i, n)
		}
	}
}

func TestEmptyDirectory(t *testing.T) {
	obj := importObject(t, makeTree(t, nil), opts)
	if err := gets(t, obj, Target{Path: filepath.Join(memDir(t), "out")}); err != nil {
		t.Error(err)
	}
}

func TestDirectoryResumes(t *testing.T) {
	obj := importObject(t, mixed(t), opts)
	n := obj.tree.NumLeaves()
	for round := range 4 {
		target := filepath.Join(memDir(t), "out")
		stopAt := rand.IntN(n - 8)
		first := source(obj, "a")
		ctx, cancel := context.WithCancel(t.Context())
		count := 0
		first.hook = func(_ context.Context, i int, data []byte) ([]byte, error) {
			if count++; count > stopAt {
				cancel()
				return nil, context.Canceled
			}
			return data, nil
		}
		if _, err := Run(ctx, obj.job(target, first)); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		cancel()
		_, sent := first.counts()
		temp := TempPath(target, obj.sum.Root)
		if sent > 0 {
			// Somebody meddles with what was left.
			junk := filepath.Join(temp, "deep", "junk")
			outside := filepath.Join(filepath.Dir(target), "outside")
			err := errors.Join(os.Mkdir(outside, 0o755), os.MkdirAll(junk, 0o755), os.WriteFile(filepath.Join(junk, "x"), nil, 0o444),
				os.Symlink(outside, filepath.Join(temp, "self")), os.RemoveAll(filepath.Join(temp, "empty folder")),
				os.Symlink(outside, filepath.Join(temp, "empty folder")))
			if err != nil {
				t.Fatal(err)
			}
		}
		second := source(obj, "b")
		res, err := Run(t.Context(), obj.job(target, second))
		if err != nil {
			t.Fatal(err)
		}
		asked, _ := second.counts()
		zeros := 4                   // leaves that are never fetched
		if asked != n-zeros-1-sent { // and one empty file
			t.Errorf("round %d: %d of %d sent, then %d asked", round, sent, n, asked)
		}
		same(t, obj.path, target)
		if res.Fetched+res.Resumed != res.Size {
			t.Errorf("%d fetched, %d resumed of %d", res.Fetched, res.Resumed, res.Size)
		}
	}
}

func TestDirectoryResumeFindsDamage(t *testing.T) {
	obj := importObject(t, mixed(t), opts)
	target := filepath.Join(memDir(t), "out")
	temp := TempPath(target, obj.sum.Root)
	if err := os.CopyFS(temp, os.DirFS(obj.path)); err != nil { // follows no links, copies them
		t.Fatal(err)
	}
	victim := filepath.Join(filepath.Dir(target), "victim")
	err := errors.Join(
		os.WriteFile(filepath.Join(temp, "many/007"), []byte("Content 7"), 0o644),
		os.WriteFile(filepath.Join(temp, "many/008"), []byte("content 8 and more"), 0o644),
		os.WriteFile(filepath.Join(temp, "empty"), []byte("not"), 0o644),
		os.WriteFile(filepath.Join(temp, "zeros"), []byte("not"), 0o644),
		os.Truncate(filepath.Join(temp, "big"), 3*mib+1),
		os.WriteFile(victim, []byte("precious"), 0o644),
		os.Remove(filepath.Join(temp, "one")),
		os.Link(victim, filepath.Join(temp, "one")), // writing into it would damage the victim
	)
	if err != nil {
		t.Fatal(err)
	}
	src := source(obj, "a")
	if _, err := Run(t.Context(), obj.job(target, src)); err != nil {
		t.Fatal(err)
	}
	same(t, obj.path, target)
	if asked, _ := src.counts(); asked != 1+3+1 { // 007, three leaves of big, one
		t.Errorf("%d leaves asked", asked)
	}
	if data, _ := os.ReadFile(victim); string(data) != "precious" {
		t.Errorf("victim is now %d bytes", len(data))
	}
}

func TestLinksOutOfTheTreeAreSkipped(t *testing.T) {
	root := makeTree(t, map[string]string{
		"a/b/file":    "x",
		"abs":         "-> /etc/passwd",
		"up":          "-> ..",
		"a/b/up3":     "-> ../../..",
		"a/b/root":    "-> ../..",       // the tree itself: stays
		"tricky":      "-> a/b/root/..", // leaves through another link
		"a/chain":     "-> b/up3",
		"ghost":       "-> none/../../x",
		"ok":          "-> a/b/../b/file",
		"a/through":   "-> b/root/a/b/file",
		"through abs": "-> abs/x",
		"file as dir": "-> a/b/file/../../../..",
		"loop1":       "-> loop2/..",
		"loop2":       "-> loop1",
	})
	obj := importObject(t, root, opts)
	dir := memDir(t)
	job := obj.job(filepath.Join(dir, "out"), source(obj, "a"))
	warned := map[string]bool{}
	job.Warn = func(s string) { warned[strings.Split(s, `"`)[1]] = true }
	res, err := Run(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	for name, stays := range map[string]bool{"abs": false, "up": false, "a/b/up3": false, "a/b/root": true, "tricky": false, "a/chain": false,
		"ghost": false, "ok": true, "a/through": true, "through abs": false, "file as dir": false, "loop1": true, "loop2": true} {
		_, err := os.Lstat(filepath.Join(res.Path, name))
		if (err == nil) != stays || warned[name] == stays {
			t.Errorf("%s: stays %v, made %v, warned %v", name, stays, err == nil, warned[name])
		}
	}
	// The system agrees: no link leads outside.
	err = filepath.WalkDir(res.Path, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type()&fs.ModeSymlink != 0 {
			if real, err := filepath.EvalSymlinks(path); err == nil && real != res.Path && !strings.HasPrefix(real, res.Path+"/") {
				t.Errorf("%s leads to %s", path, real)
			}
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestCheckTree: dag lets none of these through; this is the gate behind it.
func TestCheckTree(t *testing.T) {
	dir := func(p string) dag.Item { return dag.Item{Path: p, Kind: dag.Directory} }
	file := func(p string) dag.Item { return dag.Item{Path: p, Kind: dag.File} }
	for _, c := range []struct {
		name  string
		items []dag.Item
		fold  bool
		want  error
	}{
		{"good", []dag.Item{dir(""), file("a"), dir("b"), file("b/a"), file("A")}, false, nil},
		{"dots", []dag.Item{dir(""), file("..a"), file("...")}, false, nil},
		{"up", []dag.Item{dir(""), file("..")}, false, dag.ErrBadDAG},
		{"up inside", []dag.Item{dir(""), dir("a"), file("a/..")}, false, dag.ErrBadDAG},
		{"up as folder", []dag.Item{dir(""), dir(".."), file("../x")}, false, dag.ErrBadDAG},
		{"here", []dag.Item{dir(""), file(".")}, false, dag.ErrBadDAG},
		{"absolute", []dag.Item{dir(""), file("/etc/passwd")}, false, dag.ErrBadDAG},
		{"empty name", []dag.Item{dir(""), dir("a"), file("a/")}, false, dag.ErrBadDAG},
		{"slash", []dag.Item{dir(""), file("a/b")}, false, dag.ErrBadDAG},
		{"below a file", []dag.Item{dir(""), file("a"), file("a/b")}, false, dag.ErrBadDAG},
		{"below a link", []dag.Item{dir(""), {Path: "a", Kind: dag.Symlink}, file("a/b")}, false, dag.ErrBadDAG},
		{"NUL", []dag.Item{dir(""), file("a\x00")}, false, dag.ErrBadDAG},
		{"same when folded", []dag.Item{dir(""), file("Readme"), file("README")}, true, ErrNames},
		{"folders same when folded", []dag.Item{dir(""), dir("a"), file("a/x"), dir("A")}, true, ErrNames},
		{"differ when folded", []dag.Item{dir(""), dir("a"), file("a/x"), dir("b"), file("b/X")}, true, nil},
	} {
		if err := checkTree(c.items, c.fold); !errors.Is(err, c.want) || (c.want == nil) != (err == nil) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestWindowsNames(t *testing.T) {
	for name, ok := range map[string]bool{"a": true, "con.x": false, "CON": false, "nul": false, "com1": false, "COM¹.txt": false, "com": true,
		"com10": true, "lpt9.tar.gz": false, "console": true, "a:b": false, "a?": false, "a\\b": false, "a\x01": false, "a.": false, "a ": false,
		".a": true, "aux .txt": false, "a<b": false} {
		if err := checkWindowsName(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestPreserveTree(t *testing.T) {
	when := time.Date(1999, 12, 31, 23, 59, 58, 0, time.UTC)
	root := makeTree(t, map[string]string{"d/x": "1", "d/sub/y": string(randomBytes(2*mib, 1)), "ro/z": "2", "plain": ""})
	paths := []string{"d/x", "d/sub/y", "ro/z", "plain", "d/sub", "d", "ro", "."}
	modes := map[string]fs.FileMode{"d/x": 0o600, "d/sub/y": 0o444, "ro/z": 0o777 | fs.ModeSetuid, "ro": 0o555, "d": 0o700 | fs.ModeSticky, "d/sub": 0o755, ".": 0o755, "plain": 0o640}
	for _, p := range paths {
		if err := errors.Join(os.Chtimes(filepath.Join(root, p), when, when), os.Chmod(filepath.Join(root, p), modes[p])); err != nil {
			t.Fatal(err)
		}
	}
	obj := importObject(t, root, dag.Options{Preserve: true})
	target := filepath.Join(memDir(t), "out")
	// An earlier run was killed after it had set modes.
	temp := TempPath(target, obj.sum.Root)
	err := errors.Join(os.MkdirAll(filepath.Join(temp, "ro"), 0o755), os.WriteFile(filepath.Join(temp, "ro/z"), []byte("3"), 0o444), os.Chmod(filepath.Join(temp, "ro"), 0o555))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second replaces the first
		job := obj.job(target, source(obj, "a"))
		job.Target.Force = true
		res, err := Run(t.Context(), job)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range paths {
			info, err := os.Lstat(filepath.Join(target, p))
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode().Perm() != modes[p].Perm() || info.Mode()&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky) != 0 || !info.ModTime().Equal(when) {
				t.Errorf("%s: %v %v", p, info.Mode(), info.ModTime())
			}
		}
		for _, w := range res.Written {
			if !w.MTime.Equal(when) {
				t.Errorf("%s listed with %v", w.Path, w.MTime)
			}
		}
		only(t, filepath.Dir(target), "out")
	}
}
