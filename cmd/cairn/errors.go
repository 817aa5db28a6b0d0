package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"cairn/web/api"
)

// errQuiet ends a command without a word and with exit code 0: the reader of its output has gone away.
var errQuiet = errors.New("the reader of the output is gone")

// errReported ends a command whose failure is already on the screen.
type errReported struct{ code api.Code }

func (e errReported) Error() string { return string(e.code) }

// report prints err, if any, and returns the exit code.
func (e *env) report(err error) int {
	var done errReported
	switch {
	case err == nil, errors.Is(err, errQuiet), isBrokenPipe(err):
		return 0
	case errors.As(err, &done):
		return exitCode(done.code)
	}
	x := explain(err)
	if !e.started && x.Code == api.CodeFailed {
		x.Code = api.CodeUsage // refused by the parser of the command line
	}
	if e.json {
		// The text is JSON: its encoder escapes control characters.
		b, _ := json.Marshal(map[string]*api.Error{"error": x})
		fmt.Fprintf(e.stderr, "%s\n", b)
		return exitCode(x.Code)
	}
	fmt.Fprintf(e.stderr, "cairn: %s\n", clean(x.Message))
	if x.Hint != "" {
		fmt.Fprintf(e.stderr, "  hint: %s\n", clean(x.Hint))
	}
	if x.RequestID != "" && x.Code == api.CodeFailed {
		fmt.Fprintf(e.stderr, "  request: %s\n", clean(x.RequestID))
	}
	return exitCode(x.Code)
}

// explain makes a failure of any origin one that is fit for a user. A peer's own words come first.
func explain(err error) *api.Error {
	var x *api.Error
	if errors.As(err, &x) {
		return x
	}
	var path *fs.PathError
	what := err.Error()
	if errors.As(err, &path) {
		what = fmt.Sprintf("%s: %s", path.Path, plainReason(path.Err))
	}
	switch {
	case errors.Is(err, errInterrupted), errors.Is(err, context.Canceled):
		return api.Errorf(api.CodeCancelled, "interrupted")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return api.Errorf(api.CodeUnavailable, "%s", "the peer did not answer in time")
	case errors.Is(err, errGone):
		return api.Errorf(api.CodeUnavailable, "the peer ended before it answered").
			WithHint("run the command again")
	case errors.Is(err, errLocked):
		return api.Errorf(api.CodeLocked, "the data directory is in use by a process that does not answer").
			WithHint("wait or end that process, or choose another directory with --home")
	case errors.Is(err, fs.ErrNotExist):
		return api.Errorf(api.CodeNotFound, "%s", what)
	case errors.Is(err, fs.ErrPermission):
		return api.Errorf(api.CodeNotPermitted, "%s", what)
	case errors.Is(err, fs.ErrExist):
		return api.Errorf(api.CodeConflict, "%s", what)
	case isDiskFull(err):
		return api.Errorf(api.CodeNoSpace, "%s", what).WithHint("free some space and run the command again")
	}
	return api.Errorf(api.CodeFailed, "%s", what)
}

// plainReason puts the common failures of a file system in the words used elsewhere.
func plainReason(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "no such file or directory"
	case errors.Is(err, fs.ErrPermission):
		return "not permitted"
	case errors.Is(err, fs.ErrExist):
		return "is already there"
	}
	return err.Error()
}

// usagef is a mistake in the command line.
func usagef(format string, args ...any) *api.Error {
	return api.Errorf(api.CodeUsage, format, args...)
}
