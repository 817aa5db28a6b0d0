package membership

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// CheckName tells whether a peer or a network may have this name: 1 to MaxName bytes of UTF-8 without control
// characters, marks that change the direction of text, and white space at its ends. The error wraps ErrMalformed.
func CheckName(name string) error {
	switch {
	case name == "":
		return faultf(ErrMalformed, "a name must not be empty")
	case len(name) > MaxName:
		return faultf(ErrMalformed, "a name has at most %d bytes, this one has %d", MaxName, len(name))
	case strings.TrimSpace(name) != name:
		return faultf(ErrMalformed, "a name must not begin or end with white space")
	}
	return checkText("a name", name)
}

// checkText refuses what could make a text look like another one, or do something to a terminal.
func checkText(what, s string) error {
	if !utf8.ValidString(s) {
		return faultf(ErrMalformed, "%s must be valid UTF-8", what)
	}
	for _, r := range s {
		if !printable(r) {
			return faultf(ErrMalformed, "%s must not hold the character %U", what, r)
		}
	}
	return nil
}

// CheckLabel tells whether a zone or a class may have this name: 1 to MaxZone letters, digits, '-', '_' and '.', all
// ASCII. The error wraps ErrMalformed.
func CheckLabel(s string) error {
	if s == "" {
		return faultf(ErrMalformed, "the name of a zone or class must not be empty")
	}
	if len(s) > MaxZone {
		return faultf(ErrMalformed, "the name of a zone or class has at most %d characters, this one has %d", MaxZone, len(s))
	}
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.", r)) {
			return faultf(ErrMalformed, "the name of a zone or class has only letters, digits, '-', '_' and '.', not %q", r)
		}
	}
	return nil
}

// printable is false for what has no form of its own or changes the form of others.
func printable(r rune) bool {
	switch {
	case unicode.IsControl(r), r == utf8.RuneError, unicode.Is(unicode.Cf, r), unicode.Is(unicode.Co, r):
		// Cf holds all marks of direction, joiners and the byte order mark; Emoji of several persons are the price.
		return false
	case r == '\u2028' || r == '\u2029':
		return false
	}
	return true
}

// cleanReason makes any text fit to be the reason of a revocation.
func cleanReason(s string) string {
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if !printable(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, " ")))
	if len(s) <= MaxReason {
		return s
	}
	n := MaxReason
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return strings.TrimSpace(s[:n])
}
