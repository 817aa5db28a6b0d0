package membership

import (
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"unicode"
)

// The text of an invite: brand, version digit, base32 of what seal returns. Base32 has no digits 0, 1, 8 and 9, so the
// version is never mistaken for content.
const (
	brand    = "cairninvite"
	prefix   = brand + "1"
	alphabet = "abcdefghijklmnopqrstuvwxyz234567"

	// MaxText is the most characters of an invite, white space not counted.
	MaxText = 8192

	crcSize   = 4
	maxRepair = 1600 // characters of a text in which locate looks for the wrong one

	newer = "the invite was made by a newer version of cairn"
)

// Encode returns the invite's text: "cairninvite1" and base32 in lower case with a checksum.
func (i Invite) Encode() (string, error) {
	b, err := i.pack()
	if err != nil {
		return "", fmt.Errorf("encode invite: %w", err)
	}
	text := prefix + coding().EncodeToString(seal(b))
	if len(text) > MaxText {
		return "", faultf(ErrMalformed, "the invite would have %d characters, at most %d are possible: name fewer contacts", len(text), MaxText)
	}
	return text, nil
}

func coding() *base32.Encoding {
	return base32.NewEncoding(alphabet).WithPadding(base32.NoPadding)
}

// seal is uvarint(length) ‖ payload ‖ CRC-32C over prefix, length and payload. The length tells a text that was cut off
// from one that was mistyped.
func seal(payload []byte) []byte {
	b := append(binary.AppendUvarint(nil, uint64(len(payload))), payload...)
	return binary.BigEndian.AppendUint32(b, checksum(b))
}

func checksum(b []byte) uint32 {
	t := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum([]byte(prefix), t), t, b)
}

// Conditions of unseal; they never leave the package.
var (
	errCut  = errors.New("characters are missing")
	errMore = errors.New("there are more characters than it should have")
	errSum  = errors.New("checksum")
)

// unseal checks form, length and checksum of base32 in the alphabet.
func unseal(text string) ([]byte, error) {
	b, err := coding().DecodeString(text)
	if err != nil {
		return nil, errCut // its length is one that no bytes have
	}
	n, k := binary.Uvarint(b)
	if k <= 0 || n > MaxText {
		return nil, errCut
	}
	want := k + int(n) + crcSize
	switch {
	case len(b) < want:
		return nil, errCut
	case len(b) > want:
		return nil, errMore
	case checksum(b[:want-crcSize]) != binary.BigEndian.Uint32(b[want-crcSize:]), coding().EncodeToString(b) != text:
		return nil, errSum
	}
	return b[k : want-crcSize], nil
}

// ParseInvite reads an invite's text: white space and line breaks anywhere are forgiven, case does not matter. The
// error is a *ParseError that wraps ErrMalformed, ErrAltered, ErrNewer, ErrForeign or ErrAuthority. Signatures and
// chain are checked; expiry is not.
func ParseInvite(text string) (Invite, error) {
	c, pos := strip(text)
	if len(c) == 0 {
		return Invite{}, &ParseError{Reason: "there is no invite: the text is empty", Err: ErrMalformed}
	}
	last := pos[len(pos)-1]
	if n := common(c, brand); n < len(brand) {
		if n == len(c) {
			return Invite{}, &ParseError{"the invite is incomplete: it ends after " + c, last, ErrMalformed}
		}
		return Invite{}, &ParseError{"this is not an invite: invites begin with " + prefix, pos[n], ErrMalformed}
	}
	if len(c) == len(brand) {
		return Invite{}, &ParseError{"the invite is incomplete: it ends after " + brand, last, ErrMalformed}
	}
	switch v := c[len(brand)]; {
	case v >= '2' && v <= '9':
		return Invite{}, &ParseError{newer, pos[len(brand)], ErrNewer}
	case v != '1':
		return Invite{}, &ParseError{"this is not an invite: invites begin with " + prefix, pos[len(brand)], ErrMalformed}
	}
	if len(c) > MaxText {
		return Invite{}, &ParseError{"the text is too long for an invite", pos[MaxText], ErrMalformed}
	}
	body := c[len(prefix):]
	if i := strings.IndexFunc(body, func(r rune) bool { return !strings.ContainsRune(alphabet, r) }); i >= 0 {
		at := pos[len(prefix)+i]
		return Invite{}, &ParseError{fmt.Sprintf("the invite is malformed: %q can not be part of an invite", runeAt(text, at)), at, ErrMalformed}
	}
	b, err := unseal(body)
	if err != nil {
		return Invite{}, damaged(body, pos, err)
	}
	i, err := unpack(b)
	if err != nil {
		return Invite{}, err
	}
	if err := i.check(); err != nil {
		return Invite{}, err
	}
	return i, nil
}

// check follows the chain of an invite that was read.
func (i Invite) check() error {
	power, err := followChain(i.Charter, i.Chain)
	switch {
	case err != nil:
		return &ParseError{Reason: err.Error(), Err: errors.Unwrap(err)}
	case power.id != i.Doc.signer:
		return &ParseError{Reason: "the inviter's documents do not lead back to the root of the network", Err: ErrAuthority}
	case i.Doc.said.terms.Role == Admin && !power.mayDelegate:
		return &ParseError{Reason: "the invite makes an administrator, and its inviter may not do that", Err: ErrAuthority}
	}
	return nil
}

// strip drops white space and the invisible characters that pasting brings, and lowers case. pos are the positions of
// the characters that are left, from 1; one that is not ASCII becomes 0.
func strip(text string) (c string, pos []int) {
	var b []byte
	n := 0
	for _, r := range text {
		n++
		if unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) {
			continue
		}
		if len(b) > MaxText {
			break
		}
		if r = unicode.ToLower(r); r > unicode.MaxASCII {
			r = 0
		}
		b, pos = append(b, byte(r)), append(pos, n)
	}
	return string(b), pos
}

// damaged explains a text whose length or checksum is wrong.
func damaged(body string, pos []int, err error) error {
	if i := locate(body, err); i >= 0 {
		return &ParseError{"the invite's checksum does not match: one character is wrong", pos[len(prefix)+i], ErrAltered}
	}
	switch {
	case errors.Is(err, errCut):
		return &ParseError{"the invite is incomplete: characters are missing", pos[len(pos)-1], ErrMalformed}
	case errors.Is(err, errMore):
		return &ParseError{Reason: "the invite is malformed: there are more characters than it should have", Err: ErrMalformed}
	}
	return &ParseError{Reason: "the invite's checksum does not match: some characters are wrong", Err: ErrAltered}
}

// locate finds the one character whose replacement makes the text right, or returns -1. It only serves to name a
// place: a repaired invite is never used.
func locate(body string, why error) int {
	b := []byte(body)
	n := len(b)
	if n > maxRepair {
		return -1
	}
	if !errors.Is(why, errSum) {
		n = min(n, 4) // only the length, two bytes, can be what is wrong
	}
	for i, was := range b[:n] {
		for _, r := range []byte(alphabet) {
			if b[i] = r; r == was {
				continue
			}
			if _, err := unseal(string(b)); err == nil {
				return i
			}
		}
		b[i] = was
	}
	return -1
}

// common is the length of what two texts begin with alike.
func common(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

func runeAt(text string, pos int) rune {
	for _, r := range text {
		if pos--; pos == 0 {
			return r
		}
	}
	return unicode.ReplacementChar
}
