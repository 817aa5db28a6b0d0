package config

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"cairn/swarm/transport"
	"cairn/web/api"

	"github.com/pelletier/go-toml/v2"
)

var update = flag.Bool("update", false, "write golden files anew")

// load makes a configuration of a file's text alone.
func load(text string) (*Loaded, Problems) {
	return Load(Input{Home: "/home/p", Host: "attic", File: "config.toml", Data: []byte(text)})
}

func TestDefaults(t *testing.T) {
	l, probs := load("")
	if probs != nil {
		t.Fatal(probs)
	}
	want := Config{Home: "/home/p", Name: "attic", HTTP: "127.0.0.1:4747", TLS: TLS{Mode: TLSOff}, Downloads: filepath.Join("/home/p", "downloads"),
		MDNS: true, AuditAge: 365 * 24 * time.Hour, AuditSize: 64 << 20}
	got := l.Config
	if !slices.Equal(got.Limits.List(), (transport.Limits{}).List()) {
		t.Errorf("limits %v", got.Limits)
	}
	if got.Limits = (transport.Limits{}); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestPrecedence: flags before the environment before the file before defaults, each with where it stands.
func TestPrecedence(t *testing.T) {
	l, probs := Load(Input{Home: "/h", Host: "attic", File: "/h/config.toml",
		Data:  []byte("name = \"file\"\nreserve = \"2GiB\"\nhttp = \"127.0.0.1:1\"\n\n[log]\nlevel = \"debug\"\n"),
		Env:   map[string]string{"CAIRN_NAME": "env", "CAIRN_HTTP": "127.0.0.1:2", "CAIRN_SOMETHING_ELSE": "ignored", "CAIRN_MDNS": ""},
		Flags: map[string]string{"http": "off", "listen": "/ip4/127.0.0.1/tcp/0,/ip4/127.0.0.1/udp/0/quic-v1"}})
	if probs != nil {
		t.Fatal(probs)
	}
	c := l.Config
	if c.Name != "env" || c.HTTP != "" || c.Reserve != 2<<30 || len(c.Listen) != 2 || !c.MDNS || len(l.Warnings) != 0 {
		t.Errorf("%+v %q", c, l.Warnings)
	}
	for _, want := range []struct{ key, value, origin, where string }{
		{"name", "env", "environment", "CAIRN_NAME"},
		{"reserve", "2GiB", "file", "/h/config.toml:2"},
		{"log.level", "debug", "file", "/h/config.toml:6"},
		{"http.address", "off", "flag", "--http"},
		{"mdns", "true", "default", ""},
	} {
		s := l.Get(want.key).API()
		if s.Value != want.value || s.Origin != want.origin || s.Where != want.where {
			t.Errorf("%s: %+v", want.key, s)
		}
	}
}

// TestEveryKey sets each key to its example in every layer.
func TestEveryKey(t *testing.T) {
	vars := map[string]bool{}
	for _, k := range Keys() {
		if strings.Count(k.Name, ".") > 1 {
			t.Errorf("%s: parse knows tables of one level", k.Name)
		}
		if isTable(k.Name) {
			t.Errorf("%s: a value and a table can not both have this name", k.Name)
		}
		if vars[k.Env()] {
			t.Errorf("%s is twice in the table", k.Env())
		}
		vars[k.Env()] = true
		for _, v := range []string{k.Default, k.Example} {
			if _, err := k.Check(v); err != nil || k.Example == "" {
				t.Errorf("%s: %q: %v", k.Name, v, err)
			}
		}
		// What the example needs beside it.
		beside := map[string]string{"http.address": "http.tls=network", "http.cert": "http.tls=off"}[k.Name]
		flags := map[string]string{}
		if a, b, ok := strings.Cut(beside, "="); ok {
			flags[a] = b
		}
		for _, in := range []Input{
			{Data: []byte(k.Name + " = " + literal(k, k.Example))},
			{Env: map[string]string{k.Env(): k.Example}},
			{Flags: map[string]string{k.Name: k.Example}},
		} {
			if in.Flags == nil {
				in.Flags = map[string]string{}
			}
			for a, b := range flags {
				in.Flags[a] = b
			}
			l, probs := Load(in)
			if probs != nil {
				t.Errorf("%s: %v", k.Name, probs)
				continue
			}
			if s := l.Get(k.Name); s.Value != k.Example || s.Origin == FromDefault {
				t.Errorf("%s: got %q of %s, want %q", k.Name, s.Value, s.Origin, k.Example)
			}
		}
	}
}

// TestLimits: each limit of the transport has a key, and each key sets its own limit and no other.
func TestLimits(t *testing.T) {
	base := (transport.Limits{}).List()
	if len(base) != len(limitRows()) {
		t.Errorf("%d limits, %d rows", len(base), len(limitRows()))
	}
	for i, want := range base {
		var l transport.Limits
		i0 := slices.IndexFunc(limitRows(), func(r limitRow) bool { return r.name == want.Name })
		if i0 < 0 {
			t.Errorf("no key for %s", want.Name)
			continue
		}
		limitRows()[i0].set(&l, want.Value+7)
		for j, got := range l.List() {
			value := base[j].Value
			if j == i {
				value += 7
			}
			if got.Value != value {
				t.Errorf("setting %s: %s is %d, want %d", want.Name, got.Name, got.Value, value)
			}
		}
	}
}

// TestLimitsFit: who lowers one limit need not lower those that are part of it.
func TestLimitsFit(t *testing.T) {
	l, probs := load("limits.connections = 100\nlimits.memory_bytes = \"128MiB\"\n")
	if probs != nil {
		t.Fatal(probs)
	}
	c := l.Config.Limits
	if c.Conns != 100 || c.ConnsInbound != 100 || c.ConnsHigh != 100 || c.ConnsLow != 100 || c.ConnsPerPeer != 16 || c.MemoryPerPeer != 128<<20 {
		t.Errorf("%+v", c)
	}
}

// TestProblems compares every message with testdata/problems.golden.
func TestProblems(t *testing.T) {
	texts := []string{
		"nmae = \"x\"", "level = \"info\"", "[log]\nlevle = \"info\"", "\"log.level\" = \"info\"", "wholly_other = 1", "[nothing]\nname = 1",
		"name = 5", "name = ", "name", "= 1", "name = \"a\nb\"", "name = \"a\" name = \"b\"", "[log\nlevel = 1", "name = \"\x1b[31m\"", "name = \"\\u001b\"",
		"name = \"a\"\nname = \"b\"", "http = \"off\"\n[http]\ntls = \"off\"", "http = \"off\"\nhttp.tls = \"off\"", "[log]\n[log]", "log.level = \"info\"\n[log]\nformat = \"text\"",
		"log = {level = \"info\"}\nlog.format = \"text\"", "[[log]]\nlevel = \"info\"", "[name]", "[log.level]", "log = 5", "[log]\nlevel = {}",
		"\n\nreserve = \"lots\"", "reserve = 1.5", "reserve = -1", "reserve = \"9999999999TiB\"", "listen = [\"here\"]", "listen = [1]", "listen = [\"/ip4/1.2.3.4/tcp/1,x\"]",
		"listen = [\"/ip4/1.2.3.4/tcp/1\", \"/ip4/1.2.3.4/tcp/1\"]", "mdns = \"maybe\"", "mdns = 1", "mdns = 2020-01-01", "downloads = \"there\"", "name = \" x\"",
		"name = \"" + strings.Repeat("x", 65) + "\"", "name = \"" + strings.Repeat("x", 9000) + "\"",
		"http = \"4747\"", "http = \"127.0.0.1:http\"", "http = \"127.0.0.1:99999\"", "http = \"no way:1\"", "http = \"of\"", "http = \"0.0.0.0:4747\"", "http = \":4747\"",
		"http.tls = \"acm\"", "http.tls = \"files\"", "http.tls = \"files\"\nhttp.cert = \"/c\"", "http.tls = \"acme\"", "http.tls = \"acme\"\nacme.domains = [\"a.example\"]",
		"http.names = [\"https://x\"]", "acme.domains = [\"10.0.0.1\"]", "acme.domains = [\"attic\"]", "acme.email = \"Me <me@example.com>\"", "acme.directory = \"http://x/\"",
		"acme.directory = \"https://me:secret@x/\"", "acme.directory = \"x\"", "audit.keep = \"long\"", "audit.keep = \"90d,80d\"", "audit.keep = \"1KiB\"", "audit.keep = \"0d\"",
		"log.level = \"loud\"", "log.format = \"jsn\"", "limits.connections = 0", "limits.connections = \"many\"", "limits.connections = 010", "limits.memory_bytes = \"1KiB\"",
		"limits.connections = 100\n limits.connections_inbound = 101", "limits.memory_per_peer_bytes = \"1GiB\"", "listen = \"/ip4/1.2.3.4/tcp/1\"\nmember.listen = \"/ip4/1.2.3.4/tcp/1\"",
		"a = 1\nb = 2\nname = 3", "name = \"caf\xe9\"", "\ufeffnmae = 1", "\xff\xfen\x00a\x00", strings.Repeat("#", MaxFile+1),
	}
	var b strings.Builder
	for _, text := range texts {
		fmt.Fprintf(&b, "%s\n", shorten(fmt.Sprintf("%q", text)))
		_, probs := load(text)
		if probs == nil {
			b.WriteString("  fine\n")
		}
		for _, p := range probs {
			fmt.Fprintf(&b, "  %s\n    hint: %s\n", p, p.Hint)
			if p.Hint == "" || strings.ContainsAny(p.String()+p.Hint, "\n\x1b") || strings.Contains(p.String(), "secret@") {
				t.Errorf("%q: %q, hint %q", text, p, p.Hint)
			}
		}
	}
	for _, in := range []Input{
		{Env: map[string]string{"CAIRN_MDNS": "x"}}, {Env: map[string]string{"CAIRN_LISTEN": "here"}}, {Env: map[string]string{"CAIRN_NAEM": "x", "CAIRN_MEMBERLISTEN": "x", "CAIRN_HOME": "/", "CAIRN_TEST_X": "1", "CAIRN_LOG_LEVEL": "info"}},
		{Flags: map[string]string{"http": "0.0.0.0:1"}}, {Env: map[string]string{"CAIRN_HTTP": "0.0.0.0:1"}, Data: []byte("http.tls = \"off\"")}, {Flags: map[string]string{"http.tls": "files"}},
		{Data: []byte("http = \"off\"\n[http]")}, {Flags: map[string]string{"http.cert": "/x", "http.tls": "acme", "acme.domains": "a.b", "acme.agree": "true", "http": "off"}},
	} {
		in.File = "config.toml"
		fmt.Fprintf(&b, "%q %q %q\n", in.Data, in.Env, in.Flags)
		l, probs := Load(in)
		for _, p := range probs {
			fmt.Fprintf(&b, "  %s\n    hint: %s\n", p, p.Hint)
		}
		if l != nil {
			for _, w := range l.Warnings {
				fmt.Fprintf(&b, "  warning: %s\n", w)
			}
		}
	}
	golden(t, "problems.golden", b.String())
}

func shorten(s string) string {
	if len(s) > 100 {
		return s[:60] + "..." + s[len(s)-10:]
	}
	return s
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	a, b := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			t.Fatalf("%s:%d differs (-update writes it anew); got\n%s", path, i+1, strings.Join(a[min(i, len(a)):min(i+3, len(a))], "\n"))
		}
	}
}

