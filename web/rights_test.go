package web_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"cairn/consensus/access"
	"cairn/web"
)

// TestRights asks for every route of the table through every entrance with every credential. New itself fails for
// a route without a row or a row without a route (see TestTable).
func TestRights(t *testing.T) {
	b := start(t, nil)
	close(b.peer.Updates)
	close(b.peer.Changes)
	for _, pattern := range web.Patterns() {
		need, _ := access.Needs(access.Action{Door: access.HTTP, Name: pattern})
		method, path, _ := strings.Cut(pattern, " ")
		for from, to := range map[string]string{"{path...}": "", "{ref}": "zz", "{id}": "zz", "{token}": "zz", "{key}": "name"} {
			path = strings.ReplaceAll(path, from, to)
		}
		if path == "/v1/logout" {
			continue // would end the session under test; see TestLogout
		}
		cookie, secret := b.login(t)
		wrong := "Cairn-Secret: AAAA"
		for _, c := range []struct {
			who  string
			head []string
			want string // rights that suffice
		}{
			{"nobody", nil, "public nearby"},
			{"secret alone", []string{secret}, "public nearby"},
			{"cookie alone", []string{cookie}, "public nearby cookie"},
			{"cookie, wrong secret", []string{cookie, wrong}, "public nearby cookie"},
			{"session", []string{cookie, secret}, "public nearby cookie session read write admin"},
			{"read token", []string{"Authorization: Bearer good-read"}, "public nearby read"},
			{"write token", []string{"Authorization: Bearer good-write"}, "public nearby read write"},
			{"admin token", []string{"Authorization: bearer good-admin"}, "public nearby read write admin"},
			{"read token and session", []string{cookie, secret, "Authorization: Bearer good-read"}, "public nearby read"},
		} {
			a := b.request(t, false, b.raw(method+" "+path, "", c.head...))
			refused := a.StatusCode == http.StatusUnauthorized || a.StatusCode == http.StatusForbidden
			if refused == slices.Contains(strings.Fields(c.want), string(need)) {
				t.Errorf("%s as %s: status %d, right %s", pattern, c.who, a.StatusCode, need)
			}
		}
		if a := b.request(t, true, b.raw(method+" "+path, "")); a.StatusCode == 401 || a.StatusCode == 403 {
			t.Errorf("%s over the socket: %d", pattern, a.StatusCode)
		}
	}
	if n := len(web.Patterns()); n < 40 {
		t.Errorf("only %d rows", n)
	}
}

// pending are the rows of the table of rights whose routes are still to come.
var pending = []string{}

// TestEveryRightHasARoute: a row of the table of rights that nothing is registered for is a mistake or to come.
func TestEveryRightHasARoute(t *testing.T) {
	patterns := web.Patterns()
	for _, r := range access.Table() {
		if r.Door == access.HTTP && slices.Contains(patterns, r.Name) == slices.Contains(pending, r.Name) {
			t.Errorf("%s: a route %v, pending %v", r.Name, slices.Contains(patterns, r.Name), slices.Contains(pending, r.Name))
		}
	}
}

func TestLogout(t *testing.T) {
	b := start(t, nil)
	cookie, secret := b.login(t)
	if a := b.request(t, false, b.raw("POST /v1/logout", "", cookie)); a.StatusCode != 401 {
		t.Errorf("logout without the secret: %d", a.StatusCode)
	}
	a := b.request(t, false, b.raw("POST /v1/logout", "", cookie, secret))
	if a.StatusCode != 204 || a.Cookies()[0].MaxAge != -1 {
		t.Errorf("logout: %d %v", a.StatusCode, a.Cookies())
	}
	if a := b.request(t, false, b.raw("GET /v1/status", "", cookie, secret)); a.StatusCode != 401 {
		t.Errorf("after logout: %d", a.StatusCode)
	}
}

// TestTable: a route that the table does not know is not served, and New says so.
func TestTable(t *testing.T) {
	b := start(t, nil)
	if err := web.TryRoute(b.Server, "GET /v1/forgotten"); err == nil || !strings.Contains(err.Error(), "GET /v1/forgotten") {
		t.Errorf("a route without a row: %v", err)
	}
	if err := web.TryRow(b.Server, "GET /v1/nothing"); err == nil || !strings.Contains(err.Error(), "GET /v1/nothing") {
		t.Errorf("a row without a route: %v", err)
	}
	a := b.request(t, true, b.raw("GET /v1/forgotten", ""))
	if a.StatusCode != 404 {
		t.Errorf("a route without a row was answered with %d", a.StatusCode)
	}
}
