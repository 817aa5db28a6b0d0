package node

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"cairn/node/config"
	"cairn/web/api"
	"cairn/web/certs"
)

func TestLeafNames(t *testing.T) {
	seen := []netip.Addr{netip.MustParseAddr("10.0.0.5")}
	wanted := []string{"localhost", "127.0.0.1", "::1", "10.0.0.5", "10.0.0.6", "attic.local", "ATTIC.home.arpa", "cellar.local", "attic.example.org", "local",
		"8.8.8.8", "x.attic.local", ""}
	for _, c := range []struct {
		member string
		unique bool
		want   string
	}{
		{"attic", true, "localhost 127.0.0.1 ::1 10.0.0.5 attic.local ATTIC.home.arpa"},
		{"Attic.home", true, "localhost 127.0.0.1 ::1 10.0.0.5 attic.local ATTIC.home.arpa"},
		{"attic", false, "localhost 127.0.0.1 ::1 10.0.0.5"},
		{"cellar", true, "localhost 127.0.0.1 ::1 10.0.0.5 cellar.local"},
		{"", true, "localhost 127.0.0.1 ::1 10.0.0.5"},
		{"10.0.0.6", true, "localhost 127.0.0.1 ::1 10.0.0.5"},
	} {
		if got := strings.Join(leafNames(wanted, c.member, c.unique, seen), " "); got != c.want {
			t.Errorf("%q, unique %v: %s", c.member, c.unique, got)
		}
	}
}

func FuzzLeafRequest(f *testing.F) {
	f.Add([]byte(`{"v":1,"csr":"AAAA","names":["a.local"]}`))
	f.Add([]byte(`{`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if q, err := parseLeafRequest(b); err == nil && (q.Form != leafForm || len(q.Names) == 0 || len(q.Names) > maxLeafAt) {
			t.Errorf("%+v", q)
		}
	})
}

// TestNetworkAuthority: a member's dashboard is certified by the authority of whoever made the network, over restarts too, and by its own again
// when it has left.
func TestNetworkAuthority(t *testing.T) {
	loop := []string{"/ip4/127.0.0.1/tcp/0"}
	tls := config.TLS{Mode: config.TLSNetwork}
	a, _ := startAs(t, Config{Home: t.TempDir(), MemberListen: loop, HTTP: "127.0.0.1:0", TLS: tls})
	if _, err := a.Init(t.Context(), api.InitRequest{Name: "home", PeerName: "first"}); err != nil {
		t.Fatal(err)
	}
	inv, err := a.Invite(t.Context(), api.InviteRequest{})
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	b, stop := startAs(t, Config{Home: home, MemberListen: loop, HTTP: "127.0.0.1:0", TLS: tls})
	own := authorityOf(t, b)
	if _, err := b.Join(t.Context(), api.JoinRequest{Invite: inv.Text, Name: "second"}); err != nil {
		t.Fatal(err)
	}
	network := authorityOf(t, a)
	l := b.leafSource
	eventually(t, "connected with the first member", 20*time.Second, func() bool { p := b.seat(); return p != nil && p.svc.Connected(a.seat().id) })
	if !l.better() {
		t.Fatal("nobody is to be asked")
	}
	if err := l.own.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := authorityOf(t, b); got != network || certs.Fingerprint(l.own.Authority()) != network || own == network {
		t.Errorf("the authority is %s; that of the network is %s", got, network)
	}
	if l.better() {
		t.Error("there is still a better one")
	}
	if names := l.own.Names(); !slices.Contains(names, "127.0.0.1") {
		t.Errorf("names %v", names)
	}
	var issued bool
	for r := range a.Audit(t.Context(), 0) {
		issued = issued || r.Action == "certificate.issue" && r.Outcome == "done" && r.Subject == "second"
	}
	if !issued {
		t.Error("not on record")
	}
	stop()
	b, _ = startAs(t, Config{Home: home, MemberListen: loop, HTTP: "127.0.0.1:0", TLS: tls})
	if got := certs.Fingerprint(b.leafSource.own.Authority()); got != network {
		t.Errorf("after a restart: %s", got)
	}
	if err := b.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	l = b.leafSource
	if !l.better() {
		t.Error("the certificate of a network that was left stays")
	}
	if err := l.own.Refresh(t.Context()); err != nil || certs.Fingerprint(l.own.Authority()) != own || authorityOf(t, b) != own {
		t.Errorf("after leaving: %v", err)
	}
}

func authorityOf(t *testing.T, n *Node) string {
	t.Helper()
	ca, err := n.CA(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return ca.Fingerprint
}
