package api

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestCheckJSON(t *testing.T) {
	for text, want := range map[string]string{
		`{"a":1,"b":[{"a":1},{"a":2}],"c":"x"}`: "",
		` [ ] `:                                 "",
		`"x"`:                                   "",
		`{"a":{"a":{"a":1}}}`:                   "",
		`{"a":"b","b":"a"}`:                     "",
		`{"a":1,"b":2,"a":3}`:                   "twice",
		`{"a":{"b":1,"b":2}}`:                   "twice",
		`[{"a":1,"\u0061":2}]`:                  "twice",
		`{"A":1}`:                               "lower case",
		`{"\u017fize":1}`:                       "lower case",
		`{} {}`:                                 "goes on",
		`{}x`:                                   "goes on",
		`1 2`:                                   "goes on",
		``:                                      "not JSON",
		`{`:                                     "not JSON",
		`{"a"}`:                                 "not JSON",
		`{"a":1,}`:                              "not JSON",
		`[1,]`:                                  "not JSON",
		`]`:                                     "not JSON",
		`{a:1}`:                                 "not JSON",
		`NaN`:                                   "not JSON",
		"\"\x01\"":                              "not JSON",
		"\"\xff\"":                              "UTF-8",
		strings.Repeat("[", 17):                 "deeper",
		strings.Repeat("[", 1<<20):              "deeper",
		`[` + strings.Repeat("1", 33):           "too long",
		`{"a":1e` + strings.Repeat("1", 40) + `}`: "too long",
	} {
		err := CheckJSON([]byte(text))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", text, err, want)
		}
	}
}

// FuzzCheckJSON: what passes is JSON, and every reader agrees on it: decoded and encoded again it decodes to the
// same, with as many keys as it had.
func FuzzCheckJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5e3,"x",null,true]}`, `{"a":1,"a":2}`, `[[[]]]`, `{"paths":["/a"],"copy":true}`, "\xff", `"\ud800"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if CheckJSON(data) != nil {
			return
		}
		var v, again any
		if err := json.Unmarshal(data, &v); err != nil {
			if strings.Contains(err.Error(), "cannot unmarshal number") {
				return // larger than float64
			}
			t.Fatalf("%q passed: %v", data, err)
		}
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &again); err != nil || !reflect.DeepEqual(v, again) {
			t.Fatalf("%q became %q", data, text)
		}
		// Duplicate keys would make the map smaller than the text.
		if keys := strings.Count(string(text), `":`); keys > strings.Count(string(data), ":") {
			t.Fatalf("%q has fewer keys than %q", data, text)
		}
	})
}

func TestNoNull(t *testing.T) {
	shared := &Transfer{ID: "x"}
	var in any = Event{Type: "transfer", Transfer: shared}
	var b strings.Builder
	if err := writeJSON(&b, in); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), `"sources":[]`) {
		t.Errorf("%s", b.String())
	}
	if shared.Sources != nil {
		t.Error("the peer's own value was changed")
	}
	b.Reset()
	if err := writeJSON(&b, Pieces{}); err != nil || strings.Contains(b.String(), "null") {
		t.Errorf("%s %v", b.String(), err)
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain ä 漢":      "plain ä 漢",
		"a\nb\x1b[31m":   `a\u000ab\u001b[31m`,
		"a\u202eb\u2028": `a\u202eb\u2028`,
		"\xff\x80a":      `\xff\x80a`,
		"\U000e0041":     `\U000e0041`,
	} {
		if got := printable(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestAttachment(t *testing.T) {
	for in, want := range map[string]string{
		"a.txt":               `attachment; filename="a.txt"`,
		"":                    `attachment; filename="download"`,
		"../../.bashrc":       `attachment; filename="_.._.bashrc"`,
		"a\"; x=\"b\r\nX: y":  `attachment; filename="a__ x=_b__X_ y"; filename*=UTF-8''a_%3B%20x%3D_b__X_%20y`,
		"100% \xff\u202e.exe": `attachment; filename="100_ __.exe"; filename*=UTF-8''100%25%20__.exe`,
		"日本.txt":              `attachment; filename="__.txt"; filename*=UTF-8''%E6%97%A5%E6%9C%AC.txt`,
	} {
		if got := attachment(in); got != want {
			t.Errorf("%q:\n got %s\nwant %s", in, got, want)
		}
	}
}

// TestStatusTable: every code has a status of its own kind, and comes back from it as far as it can.
func TestStatusTable(t *testing.T) {
	for code, want := range map[Code]int{
		CodeFailed: 500, CodeUsage: 422, CodeNotFound: 404, CodeNotPermitted: 403, CodeIntegrity: 500, CodeUnavailable: 503,
		CodeNoSpace: 507, CodeNoHome: 409, CodeLocked: 409, CodeWrongKey: 409, CodeCancelled: 499, CodeConflict: 409, CodeTooMany: 429, CodeHandover: 503,
	} {
		if got := HTTPStatus(code); got != want {
			t.Errorf("%s: %d", code, got)
		}
	}
	for status, want := range map[int]Code{400: CodeUsage, 401: CodeNotPermitted, 403: CodeNotPermitted, 404: CodeNotFound, 405: CodeUsage,
		408: CodeUnavailable, 413: CodeUsage, 415: CodeUsage, 416: CodeUsage, 422: CodeUsage, 429: CodeTooMany, 500: CodeFailed, 503: CodeUnavailable} {
		if got := codeOf(status); got != want {
			t.Errorf("%d: %s", status, got)
		}
	}
}
