package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/term"

	"cairn/web/api"
)

const (
	maxPassphrase   = 1024 // bytes; the API's bound
	passphraseTries = 3    // on a terminal
	// credentialName is the systemd credential that holds the passphrase (LoadCredential=, LoadCredentialEncrypted=).
	credentialName = "cairn.passphrase"
)

// descriptor is a flag that names an open file descriptor to read one line from.
type descriptor struct {
	n     int
	given bool
	read  bool
}

func (d *descriptor) Type() string { return "N" }

func (d *descriptor) String() string {
	if !d.given {
		return ""
	}
	return strconv.Itoa(d.n)
}

func (d *descriptor) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > 1<<16 || n == 1 || n == 2 {
		return usagef("not a file descriptor that can be read").WithHint("such as 3, with 3<FILE at the end of the command line; 0 is stdin")
	}
	d.n, d.given = n, true
	return nil
}

// line reads one line, byte by byte because what follows may be for somebody else, and closes the descriptor. It can be asked once.
func (d *descriptor) line() ([]byte, error) {
	if d.read {
		return nil, usagef("the passphrase from descriptor %d was read already", d.n)
	}
	d.read = true
	f := os.NewFile(uintptr(d.n), "descriptor "+d.String())
	if f == nil {
		return nil, usagef("there is no descriptor %d", d.n)
	}
	defer f.Close()
	out := make([]byte, 0, maxPassphrase+2)
	for len(out) < cap(out) {
		n, err := f.Read(out[len(out) : len(out)+1])
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, usagef("a passphrase cannot be read from descriptor %d", d.n).WithHint("open it for the command: cairn ... --passphrase-fd 3 3<FILE")
		}
		if out = out[:len(out)+n]; n == 1 && out[len(out)-1] == '\n' {
			break
		}
	}
	return checkedPassphrase(out, "descriptor "+d.String())
}

// checkedPassphrase takes the end of the line off and refuses what is no passphrase.
func checkedPassphrase(line []byte, from string) ([]byte, error) {
	line = bytes.TrimSuffix(line, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	switch {
	case len(line) == 0:
		return nil, usagef("the passphrase from %s is empty", from)
	case len(line) > maxPassphrase:
		return nil, usagef("the passphrase from %s is longer than %d bytes", from, maxPassphrase)
	case bytes.ContainsAny(line, "\n\x00"):
		return nil, usagef("the passphrase from %s is more than one line", from)
	}
	return line, nil
}

// refuseEnvironment: other programs of the user can read a process's environment, and it is inherited.
func refuseEnvironment() error {
	if _, ok := os.LookupEnv("CAIRN_PASSPHRASE"); !ok {
		return nil
	}
	return usagef("CAIRN_PASSPHRASE is set, but cairn takes no passphrase from the environment, where other programs can read it").
		WithHint("unset it; use --passphrase-fd N or the systemd credential %s", credentialName)
}

// givenPassphrase is the one from --passphrase-fd or systemd; nil: there is none. It is read once and remembered.
func (e *env) givenPassphrase() ([]byte, error) {
	if e.passphrase != nil {
		return bytes.Clone(e.passphrase), nil
	}
	var err error
	switch dir := os.Getenv("CREDENTIALS_DIRECTORY"); {
	case e.passphraseFD.given:
		e.passphrase, err = e.passphraseFD.line()
	case dir != "":
		e.passphrase, err = credential(filepath.Join(dir, credentialName))
	}
	return bytes.Clone(e.passphrase), err
}

func credential(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxPassphrase+3))
	if err != nil {
		return nil, err
	}
	return checkedPassphrase(b, path)
}

// unlock answers a peer that asks for the passphrase of its keys (node.Config.Passphrase): what was given, else what is typed.
func (e *env) unlock(ctx context.Context) func(attempt int) ([]byte, error) {
	return func(attempt int) ([]byte, error) {
		given, err := e.givenPassphrase()
		if err != nil {
			return nil, err
		}
		switch {
		case given != nil && attempt > 1 && !e.typed:
			return nil, nil // it was wrong, and there is no other
		case given != nil && attempt <= 1:
			return given, nil
		case attempt == 0:
			return nil, nil // new keys are under a passphrase only where one was given
		}
		p, err := e.prompt(ctx, "Passphrase of the keys in "+e.home, attempt)
		if p != nil {
			e.passphrase, e.typed = bytes.Clone(p), true
		}
		return p, err
	}
}

