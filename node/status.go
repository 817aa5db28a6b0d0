package node

import (
	"context"
	"iter"

	"cairn/web/api"
)

// Status says how the peer is.
func (n *Node) Status(context.Context) (api.Status, error) {
	st := n.store.Stats()
	s := api.Status{
		Version: n.cfg.Version, APIVersion: api.Version, PeerID: n.host.ID().String(), MemberID: n.identity.id().String(), Name: n.settings.name(), Home: n.home.dir,
		Mode: n.cfg.Mode, Started: n.started.UTC(), Addresses: n.Addresses(), HTTP: n.web.URL(),
		Peers: n.countPeers(), Rates: n.peers.current(), Transfers: n.transfers.active(), Limits: []api.Limit{},
		Store: api.StoreStatus{Entries: n.lib.count(), OwnedBlocks: st.Blocks, OwnedBytes: st.Bytes,
			ReferencedFiles: st.Files, ReferencedBytes: st.FileBytes, FreeBytes: max(st.Free, 0), ReserveBytes: st.Reserve,
			Accepting: true, CorruptBlocks: st.DamageSeen},
	}
	if p := n.seat(); p != nil {
		_, s.Network, _ = p.book.Network()
	}
	switch {
	case st.Broken:
		s.Store.Accepting, s.Store.Reason = false, explain(n.store.Err()).Message
	case st.Free >= 0 && st.Free <= st.Reserve:
		s.Store.Accepting, s.Store.Reason = false, "the disk is full up to the reserve"
	}
	for _, l := range n.cfg.Limits.List() {
		s.Limits = append(s.Limits, api.Limit{Name: l.Name, Value: l.Value})
	}
	return s, nil
}

// Entries lists the library.
func (n *Node) Entries(_ context.Context, q api.EntryQuery) (api.EntryPage, error) {
	return n.lib.page(q), nil
}

// Entry finds one entry.
func (n *Node) Entry(_ context.Context, ref string) (api.Entry, error) {
	e, err := n.lib.find(ref)
	if err != nil {
		return api.Entry{}, explained(err)
	}
	return n.lib.show(e), nil
}

// Issue makes a ticket for an entry.
func (n *Node) Issue(_ context.Context, ref string, o api.TicketOptions) (api.Ticket, error) {
	t, err := n.lib.issue(ref, o)
	return t, explained(err)
}

// Watch follows a ticket.
func (n *Node) Watch(ctx context.Context, id string) iter.Seq2[api.ShareUpdate, error] {
	return func(yield func(api.ShareUpdate, error) bool) {
		n.lib.watch(ctx, id, n.handover, func(u api.ShareUpdate, err error) bool { return yield(u, explained(err)) })
	}
}

// Transfers lists what moves and what moved lately, newest first.
func (n *Node) Transfers(context.Context) ([]api.Transfer, error) { return n.transfers.list(), nil }

// Transfer finds one.
func (n *Node) Transfer(_ context.Context, id string) (api.Transfer, error) {
	_, t, err := n.transfers.get(id)
	return t, explained(err)
}

// Cancel stops one.
func (n *Node) Cancel(_ context.Context, id string) (api.Transfer, error) {
	t, err := n.transfers.stop(id)
	return t, explained(err)
}

// Events follows everything that happens.
func (n *Node) Events(ctx context.Context, after uint64) iter.Seq2[api.Event, error] {
	ctx, cancel := n.bound(ctx)
	seq := n.hub.follow(ctx, after, n.statusEvent)
	return func(yield func(api.Event, error) bool) {
		defer cancel()
		seq(yield)
	}
}

// statusEvent is the status as everybody may see it.
func (n *Node) statusEvent() api.Event {
	s, _ := n.Status(context.Background()) // never fails
	s.Home = ""
	return api.Event{Type: "status", Status: &s}
}

// tellStatus announces a status that changed otherwise than by itself.
func (n *Node) tellStatus() { n.hub.send(n.statusEvent()) }

// Handover ends a peer of mode "command" so that another process can take its home over.
func (n *Node) Handover(context.Context) error {
	if n.cfg.Mode == ModeUp {
		return api.Errorf(api.CodeLocked, "a peer already runs on %s", n.home.dir).WithHint("use it, or stop it first")
	}
	n.handOnce.Do(func() { close(n.handover) })
	return nil
}

// LoginCode makes a one-time code for the dashboard.
func (n *Node) LoginCode(context.Context) (api.LoginCode, error) {
	url := n.web.URL()
	if url == "" {
		return api.LoginCode{}, api.Errorf(api.CodeUnavailable, "this peer serves no dashboard").WithHint("start it with `cairn up`")
	}
	code, expires := n.sessions.NewCode()
	return api.LoginCode{Code: code, URL: url + "/#login=" + code, Expires: expires.UTC()}, nil
}

// Ticket finds a ticket by its id.
func (n *Node) Ticket(_ context.Context, id string) (api.Ticket, error) {
	t, _, err := n.lib.state(id)
	return t, explained(err)
}
