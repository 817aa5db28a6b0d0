package web

import (
	"crypto/rand"
	"strings"
	"unicode"

	"cairn/web/api"
)

// Crockford's base 32 (crockford.com/base32.html): no I, L, O, U.
const codeAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

const codeLength = 12 // characters of 5 bits: 60 bits

// newCode returns a random code, in groups for reading: "7ZKQ-0M4T-XP9B".
func newCode() string {
	var raw [codeLength]byte
	rand.Read(raw[:]) // never fails since Go 1.24
	var b strings.Builder
	for i, r := range raw {
		if i > 0 && i%4 == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(codeAlphabet[r&31])
	}
	return b.String()
}

// parseCode reads a code as people type it: in any case, with spaces and dashes anywhere, O for 0, I or L for 1.
// It returns the twelve characters.
func parseCode(text string) (string, error) {
	var b strings.Builder
	for _, r := range text {
		r = unicode.ToUpper(r)
		switch {
		case unicode.IsSpace(r), unicode.Is(unicode.Pd, r), r == '_', r == '.':
			continue
		case r == 'O':
			r = '0'
		case r == 'I', r == 'L':
			r = '1'
		}
		if r > unicode.MaxASCII || strings.IndexByte(codeAlphabet, byte(r)) < 0 || b.Len() == codeLength {
			return "", errNotACode()
		}
		b.WriteByte(byte(r))
	}
	if b.Len() != codeLength {
		return "", errNotACode()
	}
	return b.String(), nil
}

func errNotACode() error {
	return api.Errorf(api.CodeUsage, "this is not a login code").
		WithHint("a code has 12 letters and digits, such as 7ZKQ-0M4T-XP9B; cairn login prints one")
}
