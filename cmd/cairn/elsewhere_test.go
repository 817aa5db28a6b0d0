package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cairn/web/api"
)

func TestElsewhere(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := file("token", "cairn_abc\n", 0o600)
	for _, c := range []struct {
		name string
		x    elsewhere
		want string // in the message; "": it is right
	}{
		{"right", elsewhere{"https://attic.local:4747/", good, ""}, ""},
		{"no peer", elsewhere{"", good, ""}, "for --at"},
		{"no token", elsewhere{"https://a:1", "", ""}, "--token-file"},
		{"plain", elsewhere{"http://a:1", good, ""}, "only https"},
		{"no URL", elsewhere{"attic.local:4747", good, ""}, "not the address"},
		{"a path", elsewhere{"https://a:1/v1", good, ""}, "not the address"},
		{"a token in the URL", elsewhere{"https://cairn_x@a:1", good, ""}, "not the address"},
		{"for all to read", elsewhere{"https://a:1", file("open", "cairn_abc", 0o644), ""}, "read by others"},
		{"another file", elsewhere{"https://a:1", file("other", "hello world", 0o600), ""}, "no token"},
		{"two", elsewhere{"https://a:1", file("two", "cairn_a\ncairn_b", 0o600), ""}, "no token"},
		{"a directory", elsewhere{"https://a:1", dir, ""}, "small file"},
		{"a large one", elsewhere{"https://a:1", file("large", strings.Repeat("x", maxSmallFile+1), 0o600), ""}, "small file"},
		{"no authority", elsewhere{"https://a:1", good, good}, "PEM"},
	} {
		_, err := c.x.target()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
		if e, ok := err.(*api.Error); ok && strings.Contains(e.Message+e.Hint, "cairn_abc") {
			t.Errorf("%s tells the token: %v", c.name, err)
		}
	}
}
