package web_test

import (
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"cairn/web/api"
)

func itoa(n int) string { return strconv.Itoa(n) }

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// failure decodes the one error body; its absence fails the test.
func failure(t *testing.T, a answer) api.Error {
	t.Helper()
	var body api.ErrorBody
	if err := json.Unmarshal([]byte(a.body), &body); err != nil || body.Error.Code == "" || body.Error.Message == "" {
		t.Fatalf("status %d with a body that is no error: %q", a.StatusCode, a.body)
	}
	if body.Error.RequestID == "" || body.Error.RequestID != a.Header.Get("Cairn-Request-Id") {
		t.Errorf("request id %q in the body, %q in the header", body.Error.RequestID, a.Header.Get("Cairn-Request-Id"))
	}
	if ct := a.Header.Get("Content-Type"); ct != "application/json" {
		t.Errorf("an error of type %q", ct)
	}
	return body.Error
}

// login opens a session and returns the header lines that carry it.
func (b *bench) login(t *testing.T) (cookie, secret string) {
	t.Helper()
	code, _ := b.sessions.NewCode()
	a := b.request(t, false, b.raw("POST /v1/login", `{"code":"`+code+`"}`))
	var r api.LoginResult
	if err := json.Unmarshal([]byte(a.body), &r); err != nil || r.Secret == "" {
		t.Fatalf("login: %d %s", a.StatusCode, a.body)
	}
	cookies := a.Cookies()
	if len(cookies) != 1 {
		t.Fatalf("login set %d cookies", len(cookies))
	}
	return "Cookie: " + cookies[0].Name + "=" + cookies[0].Value, "Cairn-Secret: " + r.Secret
}

func mustURL(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
