package web_test

import (
	"net/http"
	"strings"
	"testing"

	"cairn/web"
)

// TestRights asks for every route of the table through every entrance with every credential. New itself fails for
// a route without a row or a row without a route (see TestTable).
func TestRights(t *testing.T) {
	b := start(t, nil)
	close(b.peer.Updates)
	close(b.peer.Changes)
	for _, row := range web.Rows() {
		method, path, _ := strings.Cut(row.Pattern, " ")
		for from, to := range map[string]string{"{path...}": "", "{ref}": "zz", "{id}": "zz", "{token}": "zz"} {
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
			want map[string]bool // rights that suffice
		}{
			{"nobody", nil, map[string]bool{"public": true}},
			{"secret alone", []string{secret}, map[string]bool{"public": true}},
			{"cookie alone", []string{cookie}, map[string]bool{"public": true, "cookie": true}},
			{"cookie, wrong secret", []string{cookie, wrong}, map[string]bool{"public": true, "cookie": true}},
			{"session", []string{cookie, secret}, map[string]bool{"public": true, "cookie": true, "session": true}},
		} {
			a := b.request(t, false, b.raw(method+" "+path, "", c.head...))
			refused := a.StatusCode == http.StatusUnauthorized || a.StatusCode == http.StatusForbidden
			if refused == c.want[row.Right] {
				t.Errorf("%s as %s: status %d, right %s", row.Pattern, c.who, a.StatusCode, row.Right)
			}
		}
		if a := b.request(t, true, b.raw(method+" "+path, "")); a.StatusCode == 401 || a.StatusCode == 403 {
			t.Errorf("%s over the socket: %d", row.Pattern, a.StatusCode)
		}
	}
	if n := len(web.Rows()); n < 40 {
		t.Errorf("only %d rows", n)
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
