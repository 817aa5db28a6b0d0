package client_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"cairn/web"
	"cairn/web/api"
	"cairn/web/client"
	"cairn/web/internal/fakepeer"
)

// inNetwork starts a peer with this network, at a time that stands still.
func inNetwork(t *testing.T, n func(func() time.Time) *fakepeer.Network) *bench {
	now := func() time.Time { return time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC) }
	return start(t, func(c *web.Config) { c.Network = n(now) })
}

// TestNetwork makes a network and works with it: each method once.
func TestNetwork(t *testing.T) {
	b := inNetwork(t, fakepeer.NewNetwork)
	ctx := t.Context()
	s, err := b.Network(ctx)
	if err != nil || s.Joined || s.MemberID == "" || s.Alerts == nil {
		t.Fatalf("before: %+v, %v", s, err)
	}
	if _, err := b.Members(ctx); code(err) != api.CodeNotFound {
		t.Errorf("members of no network: %v", err)
	}
	made, err := b.InitWords(ctx, api.InitRequest{Name: "home", PeerName: "desk"})
	if err != nil || made.RecoveryWords != fakepeer.Words || made.Network.SelfName != "desk" {
		t.Fatalf("init: %+v, %v", made, err)
	}
	if _, err := b.InitWords(ctx, api.InitRequest{Name: "again"}); code(err) != api.CodeConflict {
		t.Errorf("init again: %v", err)
	}
	v, err := b.Invite(ctx, api.InviteRequest{Role: "reader", Uses: 3, Zone: "attic", Classes: []string{"slow"}})
	if err != nil || v.Uses != 3 || v.Zone != "attic" || v.State != "open" {
		t.Errorf("invite: %+v, %v", v, err)
	}
	svg, err := b.InviteQR(ctx, v.ID)
	if err != nil || !bytes.HasPrefix(svg, []byte("<svg ")) {
		t.Errorf("QR of an invite with %d characters: %.40q, %v", len(v.Text), svg, err)
	}
	if _, err := b.InviteQR(ctx, "i77"); code(err) != api.CodeNotFound {
		t.Errorf("QR of no invite: %v", err)
	}
	if v, err = b.RevokeInvite(ctx, v.Text); err != nil || v.State != "revoked" {
		t.Errorf("revoke invite: %+v, %v", v, err)
	}
	if all, err := b.Invites(ctx); err != nil || len(all) != 1 || all[0].State != "revoked" {
		t.Errorf("invites: %+v, %v", all, err)
	}
	if m, err := b.Rename(ctx, "desk", "study"); err != nil || m.Name != "study" || !m.Self {
		t.Errorf("rename: %+v, %v", m, err)
	}
	if err := b.Leave(ctx); err != nil {
		t.Error(err)
	}
	if s, err := b.Network(ctx); err != nil || s.Joined {
		t.Errorf("after leaving: %+v, %v", s, err)
	}
	r, err := b.Recover(ctx, api.RecoverRequest{Words: fakepeer.Words, Name: "home"})
	if err != nil || r.Network.Role != "admin" || len(r.Did) == 0 {
		t.Errorf("recover: %+v, %v", r, err)
	}
}

func TestMembers(t *testing.T) {
	b := inNetwork(t, fakepeer.NewNetwork)
	ctx := t.Context()
	if _, err := b.Join(ctx, api.JoinRequest{Invite: "cairn1qqq"}); code(err) != api.CodeUsage {
		t.Errorf("join by a ticket: %v", err)
	}
	s, err := b.Join(ctx, api.JoinRequest{Invite: fakepeer.InviteText + "qqq", Name: "den"})
	if err != nil || !s.Joined || s.Role != "member" {
		t.Fatalf("join: %+v, %v", s, err)
	}
	if _, err := b.RevokeMember(ctx, "nas", api.RevokeRequest{}); code(err) != api.CodeNotPermitted {
		t.Errorf("revoke as a member: %v", err)
	}

	b = inNetwork(t, fakepeer.NewHousehold)
	all, err := b.Members(ctx)
	if err != nil || len(all) != 12 || !all[0].Self {
		t.Fatalf("%d members, %v", len(all), err)
	}
	nas := all[1]
	if m, err := b.Member(ctx, nas.ID[:14]); err != nil || m.Name != nas.Name {
		t.Errorf("member by the beginning of its id: %+v, %v", m, err)
	}
	if _, err := b.Member(ctx, "nobody"); code(err) != api.CodeNotFound {
		t.Errorf("no member: %v", err)
	}
	kept, err := b.RevokeMember(ctx, "cottage", api.RevokeRequest{Reason: "sold & gone"})
	if err != nil || kept.Member.State != "revoked" || kept.Member.Reason != "sold & gone" || len(kept.Kept) != 1 || len(kept.Ended) != 0 {
		t.Errorf("revoke: %+v, %v", kept, err)
	}
	void, err := b.RevokeMember(ctx, "nas", api.RevokeRequest{Void: true})
	if err != nil || len(void.Ended) != 3 || len(void.Kept) != 0 {
		t.Errorf("revoke with all that it issued: %d ended, %d kept, %v", len(void.Ended), len(void.Kept), err)
	}
}

