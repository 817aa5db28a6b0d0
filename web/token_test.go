package web_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"cairn/consensus/access"
	"cairn/web"
	"cairn/web/api"
	"cairn/web/internal/fakepeer"
)

// bearers knows three good tokens and three bad ones.
type bearers struct{ ended atomic.Bool }

func (b *bearers) TokenEnded(string) bool { return b.ended.Load() }

func (*bearers) CheckToken(secret, _ string) (web.Bearer, error) {
	scope, good := strings.CutPrefix(secret, "good-")
	b := web.Bearer{ID: "ab12", Name: secret, Scope: access.Right(scope)}
	switch {
	case good:
		return b, nil
	case secret == "expired":
		return b, web.ErrTokenExpired
	case secret == "revoked":
		return b, web.ErrTokenRevoked
	case secret == "unknown":
		return web.Bearer{}, web.ErrTokenUnknown
	}
	return web.Bearer{}, web.ErrTokenMalformed
}

// auditLog keeps records.
type auditLog struct {
	mu   sync.Mutex
	list []api.AuditRecord
}

func (a *auditLog) add(r api.AuditRecord) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list = append(a.list, r)
}

// take returns what came since the last call.
func (a *auditLog) take() []api.AuditRecord {
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.list
	a.list = nil
	return l
}

func (a *auditLog) one(t *testing.T) api.AuditRecord {
	t.Helper()
	l := a.take()
	if len(l) != 1 {
		t.Fatalf("%d records: %+v", len(l), l)
	}
	return l[0]
}

// TestBadTokens: whoever sends one is told the same for all, an administrator what it was; none is in a log.
func TestBadTokens(t *testing.T) {
	b := start(t, nil)
	var told []string
	for secret, why := range map[string]string{"cairn_short": "no token", "unknown": "unknown", "expired": "expired: ab12", "revoked": "revoked: ab12"} {
		a := b.request(t, false, b.raw("GET /v1/status", "", "Authorization: Bearer "+secret))
		if a.StatusCode != http.StatusUnauthorized {
			t.Errorf("%q: %d", secret, a.StatusCode)
		}
		told = append(told, failure(t, a).Message)
		r := b.audit.one(t)
		if r.Outcome != "denied" || r.From != "127.0.0.1" || r.Actor != "nobody" || !strings.Contains(r.Detail, why) || r.Subject != "GET /v1/status" {
			t.Errorf("%q: recorded as %+v", secret, r)
		}
		if b := b.request(t, false, b.raw("GET /v1/healthz", "", "Authorization: Bearer "+secret)); b.StatusCode != 200 {
			t.Errorf("health with %q: %d", secret, b.StatusCode)
		}
		if strings.Contains(b.log.String(), "cairn_short") {
			t.Error("the log has the token in it")
		}
	}
	if slices.Sort(told); len(slices.Compact(told)) != 1 {
		t.Errorf("whoever has a bad token learns more of it: %q", told)
	}
}

// TestBadAuthorization: forms that are not one bearer token.
func TestBadAuthorization(t *testing.T) {
	for name, head := range map[string][]string{
		"basic":    {"Authorization: Basic YTpi"},
		"no kind":  {"Authorization: good-admin"},
		"two":      {"Authorization: Bearer good-admin", "Authorization: Bearer good-read"},
		"empty":    {"Authorization: "},
		"only one": {"Authorization: Bearer"},
	} {
		b := start(t, nil)
		a := b.request(t, false, b.raw("GET /v1/status", "", head...))
		if e := failure(t, a); a.StatusCode != 401 || !strings.Contains(e.Message, "Authorization") {
			t.Errorf("%s: %d %s", name, a.StatusCode, e.Message)
		}
	}
	b := start(t, nil)
	cookie, secret := b.login(t)
	if a := b.request(t, false, b.raw("GET /v1/status", "", cookie, secret, "Authorization: Bearer expired")); a.StatusCode != 401 {
		t.Errorf("a session beside a bad token: %d", a.StatusCode)
	}
}

