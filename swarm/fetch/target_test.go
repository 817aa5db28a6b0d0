package fetch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// gets runs a get of obj to target and returns its error.
func gets(t *testing.T, obj *object, target Target) error {
	t.Helper()
	job := obj.job("", source(obj, "a"))
	job.Target = target
	_, err := Run(t.Context(), job)
	return err
}

// TestTarget: what stands at the target, what a get without and with Force makes of it.
func TestTarget(t *testing.T) {
	file := randomFile(t, 3*mib, 20)
	tree := importObject(t, makeTree(t, map[string]string{"a": "1", "d/b": "2"}), opts)
	set := func(make func(dir, target string) error) func(string, string) error { return make }
	for _, c := range []struct {
		name        string
		obj         *object
		set         func(dir, target string) error
		force       error // outcome with Force
		left        []string
		untouched   string // beside the target, must keep its content "precious"
		notWithRoot bool
	}{
		{name: "file by file", obj: file, set: set(func(_, p string) error { return os.WriteFile(p, []byte("old"), 0o644) }), left: []string{"out"}},
		{name: "read-only file by file", obj: file, set: set(func(_, p string) error { return os.WriteFile(p, []byte("old"), 0o444) }), left: []string{"out"}},
		{name: "link by file", obj: file, left: []string{"out", "victim"}, untouched: "victim", set: set(func(dir, p string) error {
			return errors.Join(os.WriteFile(filepath.Join(dir, "victim"), []byte("precious"), 0o644), os.Symlink("victim", p))
		})},
		{name: "dangling link by file", obj: file, set: set(func(_, p string) error { return os.Symlink("nowhere", p) }), left: []string{"out"}},
		{name: "folder by file", obj: file, force: ErrExists, untouched: "out/victim", left: []string{"out"}, set: set(func(_, p string) error {
			return errors.Join(os.Mkdir(p, 0o755), os.WriteFile(filepath.Join(p, "victim"), []byte("precious"), 0o644))
		})},
		{name: "folder by folder", obj: tree, left: []string{"out"}, set: set(func(_, p string) error {
			return errors.Join(os.MkdirAll(p+"/deep/er", 0o755), os.WriteFile(p+"/deep/x", nil, 0o444), os.Chmod(p+"/deep", 0o555))
		})},
		{name: "file by folder", obj: tree, set: set(func(_, p string) error { return os.WriteFile(p, []byte("old"), 0o644) }), left: []string{"out"}},
		{name: "link to folder by folder", obj: tree, left: []string{"out", "real"}, untouched: "real/victim", set: set(func(dir, p string) error {
			real := filepath.Join(dir, "real")
			return errors.Join(os.Mkdir(real, 0o755), os.WriteFile(filepath.Join(real, "victim"), []byte("precious"), 0o644), os.Symlink("real", p))
		})},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := memDir(t)
			target := filepath.Join(dir, "out")
			if err := c.set(dir, target); err != nil {
				t.Fatal(err)
			}
			before := fmt.Sprint(digestTree(t, dir))
			if err := gets(t, c.obj, Target{Path: target}); !errors.Is(err, ErrExists) || !strings.Contains(err.Error(), target) {
				t.Errorf("without Force: %v", err)
			}
			if after := fmt.Sprint(digestTree(t, dir)); after != before {
				t.Errorf("without Force %s became %s", before, after)
			}
			if err := gets(t, c.obj, Target{Path: target, Force: true}); !errors.Is(err, c.force) {
				t.Errorf("with Force: %v", err)
			}
			if c.force == nil {
				same(t, c.obj.path, target)
			}
			only(t, dir, c.left...)
			if c.untouched != "" {
				if data, err := os.ReadFile(filepath.Join(dir, c.untouched)); err != nil || string(data) != "precious" {
					t.Errorf("%s: %q, %v", c.untouched, data, err)
				}
			}
		})
	}
}

func TestTargetAppearsMeanwhile(t *testing.T) {
	for _, obj := range []*object{randomFile(t, 3*mib, 20), importObject(t, makeTree(t, map[string]string{"a": "1"}), opts)} {
		dir := memDir(t)
		src := source(obj, "a")
		target := filepath.Join(dir, "out")
		src.hook = func(_ context.Context, i int, d []byte) ([]byte, error) {
			return d, os.WriteFile(target, []byte("precious"), 0o644)
		}
		if _, err := Run(t.Context(), obj.job(target, src)); !errors.Is(err, ErrExists) {
			t.Error(err)
		}
		if data, _ := os.ReadFile(target); string(data) != "precious" {
			t.Errorf("overwritten with %d bytes", len(data))
		}
	}
}

func TestBadTargets(t *testing.T) {
	obj := randomFile(t, 100, 21)
	dir := memDir(t)
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ path, says string }{
		"no folder":      {filepath.Join(dir, "none", "out"), "does not exist"},
		"folder is file": {filepath.Join(dir, "file", "out"), "not a"},
		"relative":       {"out", "absolute"},
		"root":           {"/", "absolute"},
		"empty":          {"", "absolute"},
		"NUL":            {dir + "/a\x00b", "not a file name"},
	} {
		if err := gets(t, obj, Target{Path: c.path}); !errors.Is(err, ErrTarget) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	only(t, dir, "file")
}

