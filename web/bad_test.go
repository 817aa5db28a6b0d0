package web_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestBadRequests sends what clients must not send. Each has its status, code and sentence in a golden file:
// go test -run TestBadRequests -update writes it anew.
func TestBadRequests(t *testing.T) {
	b := start(t, nil)
	cookie, secret := b.login(t)
	h := []string{cookie, secret}
	authed := func(line, body string, head ...string) string { return b.raw(line, body, append(head, h...)...) }
	deep := strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40)
	cases := []struct {
		name  string
		local bool
		text  string
	}{
		// Who asks, and from where.
		{"no session", false, b.raw("GET /v1/status", "")},
		{"cookie without secret", false, b.raw("GET /v1/status", "", cookie)},
		{"wrong secret", false, b.raw("GET /v1/status", "", cookie, "Cairn-Secret: "+strings.Repeat("A", 43))},
		{"secret in the query", false, b.raw("GET /v1/status?secret="+strings.TrimPrefix(secret, "Cairn-Secret: "), "", cookie)},
		{"foreign host", false, strings.Replace(authed("GET /v1/status", ""), b.host(), "evil.example", 1)},
		{"host with another port", false, strings.Replace(authed("GET /v1/status", ""), b.host(), "127.0.0.1:1", 1)},
		{"foreign host for the page", false, strings.Replace(b.raw("GET /", ""), b.host(), "evil.example", 1)},
		{"foreign host for health", false, strings.Replace(b.raw("GET /v1/healthz", ""), b.host(), "evil.example", 1)},
		{"foreign origin", false, authed("POST /v1/gc", "", "Origin: http://evil.example")},
		{"origin of another port", false, authed("POST /v1/gc", "", "Origin: http://127.0.0.1:9", "Sec-Fetch-Site: same-site")},
		{"read from another site", false, authed("GET /v1/status", "", "Sec-Fetch-Site: cross-site")},
		{"read from another port", false, authed("GET /v1/status", "", "Sec-Fetch-Site: same-site")},
		{"local route from a browser", false, authed("POST /v1/local/share", `{"paths":["/etc/passwd"]}`)},
		{"another version of the API", true, b.raw("GET /v1/status", "", "Cairn-Api: 2")},
		// Paths.
		{"unknown route", true, b.raw("GET /v1/nothing", "")},
		{"unknown page", false, b.raw("GET /nothing.js", "")},
		{"wrong method", true, b.raw("PUT /v1/entries", "")},
		{"state change by GET", true, b.raw("GET /v1/gc", "")},
		{"wrong method for the page", false, b.raw("POST /", "")},
		{"dot dot", true, b.raw("GET /v1/../v1/status", "")},
		{"escaped dot dot", true, b.raw("GET /v1/entries/%2e%2e", "")},
		{"twice escaped dot dot", true, b.raw("GET /v1/entries/%252e%252e", "")},
		{"escaped slash", true, b.raw("GET /v1/entries/a%2fb", "")},
		{"twice escaped slash", true, b.raw("GET /v1/entries/a%252fb", "")},
		{"escaped backslash", true, b.raw("GET /v1/entries/..%5c..", "")},
		{"NUL", true, b.raw("GET /v1/entries/a%00b", "")},
		{"line break", true, b.raw("GET /v1/entries/a%0d%0ab", "")},
		{"not UTF-8", true, b.raw("GET /v1/entries/%ff", "")},
		{"double slash", true, b.raw("GET //v1//status", "")},
		{"dot dot in the page", false, b.raw("GET /assets/../../etc/passwd", "")},
		{"broken escape in the query", true, b.raw("GET /v1/entries?q=%zz", "")},
		{"unknown query", true, b.raw("GET /v1/entries?sort=name", "")},
		{"path out of the object", true, b.raw("GET /v1/list/e1?path=../x", "")},
		{"absolute path in the object", true, b.raw("GET /v1/content/e1?path=/etc/passwd", "")},
		{"NUL in the path in the object", true, b.raw("GET /v1/content/e1?path=a%00b", "")},
		{"limit of zero", true, b.raw("GET /v1/entries?limit=0", "")},
		{"limit in words", true, b.raw("GET /v1/entries?limit=three", "")},
		{"limit beyond 64 bits", true, b.raw("GET /v1/entries?limit=99999999999999999999", "")},
		{"long reference", true, b.raw("GET /v1/entries/"+strings.Repeat("a", 1025), "")},
		// Bodies.
		{"no body", true, b.raw("POST /v1/local/add", "", "Content-Type: application/json")},
		{"no content type", true, b.raw("POST /v1/local/add", "")},
		{"content type of forms", true, strings.Replace(b.raw("POST /v1/pins", `{"ref":"a"}`), "application/json", "text/plain", 1)},
		{"broken JSON", true, b.raw("POST /v1/local/add", `{"path":`)},
		{"trailing data", true, b.raw("POST /v1/local/add", `{"path":"/a"} {"path":"/b"}`)},
		{"duplicate keys", true, b.raw("POST /v1/local/add", `{"path":"/a","path":"/b"}`)},
		{"deep nesting", true, b.raw("POST /v1/local/add", deep)},
		{"long number", true, b.raw("POST /v1/entries/e1/tickets", `{"downloads":`+strings.Repeat("9", 400)+`}`)},
		{"huge number", true, b.raw("POST /v1/entries/e1/tickets", `{"downloads":1e30}`)},
		{"fraction", true, b.raw("POST /v1/entries/e1/tickets", `{"downloads":1.5}`)},
		{"negative number", true, b.raw("POST /v1/entries/e1/tickets", `{"downloads":-1}`)},
		{"not UTF-8 in the body", true, b.raw("POST /v1/local/add", "{\"path\":\"/\xff\"}")},
		{"unknown field", true, b.raw("POST /v1/local/add", `{"path":"/a","cpoy":true}`)},
		{"field in other case", true, b.raw("POST /v1/local/add", `{"Path":"/a"}`)},
		{"unknown field with control characters", true, b.raw("POST /v1/local/add", `{"path":"/a","\u001b[31m\u202e":1}`)},
		{"missing field", true, b.raw("POST /v1/local/add", `{}`)},
		{"wrong type", true, b.raw("POST /v1/local/add", `{"path":7}`)},
		{"null", true, b.raw("POST /v1/local/add", `null`)},
		{"list for an object", true, b.raw("POST /v1/local/add", `[]`)},
		{"no tickets", true, b.raw("POST /v1/gets", `{"tickets":[]}`)},
		{"body too long", true, b.raw("POST /v1/local/add", `{"path":"`+strings.Repeat("a", 1<<20)+`"}`)},
		{"body shorter than it says", true, strings.Replace(b.raw("POST /v1/local/add", `{}`), "Length: 2", "Length: 1", 1)},
		{"relative path", true, b.raw("POST /v1/local/share", `{"paths":["a"]}`)},
		{"get of nothing", true, b.raw("POST /v1/local/get", `{}`)},
		{"get of two kinds", true, b.raw("POST /v1/local/get", `{"tickets":["a"],"ref":"b"}`)},
		{"name with a slash", true, b.raw("POST /v1/uploads?name=..%2Fx", "x")},
		{"no name", true, b.raw("POST /v1/uploads", "x")},
		// Limits.
		{"negative limit", true, b.raw("PUT /v1/limits", `{"up":-1,"down":0,"peers":[],"hours":[]}`)},
		{"absurd limit", true, b.raw("PUT /v1/limits", `{"up":9223372036854775807,"down":0,"peers":[],"hours":[]}`)},
		{"limit of seven bytes", true, b.raw("PUT /v1/limits", `{"up":0,"down":7,"peers":[],"hours":[]}`)},
		{"limits without lists", true, b.raw("PUT /v1/limits", `{"up":0,"down":0}`)},
		{"a peer limited twice", true, b.raw("PUT /v1/limits", limits(`{"peer_id":"a","up":0,"down":0}`, 2, ``, 0))},
		{"257 limited peers", true, b.raw("PUT /v1/limits", limits(`{"peer_id":"a","up":0,"down":0}`, 257, ``, 0))},
		{"limits by hour given twice", true, b.raw("PUT /v1/limits", limits(``, 0, `{"days":[],"from":"01:00","to":"02:00","up":0,"down":0}`, 2))},
		{"65 limits by hour", true, b.raw("PUT /v1/limits", limits(``, 0, `{"days":[],"from":"01:00","to":"02:00","up":0,"down":0}`, 65))},
		{"hour that is none", true, b.raw("PUT /v1/limits", limits(``, 0, `{"days":[],"from":"25:00","to":"2:00","up":0,"down":0}`, 1))},
		{"day that is none", true, b.raw("PUT /v1/limits", limits(``, 0, `{"days":["fry"],"from":"01:00","to":"02:00","up":0,"down":0}`, 1))},
		{"hours without length", true, b.raw("PUT /v1/limits", limits(``, 0, `{"days":["fri"],"from":"01:00","to":"01:00","up":0,"down":0}`, 1))},
		// Ranges and headers.
		{"range beyond the end", true, b.raw("GET /v1/content/e1", "", "Range: bytes=100-")},
		{"malformed range", true, b.raw("GET /v1/content/e1", "", "Range: bytes=z")},
		{"many ranges", true, b.raw("GET /v1/content/e1", "", "Range: bytes="+strings.TrimSuffix(strings.Repeat("0-0,", 17), ","))},
		{"bad event id", true, b.raw("GET /v1/events", "", "Last-Event-ID: x")},
		// Logins.
		{"login with no code", false, b.raw("POST /v1/login", `{"code":"hello"}`)},
		{"login with a wrong code", false, b.raw("POST /v1/login", `{"code":"0000-0000-0000"}`)},
		{"login with a bad key", false, b.raw("POST /v1/login", `{"code":"0000-0000-0000","public_key":"AAAA"}`)},
		{"login over the socket", true, b.raw("POST /v1/login", `{"code":"0000-0000-0000"}`)},
		{"resume without a challenge", false, b.raw("POST /v1/resume", `{"challenge":"a","signature":"b"}`, cookie)},
		{"spent link", false, b.raw("GET /v1/downloads/AAAA", "", cookie)},
		// What is not there.
		{"no such entry", true, b.raw("GET /v1/entries/zz", "")},
		{"no such ticket", true, b.raw("GET /v1/tickets/zz/qr.svg", "")},
		{"no such content", true, b.raw("GET /v1/content/zz", "")},
		{"name with control characters", true, b.raw("GET /v1/entries/%E2%80%AEzz", "")},
	}
	var got strings.Builder
	for _, c := range cases {
		a := b.request(t, c.local, c.text)
		if a.StatusCode < 400 {
			t.Errorf("%s: status %d: %s", c.name, a.StatusCode, a.body)
			continue
		}
		e := failure(t, a)
		line := fmt.Sprintf("%s\n\t%d %s: %s\n\t%s\n", c.name, a.StatusCode, e.Code, e.Message, e.Hint)
		line = strings.ReplaceAll(line, b.host(), "HOST")
		if strings.ContainsAny(strings.ReplaceAll(line, "\n\t", ""), "\x1b\r\u202e") {
			t.Errorf("%s: control characters in %q", c.name, line)
		}
		if s := strings.TrimPrefix(secret, "Cairn-Secret: "); strings.Contains(line, s) || strings.Contains(b.log.String(), s) {
			t.Errorf("%s: the secret is in the answer or the log", c.name)
		}
		got.WriteString(line)
	}
	golden(t, "testdata/errors.golden", got.String())
	if n := len(b.peer.Calls()); n != 0 {
		t.Errorf("the peer was called: %v", b.peer.Calls())
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	g, w := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range max(len(g), len(w)) {
		var a, b string
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			t.Fatalf("%s line %d:\n got %s\nwant %s", name, i+1, a, b)
		}
	}
}

// TestHugeHeader is apart because net/http answers it before any handler.
func TestHugeHeader(t *testing.T) {
	b := start(t, nil)
	a := b.request(t, false, b.raw("GET /v1/healthz", "", "X-Pad: "+strings.Repeat("a", 64<<10)))
	if a.StatusCode != 431 {
		t.Errorf("status %d", a.StatusCode)
	}
}

// limits is a body of PUT /v1/limits with the same peer and the same hours so many times.
func limits(peer string, peers int, hours string, rules int) string {
	list := func(one string, n int) string { return strings.TrimSuffix(strings.Repeat(one+",", n), ",") }
	return `{"up":0,"down":0,"peers":[` + list(peer, peers) + `],"hours":[` + list(hours, rules) + `]}`
}
