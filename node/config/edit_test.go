package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
)

// TestEdit: what a change does to the text, byte for byte.
func TestEdit(t *testing.T) {
	for _, c := range []struct{ what, text, key, value, want string }{
		{"no file", "", "name", "attic", "name = \"attic\"\n"},
		{"no file, in a table", "", "log.level", "info", "[log]\nlevel = \"info\"\n"},
		{"replaced, comment kept", "# mine\nname  =  'a'   # who\n\nmdns = true\n", "name", "b", "# mine\nname  =  \"b\"   # who\n\nmdns = true\n"},
		{"the same value", "name = 'a'", "name", "a", "name = 'a'"},
		{"the same value in other words", "mdns = \"1\"", "mdns", "true", "mdns = true"},
		{"kinds", "mdns = true\n", "mdns", "no way", "!mdns: \"no way\" is neither true nor false"},
		{"number", "limits.streams=9000", "limits.streams", "10000", "limits.streams=10000"},
		{"list", "listen = [ '/ip4/1.2.3.4/tcp/1', # one\n '/ip4/1.2.3.4/tcp/2' ] # both\nname='x'", "listen", "/ip4/1.2.3.4/tcp/3, /ip4/1.2.3.4/tcp/4",
			"listen = [\"/ip4/1.2.3.4/tcp/3\", \"/ip4/1.2.3.4/tcp/4\"] # both\nname='x'"},
		{"escapes", "", "name", `a"b\c`, "name = \"a\\\"b\\\\c\"\n"},
		{"many lines", "name = \"\"\"\nlong\"\"\" # c\nmdns = true\n", "name", "b", "name = \"b\" # c\nmdns = true\n"},
		{"no last newline", "name = \"a\"", "mdns", "false", "name = \"a\"\nmdns = false\n"},
		{"carriage returns", "name = \"a\"\r\n[log]\r\nlevel = \"info\"\r\n", "mdns", "false", "name = \"a\"\r\nmdns = false\r\n[log]\r\nlevel = \"info\"\r\n"},
		{"before the first table and its comment", "# all of it\n\n# the log\n[log]\nlevel = \"info\"\n", "name", "a", "# all of it\n\nname = \"a\"\n\n# the log\n[log]\nlevel = \"info\"\n"},
		{"a table alone", "[log]\nlevel = \"info\"", "name", "a", "name = \"a\"\n\n[log]\nlevel = \"info\""},
		{"behind the last of its table", "[log]\nlevel = \"info\" # l\n\n# http\n[http]\ntls = \"off\"\n", "log.format", "json",
			"[log]\nlevel = \"info\" # l\nformat = \"json\"\n\n# http\n[http]\ntls = \"off\"\n"},
		{"into an empty table", "[ log ] # l\n\n[http]\n", "log.format", "json", "[ log ] # l\nformat = \"json\"\n\n[http]\n"},
		{"into a table at the end", "[log]", "log.format", "json", "[log]\nformat = \"json\"\n"},
		{"a new table", "name = \"a\"", "log.format", "json", "name = \"a\"\n\n[log]\nformat = \"json\"\n"},
		{"dotted", "log.level = \"info\"\nmdns = true\n", "log.format", "json", "log.level = \"info\"\nmdns = true\nlog.format = \"json\"\n"},
		{"between braces", "log = { level = \"info\" } # c\n", "log.format", "json", "log = { level = \"info\", format = \"json\" } # c\n"},
		{"between braces, changed", "log = { level = \"info\" }", "log.level", "warn", "log = { level = \"warn\" }"},
		{"between braces, taken out", "log = { level = \"info\" }", "log.level", "", "!config.toml:1: log.level stands between braces, from which it is not taken out by program"},
		{"empty braces", "log = {}", "log.level", "info", "!config.toml:1: the table log is empty and between braces"},
		{"short name changed", "http = \"off\" # d", "http", "127.0.0.1:0", "http = \"127.0.0.1:0\" # d"},
		{"short name makes room", "http = \"off\" # d\nname = \"a\"\n", "http.tls", "off", "http.address = \"off\" # d\nhttp.tls = \"off\"\nname = \"a\"\n"},
		{"short name makes room at the end", "http = \"off\"", "http.tls", "off", "http.address = \"off\"\nhttp.tls = \"off\"\n"},
		{"taken out", "# a\nname = \"a\" # who\n# b\nmdns = true\n", "name", "", "# a\n# b\nmdns = true\n"},
		{"taken out of a table", "[log]\n  level = \"info\"\nformat = \"text\"", "log.format", "", "[log]\n  level = \"info\"\n"},
		{"taken out, many lines", "listen = [\n\"/ip4/1.2.3.4/tcp/1\",\n]\nname = \"a\"", "listen", "", "name = \"a\""},
		{"taken out of nothing", "name = \"a\"", "mdns", "", "name = \"a\""},
		{"mark of the editor", "\ufeffname = \"a\"\n[log]\n", "name", "", "\ufeff[log]\n"},
		{"mark of the editor, added", "\ufeff[log]\n", "name", "a", "\ufeffname = \"a\"\n\n[log]\n"},
		{"quoted name", "\"name\" = \"a\"\n", "name", "b", "\"name\" = \"b\"\n"},
		{"spaces in the name", "log . level = \"info\"\n", "log.level", "warn", "log . level = \"warn\"\n"},
		{"a wrong file", "nmae = \"a\"", "name", "b", "!config.toml:1:1: unknown key \"nmae\""},
		{"a wrong value", "", "reserve", "lots", "!reserve: \"lots\" is not a size such as 2GiB"},
		{"no such key", "", "nmae", "b", "!unknown key \"nmae\""},
	} {
		got, err := Edit("config.toml", []byte(c.text), c.key, c.value)
		text := string(got)
		if err != nil {
			text = "!" + err.Error()
		}
		if text != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.what, text, c.want)
		}
	}
}

