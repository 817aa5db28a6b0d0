package ticket

import (
	"errors"
	"fmt"
	"strings"
)

// Parse reads a ticket's text. It forgives what pasting does: letters of either case, white space and line
// breaks anywhere, invisible characters. Errors are *ParseError wrapping ErrNotTicket, ErrNewer, ErrTruncated,
// ErrChecksum or ErrMalformed. It does not look at the expiry.
func Parse(text string) (Ticket, error) {
	in, bad := strip(text)
	if len(in.c) == 0 {
		return Ticket{}, &ParseError{Reason: "the text is empty", Err: ErrNotTicket}
	}
	if !strings.HasPrefix(string(in.c), brand) {
		if strings.HasPrefix(brand, string(in.c)) {
			return Ticket{}, &ParseError{Pos: last(in), Reason: "the ticket is incomplete: it ends after " + string(in.c), Err: ErrTruncated}
		}
		return Ticket{}, &ParseError{Pos: in.pos[mismatch(in.c)], Reason: "this is not a ticket: tickets begin with " + prefix, Err: ErrNotTicket}
	}
	if len(in.c) == len(brand) {
		return Ticket{}, &ParseError{Pos: last(in), Reason: "the ticket is incomplete: it ends after " + brand, Err: ErrTruncated}
	}
	switch v := in.c[len(brand)]; {
	case v == '1':
	case v >= '2' && v <= '9':
		return Ticket{}, &ParseError{Pos: in.pos[len(brand)], Reason: ErrNewer.Error(), Err: ErrNewer}
	default:
		return Ticket{}, &ParseError{Pos: in.pos[len(brand)], Reason: "this is not a ticket: tickets begin with " + prefix, Err: ErrNotTicket}
	}
	if len(in.c) > MaxText {
		return Ticket{}, &ParseError{Pos: in.pos[MaxText], Reason: "the text is too long for a ticket", Err: ErrMalformed}
	}
	vals := make([]byte, 0, len(in.c))
	for i, c := range in.c[len(prefix):] {
		v := strings.IndexByte(alphabet, c)
		if c == 0 || v < 0 {
			return Ticket{}, badChar(text, in.pos[len(prefix)+i])
		}
		vals = append(vals, byte(v))
	}
	if bad > 0 { // inside the prefix; caught above unless it is one that IndexByte can not see
		return Ticket{}, badChar(text, bad)
	}
	payload, err := unseal(vals)
	if err != nil {
		return Ticket{}, damaged(in, vals, err)
	}
	t, reason, newer := decode(payload)
	if newer {
		return Ticket{}, &ParseError{Reason: ErrNewer.Error(), Err: ErrNewer}
	}
	if reason != "" {
		return Ticket{}, &ParseError{Reason: "the ticket is malformed: " + reason, Err: ErrMalformed}
	}
	return t, nil
}

// damaged explains a text whose length or checksum is wrong.
func damaged(in chars, vals []byte, err error) error {
	if i := locate(vals, err); i >= 0 {
		return &ParseError{Pos: in.pos[len(prefix)+i], Reason: "the ticket's checksum does not match: one character is wrong", Err: ErrChecksum}
	}
	switch {
	case errors.Is(err, ErrTruncated):
		return &ParseError{Pos: last(in), Reason: "the ticket is incomplete: characters are missing", Err: err}
	case errors.Is(err, ErrMalformed):
		return &ParseError{Reason: "the ticket is malformed: there are more characters than it should have", Err: err}
	}
	return &ParseError{Reason: "the ticket's checksum does not match: some characters are wrong", Err: err}
}

func badChar(text string, pos int) error {
	n := 0
	for _, r := range text {
		if n++; n == pos {
			return &ParseError{Pos: pos, Reason: fmt.Sprintf("the ticket is malformed: %q can not be part of a ticket", r), Err: ErrMalformed}
		}
	}
	return &ParseError{Pos: pos, Reason: ErrMalformed.Error(), Err: ErrMalformed}
}

func mismatch(c []byte) int {
	for i := range c {
		if i >= len(brand) || c[i] != brand[i] {
			return i
		}
	}
	return len(c) - 1
}

func last(in chars) int { return in.pos[len(in.pos)-1] }