// TestTokenInAddress: it is refused with its own sentence, on both entrances, also when it would be good, and is in no log.
func TestTokenInAddress(t *testing.T) {
	b := start(t, nil)
	text := "cairn_" + strings.Repeat("Q", 49)
	for _, local := range []bool{false, true} {
		for _, q := range []string{"token=good-admin", "access_token=good-admin", "x=" + text, "q=a&TOKEN=1", "x=cairn%5F" + text[6:]} {
			a := b.request(t, local, b.raw("GET /v1/status?"+q, "", "Authorization: Bearer good-admin"))
			e := failure(t, a)
			if a.StatusCode != 401 || !strings.Contains(e.Message, "address") || strings.Contains(a.body, "QQQ") {
				t.Errorf("%s: %d %s", q, a.StatusCode, a.body)
			}
			if r := b.audit.one(t); r.Outcome != "denied" || !strings.Contains(r.Detail, "token in the address") || strings.Contains(r.Detail+r.Subject, "QQQ") {
				t.Errorf("%s: recorded as %+v", q, r)
			}
		}
	}
	if a := b.request(t, false, b.raw("GET /v1/entries?q=token", "", "Authorization: Bearer good-read")); a.StatusCode != 200 {
		t.Errorf("a search for the word: %d", a.StatusCode)
	}
	if strings.Contains(b.log.String(), "QQQ") {
		t.Error("the log has the token in it")
	}
}

