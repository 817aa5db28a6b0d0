package node

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cairn/consensus/access"
	"cairn/storage"
	"cairn/swarm/exchange"
	"cairn/swarm/ticket"
	"cairn/web/api"
	"cairn/web/certs"

	"github.com/ipfs/go-cid"
)

// founded is a peer that has made a network.
func founded(t *testing.T, c Config) (*Node, api.InitResult) {
	t.Helper()
	if c.Home == "" {
		c.Home = t.TempDir()
	}
	n, _ := startAs(t, c)
	res, err := n.Init(t.Context(), api.InitRequest{Name: "home", PeerName: "first"})
	if err != nil {
		t.Fatal(err)
	}
	return n, res
}

// joined is a peer that has joined the network of another.
func joined(t *testing.T, by *Node, name string, r api.InviteRequest) *Node {
	t.Helper()
	n, _ := start(t, t.TempDir())
	join(t, by, n, name, r)
	return n
}

func join(t *testing.T, by, n *Node, name string, r api.InviteRequest) {
	t.Helper()
	inv, err := by.Invite(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Join(t.Context(), api.JoinRequest{Invite: inv.Text, Name: name}); err != nil {
		t.Fatal(err, errors.Unwrap(err))
	}
}

// added adds a file and returns its entry and content.
func added(t *testing.T, n *Node, visibility string) (api.Entry, []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.bin")
	want := write(t, path, 2<<20+77)
	r, err := n.Add(t.Context(), api.AddRequest{Path: path, Visibility: visibility}, sink{t})
	if err != nil {
		t.Fatal(err)
	}
	return r.Entry, want
}

// TestNetworkContent: what a member adds the others may fetch by its CID, and nobody else may; what is private nobody may.
func TestNetworkContent(t *testing.T) {
	a, _ := founded(t, Config{})
	b := joined(t, a, "second", api.InviteRequest{})
	r := joined(t, a, "third", api.InviteRequest{Role: "reader"})
	out, _ := start(t, t.TempDir())

	e, want := added(t, a, "")
	if e.Visibility != visibleNetwork {
		t.Fatalf("a member's add is %s", e.Visibility)
	}
	for _, n := range []*Node{b, r} {
		dst := filepath.Join(t.TempDir(), "copy")
		g, err := n.Get(t.Context(), api.GetRequest{Ref: e.CID, Output: dst}, sink{t})
		if err != nil {
			t.Fatal(err)
		}
		if have, err := os.ReadFile(dst); err != nil || !bytes.Equal(have, want) || g.Fetched != int64(len(want)) {
			t.Errorf("the copy differs (%v), %d bytes fetched", err, g.Fetched)
		}
	}
	c, err := r.Open(t.Context(), e.CID, "")
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	for name, n := range map[string]*Node{"b": b, "r": r} {
		got, err := n.Entry(t.Context(), e.CID)
		if want := map[string]string{"b": visibleNetwork, "r": visibleNobody}[name]; err != nil || got.Visibility != want {
			t.Errorf("%s shows what it fetched to %q, want %q (%v)", name, got.Visibility, want, err)
		}
	}
	secret, _ := added(t, a, visibleNobody)
	_, err = b.Get(t.Context(), api.GetRequest{Ref: secret.CID, Output: filepath.Join(t.TempDir(), "x")}, sink{t})
	if code(t, err) != api.CodeNotFound || !strings.Contains(err.Error(), "connected member") {
		t.Errorf("a private entry: %v", err)
	}
	if _, err := out.Get(t.Context(), api.GetRequest{Ref: e.CID, Output: filepath.Join(t.TempDir(), "x")}, sink{t}); code(t, err) != api.CodeNotFound {
		t.Errorf("somebody who is no member: %v", err)
	}
	if _, err := r.Add(t.Context(), api.AddRequest{Path: "/x", Visibility: visibleNetwork}, sink{t}); code(t, err) != api.CodeNotPermitted {
		t.Errorf("a reader shows something: %v", err)
	}
	mine, _ := added(t, r, "")
	if mine.Visibility != visibleNobody {
		t.Errorf("a reader's add is %s", mine.Visibility)
	}
}

// TestOpenTicketAtDoor: what stands in the place of a ticket among members opens nothing at the door, whoever uses it.
func TestOpenTicketAtDoor(t *testing.T) {
	a, _ := founded(t, Config{})
	b := joined(t, a, "second", api.InviteRequest{})
	e, _ := added(t, a, "")
	root, err := cid.Decode(e.CID)
	if err != nil {
		t.Fatal(err)
	}
	at := a.self()
	for _, n := range []*Node{b, must2(start(t, t.TempDir()))} {
		tk := ticket.ForMembers(root, at.Peer)
		tk.Addrs = at.Addrs
		sess, err := exchange.Dial(t.Context(), n.host, tk, exchange.ClientConfig{})
		if err == nil {
			sess.Close()
		}
		if !errors.Is(err, exchange.ErrRefused) {
			t.Errorf("at the door: %v", err)
		}
	}
}

func must2(n *Node, _ func()) *Node { return n }

// TestProtocolsHaveRights: no protocol is registered on either host without a row in the table of rights, and the table has
// no row for one that is not.
func TestProtocolsHaveRights(t *testing.T) {
	a, _ := founded(t, Config{})
	b := joined(t, a, "second", api.InviteRequest{})
	for _, n := range []*Node{a, b} {
		have := map[access.Door][]string{}
		for _, p := range n.host.Mux().Protocols() {
			have[access.DoorHost] = append(have[access.DoorHost], string(p))
		}
		for _, p := range n.seat().host.Mux().Protocols() {
			have[access.MemberHost] = append(have[access.MemberHost], string(p))
		}
		for door, ps := range have {
			for _, p := range ps {
				if _, ok := access.Needs(access.Action{Door: door, Name: p}); !ok {
					t.Errorf("%s on the %s host has no row", p, door)
				}
			}
			for _, row := range access.Table() {
				if row.Door == door && !slices.Contains(ps, row.Name) {
					t.Errorf("%s has a row for the %s host and is not there", row.Name, door)
				}
			}
		}
	}
}

// TestNetworkLeave: who leaves is told to the others, hides what it showed, and gets a new identity; a crash in the middle is made
// good at the next start.
func TestNetworkLeave(t *testing.T) {
	a, _ := founded(t, Config{})
	home := t.TempDir()
	b, stop := start(t, home)
	join(t, a, b, "second", api.InviteRequest{})
	e, _ := added(t, b, "")
	was := b.identity.id()
	if err := b.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other has heard", 10*time.Second, func() bool {
		m, err := a.Member(t.Context(), was.String())
		return err == nil && m.State == "left"
	})
	if got, err := b.Entry(t.Context(), e.ID); err != nil || got.Visibility != visibleNobody {
		t.Errorf("an entry is still %s (%v)", got.Visibility, err)
	}
	if st := b.networkStatus(); st.Joined || b.identity.id() == was {
		t.Errorf("joined %v, the same identity %v", st.Joined, b.identity.id() == was)
	}
	for note := range b.store.Notes(netNote) {
		t.Errorf("left behind: %s", note.ID)
	}
	if _, err := b.Members(t.Context()); code(t, err) != api.CodeNotFound {
		t.Errorf("members of no network: %v", err)
	}

	join(t, a, b, "second again", api.InviteRequest{})
	was = b.identity.id()
	if err := b.store.PutNotes(t.Context(), storage.Note{ID: leavingNote, Data: []byte(`{}`)}); err != nil {
		t.Fatal(err)
	}
	stop()
	b, _ = start(t, home)
	if b.seat() != nil || b.identity.id() == was {
		t.Errorf("after a crash while leaving: in a network %v, the same identity %v", b.seat() != nil, b.identity.id() == was)
	}
}

