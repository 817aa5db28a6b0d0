package node

import (
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"cairn/consensus/access"
	"cairn/node/config"
	"cairn/web/api"
	"cairn/web/client"

	"github.com/libp2p/go-libp2p/core/protocol"
)

// TestTLSFromElsewhere: a peer that others reach is used with a token over TLS that only its authority vouches for, and all of it is on record.
func TestTLSFromElsewhere(t *testing.T) {
	home := t.TempDir()
	cfg := Config{Home: home, HTTP: "0.0.0.0:0", TLS: config.TLS{Mode: config.TLSNetwork, Names: []string{"attic.home.arpa"}}}
	n, stop := startAs(t, cfg)
	ca, err := n.CA(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(ca.PEM, "PRIVATE") || !slices.Contains(ca.Permitted, "local") {
		t.Fatalf("%+v", ca)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(ca.PEM)) {
		t.Fatal("no certificate")
	}
	tok, err := n.CreateToken(t.Context(), api.TokenRequest{Name: "laptop", Scope: "write"})
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(strings.TrimPrefix(n.web.URL(), "https://"))
	if err != nil || !strings.HasPrefix(n.web.URL(), "https://attic.home.arpa:") {
		t.Fatalf("%s, %v", n.web.URL(), err)
	}
	url := "https://127.0.0.1:" + port
	c := client.New(client.Remote(url, tok.Secret, roots))
	defer c.Close()
	if st, err := c.Status(t.Context()); err != nil || st.Home != "" {
		t.Errorf("status: %v, home %q", err, st.Home)
	}
	if s, err := c.Session(t.Context()); err != nil || s.Access != "token" || s.Scope != "write" {
		t.Errorf("session: %+v, %v", s, err)
	}
	if _, err := c.Tokens(t.Context()); code(t, err) != api.CodeNotPermitted || !strings.Contains(err.Error(), "admin") {
		t.Errorf("tokens with scope write: %v", err)
	}
	if _, err := client.New(client.Remote(url, tok.Secret, nil)).Status(t.Context()); code(t, err) != api.CodeNotPermitted || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without the authority: %v", err)
	}
	if _, err := n.RevokeToken(t.Context(), "laptop"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Status(t.Context()); code(t, err) != api.CodeNotPermitted {
		t.Errorf("a revoked token: %v", err)
	}
	var seen []string
	for r, err := range n.Audit(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, r.Action+" "+r.Actor+" "+r.Detail)
	}
	for _, want := range []string{"ca.create peer", "http.denied token laptop", "http.denied nobody the token is wrong, has expired or was revoked (a token that was revoked"} {
		if !slices.ContainsFunc(seen, func(s string) bool { return strings.HasPrefix(s, want) }) {
			t.Errorf("no record of %q in %q", want, seen)
		}
	}
	resp, err := http.Get("http://127.0.0.1:" + port)
	if err != nil || resp.StatusCode != 400 {
		t.Errorf("plain HTTP: %v", err)
	} else {
		_ = resp.Body.Close()
	}
	stop()
	n, stop = startAs(t, Config{Home: home, Mode: ModeCommand}) // as for `cairn ca` while no peer runs
	if again, err := n.CA(t.Context()); err != nil || again.PEM != ca.PEM {
		t.Errorf("the authority has changed: %v", err)
	}
	stop()
}

func TestTLSRefused(t *testing.T) {
	for name, c := range map[string]Config{
		"no TLS":         {HTTP: "0.0.0.0:0"},
		"a public name":  {HTTP: "127.0.0.1:0", TLS: config.TLS{Mode: config.TLSNetwork, Names: []string{"files.example.org"}}},
		"no files":       {HTTP: "127.0.0.1:0", TLS: config.TLS{Mode: config.TLSFiles, Cert: "/nowhere/cert.pem", Key: "/nowhere/key.pem"}},
		"no domain":      {HTTP: "127.0.0.1:0", TLS: config.TLS{Mode: config.TLSACME}, ACME: config.ACME{Agree: true}},
		"another source": {HTTP: "127.0.0.1:0", TLS: config.TLS{Mode: "magic"}},
	} {
		c.Home, c.Mode, c.Listen = t.TempDir(), ModeUp, []string{"/ip4/127.0.0.1/tcp/0"}
		n, err := New(t.Context(), c)
		if err == nil {
			n.close()
		}
		if e, ok := errors.AsType[*api.Error](err); !ok || e.Code != api.CodeUsage || e.Hint == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	n, _ := start(t, t.TempDir())
	if _, err := n.CA(t.Context()); code(t, err) != api.CodeNotFound {
		t.Errorf("an authority that was never needed: %v", err)
	}
}

// TestEveryProtocolHasARight: whatever is registered on a host, by libp2p or by us, has its row in the table of rights.
func TestEveryProtocolHasARight(t *testing.T) {
	n, _ := start(t, t.TempDir())
	check := func(d access.Door, ids []protocol.ID, least int) {
		t.Helper()
		var names []string
		for _, id := range ids {
			names = append(names, string(id))
		}
		if missing := access.Missing(d, names); len(missing) > 0 || len(names) < least {
			t.Errorf("%s host: %q of %q have no row", d, missing, names)
		}
	}
	check(access.DoorHost, n.host.Mux().Protocols(), 3)
	if _, err := n.Init(t.Context(), api.InitRequest{Name: "home"}); err != nil {
		t.Fatal(err)
	}
	check(access.DoorHost, n.host.Mux().Protocols(), 4)
	check(access.MemberHost, n.seat().host.Mux().Protocols(), 4)
}