// TestProblemsAsError: one line, the first problem in full, and all of them behind it.
func TestProblemsAsError(t *testing.T) {
	_, probs := load("a = 1\nb = 2")
	err := probs.Err()
	x, ok := errors.AsType[*api.Error](err)
	if !ok || x.Code != api.CodeUsage || x.Message != "config.toml:1:1: unknown key \"a\" (and 1 more)" || !strings.Contains(x.Hint, "config validate") {
		t.Errorf("%+v", x)
	}
	if ps, ok := errors.AsType[Problems](err); !ok || len(ps) != 2 {
		t.Errorf("behind it: %v", ps)
	}
	ps := Problems{{File: "/home/me/config.toml", Line: 3, Column: 4, Message: "m"}, {Var: "--http"}}.WithoutPaths()
	if ps[0].String() != "config.toml:3:4: m" || ps[1].Where() != "--http" {
		t.Errorf("%v", ps)
	}
}

func TestParseLevels(t *testing.T) {
	for text, ok := range map[string]bool{"": true, "info": true, "WARN": true, "info,swarm=debug": true, "loud": false, "=info": false, "swarm=loud": false} {
		m, err := ParseLevels(text)
		if (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
		if text == "info,swarm=debug" && (m[""] != slog.LevelInfo || m["swarm"] != slog.LevelDebug) {
			t.Errorf("%v", m)
		}
	}
}

// TestDoc: KEYS.md is the table of keys as `cairn config doc --markdown` prints it.
func TestDoc(t *testing.T) {
	golden(t, filepath.Join("..", "KEYS.md"), "# Configuration keys\n\nMade from the table of package config; `go test ./node/config -update` writes it anew.\n\n"+Markdown(Keys()))
	text := Doc(Keys())
	for _, k := range Keys() {
		for _, want := range []string{k.Name, k.Help, k.Env(), k.line()} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: %q is not in the text", k.Name, want)
			}
		}
		if strings.HasSuffix(k.Help, ".") || k.Help == "" {
			t.Errorf("%s: help is a phrase: %q", k.Name, k.Help)
		}
	}
}

