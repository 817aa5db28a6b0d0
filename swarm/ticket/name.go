package ticket

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxExt is the longest extension in bytes, dot included, that is kept when a name is cut.
const maxExt = 16

// CleanName returns name in the form in which tickets carry it: valid UTF-8 of at most MaxName bytes, without
// control characters, marks that change the direction of text, or path separators (each becomes '_'), and
// neither "." nor "..". A longer name is cut before its extension, never inside a character. CleanName of its
// own result is the same.
func CleanName(name string) string {
	name = strings.Map(func(r rune) rune {
		if !allowed(r) {
			return '_'
		}
		return r
	}, strings.ToValidUTF8(name, "_"))
	if name == "." || name == ".." {
		return strings.Repeat("_", len(name))
	}
	if len(name) <= MaxName {
		return name
	}
	ext := ""
	if i := strings.LastIndexByte(name, '.'); i > 0 && len(name)-i <= maxExt {
		ext = name[i:]
	}
	return cut(name[:len(name)-len(ext)], MaxName-len(ext)) + ext
}

// cut returns at most n bytes of s without splitting a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// checkName returns what is wrong with a name from outside, or "".
func checkName(name string) string {
	switch {
	case len(name) > MaxName:
		return "its name is too long"
	case !utf8.ValidString(name):
		return "its name is not UTF-8"
	case CleanName(name) != name:
		return "its name holds characters that no name may hold"
	}
	return ""
}

func allowed(r rune) bool {
	switch {
	case r == '/' || r == '\\' || r == utf8.RuneError:
		return false
	case unicode.IsControl(r):
		return false
	case r == '\u2028' || r == '\u2029' || r == '\ufeff': // line and paragraph separators, byte order mark
		return false
	case r == '\u200e' || r == '\u200f' || r == '\u061c': // direction marks: they can disguise an extension
		return false
	case r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069':
		return false
	}
	return true
}