// TestPathsOfTheNetwork: files of this machine are named on the socket only, and what is named makes sense.
func TestPathsOfTheNetwork(t *testing.T) {
	b := inNetwork(t, fakepeer.NewNetwork)
	ctx := t.Context()
	lc, err := b.LoginCode(ctx)
	if err != nil {
		t.Fatal(err)
	}
	c := client.New(client.TCP(b.server.URL()))
	defer c.Close()
	if err := c.Login(ctx, lc.Code); err != nil {
		t.Fatal(err)
	}
	file := api.InitRequest{Name: "home", RecoveryFile: "/tmp/recovery.age", Passphrase: "x"}
	for name, call := range map[string]func() error{
		"init with a file":      func() error { _, err := c.InitWords(ctx, file); return err },
		"init by the socket's":  func() error { _, err := c.Init(ctx, file); return err },
		"recover by the socket": func() error { _, err := c.Recover(ctx, api.RecoverRequest{Words: fakepeer.Words}); return err },
	} {
		if err := call(); code(err) != api.CodeNotPermitted || strings.Contains(err.Error(), "/tmp") {
			t.Errorf("%s over TCP: %v", name, err)
		}
	}
	for name, call := range map[string]func() error{
		"relative file": func() error {
			_, err := b.Init(ctx, api.InitRequest{Name: "h", RecoveryFile: "r.age", Passphrase: "x"})
			return err
		},
		"file, no passphrase": func() error {
			_, err := b.Init(ctx, api.InitRequest{Name: "h", RecoveryFile: "/r.age"})
			return err
		},
		"passphrase, no file":  func() error { _, err := b.Init(ctx, api.InitRequest{Name: "h", Passphrase: "x"}); return err },
		"nothing to recover":   func() error { _, err := b.Recover(ctx, api.RecoverRequest{}); return err },
		"words and a file":     func() error { _, err := b.Recover(ctx, api.RecoverRequest{Words: "w", File: "/r"}); return err },
		"words and passphrase": func() error { _, err := b.Recover(ctx, api.RecoverRequest{Words: "w", Passphrase: "x"}); return err },
		"relative recovery": func() error {
			_, err := b.Recover(ctx, api.RecoverRequest{File: "r", Passphrase: "x"})
			return err
		},
		"no name": func() error { _, err := b.Init(ctx, api.InitRequest{}); return err },
	} {
		if err := call(); code(err) != api.CodeUsage {
			t.Errorf("%s: %v", name, err)
		}
	}
	out, err := b.Init(ctx, file)
	if err != nil || out.RecoveryFile != file.RecoveryFile || out.RecoveryWords != "" {
		t.Errorf("init with a file on the socket: %+v, %v", out, err)
	}
}

// TestNoNetwork: a peer that was built without one says so on every route.
func TestNoNetwork(t *testing.T) {
	b := start(t)
	ctx := t.Context()
	_, err := b.Network(ctx)
	if code(err) != api.CodeNotFound || err.Error() != "this peer is in no network" {
		t.Errorf("network: %v", err)
	}
	if err := b.Leave(ctx); code(err) != api.CodeNotFound {
		t.Errorf("leave: %v", err)
	}
	if _, err := b.InviteQR(ctx, "i1"); code(err) != api.CodeNotFound {
		t.Errorf("QR: %v", err)
	}
}
