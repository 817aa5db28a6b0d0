package testnet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Home is a data directory and the binary that works on it.
type Home struct {
	Binary string
	Dir    string   // made by the binary when it is first used
	Env    []string // added to the environment of every process
	Prefix []string // a command that runs the binary, such as setpriv and its flags; usually none
	Stdin  string   // what each process reads there; "": nothing

	// Passphrase opens the home's keys, FilePassphrase the file that a command is about: each process reads them from
	// descriptors. "": there is none.
	Passphrase, FilePassphrase string
}

// Saying is the home whose processes read a text from stdin.
func (h Home) Saying(text string) Home { h.Stdin = text; return h }

// Inside is the home on a machine with a network of its own: prefix is the command that enters it (see package lab).
// Its peer listens on every address there, by TCP and QUIC, in the place of loopback.
func (h Home) Inside(prefix []string) Home {
	h.Prefix = slices.Concat(h.Prefix, prefix)
	const all = "/ip4/0.0.0.0/tcp/0,/ip4/0.0.0.0/udp/0/quic-v1"
	h.Env = append(slices.Clone(h.Env), "CAIRN_LISTEN="+all, "CAIRN_MEMBER_LISTEN="+all)
	return h
}

// Result is how a command ended.
type Result struct {
	Args   []string
	Stdout string
	Stderr string
	Code   int // exit code; -1: killed by a signal or never started
	Took   time.Duration
}

// Value is stdout without the line break at its end: a ticket or a CID.
func (r Result) Value() string { return strings.TrimSuffix(r.Stdout, "\n") }

// String is what to show of a command that did not do what was expected.
func (r Result) String() string {
	return fmt.Sprintf("cairn %s: exit code %d after %v\nstdout: %s\nstderr: %s",
		strings.Join(r.Args, " "), r.Code, r.Took.Round(time.Millisecond), clip(r.Stdout), clip(r.Stderr))
}

func clip(s string) string {
	const most = 2000
	if len(s) > most {
		s = s[:most/2] + " ... " + s[len(s)-most/2:]
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r == unicode.ReplacementChar || r != '\n' && unicode.IsControl(r) }) {
		return strconv.Quote(s)
	}
	return s
}

// ErrorCode is the code in the error that the command printed because of --json; "" when there is none.
func (r Result) ErrorCode() string {
	var e struct {
		Error struct{ Code string }
	}
	for line := range strings.Lines(r.Stderr) {
		if json.Unmarshal([]byte(line), &e) == nil && e.Error.Code != "" {
			return e.Error.Code
		}
	}
	return ""
}

// command makes the process without starting it. What it is to read waits in pipes, so done must be called once it was
// started, or was not.
func (h Home) command(ctx context.Context, args []string) (cmd *exec.Cmd, done func(), err error) {
	line := slices.Concat(h.Prefix, []string{h.Binary}, args)
	var more []*os.File
	done = func() {
		for _, f := range more {
			f.Close()
		}
	}
	for _, secret := range []struct{ flag, text string }{{"--passphrase-fd", h.Passphrase}, {"--file-passphrase-fd", h.FilePassphrase}} {
		if secret.text == "" {
			continue
		}
		f, err := pipeOf(secret.text + "\n")
		if err != nil {
			done()
			return nil, nil, fmt.Errorf("hand over passphrase: %w", err)
		}
		more = append(more, f)
		line = append(line, secret.flag, strconv.Itoa(2+len(more))) // the first after stderr is 3
	}
	cmd = exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Env = append(cleanEnv(h.Dir), h.Env...)
	cmd.WaitDelay = 5 * time.Second
	cmd.ExtraFiles = more
	if h.Stdin != "" {
		cmd.Stdin = strings.NewReader(h.Stdin)
	}
	return cmd, done, nil
}

// pipeOf is the end of a pipe from which a short text is read.
func pipeOf(text string) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	_, err = w.WriteString(text) // fits what a pipe holds
	if err = errors.Join(err, w.Close()); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// Run carries out one command to its end, which ctx may force. A command that fails is no error of Run.
func (h Home) Run(ctx context.Context, args ...string) Result {
	var out, errs bytes.Buffer
	cmd, done, err := h.command(ctx, args)
	if err != nil {
		return Result{Args: args, Stderr: err.Error(), Code: -1}
	}
	defer done()
	cmd.Stdout, cmd.Stderr = &out, &errs
	began := time.Now()
	err = cmd.Run()
	r := Result{Args: args, Stdout: out.String(), Stderr: errs.String(), Took: time.Since(began), Code: -1}
	if cmd.ProcessState != nil {
		r.Code = cmd.ProcessState.ExitCode()
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		r.Stderr += "\n" + err.Error()
	}
	return r
}

// Login asks the running peer for a code that opens its dashboard and returns the URL to open.
func (h Home) Login(ctx context.Context) (string, error) {
	r := h.Run(ctx, "login", "--json")
	var l struct{ Code, URL string }
	if r.Code != 0 {
		return "", fmt.Errorf("log in: %s", r)
	}
	if err := json.Unmarshal([]byte(r.Stdout), &l); err != nil {
		return "", fmt.Errorf("log in: %w", err)
	}
	if l.Code != "" && !strings.Contains(l.URL, "#") {
		l.URL += "#login=" + l.Code
	}
	return l.URL, nil
}
