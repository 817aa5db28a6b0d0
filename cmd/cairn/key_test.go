//go:build unix

package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// secretly runs a command line that gets these lines on descriptors 3, 4, ...
func (p place) secretly(t *testing.T, env []string, lines []string, args ...string) result {
	t.Helper()
	cmd := p.command(t, args...)
	cmd.Env = append(cmd.Env, env...)
	for _, l := range lines {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if _, err := w.WriteString(l); err != nil {
			t.Fatal(err)
		}
		w.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, r)
	}
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errOut.String()}
}

// wantText fails unless the command ended with code and said text.
func (r result) wantText(t *testing.T, code int, text string) {
	t.Helper()
	if r.code != code || !strings.Contains(r.out+r.err, text) {
		t.Errorf("exit %d, want %d and %q:\n%s%s", r.code, code, text, r.out, r.err)
	}
}

const oldPass, newPass = "an old passphrase", "a new passphrase"

func TestPassphraseSources(t *testing.T) {
	p := newPlace(t)
	p.furnish(t)
	p.run(t, "", "add", "hello.txt").wantText(t, 0, "baf")
	p.run(t, "", "key", "status").wantText(t, 0, "no")
	p.run(t, "", "key", "passwd").wantText(t, 12, "--new-passphrase-fd")
	p.run(t, "", "key", "passwd", "--remove").wantText(t, 1, "under no passphrase")
	p.secretly(t, nil, []string{"short\n"}, "key", "passwd", "--new-passphrase-fd", "3").wantText(t, 2, "too short")
	p.secretly(t, nil, []string{oldPass + "\n"}, "key", "passwd", "--new-passphrase-fd", "3").wantText(t, 0, "argon2id (64 MiB")

	p.run(t, "", "ls").wantText(t, 12, "--passphrase-fd N or as the systemd credential cairn.passphrase")
	fd := func(n string, args ...string) []string { return append([]string{"--passphrase-fd", n}, args...) }
	for _, c := range []struct {
		line, fd string
		code     int
		text     string
	}{
		{oldPass + "\n", "3", 0, "hello.txt"},
		{oldPass, "3", 0, "hello.txt"},
		{oldPass + "\r\nmore\n", "3", 0, "hello.txt"},
		{"wrong\n", "3", 12, "does not open"},
		{"\n", "3", 2, "descriptor 3 is empty"},
		{"", "3", 2, "descriptor 3 is empty"},
		{strings.Repeat("x", 2000), "3", 2, "longer than 1024"},
		{oldPass, "9", 2, "descriptor 9"},
		{oldPass, "1", 2, "--passphrase-fd"},
		{oldPass, "x", 2, "--passphrase-fd"},
	} {
		p.secretly(t, nil, []string{c.line}, fd(c.fd, "ls")...).wantText(t, c.code, c.text)
	}
	p.secretly(t, []string{"CAIRN_PASSPHRASE=" + oldPass}, nil, "ls").wantText(t, 2, "no passphrase from the environment")

	dir := filepath.Join(p.dir, "credentials")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	systemd := []string{"CREDENTIALS_DIRECTORY=" + dir}
	p.secretly(t, systemd, nil, "ls").wantText(t, 12, "nobody can be asked")
	if err := os.WriteFile(filepath.Join(dir, credentialName), []byte(oldPass+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.secretly(t, systemd, nil, "ls").wantText(t, 0, "hello.txt")

	// What was given for the start stands for the present one too.
	p.secretly(t, nil, []string{oldPass + "\n", newPass + "\n"}, fd("3", "key", "passwd", "--new-passphrase-fd", "4")...).wantText(t, 0, "argon2id")
	p.secretly(t, nil, []string{oldPass}, fd("3", "ls")...).wantText(t, 12, "does not open")
	p.secretly(t, nil, []string{newPass}, fd("3", "key", "rotate")...).wantText(t, 0, "2 data keys")
	p.secretly(t, nil, []string{newPass}, fd("3", "--json", "key", "rotate", "--reseal")...).wantText(t, 0, `"data_keys":1`)
	p.secretly(t, nil, []string{newPass}, fd("3", "key", "passwd", "--remove")...).wantText(t, 0, "no")
	p.run(t, "", "ls").wantText(t, 0, "hello.txt")
}

func TestRunningPeerKeepsItsPassphrase(t *testing.T) {
	p := newPlace(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := w.WriteString(oldPass + "\n"); err != nil {
		t.Fatal(err)
	}
	w.Close()
	cmd := p.command(t, "up", "--json", "--http", "off", "--passphrase-fd", "3")
	cmd.ExtraFiles = []*os.File{r}
	up := p.beginCommand(t, cmd)
	up.event("ready")
	p.run(t, "", "key", "status").wantText(t, 0, "argon2id") // the home was made under it
	p.run(t, "", "key", "rotate").wantText(t, 12, "--passphrase-fd N")
	p.secretly(t, nil, []string{"wrong"}, "--passphrase-fd", "3", "key", "rotate").wantText(t, 12, "the passphrase is wrong")
	p.secretly(t, nil, []string{oldPass}, "--passphrase-fd", "3", "key", "rotate").wantText(t, 0, "2 data keys")
	if code := up.end(os.Interrupt); code != 0 {
		t.Error("up ended with", code, up.err)
	}
	p.run(t, "", "up").wantText(t, 12, "is under a passphrase")
}

func TestKeyBackupAndRestore(t *testing.T) {
	p := newPlace(t)
	p.furnish(t)
	p.run(t, "", "add", "hello.txt").wantText(t, 0, "baf")
	id := p.run(t, "", "id")
	p.run(t, "", "key", "backup", "b.age").wantText(t, 12, "--file-passphrase-fd N")
	p.secretly(t, nil, []string{"of the backup"}, "key", "backup", "b.age", "--file-passphrase-fd", "3").wantText(t, 0, "door, identity, store")
	p.secretly(t, nil, []string{"of the backup"}, "key", "backup", "b.age", "--file-passphrase-fd", "3").wantText(t, 1, "already there")
	if err := os.Remove(filepath.Join(p.dir, "home", "keys")); err != nil {
		t.Fatal(err)
	}
	p.run(t, "", "ls").wantText(t, 12, "cairn key restore FILE")
	p.secretly(t, nil, []string{"wrong"}, "key", "restore", "b.age", "--file-passphrase-fd", "3").wantText(t, 12, "does not open this backup")
	p.run(t, "", "key", "restore", "b.age").wantText(t, 12, "--file-passphrase-fd N")
	p.run(t, "", "key", "restore", "hello.txt", "--identity", "none").wantText(t, 3, "none: no such file")
	p.secretly(t, nil, []string{"x"}, "key", "restore", "hello.txt", "--file-passphrase-fd", "3").wantText(t, 5, "not a whole backup")
	p.secretly(t, nil, []string{"of the backup"}, "key", "restore", "b.age", "--file-passphrase-fd", "3").wantText(t, 0, "restored: door, identity, store")
	p.run(t, "", "ls").wantText(t, 0, "hello.txt")
	if now := p.run(t, "", "id"); now.out != id.out {
		t.Errorf("%s, was %s", now.out, id.out)
	}
}
