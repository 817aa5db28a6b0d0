package ticket

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestCleanName(t *testing.T) {
	long := strings.Repeat("a", 100)
	for in, want := range map[string]string{
		"":                       "",
		"plain.txt":              "plain.txt",
		"two words é 日本":         "two words é 日本",
		"a/b\\c":                 "a_b_c",
		"..":                     "__",
		".":                      "_",
		"../../etc/passwd":       ".._.._etc_passwd",
		"nul\x00esc\x1b":         "nul_esc_",
		"invoice\u202efdp.exe":   "invoice_fdp.exe",
		"bad\xffutf8":            "bad_utf8",
		long + ".iso":            long[:60] + ".iso",
		long + ".tar." + long:    long[:64],
		"." + long:               "." + long[:63],
		strings.Repeat("日", 30):  strings.Repeat("日", 21),
		"x" + long[:61] + "é.gz": "x" + long[:60] + ".gz",
	} {
		if got := CleanName(in); got != want {
			t.Errorf("CleanName(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestCleanNameAlways(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })).Draw(t, "name")
		got := CleanName(in)
		if len(got) > MaxName || !utf8.ValidString(got) || strings.ContainsAny(got, "/\\\x00") || got == "." || got == ".." {
			t.Fatalf("CleanName(%q) = %q", in, got)
		}
		if checkName(got) != "" {
			t.Fatalf("CleanName(%q) = %q is refused: %s", in, got, checkName(got))
		}
	})
}
