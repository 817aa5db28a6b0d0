package api

import (
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable makes one safe line of text that may hold bytes from outside, as messages and the audit log need it.
func Printable(s string) string { return printable(s) }

// printable makes one safe line of text that may hold bytes from outside: control characters, line breaks and
// characters that reorder text on a screen are escaped.
func printable(s string) string {
	ok := true
	for _, r := range s {
		if !plain(r) {
			ok = false
			break
		}
	}
	if ok {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case plain(r):
			b.WriteRune(r)
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

func plain(r rune) bool {
	return r != utf8.RuneError && !unicode.IsControl(r) && !unicode.Is(unicode.Cf, r) && r != 0x2028 && r != 0x2029
}

// checkPath refuses what is not a plain slash separated path below an object.
func checkPath(p string) error {
	if p == "" {
		return nil
	}
	if !utf8.ValidString(p) || strings.ContainsRune(p, 0) || path.IsAbs(p) || path.Clean(p) != p || p == "." || p == ".." || strings.HasPrefix(p, "../") {
		return Errorf(CodeUsage, "path %s is not a path inside an object", quote(p)).
			WithHint("names separated by single slashes, without . and .., not beginning with a slash")
	}
	return nil
}

// checkName refuses what cannot be the name of one file.
func checkName(n string) error {
	if n == "" || len(n) > 255 || n == "." || n == ".." || !utf8.ValidString(n) || strings.ContainsFunc(n, func(r rune) bool {
		return r == '/' || r == '\\' || unicode.IsControl(r)
	}) {
		return Errorf(CodeUsage, "name %s cannot be the name of a file", quote(n)).
			WithHint("1 to 255 bytes of UTF-8 without slashes and control characters")
	}
	return nil
}

// quote shows a value from outside, at most 80 characters of it.
func quote(s string) string {
	if r := []rune(s); len(r) > 80 {
		s = string(r[:79]) + "…"
	}
	return `"` + printable(s) + `"`
}
