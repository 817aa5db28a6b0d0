//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// process is a command line that runs on its own, as in another terminal.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines *bufio.Scanner
	err   *bytes.Buffer
}

func (p place) begin(t *testing.T, args ...string) *process {
	t.Helper()
	return p.beginCommand(t, p.command(t, args...))
}

func (p place) beginCommand(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	k := &process{t: t, cmd: cmd, lines: bufio.NewScanner(out), err: new(bytes.Buffer)}
	cmd.Stderr = k.err
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return k
}

// event reads JSON lines up to the first of this kind.
func (k *process) event(kind string) map[string]any {
	k.t.Helper()
	for k.lines.Scan() {
		var v map[string]any
		if err := json.Unmarshal(k.lines.Bytes(), &v); err != nil {
			k.t.Fatalf("stdout is not JSON: %s", k.lines.Text())
		}
		if v["event"] == kind {
			return v
		}
	}
	_ = k.cmd.Wait()
	k.t.Fatalf("ended without the event %q: %s", kind, k.err)
	return nil
}

// end sends a signal and returns the exit code.
func (k *process) end(s os.Signal) int {
	k.t.Helper()
	if err := k.cmd.Process.Signal(s); err != nil {
		k.t.Fatal(err)
	}
	return k.wait()
}

func (k *process) wait() int {
	for k.lines.Scan() {
	}
	_ = k.cmd.Wait()
	return k.cmd.ProcessState.ExitCode()
}

// at is a place with the same files and another data directory.
func (p place) at(t *testing.T, home string, args ...string) result {
	t.Helper()
	return p.run(t, "", append([]string{"--home", filepath.Join(p.dir, home)}, args...)...)
}

func (p place) file(t *testing.T, name string, size int) []byte {
	t.Helper()
	b := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
	if err := os.WriteFile(filepath.Join(p.dir, name), b, 0o644); err != nil {
		t.Fatal(err)
	}
	return b
}

func (p place) want(t *testing.T, name string, content []byte) {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(p.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, content) {
		t.Errorf("%s: %d bytes that differ from the %d shared", name, len(got), len(content))
	}
}

