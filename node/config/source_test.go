package config

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cairn/web/api"

	"go.uber.org/goleak"
)

// setForEver in the environment makes the test binary change a home's file until it is killed.
const setForEver = "CONFIG_TEST_SET_FOR_EVER"

func TestMain(m *testing.M) {
	if home := os.Getenv(setForEver); home != "" {
		s := Source{Home: home}
		for i := 0; ; i++ {
			if _, err := s.Set(context.Background(), "name", fmt.Sprintf("n%d", i)); err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			if i == 0 {
				fmt.Println("begun")
			}
		}
	}
	goleak.VerifyTestMain(m)
}

func code(err error) api.Code {
	if x, ok := errors.AsType[*api.Error](err); ok {
		return x.Code
	}
	return ""
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestSetAndLoad(t *testing.T) {
	s := Source{Home: filepath.Join(t.TempDir(), "new")}
	if l, err := s.Load(); err != nil || l.Config.Home != s.Home {
		t.Fatalf("no home: %v", err)
	}
	l, err := s.Set(t.Context(), "name", "attic")
	if err != nil || l.Config.Name != "attic" || l.Get("name").Where() != s.Path()+":1" {
		t.Fatalf("%+v %v", l, err)
	}
	if fi, err := os.Stat(s.Path()); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", fi.Mode(), err)
	}
	if l, err := s.Load(); err != nil || l.Config.Name != "attic" || l.Config.From.Home != s.Home {
		t.Errorf("%+v %v", l, err)
	}
	// What does not go together with the rest is refused, and nothing written.
	if _, err := s.Set(t.Context(), "http.address", "0.0.0.0:1"); code(err) != api.CodeUsage || !strings.HasPrefix(err.Error(), "\"0.0.0.0:1\" can be reached") {
		t.Errorf("%v", err)
	}
	if _, err := s.Set(t.Context(), "nmae", "x"); code(err) != api.CodeNotFound {
		t.Errorf("%v", err)
	}
	if got, _ := os.ReadFile(s.Path()); string(got) != "name = \"attic\"\n" {
		t.Errorf("%q", got)
	}
	if l, err := s.Set(t.Context(), "name", ""); err != nil || l.Get("name").Origin != FromDefault {
		t.Errorf("%v", err)
	}
	left, _ := filepath.Glob(filepath.Join(s.Home, "*.new"))
	if len(left) > 0 {
		t.Errorf("left %q", left)
	}
}

// TestSetInWrongFile: what was wrong before is told where it stands, and can be put right.
func TestSetInWrongFile(t *testing.T) {
	s := Source{Home: t.TempDir()}
	write(t, s.Path(), "# c\nreserve = \"lots\"\n")
	if _, err := s.Set(t.Context(), "name", "a"); err == nil || !strings.HasPrefix(err.Error(), s.Path()+":2:11: reserve: ") {
		t.Errorf("%v", err)
	}
	if l, err := s.Set(t.Context(), "reserve", "2GiB"); err != nil || l.Config.Reserve != 2<<30 {
		t.Errorf("%v", err)
	}
}

// TestFlagsStay: a set goes to the file, and what wins over the file is told.
func TestFlagsStay(t *testing.T) {
	s := Source{Home: t.TempDir(), Env: map[string]string{"CAIRN_NAME": "env"}}
	l, err := s.Set(t.Context(), "name", "file")
	if err != nil || l.Config.Name != "env" || l.Get("name").Where() != "CAIRN_NAME" {
		t.Errorf("%+v %v", l, err)
	}
}

func TestLinkedFile(t *testing.T) {
	dir, home := t.TempDir(), t.TempDir()
	target := filepath.Join(dir, "dotfile.toml")
	write(t, target, "# mine\n")
	s := Source{Home: home}
	if err := os.Symlink(target, s.Path()); err != nil {
		t.Skip(err)
	}
	if _, err := s.Set(t.Context(), "name", "a"); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(target); string(got) != "# mine\nname = \"a\"\n" {
		t.Errorf("%q", got)
	}
	if fi, err := os.Lstat(s.Path()); err != nil || fi.Mode()&fs.ModeSymlink == 0 {
		t.Error("the link is gone")
	}
	if err := os.Remove(target); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(); err == nil || !strings.Contains(err.Error(), "link to something that is not there") {
		t.Errorf("broken link: %v", err)
	}
}

func TestUnreadable(t *testing.T) {
	s := Source{Home: t.TempDir()}
	if err := os.Mkdir(s.Path(), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(); err == nil || !strings.HasSuffix(err.Error(), "it is a directory") {
		t.Errorf("directory: %v", err)
	}
	if _, err := s.Set(t.Context(), "name", "a"); err == nil {
		t.Error("set over a directory")
	}
	if err := os.Remove(s.Path()); err != nil {
		t.Fatal(err)
	}
	write(t, s.Path(), strings.Repeat("# long\n", MaxFile/7+1))
	if _, err := s.Load(); err == nil || !strings.Contains(err.Error(), "larger than 1MiB") {
		t.Errorf("huge: %v", err)
	}
	if err := os.Chmod(s.Path(), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(); os.Getuid() != 0 && code(err) != api.CodeNotPermitted {
		t.Errorf("not readable: %v", err)
	}
	if _, err := ReadFile(filepath.Join(s.Home, "nothing")); !errors.Is(err, fs.ErrNotExist) || code(err) != api.CodeNotFound {
		t.Errorf("nothing: %v", err)
	}
}

// TestManySets: no change is lost when several processes (here: sources) change the file at once.
func TestManySets(t *testing.T) {
	home := t.TempDir()
	want := map[string]string{"name": "a", "mdns": "false", "log.level": "info", "log.format": "json", "reserve": "2GiB", "limits.streams": "5000", "acme.email": "a@b.example", "http": "off"}
	var wg sync.WaitGroup
	for k, v := range want {
		wg.Go(func() {
			if _, err := (Source{Home: home}).Set(t.Context(), k, v); err != nil {
				t.Errorf("%s: %v", k, err)
			}
		})
	}
	wg.Wait()
	l, err := Source{Home: home}.Load()
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range want {
		k, _ := Find(name)
		if s := l.Get(k.Name); s.Value != v {
			t.Errorf("%s is %q, want %q", name, s.Value, v)
		}
	}
}

// TestKillDuringSet kills a process that changes the file all the time: the file is always whole.
func TestKillDuringSet(t *testing.T) {
	s := Source{Home: t.TempDir()}
	const rest = "# a comment that stays\nmdns = false\n"
	write(t, s.Path(), rest+"name = \"old\"\n")
	seen := map[string]bool{}
	for i := range 12 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), setForEver+"="+s.Home)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if line := make([]byte, 6); true {
			if _, err := out.Read(line); err != nil || string(line) != "begun\n" {
				t.Errorf("the process said %q, %v", line, err)
			}
		}
		time.Sleep(time.Duration(i) * 6 * time.Millisecond) // at another moment of a change each time
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		l, err := s.Load()
		if err != nil {
			t.Fatalf("after the kill: %v", err)
		}
		got, _ := os.ReadFile(s.Path())
		if !strings.HasPrefix(string(got), rest) || l.Config.MDNS || !strings.HasPrefix(l.Config.Name, "n") {
			t.Fatalf("after the kill: %q", got)
		}
		seen[l.Config.Name] = true
		if _, err := s.Set(t.Context(), "name", "n"); err != nil { // nothing of the dead is in the way
			t.Fatalf("set after the kill: %v", err)
		}
	}
	if len(seen) < 2 {
		t.Errorf("the process was killed at one moment only: %v", seen)
	}
}
