package node

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cairn/consensus/membership"
	"cairn/storage"
	"cairn/web/api"

	"github.com/ipfs/go-cid"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// outside checks that nothing of a network is left on a peer.
func outside(t *testing.T, n *Node) {
	t.Helper()
	if n.networkStatus().Joined {
		t.Error("it is in a network")
	}
	for note := range n.store.Notes(netNote) {
		t.Errorf("left behind: %s", note.ID)
	}
	if s, err := n.storedCA(secretNetworkCA); s != nil || err != nil {
		t.Errorf("the authority of the network is left behind (%v)", err)
	}
}

// TestEnterFails: a peer that can not listen for members makes no network, joins none, and can try again.
func TestEnterFails(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	n, _ := startAs(t, Config{Home: t.TempDir(), MemberListen: []string{"/ip4/127.0.0.1/tcp/" + port}})
	file := filepath.Join(t.TempDir(), "root.age")
	if _, err := n.Init(t.Context(), api.InitRequest{Name: "one", RecoveryFile: file, Passphrase: "open sesame"}); code(t, err) != api.CodeFailed || !strings.Contains(explain(err).Hint, "--member-listen") {
		t.Fatalf("a network without a host: %v", err)
	}
	outside(t, n)
	if _, err := os.Stat(file); err == nil {
		t.Error("the recovery file of no network is left")
	}
	a, _ := founded(t, Config{})
	inv, err := a.Invite(t.Context(), api.InviteRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Join(t.Context(), api.JoinRequest{Invite: inv.Text}); err == nil {
		t.Fatal("a member without a host")
	}
	outside(t, n)
	l.Close()
	st, err := n.Join(t.Context(), api.JoinRequest{Invite: inv.Text})
	if err != nil || st.Name != "home" || st.State != "valid" {
		t.Errorf("with the same invite again: %+v, %v", st, err)
	}
}

// TestLeaveInterrupted: who goes away in the middle of leaving, or a crash there, leaves nothing that harms the next network.
func TestLeaveInterrupted(t *testing.T) {
	home := t.TempDir()
	n, stop := start(t, home)
	if _, err := n.Init(t.Context(), api.InitRequest{Name: "one"}); err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := n.exit(gone); err != nil {
		t.Errorf("nobody waits: %v", err)
	}
	outside(t, n)

	// What an exit that failed at its end leaves.
	if err := n.store.PutNotes(t.Context(), storage.Note{ID: leavingNote, Data: []byte(`{}`)}, storage.Note{ID: recordNote + "x", Data: []byte(`{}`)}); err != nil {
		t.Fatal(err)
	}
	if st, err := n.Init(t.Context(), api.InitRequest{Name: "two"}); err != nil || st.Network.Name != "two" || !st.Network.Joined {
		t.Fatalf("%+v, %v", st.Network, err)
	}
	// And a crash at its beginning.
	if err := n.store.PutNotes(t.Context(), storage.Note{ID: leavingNote, Data: []byte(`{}`)}); err != nil {
		t.Fatal(err)
	}
	stop()
	n, _ = start(t, home)
	outside(t, n)
}

// TestLeaveEndsServing: what was fetched in one network without a ticket is not served in the next one.
func TestLeaveEndsServing(t *testing.T) {
	a, _ := founded(t, Config{})
	b := joined(t, a, "second", api.InviteRequest{})
	e, _ := added(t, a, "")
	if _, err := b.Get(t.Context(), api.GetRequest{Ref: e.CID, Output: filepath.Join(t.TempDir(), "copy")}, sink{t}); err != nil {
		t.Fatal(err)
	}
	root, err := cid.Decode(e.CID)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := (forMembers{b.swarms}).Lookup(memberKey(root).ID()); !ok {
		t.Fatal("it is not served at all")
	}
	if err := b.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, ok := (forMembers{b.swarms}).Lookup(memberKey(root).ID()); ok {
		t.Error("it is served to whoever comes next")
	}
}

// TestJoinEndsWithNode: a peer that stops does not wait for an attempt to join.
func TestJoinEndsWithNode(t *testing.T) {
	a, _ := founded(t, Config{})
	l, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	at, err := manet.FromNetAddr(l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	p := a.seat()
	_, _, charter := p.book.Network()
	terms, err := inviteTerms(api.InviteRequest{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	inv, err := membership.NewInvite(p.identity, charter, p.book.Chain(p.id), terms, []membership.Contact{{Door: a.host.ID(), Addrs: []ma.Multiaddr{at}}}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	text, err := inv.Encode()
	if err != nil {
		t.Fatal(err)
	}
	b, stop := start(t, t.TempDir())
	done := make(chan error, 1)
	go func() {
		_, err := b.Join(context.WithoutCancel(t.Context()), api.JoinRequest{Invite: text})
		done <- err
	}()
	c, err := l.Accept() // it is under way
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	stop()
	select {
	case err := <-done:
		if code(t, err) != api.CodeHandover {
			t.Errorf("%v", err)
		}
	case <-time.After(3 * time.Second):
		t.Error("it still tries")
	}
}

// TestGetEndsWithMembership: a get without a ticket does not wait for members that will never speak to this peer again.
func TestGetEndsWithMembership(t *testing.T) {
	a, _ := founded(t, Config{})
	b := joined(t, a, "second", api.InviteRequest{})
	e, _ := added(t, a, "")
	if _, err := b.SetLimits(t.Context(), api.Limits{Down: 64 << 10}); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := b.Get(t.Context(), api.GetRequest{Ref: e.CID, Output: filepath.Join(t.TempDir(), "copy"), WaitSeconds: 600}, sink{t})
		done <- err
	}()
	eventually(t, "it is under way", 10*time.Second, func() bool { return a.seat().server.Stats().Sessions > 0 })
	if _, err := a.RevokeMember(t.Context(), "second", api.RevokeRequest{}); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		if code(t, err) != api.CodeNotPermitted || !strings.Contains(err.Error(), "revoked") {
			t.Errorf("%v", err)
		}
	case <-time.After(15 * time.Second):
		t.Error("it waits for ever")
	}
	_, err := b.Get(t.Context(), api.GetRequest{Ref: e.CID, Output: filepath.Join(t.TempDir(), "copy")}, sink{t})
	if code(t, err) != api.CodeNotPermitted || !strings.Contains(err.Error(), "revoked") {
		t.Errorf("another one: %v", err)
	}
}

// TestLeaveIsHeard: who leaves just after its start tells the others.
func TestLeaveIsHeard(t *testing.T) {
	a, _ := founded(t, Config{})
	home := t.TempDir()
	b, stop := start(t, home)
	join(t, a, b, "second", api.InviteRequest{})
	was := b.identity.id().String()
	stop()
	b, _ = start(t, home)
	if err := b.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	if m, err := a.Member(t.Context(), was); err != nil || m.State != "left" {
		t.Errorf("%+v, %v", m, err)
	}
}

// TestGetOfMembersGoesOn: a get without a ticket that was interrupted goes on with what members have, and shows nobody what was here under
// no name of its own.
func TestGetOfMembersGoesOn(t *testing.T) {
	a, _ := founded(t, Config{})
	b := joined(t, a, "second", api.InviteRequest{})
	e, want := added(t, a, "")
	dst := filepath.Join(t.TempDir(), "copy")
	if _, err := b.SetLimits(t.Context(), api.Limits{Down: 64 << 10}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := b.Get(ctx, api.GetRequest{Ref: e.CID, Output: dst}, sink{t})
		done <- err
	}()
	root, err := cid.Decode(e.CID)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "its root is here", 10*time.Second, func() bool {
		ok, err := b.store.Has(t.Context(), root)
		return ok && err == nil
	})
	cancel()
	if err := <-done; err == nil {
		t.Fatal("it was not interrupted")
	}
	if _, err := b.SetLimits(t.Context(), api.Limits{}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Get(t.Context(), api.GetRequest{Ref: e.CID, Output: dst}, sink{t}); err != nil {
		t.Fatal(err)
	}
	if have, err := os.ReadFile(dst); err != nil || !bytes.Equal(have, want) {
		t.Errorf("the copy differs (%v)", err)
	}
	if got, err := b.Entry(t.Context(), e.CID); err != nil || got.Visibility != visibleNobody {
		t.Errorf("%s, %v", got.Visibility, err)
	}
}

// TestHideEndsSessions: members that are fetching what is made private get no more of it, and nor does the network that is joined
// while an import for the last one goes on.
func TestHideEndsSessions(t *testing.T) {
	a, _ := founded(t, Config{})
	b := joined(t, a, "second", api.InviteRequest{})
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, 4<<20)
	r, err := a.Add(t.Context(), api.AddRequest{Path: path}, sink{t})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.SetLimits(t.Context(), api.Limits{Down: 64 << 10}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := b.Get(ctx, api.GetRequest{Ref: r.Entry.CID, Output: filepath.Join(t.TempDir(), "copy")}, sink{t})
		done <- err
	}()
	eventually(t, "it is under way", 10*time.Second, func() bool { return a.seat().server.Stats().LeavesSent > 0 })
	if _, err := a.Add(t.Context(), api.AddRequest{Path: path, Visibility: visibleNobody}, sink{t}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the session has ended", 5*time.Second, func() bool { return a.seat().server.Stats().Sessions == 0 })
	cancel() // it waits for somebody else who has it
	if err := <-done; err == nil {
		t.Error("it came all the same")
	}

	was := a.seat()
	if err := a.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Init(t.Context(), api.InitRequest{Name: "next"}); err != nil {
		t.Fatal(err)
	}
	e, err := a.importPaths(t.Context(), imported{paths: []string{path}, name: "file", origin: "add", visibility: visibleNetwork, seat: was}, sink{t})
	if err != nil || e.Visibility != visibleNobody {
		t.Errorf("shown to the next network: %+v, %v", e, err)
	}
}