// TestNetworkSurvivesRestart: a member is one after a restart, with its invites.
func TestNetworkSurvivesRestart(t *testing.T) {
	home := t.TempDir()
	a, stop := start(t, home)
	if _, err := a.Init(t.Context(), api.InitRequest{Name: "home"}); err != nil {
		t.Fatal(err)
	}
	inv, err := a.Invite(t.Context(), api.InviteRequest{Zone: "attic", Classes: []string{"b", "a", "b"}})
	if err != nil {
		t.Fatal(err)
	}
	stop()
	a, _ = start(t, home)
	if st := a.networkStatus(); !st.Joined || st.Role != "admin" || st.State != "valid" || len(st.Alerts) != 0 {
		t.Errorf("%+v", st)
	}
	all, err := a.Invites(t.Context())
	if err != nil || len(all) != 1 || all[0].ID != inv.ID || all[0].Text != inv.Text || all[0].State != "open" || !slices.Equal(all[0].Classes, []string{"a", "b"}) {
		t.Errorf("%+v, %v", all, err)
	}
	if _, err := a.RevokeInvite(t.Context(), inv.ID[len(inv.ID)-8:]); err != nil {
		t.Fatal(err)
	}
	b, _ := start(t, t.TempDir())
	if _, err := b.Join(t.Context(), api.JoinRequest{Invite: inv.Text}); code(t, err) != api.CodeNotPermitted {
		t.Errorf("joined by an invite that was ended: %v", err)
	}
}

