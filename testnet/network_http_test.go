package testnet

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// TestDashboardForOthers: an address that other machines reach is refused without TLS; with the network's own authority
// who trusts it gets in with a token, as far as the token goes, and nobody else does.
func TestDashboardForOthers(t *testing.T) {
	t.Parallel() // it waits more than it works
	fresh := newHome(t)
	says(t, run(t, fresh, "up", "--http", "0.0.0.0:0"), 2, "0.0.0.0", "http.tls")
	absent(t, fresh.Dir)

	a := up(t, newHome(t), "--http", "0.0.0.0:0", "--tls", "network")
	found(t, a.Home, "home")
	b := up(t, newHome(t), "--http", "0.0.0.0:0", "--tls", "network")
	join(t, b.Home, inviteBy(t, a.Home), "second")
	together(t, a, b)
	ca := must(t, a.Home, "ca").Stdout

	token := func(scope string) string {
		t.Helper()
		var made struct{ Secret string }
		r := must(t, a.Home, "token", "create", "--json", "--scope", scope, "--name", "for-"+scope)
		if err := json.Unmarshal([]byte(r.Stdout), &made); err != nil || !strings.HasPrefix(made.Secret, "cairn_") {
			t.Fatalf("%v: %s", err, r)
		}
		return made.Secret
	}
	read, write, admin := token("read"), token("write"), token("admin")
	trusting, ignorant := httpClient(t, ca), httpClient(t, "")
	if _, _, err := ask(t, ignorant, a, "GET", "/v1/status", read, ""); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("without the authority: %v", err)
	}
	// The certificate of before there was a network is exchanged soon, here and on the other member.
	for _, p := range []*Peer{a, b} {
		if _, err := Until(limit(t, 2*patience), func(context.Context) (int, error) {
			code, _, err := ask(t, trusting, p, "GET", "/v1/healthz", "", "")
			return code, err
		}, func(code int) bool { return code == 200 }); err != nil {
			t.Fatalf("a dashboard is not vouched for by the network: %v", err)
		}
	}
	for _, tt := range []struct {
		name, method, path, token, body string
		code                            int
		words                           string
	}{
		{"anybody: health", "GET", "/v1/healthz", "", "", 200, ""},
		{"anybody: status", "GET", "/v1/status", "", "", 401, "a session or a token"},
		{"read: status", "GET", "/v1/status", read, "", 200, a.Ready.PeerID},
		{"read: members", "GET", "/v1/members", read, "", 200, "second"},
		{"read: revoke", "DELETE", "/v1/members/second", read, "", 403, ""},
		{"read: invite", "POST", "/v1/invites", read, "{}", 403, ""},
		{"write: invite", "POST", "/v1/invites", write, "{}", 403, ""},
		{"write: audit", "GET", "/v1/audit", write, "", 403, ""},
		{"admin: audit", "GET", "/v1/audit", admin, "", 200, "token.create"},
		{"admin: invite", "POST", "/v1/invites", admin, `{"role":"reader"}`, 200, "cairninvite1"},
		{"admin: the root key", "POST", "/v1/local/network/recover", admin, `{"words":"a"}`, 403, ""},
		{"a made up token", "GET", "/v1/status", read[:len(read)-8] + "AAAAAAAA", "", 401, ""},
		{"a token in the address", "GET", "/v1/status?token=" + url.QueryEscape(read), "", "", 401, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, body, err := ask(t, trusting, a, tt.method, tt.path, tt.token, tt.body)
			if err != nil {
				t.Fatal(err)
			}
			if code != tt.code && (tt.code != 200 || code/100 != 2) || !strings.Contains(body, tt.words) {
				t.Errorf("%d %.300s, want %d with %q", code, body, tt.code, tt.words)
			}
			if tt.token != "" && strings.Contains(body, tt.token) {
				t.Errorf("the token is in the answer: %.300s", body)
			}
		})
	}
	// Plain HTTP on that port is told what to do.
	plain := strings.Replace(a.Ready.HTTP, "https://", "http://", 1)
	if res, err := http.Get(plain); err != nil {
		t.Error(err)
	} else {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<16))
		res.Body.Close()
		if res.StatusCode != 400 || !strings.Contains(strings.ToLower(string(text)), "https") {
			t.Errorf("plain HTTP: %d %s", res.StatusCode, text)
		}
	}
	must(t, a.Home, "token", "revoke", "for-read")
	if code, _, err := ask(t, trusting, a, "GET", "/v1/status", read, ""); err != nil || code != 401 {
		t.Errorf("a revoked token: %d, %v", code, err)
	}
	all, err := a.audited(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct{ action, outcome string }{{"token.create", "done"}, {"token.revoke", "done"}, {"invite.create", "done"}, {"http.denied", "denied"}, {"member.joined", "done"}} {
		if !slices.ContainsFunc(all, func(r audit) bool { return r.Action == want.action && r.Outcome == want.outcome }) {
			t.Errorf("no %s, %s in the audit log: %+v", want.action, want.outcome, all)
		}
	}
	for _, r := range all {
		for _, secret := range []string{read, write, admin, "cairninvite1"} {
			if strings.Contains(r.Detail+r.Subject+r.Actor, secret) {
				t.Errorf("a secret is in the audit log: %+v", r)
			}
		}
	}
}

// httpClient trusts one authority, or those of the system.
func httpClient(t *testing.T, ca string) *http.Client {
	t.Helper()
	c := &tls.Config{}
	if ca != "" {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM([]byte(ca)) {
			t.Fatalf("no certificate in %q", ca)
		}
	}
	tr := &http.Transport{TLSClientConfig: c}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// ask makes one request of a peer's dashboard.
func ask(t *testing.T, c *http.Client, p *Peer, method, path, token, body string) (code int, text string, err error) {
	t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(limit(t, patience), method, strings.TrimSuffix(p.Ready.HTTP, "/")+path, r)
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := c.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return res.StatusCode, string(b), err
}
