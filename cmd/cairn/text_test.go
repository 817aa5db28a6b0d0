package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"cairn/web/api"
)

func TestRanges(t *testing.T) {
	for _, c := range []struct {
		text   string
		size   int64
		off, n int64
		fails  bool
	}{
		{"0-0", 10, 0, 1, false},
		{"0-9", 10, 0, 10, false},
		{"2-100", 10, 2, 8, false},
		{"9-", 10, 9, 1, false},
		{"10-", 10, 0, 0, true},
		{"0-", 0, 0, 0, true},
		{"-3", 10, 7, 3, false},
		{"-30", 10, 0, 10, false},
		{"-1", 0, 0, 0, false},
		{"9223372036854775807-", 10, 0, 0, true},
	} {
		var r byteRange
		if err := r.Set(c.text); err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if r.String() != c.text {
			t.Errorf("%s: printed as %s", c.text, r.String())
		}
		off, n, err := r.within(c.size)
		if off != c.off || n != c.n || (err != nil) != c.fails {
			t.Errorf("%s of %d bytes: %d, %d, %v; want %d, %d", c.text, c.size, off, n, err, c.off, c.n)
		}
	}
	for _, text := range []string{"", "-", "5", "a-b", "--5", "1--5", "5-4", "-0", "+1-5", " 1-5", "1-9223372036854775808"} {
		if err := new(byteRange).Set(text); err == nil {
			t.Errorf("%q was taken for a range", text)
		}
	}
}

func TestLifetime(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"24h": 24 * time.Hour, "7d": 7 * 24 * time.Hour, "2w": 14 * 24 * time.Hour, "1d12h": 36 * time.Hour,
		"90s": 90 * time.Second, "1w1d1h": (8*24 + 1) * time.Hour, "0.5d": 12 * time.Hour, "3650d": maxLifetime,
		"": 0, "d": 0, "0d": 0, "1": 0, "-1d": 0, "1d-2h": 0, "1h1d": 0, "1e400d": 0, "NaNd": 0, "Infd": 0, "3651d": 0, "999ms": 0, "9999999999h": 0,
	} {
		var l lifetime
		err := l.Set(text)
		if l.d != want || (err == nil) != (want != 0) {
			t.Errorf("%q: %s, %v; want %s", text, l.d, err, want)
		}
	}
}

func TestSplitTickets(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{" \n\t", nil},
		{"cairn1abc", []string{"cairn1abc"}},
		{"  cairn1abc\n def ", []string{"cairn1abc def"}},
		{"cairn1abc\ncairn1def", []string{"cairn1abc", "cairn1def"}},
		{"CAIRN1ABC\r\nD CAIRN2X", []string{"CAIRN1ABC D", "CAIRN2X"}},
		{"what is cairn1abc", []string{"what is", "cairn1abc"}},
	} {
		if got := splitTickets(c.text); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
	}
}