// TestGuessing: after ten wrong tokens an address has to wait, with right ones too; others do not.
func TestGuessing(t *testing.T) {
	b := start(t, nil)
	for range 10 {
		if a := b.request(t, false, b.raw("GET /v1/status", "", "Authorization: Bearer unknown")); a.StatusCode != 401 {
			t.Fatalf("%d", a.StatusCode)
		}
	}
	for _, secret := range []string{"unknown", "good-read"} {
		a := b.request(t, false, b.raw("GET /v1/status", "", "Authorization: Bearer "+secret))
		if a.StatusCode != http.StatusTooManyRequests || a.Header.Get("Retry-After") == "" || failure(t, a).Code != api.CodeTooMany {
			t.Errorf("%s: %d %s", secret, a.StatusCode, a.body)
		}
	}
	cookie, secret := b.login(t)
	if a := b.request(t, false, b.raw("GET /v1/status", "", cookie, secret)); a.StatusCode != 200 {
		t.Errorf("a session from there: %d", a.StatusCode)
	}
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	c := http.Client{Transport: &http.Transport{DialContext: d.DialContext, DisableKeepAlives: true}}
	r, err := http.NewRequest("GET", b.URL()+"/v1/status", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer good-read")
	resp, err := c.Do(r)
	if err != nil {
		t.Skipf("no other loopback address here: %v", err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("from another address: %d", resp.StatusCode)
	}
}

// TestRecords: what was done is on record when the answer comes, what was not says why, and no secret is in it.
func TestRecords(t *testing.T) {
	b := start(t, nil)
	cookie, secret := b.login(t)
	if r := b.audit.one(t); r.Action != "login" || r.Outcome != "done" || r.From != "127.0.0.1" {
		t.Errorf("login: %+v", r)
	}
	if a := b.request(t, false, b.raw("POST /v1/login", `{"code":"0000-0000-0000"}`)); a.StatusCode != 401 {
		t.Errorf("%d", a.StatusCode)
	}
	if r := b.audit.one(t); r.Action != "login" || r.Outcome != "denied" || r.Actor != "nobody" || !strings.Contains(r.Detail, "login code") {
		t.Errorf("wrong code: %+v", r)
	}
	a := b.request(t, false, b.raw("POST /v1/tokens", `{"name":"backup"}`, cookie, secret))
	var n api.NewToken
	if err := json.Unmarshal([]byte(a.body), &n); err != nil || n.Secret == "" || n.ID == "" {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	if r := b.audit.one(t); r.Action != "token.create" || r.Actor != "session" || r.Outcome != "done" || !strings.Contains(r.Subject, n.ID) || strings.Contains(r.Subject+r.Detail, n.Secret) {
		t.Errorf("token: %+v", r)
	}
	b.request(t, true, b.raw("DELETE /v1/tokens/backup", ""))
	if r := b.audit.one(t); r.Action != "token.revoke" || r.Actor != "local" || r.From != "" || r.Subject != "ab12cd34 backup" {
		t.Errorf("revoked: %+v", r)
	}
	b.request(t, false, b.raw("DELETE /v1/tokens/"+n.Secret, "", "Authorization: Bearer good-admin"))
	if r := b.audit.one(t); r.Outcome != "failed" || r.Actor != "token good-admin" || strings.Contains(r.Subject+r.Detail, "aaa") || r.Detail == "" {
		t.Errorf("revoked by its secret: %+v", r)
	}
	b.request(t, false, b.raw("POST /v1/tokens", `{"name":"a","scope":"root"}`, cookie, secret))
	if r := b.audit.one(t); r.Outcome != "failed" || r.Detail != "status 422" {
		t.Errorf("a bad request: %+v", r)
	}
	b.request(t, false, b.raw("POST /v1/tokens", `{"name":"a\u202eb"}`, cookie, secret))
	if r := b.audit.one(t); r.Outcome != "failed" {
		t.Errorf("a bad name: %+v", r)
	}
	b.request(t, false, b.raw("POST /v1/tokens", `{}`, "Authorization: Bearer good-write"))
	if r := b.audit.one(t); r.Action != "http.denied" || r.Subject != "POST /v1/tokens" || r.Actor != "token good-write" || !strings.Contains(r.Detail, "admin") {
		t.Errorf("too little a scope: %+v", r)
	}
	b.request(t, false, strings.Replace(b.raw("GET /v1/status", ""), b.host(), "evil.example", 1))
	if r := b.audit.one(t); r.Action != "http.denied" || r.Subject != "any route" {
		t.Errorf("a foreign host: %+v", r)
	}
	b.request(t, false, b.raw("GET /v1/status", "", cookie, secret))
	if l := b.audit.take(); len(l) != 0 {
		t.Errorf("reading is on record: %+v", l)
	}
}

func TestAuditPages(t *testing.T) {
	b := start(t, nil)
	get := func(q string) (p api.AuditPage) {
		a := b.request(t, true, b.raw("GET /v1/audit"+q, ""))
		if err := json.Unmarshal([]byte(a.body), &p); err != nil || a.StatusCode != 200 {
			t.Fatalf("%d %s", a.StatusCode, a.body)
		}
		return p
	}
	if p := get("?limit=2"); len(p.Records) != 2 || p.Records[0].ID != 3 || p.Next != 2 {
		t.Errorf("%+v", p)
	}
	if p := get("?limit=2&before=2"); len(p.Records) != 1 || p.Records[0].ID != 1 || p.Next != 0 {
		t.Errorf("%+v", p)
	}
	if p := get("?limit=3"); len(p.Records) != 3 || p.Next != 0 {
		t.Errorf("%+v", p)
	}
}

// TestReadTokenSeesNoTickets: a ticket's text lets anybody fetch, for longer than the token lives, so a token that may only read is
// told none.
func TestReadTokenSeesNoTickets(t *testing.T) {
	b := start(t, nil)
	b.peer.EntryFunc = func(context.Context, string) (api.Entry, error) {
		e := fakepeer.TheEntry()
		e.Tickets = []api.Ticket{fakepeer.TheTicket()}
		return e, nil
	}
	for scope, told := range map[string]bool{"read": false, "write": true} {
		for _, path := range []string{"/v1/entries/e1", "/v1/tickets/t1"} {
			a := b.request(t, false, b.raw("GET "+path, "", "Authorization: Bearer good-"+scope))
			if a.StatusCode != http.StatusOK {
				t.Fatalf("%s with %s: %d %s", path, scope, a.StatusCode, a.body)
			}
			if strings.Contains(a.body, "cairn1") != told {
				t.Errorf("%s with a token of scope %s: %s", path, scope, a.body)
			}
		}
	}
	if a := b.request(t, false, b.raw("GET /v1/tickets/t1/qr.svg", "", "Authorization: Bearer good-read")); a.StatusCode != http.StatusForbidden {
		t.Errorf("the QR code of a ticket: %d", a.StatusCode)
	}
}