func TestSizeText(t *testing.T) {
	for _, n := range []int64{0, 1, 1023, 1024, 1 << 20, 3 << 30, 1 << 40, 1<<40 + 1, 1000} {
		if got, err := parseSize(sizeText(n)); err != nil || got != n {
			t.Errorf("%d: %q is %d, %v", n, sizeText(n), got, err)
		}
	}
}

// FuzzLoad: no text makes it fail otherwise than by problems, and what it takes is TOML that the library reads the same
// way.
func FuzzLoad(f *testing.F) {
	for _, s := range []string{"", "name = \"x\"\n", "http = \"off\" # c\n[log]\nlevel='info'", "log = { level = \"info\", format = 'text' }", "limits.connections = 0x1_000",
		"listen = [ # c\n '/ip4/1.2.3.4/tcp/1', \"\"\"/ip4/1.2.3.4/tcp/2\"\"\" ,]", "\ufeffmdns=true", "[ log ]\r\nlevel = \"\"\r\n", "http . tls = 'off'", "reserve = 5"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		l, probs := Load(Input{File: "c", Data: data})
		if (l == nil) == (probs == nil) {
			t.Fatalf("%v, %v", l, probs)
		}
		for _, p := range probs {
			if p.Message == "" || p.Hint == "" {
				t.Errorf("%+v", p)
			}
		}
		if l == nil {
			return
		}
		var m map[string]any
		if err := toml.Unmarshal([]byte(strings.TrimPrefix(string(data), "\ufeff")), &m); err != nil {
			t.Fatalf("taken, and no TOML: %v", err)
		}
		flat := map[string]string{}
		for k, v := range m {
			if sub, ok := v.(map[string]any); ok {
				for k2, v2 := range sub {
					flat[k+"."+k2] = plain(v2)
				}
			} else {
				flat[k] = plain(v)
			}
		}
		for _, e := range parse("c", data).entries {
			k, _ := Find(e.key)
			want, ok := flat[k.Name]
			if !ok {
				want, ok = flat[k.Alias]
			}
			if !ok || want != e.text {
				t.Errorf("%s: %q, the library says %q", e.key, e.text, want)
			}
		}
	})
}

func plain(v any) string {
	if list, ok := v.([]any); ok {
		var all []string
		for _, x := range list {
			all = append(all, fmt.Sprint(x))
		}
		return strings.Join(all, ",")
	}
	return fmt.Sprint(v)
}