// presentPassphrase is the one that the keys of a running peer are under: what was given or typed before, else what is typed now.
func (e *env) presentPassphrase(ctx context.Context, attempt int) ([]byte, error) {
	p, err := e.unlock(ctx)(attempt)
	if err == nil && p == nil {
		if attempt > 1 {
			return nil, api.Errorf(api.CodeWrongKey, "the passphrase is wrong").WithHint("nothing was changed; try again with the right one")
		}
		err = errNoTerminal("the passphrase of the keys", "--passphrase-fd N")
	}
	return p, err
}

func errNoTerminal(what, instead string) error {
	return api.Errorf(api.CodeWrongKey, "%s is needed, and there is no terminal to ask for it", what).WithHint("give it with %s", instead)
}

// newPassphrase asks twice for a passphrase that is being set. nil: there is no terminal.
func (e *env) newPassphrase(ctx context.Context, what string) ([]byte, error) {
	for {
		first, err := e.prompt(ctx, what, 1)
		if first == nil || err != nil {
			return nil, err
		}
		if len(first) == 0 {
			return nil, usagef("an empty passphrase protects nothing").WithHint("`cairn key passwd --remove` takes a passphrase away")
		}
		if same, err := e.repeated(ctx, first); same || err != nil {
			return first, err
		}
	}
}

// repeated asks for a new passphrase once more and tells whether it is the same.
func (e *env) repeated(ctx context.Context, first []byte) (bool, error) {
	again, err := e.prompt(ctx, "The same again", 1)
	if err != nil {
		return false, err
	}
	defer clear(again)
	if !bytes.Equal(first, again) {
		fmt.Fprintln(e.stderr, "The two differ.")
		return false, nil
	}
	return true, nil
}

// prompt asks on the terminal, without echo. nil and no error: there is no terminal, or no more tries.
func (e *env) prompt(ctx context.Context, what string, attempt int) ([]byte, error) {
	if !e.stderrTTY || attempt > passphraseTries {
		return nil, nil // nobody would see the question
	}
	tty, closeTTY := e.terminal()
	if tty == nil {
		return nil, nil
	}
	defer closeTTY()
	if attempt > 1 {
		fmt.Fprintln(e.stderr, "That is not it.")
	}
	restore := hush(int(tty.Fd()))
	defer restore()
	fmt.Fprintf(e.stderr, "%s: ", clean(what))
	line, err := readSecret(ctx, int(tty.Fd()))
	fmt.Fprintln(e.stderr)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read from the terminal: %w", err)
	case len(line) > maxPassphrase:
		return nil, usagef("a passphrase has at most %d bytes", maxPassphrase)
	}
	if line == nil {
		line = []byte{}
	}
	return line, nil
}

// terminal is where to read a secret from: the terminal of the process even when stdin is something else.
func (e *env) terminal() (*os.File, func()) {
	if f, err := os.OpenFile(terminalName, os.O_RDWR, 0); err == nil {
		if term.IsTerminal(int(f.Fd())) {
			return f, func() { f.Close() }
		}
		f.Close()
	}
	if f, ok := e.stdin.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return f, func() {}
	}
	return nil, nil
}

// readSecret reads a line without echo. When ctx ends first the terminal is put back as it was; the read then goes on until
// the process ends, which it is about to.
func readSecret(ctx context.Context, fd int) ([]byte, error) {
	before, err := term.GetState(fd)
	if err != nil {
		return nil, err
	}
	type answer struct {
		line []byte
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		line, err := term.ReadPassword(fd)
		got <- answer{line, err}
	}()
	select {
	case a := <-got:
		return a.line, a.err
	case <-ctx.Done():
		return nil, errors.Join(context.Cause(ctx), term.Restore(fd, before))
	}
}
