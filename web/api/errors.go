package api

import "fmt"

// Code names a kind of failure; scripts branch on it. HTTP status (package web) and exit code (cmd/cairn) follow
// from it, each by one table.
type Code string

// The codes, with the exit code of the command each becomes.
const (
	CodeFailed       Code = "failed"        // 1: anything else
	CodeUsage        Code = "usage"         // 2: the request makes no sense
	CodeNotFound     Code = "not_found"     // 3
	CodeNotPermitted Code = "not_permitted" // 4
	CodeIntegrity    Code = "integrity"     // 5: bytes do not match their CID
	CodeUnavailable  Code = "unavailable"   // 6: unreachable, timeout, version mismatch
	CodeNoSpace      Code = "no_space"      // 7
	CodeNoHome       Code = "no_home"       // 10: no data directory
	CodeLocked       Code = "locked"        // 11: another peer runs on it
	CodeWrongKey     Code = "wrong_key"     // 12
	CodeCancelled    Code = "cancelled"     // 1: the user or the other side stopped it
	CodeConflict     Code = "conflict"      // 1: e.g. the target exists
	CodeTooMany      Code = "too_many"      // 6: rate or concurrency limit
	CodeHandover     Code = "handover"      // 6: the peer ends; the next one of this home can be asked
)

// Error is a failure in words for a user: one line that names the thing and says why, and a hint that says what
// to do. It never holds a stack trace, a chain of internal errors or a secret.
type Error struct {
	Code      Code   `json:"code"`
	Message   string `json:"message"`
	Hint      string `json:"hint,omitempty"`
	RequestID string `json:"request_id,omitempty"`

	cause error // for the log only
}

func (e *Error) Error() string { return e.Message }

// Unwrap returns what Because was told.
func (e *Error) Unwrap() error { return e.cause }

// Because returns e with the error behind it, which the log gets and no user.
func (e *Error) Because(err error) *Error {
	e.cause = err
	return e
}

// Errorf makes an Error without a hint.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// WithHint returns e with a hint.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}