// FuzzTickets: whatever is pasted, it is refused in words of one clean line, and never with a panic.
func FuzzTickets(f *testing.F) {
	for _, s := range []string{"", "cairn1", "cairn1abc cairn1", "\x1b[2J", "cairn9\xff\xfe", strings.Repeat("cairn1a ", 20)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range splitTickets(text) {
			if err := checkTicket(s); err != nil {
				var errOut bytes.Buffer
				e := &env{started: true, stderr: &console{w: &errOut}}
				e.report(err)
				for line := range strings.Lines(errOut.String()) {
					if strings.ContainsFunc(strings.TrimSuffix(line, "\n"), hostile) || !utf8.ValidString(line) {
						t.Errorf("%q is told as %q", s, line)
					}
				}
			}
		}
	})
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain ünïcode 文": "plain ünïcode 文",
		"a\nb\tc\r":       `a\nb\tc\r`,
		"\x1b[31m\x7f":    `\x1b[31m\x7f`,
		"\xff\xc3(":       `\xff\xc3(`,
		"a\u202eb\u200b":  `a\u202eb\u200b`,
		"\u0085\u2028":    `\u0085\u2028`,
		"\U000e0041":      `\U000e0041`,
	} {
		if got := clean(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "", 3}, {"downlods", "downloads", 1}, {"kitten", "sitting", 3}, {"ab", "ba", 2}} {
		if got := distance(c.a, c.b); got != c.want || distance(c.b, c.a) != c.want {
			t.Errorf("%s, %s: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestExplain(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
		text string
	}{
		{api.Errorf(api.CodeNoSpace, "full"), 7, "full"},
		{fmt.Errorf("become the peer: %w", api.Errorf(api.CodeWrongKey, "another key")), 12, "another key"},
		{&fs.PathError{Op: "open", Path: "/x", Err: fs.ErrNotExist}, 3, "/x: no such file or directory"},
		{fmt.Errorf("read tickets: %w", &fs.PathError{Op: "open", Path: "/x", Err: fs.ErrPermission}), 4, "/x: not permitted"},
		{errInterrupted, 1, "interrupted"},
		{context.Canceled, 1, "interrupted"},
		{context.DeadlineExceeded, 6, "the peer did not answer in time"},
		{fmt.Errorf("ask: %w", errGone), 6, "the peer ended before it answered"},
		{errors.New("odd"), 1, "odd"},
	} {
		x := explain(c.err)
		if exitCode(x.Code) != c.code || x.Message != c.text {
			t.Errorf("%v: exit %d, %q; want %d, %q", c.err, exitCode(x.Code), x.Message, c.code, c.text)
		}
	}
}

// Every code of the API has the exit code that its declaration names; two of them would be a lie to scripts.
func TestExitCodes(t *testing.T) {
	want := map[api.Code]int{
		api.CodeFailed: 1, api.CodeUsage: 2, api.CodeNotFound: 3, api.CodeNotPermitted: 4, api.CodeIntegrity: 5,
		api.CodeUnavailable: 6, api.CodeNoSpace: 7, api.CodeNoHome: 10, api.CodeLocked: 11, api.CodeWrongKey: 12,
		api.CodeCancelled: 1, api.CodeConflict: 1, api.CodeTooMany: 6, api.CodeHandover: 6, "of the future": 1,
	}
	for c, n := range want {
		if exitCode(c) != n {
			t.Errorf("%s: exit %d, want %d", c, exitCode(c), n)
		}
	}
}

func TestTable(t *testing.T) {
	tab := newTable("NAME", ">SIZE")
	tab.row("é\x1b", "1 B")
	tab.row("longer name", "10 KiB")
	var b strings.Builder
	if err := tab.print(&b); err != nil {
		t.Fatal(err)
	}
	want := "NAME           SIZE\né\\x1b           1 B\nlonger name  10 KiB\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

func TestLevelsOfParts(t *testing.T) {
	var b bytes.Buffer
	e := &env{stderr: &console{w: &b}, logLevel: "error,swarm=debug"}
	log, set, err := e.logger("info", "info", "")
	if err != nil {
		t.Fatal(err)
	}
	log.Info("one")
	log.With("part", "swarm").Debug("two")
	log.With("part", "swarm").WithGroup("g").With("a", 1).Debug("three")
	log.With("part", "web").Warn("four")
	log.With("peer", "x").Error("five")
	var got []string
	for line := range strings.Lines(b.String()) {
		_, msg, _ := strings.Cut(line, "msg=")
		got = append(got, strings.Fields(msg)[0])
	}
	if want := []string{"two", "three", "five"}; !slices.Equal(got, want) {
		t.Errorf("logged %q, want %q", got, want)
	}
	if log.Enabled(t.Context(), slog.LevelWarn) {
		t.Error("warnings of no part pass the level error")
	}
	e.logLevel = ""
	web := log.With("part", "web")
	if err := set("info,web=debug"); err != nil || !log.Enabled(t.Context(), slog.LevelInfo) || !web.Enabled(t.Context(), slog.LevelDebug) {
		t.Errorf("another level does not hold for loggers that are there: %v", err)
	}
	if err := set("loud"); err == nil || !web.Enabled(t.Context(), slog.LevelDebug) {
		t.Errorf("a level that is none: %v", err)
	}
	if err := set(""); err != nil || web.Enabled(t.Context(), slog.LevelDebug) || !web.Enabled(t.Context(), slog.LevelInfo) {
		t.Errorf("no level is not the usual one: %v", err)
	}
}

func TestLoginURL(t *testing.T) {
	for _, c := range []struct{ url, want string }{
		{"http://127.0.0.1:1", "http://127.0.0.1:1/#login=C0DE"},
		{"http://127.0.0.1:1/", "http://127.0.0.1:1/#login=C0DE"},
		{"http://127.0.0.1:1/#login=C0DE", "http://127.0.0.1:1/#login=C0DE"},
	} {
		if got := loginURL(api.LoginCode{Code: "C0DE", URL: c.url}); got != c.want {
			t.Errorf("%s: %s", c.url, got)
		}
	}
}

// Every command has what a manual needs.
func TestHelpIsComplete(t *testing.T) {
	_, sig := newSignals(nil)
	root := newRoot(newEnv(strings.NewReader(""), new(bytes.Buffer), new(bytes.Buffer), sig))
	for _, c := range root.Commands() {
		if c.Name() == "help" || c.Name() == "completion" || c.Hidden {
			continue
		}
		if c.Short == "" || c.Long == "" || c.Example == "" || c.GroupID == "" {
			t.Errorf("%s: help is incomplete", c.Name())
		}
		for line := range strings.Lines(c.Long) {
			if utf8.RuneCountInString(line) > 100 {
				t.Errorf("%s: line of the help text is too long: %s", c.Name(), line)
			}
		}
	}
}
