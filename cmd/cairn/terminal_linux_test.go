package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// screen is a command line at a terminal.
type screen struct {
	t    *testing.T
	cmd  *exec.Cmd
	tty  *os.File // our end
	peer *os.File // the terminal itself
	seen bytes.Buffer
}

// atTerminal starts a command line whose terminal the test reads and types at.
func (p place) atTerminal(t *testing.T, args ...string) *screen {
	t.Helper()
	tty, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Skip("no terminals here: ", err)
	}
	t.Cleanup(func() { tty.Close() })
	if err := unix.IoctlSetPointerInt(int(tty.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Skip("no terminals here: ", err)
	}
	n, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	peer, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no terminals here: ", err)
	}
	t.Cleanup(func() { peer.Close() })
	cmd := p.command(t, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = peer, peer, peer
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	// Fd() above made it blocking; deadlines need the other kind.
	if err := syscall.SetNonblock(int(tty.Fd()), true); err != nil {
		t.Fatal(err)
	}
	return &screen{t: t, cmd: cmd, tty: os.NewFile(dup(t, tty), "terminal"), peer: peer}
}

func dup(t *testing.T, f *os.File) uintptr {
	t.Helper()
	n, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		err = syscall.SetNonblock(n, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	return uintptr(n)
}

// waitFor reads the screen until text is on it, behind what was waited for before.
func (s *screen) waitFor(text string) {
	s.t.Helper()
	if err := s.tty.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		s.t.Fatal(err)
	}
	buf := make([]byte, 4096)
	for !strings.Contains(s.seen.String(), text) {
		n, err := s.tty.Read(buf)
		s.seen.Write(buf[:n])
		if err != nil {
			s.t.Fatalf("%q does not come: %v\n%s", text, err, s.seen.String())
		}
	}
	s.seen.Next(strings.Index(s.seen.String(), text) + len(text))
}

func (s *screen) type_(line string) {
	s.t.Helper()
	if _, err := io.WriteString(s.tty, line); err != nil {
		s.t.Fatal(err)
	}
}

// end waits for the exit and returns the code and what else is on the screen.
func (s *screen) end() (int, string) {
	s.t.Helper()
	s.peer.Close()
	_ = s.tty.SetReadDeadline(time.Now().Add(20 * time.Second))
	_, err := s.seen.ReadFrom(s.tty) // EIO is how a terminal ends
	if errors.Is(err, os.ErrDeadlineExceeded) {
		s.t.Fatalf("it does not end:\n%s", s.seen.String())
	}
	_ = s.cmd.Wait()
	return s.cmd.ProcessState.ExitCode(), s.seen.String()
}

// echoes tells whether the terminal shows what is typed.
func (s *screen) echoes() bool {
	s.t.Helper()
	a, err := unix.IoctlGetTermios(int(s.peer.Fd()), unix.TCGETS)
	if err != nil {
		s.t.Fatal(err)
	}
	return a.Lflag&unix.ECHO != 0
}

func TestPassphraseAtTerminal(t *testing.T) {
	p := newPlace(t)
	p.furnish(t)
	p.run(t, "", "add", "hello.txt").wantText(t, 0, "baf")

	s := p.atTerminal(t, "key", "passwd")
	s.waitFor("New passphrase: ")
	if s.echoes() {
		t.Error("the terminal shows what is typed")
	}
	s.type_(oldPass + "\n")
	s.waitFor("The same again: ")
	s.type_("something else\n")
	s.waitFor("The two differ.")
	s.waitFor("New passphrase: ")
	s.type_(oldPass + "\n")
	s.waitFor("The same again: ")
	s.type_(oldPass + "\n")
	if code, rest := s.end(); code != 0 || !strings.Contains(rest, "argon2id") || strings.Contains(rest, oldPass) {
		t.Errorf("exit %d: %s", code, rest)
	}

	s = p.atTerminal(t, "ls")
	for _, line := range []string{"wrong\n", "wrong too\n", oldPass + "\n"} {
		s.waitFor("Passphrase of the keys in " + p.dir + "/home: ")
		s.type_(line)
	}
	if code, rest := s.end(); code != 0 || !strings.Contains(rest, "hello.txt") || strings.Contains(rest, oldPass) {
		t.Errorf("exit %d: %s", code, rest)
	}

	s = p.atTerminal(t, "ls")
	for range 3 {
		s.waitFor("home: ")
		s.type_("wrong\n")
	}
	if code, rest := s.end(); code != 12 {
		t.Errorf("exit %d: %s", code, rest)
	}

	// Ctrl-C at the question gives the terminal back as it was.
	s = p.atTerminal(t, "ls")
	s.waitFor("home: ")
	s.type_("half\x03")
	for began := time.Now(); !s.echoes(); {
		if time.Since(began) > 10*time.Second {
			t.Fatal("the terminal does not show any more what is typed")
		}
	}
	if code, rest := s.end(); code != 1 || !strings.Contains(rest, "interrupted") {
		t.Errorf("exit %d: %s", code, rest)
	}

	// Changing it asks for the present one once, although this command opened the keys with it, and for the new one twice.
	s = p.atTerminal(t, "key", "passwd")
	s.waitFor("home: ")
	s.type_(oldPass + "\n")
	for _, q := range []string{"New passphrase: ", "The same again: "} {
		s.waitFor(q)
		s.type_(newPass + "\n")
	}
	if code, rest := s.end(); code != 0 {
		t.Errorf("exit %d: %s", code, rest)
	}
	p.secretly(t, nil, []string{newPass}, "--passphrase-fd", "3", "ls").wantText(t, 0, "hello.txt")

	// Restored keys can be put under a passphrase at once.
	p.secretly(t, nil, []string{newPass, "of the backup"}, "--passphrase-fd", "3", "key", "backup", "b.age", "--file-passphrase-fd", "4").
		wantText(t, 0, "identity")
	if err := os.Remove(p.dir + "/home/keys"); err != nil {
		t.Fatal(err)
	}
	s = p.atTerminal(t, "key", "restore", "b.age")
	s.waitFor("Passphrase of the backup b.age: ")
	s.type_("of the backup\n")
	for _, q := range []string{"(empty: none): ", "The same again: "} {
		s.waitFor(q)
		s.type_(oldPass + "\n")
	}
	if code, rest := s.end(); code != 0 || strings.Contains(rest, "under no passphrase") {
		t.Errorf("exit %d: %s", code, rest)
	}
	p.secretly(t, nil, []string{oldPass}, "--passphrase-fd", "3", "ls").wantText(t, 0, "hello.txt")
}