func TestTempInTheWay(t *testing.T) {
	file, tree := randomFile(t, 100, 21), importObject(t, makeTree(t, map[string]string{"a": "1"}), opts)
	for _, obj := range []*object{file, tree} {
		dir := memDir(t)
		target := filepath.Join(dir, "out")
		temp := TempPath(target, obj.sum.Root)
		victim := filepath.Join(dir, "victim")
		if err := os.WriteFile(victim, []byte("precious"), 0o644); err != nil {
			t.Fatal(err)
		}
		for name, set := range map[string]func() error{
			"link":      func() error { return os.Symlink("victim", temp) },
			"hard link": func() error { return os.Link(victim, temp) },
			"link out":  func() error { return os.Symlink("/dev/null", temp) },
		} {
			if err := set(); err != nil {
				t.Fatal(err)
			}
			if err := gets(t, obj, Target{Path: target, Force: true}); !errors.Is(err, ErrTarget) {
				t.Errorf("%s: %v", name, err)
			}
			if data, _ := os.ReadFile(victim); string(data) != "precious" {
				t.Errorf("%s: victim is now %d bytes", name, len(data))
			}
			if err := os.Remove(temp); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestBusyAndDiscard(t *testing.T) {
	for _, obj := range []*object{randomFile(t, 3*mib, 22), importObject(t, makeTree(t, map[string]string{"a": "1", "b": "2"}), opts)} {
		dir := memDir(t)
		target := filepath.Join(dir, "out")
		first, inside, goOn := source(obj, "a"), make(chan struct{}), make(chan struct{})
		once := false
		first.hook = func(_ context.Context, _ int, d []byte) ([]byte, error) {
			if !once {
				once = true
				close(inside)
				<-goOn
			}
			return d, nil
		}
		result := make(chan error)
		go func() {
			_, err := Run(t.Context(), obj.job(target, first))
			result <- err
		}()
		<-inside
		if err := gets(t, obj, Target{Path: target}); !errors.Is(err, ErrBusy) {
			t.Errorf("second get: %v", err)
		}
		if err := Discard(target, obj.sum.Root); !errors.Is(err, ErrBusy) {
			t.Errorf("discard: %v", err)
		}
		close(goOn)
		if err := <-result; err != nil {
			t.Error(err)
		}
		same(t, obj.path, target)
		if err := gets(t, obj, Target{Path: target}); !errors.Is(err, ErrExists) {
			t.Errorf("third get: %v", err)
		}

		// An interrupted one leaves its temp until it is discarded.
		bad := source(obj, "b")
		n := 0
		bad.hook = func(_ context.Context, _ int, d []byte) ([]byte, error) {
			if n++; n == 2 {
				return nil, errors.New("gone")
			}
			return d, nil
		}
		other := filepath.Join(dir, "other")
		if _, err := Run(t.Context(), obj.job(other, bad)); !errors.Is(err, ErrNoSource) {
			t.Error(err)
		}
		if _, err := os.Stat(TempPath(other, obj.sum.Root)); err != nil {
			t.Errorf("temp is gone: %v", err)
		}
		if err := errors.Join(Discard(other, obj.sum.Root), Discard(other, obj.sum.Root)); err != nil {
			t.Error(err)
		}
		only(t, dir, "out")
	}
}

func TestNothingFetchedLeavesNothing(t *testing.T) {
	for _, obj := range []*object{randomFile(t, 3*mib, 22), importObject(t, makeTree(t, map[string]string{"a": "1", "b": "2"}), opts)} {
		dir := memDir(t)
		bad := source(obj, "b")
		bad.hook = func(context.Context, int, []byte) ([]byte, error) { return nil, errors.New("gone") }
		if _, err := Run(t.Context(), obj.job(filepath.Join(dir, "out"), bad)); !errors.Is(err, ErrNoSource) {
			t.Error(err)
		}
		job := obj.job(filepath.Join(dir, "out"), source(obj, "a"))
		asked := ""
		job.FreeSpace = func(d string) (int64, error) { asked = d; return obj.sum.Size - 1, nil }
		if _, err := Run(t.Context(), job); !errors.Is(err, ErrNoSpace) || asked != dir {
			t.Errorf("%v, asked about %q", err, asked)
		}
		if n, _ := job.Sources[0].(*testSource).counts(); n != 0 {
			t.Errorf("%d leaves were asked for", n)
		}
		only(t, dir)
	}
}

func TestLongNames(t *testing.T) {
	obj := randomFile(t, 10, 1)
	for _, name := range []string{strings.Repeat("x", 255), strings.Repeat("é", 127), strings.Repeat("日", 85), "-rf", "a\nb", "a\x1b[31m", ".hidden", "\xff\xfe"} {
		if runtime.GOOS != "linux" && (name == "\xff\xfe" || strings.ContainsAny(name, "\n\x1b")) {
			continue
		}
		target := filepath.Join(memDir(t), name)
		if err := gets(t, obj, Target{Path: target}); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		same(t, obj.path, target)
	}
}

func TestRenameNewReplacesNothing(t *testing.T) {
	for _, kind := range []string{"file", "folder", "link"} {
		dir := memDir(t)
		r, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		err = errors.Join(r.WriteFile("from", []byte("new"), 0o644), r.Mkdir("folder from", 0o755))
		switch kind {
		case "file":
			err = errors.Join(err, r.WriteFile("to", []byte("old"), 0o644))
		case "folder":
			err = errors.Join(err, r.Mkdir("to", 0o755))
		case "link":
			err = errors.Join(err, r.Symlink("nowhere", "to"))
		}
		if err != nil {
			t.Fatal(err)
		}
		for name, rename := range map[string]func(*os.Root, string, string) error{"one step": renameNew, "checked": renameChecked} {
			for _, from := range []string{"from", "folder from"} {
				if err := rename(r, from, "to"); !errors.Is(err, fs.ErrExist) {
					t.Errorf("%s, %s over a %s: %v", name, from, kind, err)
				}
			}
		}
		if err := renameNew(r, "from", "free"); err != nil {
			t.Error(err)
		}
		only(t, dir, "folder from", "free", "to")
	}
}
