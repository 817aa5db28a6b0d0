package api

import (
	"context"
	"errors"
	"net/http"
)

// HTTPStatus is the one table from code to HTTP status. Conditions of HTTP itself (413, 415, 405, 401, ...) are
// [Fault] values that carry their own.
func HTTPStatus(c Code) int {
	switch c {
	case CodeUsage:
		return http.StatusUnprocessableEntity
	case CodeNotFound:
		return http.StatusNotFound
	case CodeNotPermitted:
		return http.StatusForbidden
	case CodeUnavailable, CodeHandover:
		return http.StatusServiceUnavailable
	case CodeNoSpace:
		return http.StatusInsufficientStorage
	case CodeNoHome, CodeLocked, CodeWrongKey, CodeConflict:
		return http.StatusConflict
	case CodeCancelled:
		return 499 // as nginx has it: the request was given up
	case CodeTooMany:
		return http.StatusTooManyRequests
	case CodeFailed, CodeIntegrity:
	}
	return http.StatusInternalServerError
}

// codeOf is the way back, for failures that begin as a status (those of the HTTP and OpenAPI machinery).
func codeOf(status int) Code {
	switch {
	case status == http.StatusNotFound:
		return CodeNotFound
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return CodeNotPermitted
	case status == http.StatusTooManyRequests:
		return CodeTooMany
	case status == http.StatusRequestTimeout, status == http.StatusServiceUnavailable:
		return CodeUnavailable
	case status >= 400 && status < 500:
		return CodeUsage
	}
	return CodeFailed
}

// Fault is an Error with the HTTP status it is answered with. It is its own response body.
type Fault struct {
	Status int
	Err    *Error
}

// NewFault makes a Fault; its code follows from the status.
func NewFault(status int, format string, args ...any) *Fault {
	return &Fault{Status: status, Err: Errorf(codeOf(status), format, args...)}
}

// WithHint returns f with a hint.
func (f *Fault) WithHint(format string, args ...any) *Fault {
	f.Err = f.Err.WithHint(format, args...)
	return f
}

func (f *Fault) Error() string { return f.Err.Message }

// GetStatus is what huma asks of an error.
func (f *Fault) GetStatus() int { return f.Status }

// Unwrap lets errors.As find the Error.
func (f *Fault) Unwrap() error { return f.Err }

// FaultOf turns any error into words for a user. The text of an error that is not an *Error stays inside: it may
// be a chain of internals, so the user gets the request id to find it in the log.
func FaultOf(ctx context.Context, err error) *Fault {
	if f, ok := errors.AsType[*Fault](err); ok {
		return f
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return &Fault{Status: HTTPStatus(e.Code), Err: e}
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return &Fault{http.StatusServiceUnavailable, Errorf(CodeUnavailable, "the peer took too long")}
	case errors.Is(err, context.Canceled):
		return &Fault{HTTPStatus(CodeCancelled), Errorf(CodeCancelled, "the request was cancelled")}
	}
	e := Errorf(CodeFailed, "the peer failed to do this")
	return &Fault{HTTPStatus(CodeFailed), e.WithHint("the peer's log says more; look for the request id")}
}

// Body is what goes over the wire, with the request id of ctx.
func (f *Fault) Body(ctx context.Context) ErrorBody {
	e := *f.Err
	e.Message, e.Hint = printable(e.Message), printable(e.Hint)
	if e.RequestID == "" {
		e.RequestID = CallerOf(ctx).RequestID
	}
	return ErrorBody{Error: e}
}
