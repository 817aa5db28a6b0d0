package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

const maxTyped = 4096 // bytes of a secret that somebody types or pipes

// askSecret reads what must not be seen: from the terminal without echo, or from stdin where there is none or piped is set.
func (e *env) askSecret(piped bool, what string) ([]byte, error) {
	f, ok := e.stdin.(*os.File)
	if !piped && ok && e.stdinTTY() {
		fmt.Fprintf(e.stderr, "%s: ", clean(what))
		b, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(e.stderr)
		if err != nil {
			return nil, fmt.Errorf("read from the terminal: %w", err)
		}
		return bytes.TrimSpace(b), nil
	}
	b, err := io.ReadAll(io.LimitReader(e.stdin, maxTyped+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxTyped {
		return nil, usagef("%s: too long", what)
	}
	if len(bytes.TrimSpace(b)) == 0 {
		return nil, usagef("%s: nothing was given", what).WithHint("type it on a terminal, or pipe it to stdin")
	}
	return bytes.TrimSpace(b), nil
}

// newPassphrase asks for a new one, twice on a terminal.
func (e *env) newPassphrase(what string) ([]byte, error) {
	first, err := e.askSecret(false, what)
	if err != nil {
		return nil, err
	}
	if strings.TrimSpace(string(first)) == "" {
		return nil, usagef("%s: nothing was given", what)
	}
	if !e.stdinTTY() {
		return first, nil
	}
	again, err := e.askSecret(false, what+", again")
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(first, again) {
		return nil, usagef("the two are not the same").WithHint("nothing was done; run the command again")
	}
	return first, nil
}