// FuzzEdit: a key that was set has its value, one that was taken out has none, every other key stays as it was, and so
// do all comments.
func FuzzEdit(f *testing.F) {
	keys := Keys()
	for i, text := range []string{"", "# c\nname = 'a' # d\n[log]\nlevel='info'", "http = 'off'\n\n# x\n[limits] # y\nstreams = 100", "log = { level = 'info', format = 'text' } # z",
		"\ufeffmdns=true\r\n[http]\r\nnames = [ # q\r\n'a', ]", "acme.agree = true\n[http]\n[log]"} {
		f.Add([]byte(text), uint8(i), "")
		f.Add([]byte(text), uint8(i+2), "x")
		f.Add([]byte(text), uint8(3), "127.0.0.1:0")
		f.Add([]byte(text), uint8(18), "info")
	}
	f.Fuzz(func(t *testing.T, data []byte, at uint8, value string) {
		k := keys[int(at)%len(keys)]
		before := parse("c", data)
		out, err := Edit("c", data, k.Name, value)
		if err != nil {
			if len(before.probs) == 0 && strings.Contains(err.Error(), "by program") && !strings.Contains(err.Error(), "braces") {
				t.Fatalf("%s = %q: %v", k.Name, value, err)
			}
			return
		}
		after := parse("c", out)
		if len(after.probs) > 0 {
			t.Fatalf("%s = %q makes %q of %q: %v", k.Name, value, out, data, after.probs)
		}
		want, err := k.Check(value)
		if err != nil || after.text(k.Name) != want {
			t.Fatalf("%s = %q reads as %q (%v) in %q", k.Name, value, after.text(k.Name), err, out)
		}
		for _, o := range keys {
			if o.Name != k.Name && after.text(o.Name) != before.text(o.Name) {
				t.Fatalf("setting %s: %s was %q and is %q", k.Name, o.Name, before.text(o.Name), after.text(o.Name))
			}
		}
		var m map[string]any
		if err := toml.Unmarshal([]byte(strings.TrimPrefix(string(out), "\ufeff")), &m); err != nil {
			t.Fatalf("%s = %q makes %q, which is no TOML: %v", k.Name, value, out, err)
		}
		// Every line that is a comment is still there, in order. One inside of a value goes with the value.
		for _, e := range before.entries {
			if e.key == k.Name && slices.Contains(data[e.value.from:e.value.to], '\n') {
				return
			}
		}
		if a, b := comments(data), comments(out); !slices.Equal(a, b) {
			t.Fatalf("comments were %q and are %q", a, b)
		}
	})
}

func comments(data []byte) (all []string) {
	for line := range strings.Lines(string(data)) {
		if line = strings.Trim(line, " \t\r\n\ufeff"); strings.HasPrefix(line, "#") {
			all = append(all, line)
		}
	}
	return all
}

// TestBasicString: every text that can stand in a file reads back.
func TestBasicString(t *testing.T) {
	for r := range rune(0x300) {
		s := fmt.Sprintf("a%cb", r)
		var m map[string]string
		if err := toml.Unmarshal([]byte("k = "+basicString(s)), &m); err != nil || m["k"] != s {
			t.Errorf("%q: %q, %v", s, m["k"], err)
		}
	}
}
