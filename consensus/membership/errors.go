package membership

import (
	"errors"
	"fmt"
)

// Conditions that callers branch on. Errors of this package wrap one of them and say in plain words what is wrong.
var (
	ErrMalformed = errors.New("malformed")                    // bytes that are no document or invite, or terms out of limits
	ErrNewer     = errors.New("of a newer version")           // a form that this version does not know
	ErrAltered   = errors.New("altered")                      // checksum or signature is wrong
	ErrForeign   = errors.New("of another network")           // another root
	ErrAuthority = errors.New("not backed by the network")    // no chain up to the root, or more rights than its signer has
	ErrExpired   = errors.New("expired")                      //
	ErrEarly     = errors.New("from the future")              // issued more than MaxSkew ahead of now: a clock is wrong
	ErrRevoked   = errors.New("revoked")                      //
	ErrUsed      = errors.New("used up")                      // an invite redeemed as often as it allows
	ErrNotFor    = errors.New("made for another peer")        // an invite bound to another peer id
	ErrUnknown   = errors.New("not a member")                 // no certificate of this peer
	ErrFull      = errors.New("the network has no more room") // MaxMembers or MaxDocs
)

// errNotMarshalled: see Invite.MarshalText.
var errNotMarshalled = errors.New("invites hold a secret; use Encode")

// fault is an error in plain words that is one of the conditions above: the words already say what the condition
// says, so it is not repeated in the text.
type fault struct {
	text string
	kind error
}

func (f *fault) Error() string { return f.text }
func (f *fault) Unwrap() error { return f.kind }

func faultf(kind error, format string, args ...any) error {
	return &fault{fmt.Sprintf(format, args...), kind}
}

// ParseError says what is wrong with an invite's text, and where.
type ParseError struct {
	Reason string // one sentence without the position
	Pos    int    // of the character, from 1; 0: none in particular
	Err    error  // one of the conditions above
}

func (e *ParseError) Error() string {
	if e.Pos > 0 {
		return fmt.Sprintf("%s (character %d)", e.Reason, e.Pos)
	}
	return e.Reason
}

func (e *ParseError) Unwrap() error { return e.Err }