// TestRecover: the root key appoints, settles, and begins anew.
func TestRecover(t *testing.T) {
	file := filepath.Join(t.TempDir(), "root.age")
	a, _ := start(t, t.TempDir())
	res, err := a.Init(t.Context(), api.InitRequest{Name: "home", RecoveryFile: file, Passphrase: "open sesame"})
	if err != nil || res.RecoveryWords != "" || res.RecoveryFile != file {
		t.Fatalf("%+v, %v", res, err)
	}
	if fi, err := os.Stat(file); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("the recovery file: %v, %v", fi.Mode(), err)
	}
	b := joined(t, a, "second", api.InviteRequest{})
	if _, err := b.Invite(t.Context(), api.InviteRequest{}); code(t, err) != api.CodeNotPermitted {
		t.Errorf("a member invites: %v", err)
	}
	for _, bad := range []struct {
		r    api.RecoverRequest
		want api.Code
	}{
		{api.RecoverRequest{}, api.CodeUsage},
		{api.RecoverRequest{File: file, Words: "x"}, api.CodeUsage},
		{api.RecoverRequest{File: file, Passphrase: "close sesame"}, api.CodeWrongKey},
		{api.RecoverRequest{File: file + "x", Passphrase: "x"}, api.CodeNotFound},
		{api.RecoverRequest{File: t.TempDir(), Passphrase: "x"}, api.CodeUsage},
		{api.RecoverRequest{Words: strings.Repeat("abandon ", 24)}, api.CodeUsage},
		{api.RecoverRequest{Words: strings.Repeat("abandon ", 23) + "art"}, api.CodeNotPermitted}, // another root
		{api.RecoverRequest{File: file, Passphrase: "open sesame", Keep: []string{"nobody"}}, api.CodeNotFound},
	} {
		if _, err := b.Recover(t.Context(), bad.r); code(t, err) != bad.want {
			t.Errorf("%+v: %v", bad.r, err)
		}
	}
	if _, err := b.Recover(t.Context(), api.RecoverRequest{File: file, Passphrase: "open sesame", Revoke: []string{"test"}}); err != nil {
		t.Fatal(err)
	}
	if st := b.networkStatus(); st.Role != "admin" || st.Administrators != 1 {
		t.Errorf("%+v", st)
	}
	eventually(t, "the old administrator is out", 10*time.Second, func() bool { return a.networkStatus().State == "revoked" })

	c, _ := start(t, t.TempDir())
	again, err := c.Recover(t.Context(), api.RecoverRequest{File: file, Passphrase: "open sesame"})
	if err != nil || again.Network.ID != res.Network.ID || again.Network.Name != "home" || again.Network.Role != "admin" {
		t.Errorf("begun anew: %+v, %v", again, err)
	}
}