// The tour of a new user: share here, get there, up takes the share over, and all of it ends when told.
func TestTour(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	content := p.file(t, "big.bin", 5<<20+7)
	sharing := p.begin(t, "share", "--json", "big.bin")
	shared := sharing.event("shared")
	ticket, _ := shared["ticket"].(string)
	if err := os.WriteFile(filepath.Join(p.dir, "ticket"), []byte(" "+ticket[:20]+"\n"+strings.ToUpper(ticket[20:])), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := p.at(t, "other", "get", "@ticket", "-o", "one.bin", "--json"); r.code != 0 || !strings.Contains(r.out, `"event":"result"`) {
		t.Fatalf("get: %+v", r)
	}
	p.want(t, "one.bin", content)
	for u := sharing.event("update"); u["downloads"] != 1.0; u = sharing.event("update") {
		if u["ticket"] != ticket || u["uploaded_bytes"] == nil || u["peers"] == nil {
			t.Fatalf("update without what it must carry: %v", u)
		}
	}
	if r := p.at(t, "third", "cat", "@ticket", "--range", "16-31"); r.code != 0 || r.out != "0123456789abcdef" {
		t.Errorf("cat: %+v", r)
	}

	peer := p.begin(t, "up", "--json", "--http", "127.0.0.1:0", "--log-level", "error")
	ready := peer.event("ready")
	if ready["peer_id"] == "" || !strings.HasPrefix(ready["http"].(string), "http://127.0.0.1:") {
		t.Errorf("ready: %v", ready)
	}
	if r := p.at(t, "other", "get", "@ticket", "-o", "two.bin", "-q"); r.code != 0 || r.out != "" || r.err != "" {
		t.Errorf("get from up: %+v", r)
	}
	p.want(t, "two.bin", content)
	if r := p.run(t, "", "up"); r.code != 11 || r.out != "" || !strings.Contains(r.err, "process "+strconv.Itoa(peer.cmd.Process.Pid)) {
		t.Errorf("a second up: %+v", r)
	}
	if r := p.run(t, "", "login", "--json"); r.code != 0 || !strings.Contains(r.out, "#login=") {
		t.Errorf("login: %+v", r)
	}
	if r := p.run(t, "", "share", "big.bin"); r.code != 0 || strings.Count(r.out, "\n") != 1 || !strings.HasPrefix(r.out, "cairn1") {
		t.Errorf("share at up: %+v", r)
	}
	if c := sharing.end(os.Interrupt); c != 0 {
		t.Errorf("share ended with %d: %s", c, sharing.err)
	}
	if r := p.run(t, "", "unshare", "big.bin", "--json"); r.code != 0 || !strings.Contains(r.out, `"state":"revoked"`) {
		t.Errorf("unshare: %+v", r)
	}
	if r := p.at(t, "other", "get", "@ticket", "-o", "three.bin"); r.code == 0 || r.out != "" {
		t.Errorf("get with a revoked ticket: %+v", r)
	}
	began := time.Now()
	if c := peer.end(syscall.SIGTERM); c != 0 || time.Since(began) > 10*time.Second {
		t.Errorf("up ended with %d after %s: %s", c, time.Since(began), peer.err)
	}
}

// The peer of two shares is killed: the other one becomes the peer and its ticket works on.
func TestGuestSurvivesItsHost(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	content := p.file(t, "a.bin", 3<<20)
	host := p.begin(t, "share", "--json", "a.bin")
	host.event("shared")
	guest := p.begin(t, "share", "--json", "a.bin", "--downloads", "1")
	ticket, _ := guest.event("shared")["ticket"].(string)
	guest.event("update") // a watch begins with one
	if r := p.run(t, "", "ls"); r.code != 0 || !strings.Contains(r.out, "a.bin") {
		t.Fatalf("ls beside two shares: %+v", r)
	}
	host.end(os.Kill)
	guest.event("update") // of the peer that it has become
	if r := p.run(t, ticket, "--home", filepath.Join(p.dir, "other"), "get", "-", "-o", "b.bin"); r.code != 0 {
		t.Fatalf("get from the guest: %+v\nguest: %s", r, guest.err)
	}
	p.want(t, "b.bin", content)
	if end := guest.event("end"); end["reason"] != "used" {
		t.Errorf("the share of one download ended with %v", end)
	}
	if c := guest.wait(); c != 0 {
		t.Errorf("guest ended with %d: %s", c, guest.err)
	}
}

// The peer that took a share over ends: the share serves by itself again.
func TestShareTakesBack(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	content := p.file(t, "a.bin", 2<<20)
	sharing := p.begin(t, "share", "--json", "a.bin", "--downloads", "1")
	ticket, _ := sharing.event("shared")["ticket"].(string)
	sharing.event("update")
	peer := p.begin(t, "up", "--json", "--http", "off")
	peer.event("ready")
	sharing.event("update")
	if c := peer.end(syscall.SIGTERM); c != 0 {
		t.Errorf("up ended with %d: %s", c, peer.err)
	}
	sharing.event("update")
	if r := p.run(t, ticket, "--home", filepath.Join(p.dir, "other"), "get", "-", "-o", "b.bin"); r.code != 0 {
		t.Fatalf("get: %+v", r)
	}
	p.want(t, "b.bin", content)
	if c := sharing.wait(); c != 0 {
		t.Errorf("share ended with %d: %s", c, sharing.err)
	}
}

// A peer that is stopped in its tracks still holds the home: the second one says so and names it.
func TestStoppedPeer(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	peer := p.begin(t, "up", "--json", "--http", "off")
	peer.event("ready")
	if err := peer.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	number := "process " + strconv.Itoa(peer.cmd.Process.Pid)
	if r := p.run(t, "", "ls"); r.code != 11 || !strings.Contains(r.err, number) {
		t.Errorf("ls: %+v", r)
	}
	if err := peer.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if c := peer.end(os.Interrupt); c != 0 {
		t.Errorf("up ended with %d: %s", c, peer.err)
	}
}

// A reader that goes away is no failure, and leaves no peer behind.
func TestBrokenPipe(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.file(t, "a.bin", 8<<20)
	cid := strings.TrimSpace(p.run(t, "", "-q", "add", "a.bin").out)
	cmd := p.command(t, "cat", cid)
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	out.Close()
	if err := cmd.Wait(); err != nil || errOut.Len() > 0 {
		t.Errorf("cat | head: %v, %s", err, &errOut)
	}
}
