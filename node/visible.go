package node

import (
	"errors"
	"slices"

	"cairn/storage"
	"cairn/swarm/exchange"
	"cairn/swarm/ticket"
	"cairn/web/api"

	"github.com/ipfs/go-cid"
)

// Who may fetch an entry besides those with a ticket.
const (
	visibleNobody  = "private"
	visibleNetwork = "network" // every member of the network that this peer is in
)

// memberKey opens a session about an object between members. Everybody can derive it; what it opens is decided by
// [forMembers], and the member host admits nobody else.
func memberKey(root cid.Cid) ticket.Key { return ticket.ForMembers(root, "").Key() }

// ofMember begins the ref of every session of a member about an entry; the rest is the object's CID.
const ofMember = "net:"

// forMembers is what members of the network may fetch without a ticket: entries that are visible to it, and what a get
// without a ticket has. It implements exchange.Rights for the server on the member host.
type forMembers struct {
	*swarms
}

// Lookup implements exchange.Rights.
func (f forMembers) Lookup(id ticket.KeyID) (exchange.Grant, bool) {
	if g, ok := f.lib.visible(id); ok {
		return g, true
	}
	if v := f.choose(id); v != nil && v.members {
		return f.grant(v, id), true
	}
	return exchange.Grant{}, false
}

// visible returns the right of members to an object that an entry shows to them. It waits for no write to the store.
func (l *library) visible(id ticket.KeyID) (exchange.Grant, bool) {
	l.idx.RLock()
	defer l.idx.RUnlock()
	root, ok := l.shown[id]
	if !ok {
		return exchange.Grant{}, false
	}
	i := slices.IndexFunc(l.roots[root], func(id string) bool {
		e := l.entries[id]
		return e.Removed.IsZero() && e.Visibility == visibleNetwork
	})
	if i < 0 {
		return exchange.Grant{}, false
	}
	return exchange.Grant{Key: memberKey(root), Root: root, Size: l.entries[l.roots[root][i]].Size, Ref: ofMember + root.String()}, true
}

// nameOfRoot is what an object is called here.
func (l *library) nameOfRoot(root cid.Cid) string {
	l.idx.RLock()
	defer l.idx.RUnlock()
	for _, id := range l.roots[root] {
		return l.entries[id].Name
	}
	return ""
}

// hideAll makes every entry private: another network must not see what was shown to the last one.
func (l *library) hideAll() error {
	l.mu.Lock()
	var ids []string
	for id, e := range l.entries {
		if e.Visibility == visibleNetwork {
			ids = append(ids, id)
		}
	}
	l.mu.Unlock()
	var errs []error
	for _, id := range ids {
		_, err := l.change(id, func(e *storage.Entry) error { e.Visibility = visibleNobody; return nil })
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// hidden ends what members are fetching of an object that is shown to them no more. One who still may comes back.
func (n *Node) hidden(root cid.Cid) {
	n.swarms.leave(root)
	if p := n.seat(); p != nil {
		p.server.Drop(ofMember+root.String(), exchange.ErrGone)
	}
}

// visibility is what an entry becomes for a request that says want, and where saying nothing means usual.
func (n *Node) visibility(want, usual string) (string, error) {
	may, why := n.mayShow()
	switch {
	case want == visibleNetwork && !may:
		return "", why
	case want != "":
		return want, nil
	case usual == visibleNetwork && !may:
		return visibleNobody, nil
	}
	return usual, nil
}

// errNoNetwork is for what only a member of a network can do.
func errNoNetwork() error {
	return api.Errorf(api.CodeNotFound, "this peer is in no network").
		WithHint("`cairn init NAME` makes one, `cairn join INVITE` joins one")
}