// TestCertificateNames: a member gets no certificate for the name or address of another.
func TestCertificateNames(t *testing.T) {
	a, _ := founded(t, Config{})
	b := joined(t, a, "nas", api.InviteRequest{})
	p := a.seat()
	id := b.identity.id()
	eventually(t, "connected", 10*time.Second, func() bool { return len(p.host.Network().ConnsToPeer(id)) > 0 })
	got := a.namesFor(p, p.book.Peer(id, p.svc.Now()), p.host.Network().ConnsToPeer(id)[0],
		[]string{"nas.local", "NAS.internal", "first.local", "example.com", "10.9.8.7", "127.0.0.1", "8.8.8.8", "localhost", "x.nas.local"})
	if want := []string{"localhost", "nas.local", "nas.internal", "127.0.0.1"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	a.cfg.TLS.Names = []string{"nas.internal"} // a's own dashboard has the name
	if got := a.namesFor(p, p.book.Peer(id, p.svc.Now()), p.host.Network().ConnsToPeer(id)[0], []string{"nas.internal", "nas.local"}); len(got) != 1 {
		t.Errorf("the name of the administrator's own dashboard: %v", got)
	}
	one, err := a.CA(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if two, err := b.CA(t.Context()); err != nil || two.PEM != one.PEM {
		t.Errorf("another authority: %v", err)
	}
	if s, err := b.storedCA(secretNetworkCA); err != nil || s == nil || s.Key != nil {
		t.Errorf("a member has the key of the authority: %v", err)
	}
	c := joined(t, a, "deputy", api.InviteRequest{Role: "admin"})
	var last error
	eventually(t, "another administrator has the same authority", 10*time.Second, func() bool {
		ca, err := c.networkCA(t.Context(), c.seat())
		last = err
		return err == nil && string(ca.CertificatePEM()) == one.PEM
	})
	// A third one that is revoked keeps the key of the old authority: there is a new one, which the others take over.
	d := joined(t, a, "former", api.InviteRequest{Role: "admin"})
	eventually(t, "it has the key", 10*time.Second, func() bool { _, last = d.networkCA(t.Context(), d.seat()); return last == nil })
	time0, err := certs.ParseCertificate([]byte(one.PEM))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the clock ticks on: certificates are dated in seconds", 10*time.Second, func() bool {
		return time.Now().Truncate(time.Second).Add(-time.Hour).After(time0.NotBefore)
	})
	if _, err := a.RevokeMember(t.Context(), d.identity.id().String(), api.RevokeRequest{}); err != nil {
		t.Fatal(err)
	}
	fresh, err := a.CA(t.Context())
	if err != nil || fresh.PEM == one.PEM {
		t.Fatalf("the authority is the old one (%v)", err)
	}
	eventually(t, "the other administrator has taken it over", 10*time.Second, func() bool {
		c.syncAuthority(t.Context(), c.seat())
		ca, err := c.caOf(secretNetworkCA)
		return err == nil && ca != nil && string(ca.CertificatePEM()) == fresh.PEM
	})
	if err := b.remember(caAnswer{CA: &caSecret{Cert: []byte(fresh.PEM)}}); err != nil {
		t.Fatal(err)
	}
	if err := b.remember(caAnswer{CA: &caSecret{Cert: []byte(one.PEM)}}); err != nil {
		t.Fatal(err)
	}
	if s, err := b.storedCA(secretNetworkCA); err != nil || string(s.Cert) != fresh.PEM {
		t.Errorf("a member went back to the old authority: %v", err)
	}
}

// TestNetworkClocks: a peer whose clock is wrong by more than a day is told so, and one at the beginning of 1970 neither
// locks itself out nor forgets.
func TestNetworkClocks(t *testing.T) {
	a, _ := founded(t, Config{})
	inv, err := a.Invite(t.Context(), api.InviteRequest{})
	if err != nil {
		t.Fatal(err)
	}
	ahead, _ := startAs(t, Config{Home: t.TempDir(), Now: func() time.Time { return time.Now().Add(50 * time.Hour) }})
	if _, err = ahead.Join(t.Context(), api.JoinRequest{Invite: inv.Text}); err == nil || !strings.Contains(err.Error(), "clock") {
		t.Errorf("ahead: %v", err)
	}
	// What the network has signed says how late it is at least, so this one is let in, and told.
	behind, _ := startAs(t, Config{Home: t.TempDir(), Now: func() time.Time { return time.Now().Add(-50 * time.Hour) }})
	if _, err = behind.Join(t.Context(), api.JoinRequest{Invite: inv.Text, Name: "behind"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both are told", 20*time.Second, func() bool {
		for _, n := range []*Node{a, behind} {
			if !slices.ContainsFunc(n.networkStatus().Alerts, func(x api.Alert) bool { return x.Kind == "clock" }) {
				return false
			}
		}
		return true
	})
	home := t.TempDir()
	b, stop := start(t, home)
	join(t, a, b, "second", api.InviteRequest{})
	stop()
	began := time.Now()
	b, _ = startAs(t, Config{Home: home, Now: func() time.Time { return time.Unix(0, 0).Add(time.Since(began)) }})
	if st := b.networkStatus(); st.State != "valid" {
		t.Errorf("in 1970: %s %s", st.State, st.Reason)
	}
	eventually(t, "the clock is named", 20*time.Second, func() bool {
		return slices.ContainsFunc(a.networkStatus().Alerts, func(x api.Alert) bool { return x.Kind == "clock" && strings.Contains(x.Message, "second") })
	})
}
