//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestConfigOfRunningPeer: a change goes through the peer, which says what holds at once; a file that was changed by hand
// holds after a reload or SIGHUP, and one that is wrong changes nothing.
func TestConfigOfRunningPeer(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	up := p.begin(t, "up", "--json", "--http", "127.0.0.1:0", "--name", "")
	if up.wait() != 2 || !strings.Contains(up.err.String(), "--name is empty") {
		t.Errorf("an empty flag: %s", up.err)
	}
	up = p.begin(t, "up", "--json", "--http", "127.0.0.1:0", "--log-format", "json")
	up.event("ready")
	step := func(want int, out, err string, args ...string) {
		t.Helper()
		r := p.run(t, "", args...)
		if r.code != want || !strings.Contains(r.out, out) || !strings.Contains(r.err, err) {
			t.Errorf("%q: %+v, want %d, %q and %q", args, r, want, out, err)
		}
	}
	step(0, "", "name: attic holds now", "config", "set", "name", "attic")
	step(0, "attic", "", "status")
	step(0, "", "reserve: 70MiB holds after a restart of the peer", "config", "set", "reserve", "70MiB")
	step(0, "reserve", "reserve: 70MiB holds after a restart", "config", "show")
	step(0, "--http", "", "config", "show", "--origin")
	step(0, "127.0.0.1:0", "", "config", "show", "http")
	step(0, "", "CAIRN_MDNS wins over config.toml", "config", "set", "mdns", "true")
	step(2, "", "reserve: \"lots\" is not a size", "config", "set", "reserve", "lots")
	step(3, "", "unknown key", "config", "unset", "reserv")

	path := filepath.Join(p.dir, "home", "config.toml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("name = \"cellar\"\nlog.level = \"debug\"\nlimits.streams = 9000\n")
	step(0, "attic", "name: cellar holds after `cairn config reload`", "config", "show", "name")
	step(0, "", "limits.streams: 9000 holds after a restart", "config", "reload")
	step(0, "cellar", "", "config", "show", "name")
	write("nmae = \"loft\"\n")
	step(2, "", path+":1:1: unknown key \"nmae\"", "config", "reload")
	step(0, "cellar", "", "config", "show", "name")
	write("name = \"loft\"\n")
	if err := up.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); ; {
		if r := p.run(t, "", "config", "show", "name"); strings.TrimSpace(r.out) == "loft" {
			break
		} else if r.code != 0 || time.Since(began) > 10*time.Second {
			t.Fatalf("after SIGHUP: %+v, %s", r, up.err)
		}
	}
	if code := up.end(os.Interrupt); code != 0 {
		t.Errorf("exit %d: %s", code, up.err)
	}
	if log := up.err.String(); !strings.Contains(log, `"level":"DEBUG"`) || !strings.Contains(log, "was not read again") {
		t.Errorf("the log tells nothing of this:\n%s", log)
	}
	step(0, "loft", "", "config", "show", "name")
}

// TestMisspeltVariable: one that looks like ours is told of by whoever becomes the peer.
func TestMisspeltVariable(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	cmd := p.command(t, "add", "hello.txt")
	p.file(t, "hello.txt", 5)
	cmd.Env = append(cmd.Env, "CAIRN_LISTN=/ip4/127.0.0.1/tcp/0")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "warning: the variable CAIRN_LISTN is of no effect; did you mean CAIRN_LISTEN?") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestHangup: a hang-up is for the configuration where somebody takes it, unless it tells of the end of the terminal.
func TestHangup(t *testing.T) {
	ctx, s := newSignals(func(int) {})
	stays, gone := func() bool { return false }, func() bool { return true }
	if s.hangup(stays) {
		t.Error("a hang-up that nobody takes was taken")
	}
	hung := s.hangups()
	for range 3 { // the second and third are one with the first
		if !s.hangup(stays) {
			t.Error("a hang-up was not taken")
		}
	}
	<-hung
	select {
	case <-hung:
		t.Error("hang-ups pile up")
	default:
	}
	if s.hangup(gone) {
		t.Error("the end of the terminal was taken for a reload")
	}
	if s.deliver(); ctx.Err() == nil {
		t.Error("the process does not end")
	}
}
