package node

import (
	"path/filepath"
	"testing"
	"time"

	"cairn/swarm/exchange"
	"cairn/web/api"

	"github.com/ipfs/go-cid"
)

// seeking begins to look for the sources of a ticket, for whom it waits a second.
func seeking(t *testing.T, n *Node, text string) (*sources, goal) {
	t.Helper()
	r := api.GetRequest{Tickets: []string{text}, WaitSeconds: 1}
	g, err := n.goal(r)
	if err != nil {
		t.Fatal(err)
	}
	s, err := n.sources(t.Context(), g, r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s, g
}

// joins waits for the next source.
func joins(t *testing.T, s *sources) *source {
	t.Helper()
	select {
	case x, ok := <-s.joining:
		if !ok {
			t.Fatal("no more sources will come")
		}
		return x.(*source)
	case <-time.After(20 * time.Second):
		t.Fatal("no source joined")
	}
	return nil
}

// TestLostInTheWalk: a source whose connection is lost while the tree is read is dialled again.
func TestLostInTheWalk(t *testing.T) {
	a, _ := start(t, t.TempDir())
	b, _ := start(t, t.TempDir())
	src := filepath.Join(t.TempDir(), "f")
	write(t, src, 3<<20)
	s, g := seeking(t, b, share(t, a, api.TicketOptions{}, src).Ticket.Text)
	first := joins(t, s)
	if err := a.host.Network().ClosePeer(b.host.ID()); err != nil {
		t.Fatal(err)
	}
	for _, err := range first.Nodes(t.Context(), []cid.Cid{g.root}) {
		if err == nil {
			t.Skip("the node was faster than the end of the connection")
		}
	}
	for _, err := range joins(t, s).Nodes(t.Context(), []cid.Cid{g.root}) {
		if err != nil {
			t.Errorf("after the dial: %v", err)
		}
	}
}

// TestWhoIntroduces: only the peer that a ticket names is asked to introduce others and believed.
func TestWhoIntroduces(t *testing.T) {
	a, _ := start(t, t.TempDir())
	b, _ := start(t, t.TempDir())
	c, _ := start(t, t.TempDir())
	src := filepath.Join(t.TempDir(), "f")
	write(t, src, 3<<20)
	text := share(t, a, api.TicketOptions{}, src).Ticket.Text
	if _, err := b.Get(t.Context(), api.GetRequest{Tickets: []string{text}, Output: filepath.Join(t.TempDir(), "f")}, sink{t}); err != nil {
		t.Fatal(err)
	}
	s, g := seeking(t, c, text)
	s.serve(func() {})
	if x := joins(t, s); x.Peer() != a.host.ID() || x.peers == nil {
		t.Error("the peer that the ticket names is not asked")
	}
	k := g.tickets[0]
	k.Peer, k.Addrs = b.host.ID(), b.host.Addrs()
	s.add(&contact{ticket: k, origin: fromSource})
	if x := joins(t, s); x.Peer() != b.host.ID() || x.peers != nil {
		t.Error("a downloader may introduce others")
	}
}

// TestDoneOfGet: a downloader that has everything by now takes thanks and counts nothing.
func TestDoneOfGet(t *testing.T) {
	n, _ := start(t, t.TempDir())
	u := newUploads(n.lib, n.swarms, n.transfers)
	s := exchange.SessionInfo{ID: 1, Ref: ofGet + "abc"}
	u.started(s)
	s.Sent = 100
	u.progress(s)
	if err := u.done(s); err != nil {
		t.Errorf("done: %v", err)
	}
	s.Done = true
	u.ended(s, nil)
	if len(n.lib.usage) != 0 {
		t.Errorf("the use of what is no ticket of ours is kept: %v", n.lib.usage)
	}
}
