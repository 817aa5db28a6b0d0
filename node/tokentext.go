package node

import (
	"crypto/rand"
	"crypto/sha256"
	"hash/crc32"
	"math/big"
	"strings"

	"cairn/web/api"
)

// The text of a token: a prefix by which scanners for secrets know it, 256 random bits, and their CRC-32 (IEEE), so that a
// text that only looks like one, or was cut when it was copied, is told from one that is unknown. Both numbers are in base 62, in fixed
// widths.
const (
	tokenDigits   = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	tokenBody     = 43 // digits of 256 bits
	tokenChecksum = 6  // digits of 32 bits
)

// newTokenText makes the secret of a token.
func newTokenText() string {
	var b [32]byte
	rand.Read(b[:]) // never fails since Go 1.24
	body := base62(new(big.Int).SetBytes(b[:]), tokenBody)
	return api.TokenPrefix + body + tokenSum(body)
}

// tokenHash is what is kept of a token; false: the text is none.
func tokenHash(text string) (hash [sha256.Size]byte, ok bool) {
	rest, ok := strings.CutPrefix(text, api.TokenPrefix)
	if !ok || len(rest) != tokenBody+tokenChecksum || tokenSum(rest[:tokenBody]) != rest[tokenBody:] {
		return hash, false
	}
	return sha256.Sum256([]byte(text)), true
}

func tokenSum(body string) string {
	return base62(new(big.Int).SetUint64(uint64(crc32.ChecksumIEEE([]byte(body)))), tokenChecksum)
}

func base62(n *big.Int, width int) string {
	out := make([]byte, width)
	base, digit := big.NewInt(int64(len(tokenDigits))), new(big.Int)
	for i := width - 1; i >= 0; i-- {
		n.DivMod(n, base, digit)
		out[i] = tokenDigits[digit.Int64()]
	}
	return string(out)
}
