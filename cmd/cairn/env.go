package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/term"

	"cairn/web/api"
)

// env is what every command works with: the global flags, the three streams and the way to a peer.
type env struct {
	home      string // absolute once a command runs
	json      bool
	quiet     bool
	logLevel  string
	logFormat string
	// passphraseFD is where the passphrase of the keys comes from; passphrase what it is once it was asked for, typed if a person
	// typed it; nextPass the one to come.
	passphraseFD descriptor
	passphrase   []byte
	typed        bool
	nextPass     []byte
	elsewhere    elsewhere
	started      bool // the command line was understood; errors are no longer the parser's

	stdin     io.Reader
	stdout    io.Writer
	stderr    *console
	stdoutTTY bool
	stderrTTY bool

	sig   *signals
	doors doors
}

func newEnv(stdin io.Reader, stdout, stderr io.Writer, sig *signals) *env {
	return &env{
		stdin: stdin, stdout: stdout, stderr: &console{w: stderr},
		stdoutTTY: isTerminal(stdout), stderrTTY: isTerminal(stderr),
		sig: sig, doors: realDoors(),
	}
}

func isTerminal(v any) bool {
	f, ok := v.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// line prints one JSON object on stdout.
func (e *env) line(v any) error {
	enc := json.NewEncoder(e.stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// eachLine prints every element of all as a line of its own.
func eachLine[T any](e *env, all []T) error {
	for _, x := range all {
		if err := e.line(x); err != nil {
			return err
		}
	}
	return nil
}

// printf prints on stdout.
func (e *env) printf(format string, args ...any) error {
	_, err := fmt.Fprintf(e.stdout, format, args...)
	return err
}

// note tells a person something on stderr. Scripts that asked for JSON or quiet do not get it.
func (e *env) note(format string, args ...any) {
	if !e.quiet && !e.json {
		fmt.Fprintf(e.stderr, format+"\n", args...)
	}
}

// warn tells of something that does not stop the work. --quiet does not hide it.
func (e *env) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if e.json {
		_ = e.line(warningEvent{Event: "warning", Warning: api.Warning{Message: text}})
		return
	}
	fmt.Fprintf(e.stderr, "warning: %s\n", clean(text))
}

type warningEvent struct {
	Event string `json:"event"`
	api.Warning
}

// absolute makes a path absolute without asking whether anything is there: the peer reports that.
func absolute(path string) (string, error) {
	if path == "" {
		return "", usagef("an empty path names nothing")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("find the working directory: %w", err)
	}
	return abs, nil
}

// console is stderr. While a progress bar is drawn, other lines go above it.
type console struct {
	mu  sync.Mutex
	w   io.Writer
	bar io.Writer // nil: none is drawn
}

// Write is safe for concurrent use: the log of a peer in this process writes here too.
func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bar != nil {
		if n, err := c.bar.Write(p); err == nil {
			return n, nil
		}
	}
	return c.w.Write(p)
}

func (c *console) setBar(w io.Writer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bar = w
}
