package testnet

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestStolenHome: with a passphrase, a copy of a home says nothing of names, paths, tickets, members or what was copied
// into it; nobody comes in with another passphrase, and trying leaves no trace.
func TestStolenHome(t *testing.T) {
	t.Parallel() // argon2id takes its time
	const marker = "the-quick-brown-marker-jumps"
	src := filepath.Join(dir(t), "folder-"+marker)
	if err := os.MkdirAll(filepath.Join(src, "sub-"+marker), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, size := range map[string]int{"small-" + marker: 100, "sub-" + marker + "/large-" + marker: 3 << 20} {
		text := bytes.Repeat([]byte("content-"+marker+"\n"), size/36+1)
		if err := os.WriteFile(filepath.Join(src, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	h := newHome(t)
	h.Passphrase = "a passphrase of some length"
	p := up(t, h)
	must(t, h, "init", "network-"+marker, "--peer-name", "first-"+marker)
	other := joined(t, inviteBy(t, h), "second-"+marker)
	must(t, h, "add", "--copy", src)
	ticket := share(t, h, src)
	invite := inviteBy(t, h)
	kept := filepath.Join(dir(t), "kept-"+marker)
	must(t, h, "get", must(t, other.Home, "add", file(t, "other-"+marker, mib)).Value(), "-o", kept)
	must(t, h, "token", "create", "--name", "token-"+marker)
	together(t, p, other)
	p.Kill()

	plain := []string{marker, ticket[10:40], invite[20:50], src, kept, h.Passphrase}
	files := 0
	err := filepath.WalkDir(h.Dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		files++
		b, err := os.ReadFile(path)
		for _, s := range plain {
			if bytes.Contains(b, []byte(s)) || strings.Contains(strings.TrimPrefix(path, h.Dir), s) {
				t.Errorf("%s holds %q", path, s)
			}
		}
		return err
	})
	if err != nil || files < 5 {
		t.Fatalf("%d files, %v", files, err)
	}

	before := hash(t, h.Dir)
	thief := h
	for _, thief.Passphrase = range []string{"another passphrase", h.Passphrase + " "} {
		for _, args := range [][]string{{"ls"}, {"up"}, {"members"}, {"key", "status"}, {"share", src}} {
			says(t, run(t, thief, args...), 12, "passphrase")
		}
	}
	thief.Passphrase = ""
	says(t, run(t, thief, "ls"), 12, "passphrase-fd")
	thief.Env = append(thief.Env, "CAIRN_PASSPHRASE="+h.Passphrase)
	if r := run(t, thief, "ls"); r.Code == 0 || strings.Contains(r.Stderr, h.Passphrase) {
		t.Errorf("a passphrase from the environment is taken, or shown: %s", r)
	}
	if hash(t, h.Dir) != before {
		t.Error("trying other passphrases changed the home")
	}
	again := up(t, h)
	together(t, again, other)
	if r := must(t, h, "ls"); !strings.Contains(r.Stdout, marker) {
		t.Errorf("with the passphrase: %s", r)
	}
}
