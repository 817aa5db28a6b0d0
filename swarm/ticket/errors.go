package ticket

import (
	"errors"
	"fmt"
)

// Conditions that callers branch on. A *ParseError wraps one of them.
var (
	// ErrNotTicket: the text does not begin as a ticket does.
	ErrNotTicket = errors.New("this is not a ticket")
	// ErrNewer: the ticket was made by a newer version.
	ErrNewer = errors.New("the ticket was made by a newer version of cairn")
	// ErrTruncated: the end, or something in the middle, is missing.
	ErrTruncated = errors.New("the ticket is incomplete")
	// ErrChecksum: a character is wrong.
	ErrChecksum = errors.New("the ticket's checksum does not match")
	// ErrMalformed: a character that no ticket has, something after its end, or content out of limits.
	ErrMalformed = errors.New("the ticket is malformed")

	// ErrInvalid: a Ticket that can not be encoded because a field is out of limits.
	ErrInvalid = errors.New("invalid ticket")

	errNotMarshalled = errors.New("tickets hold a secret; use Encode")
)

// ParseError says why and where a text is not a ticket.
type ParseError struct {
	// Pos is the first wrong character of the text as it was given, counted in characters from 1; 0 if the
	// fault has no place.
	Pos    int
	Reason string // one sentence without the position
	Err    error  // one of the sentinels above
}

func (e *ParseError) Error() string {
	if e.Pos > 0 {
		return fmt.Sprintf("parse ticket: %s (character %d)", e.Reason, e.Pos)
	}
	return "parse ticket: " + e.Reason
}

func (e *ParseError) Unwrap() error { return e.Err }
