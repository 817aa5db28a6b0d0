package node

import (
	"context"
	"sync"
	"time"

	"cairn/storage"
	"cairn/swarm/exchange"
	"cairn/swarm/fetch"
	"cairn/swarm/ticket"

	"github.com/ipfs/go-cid"
)

// servedFor is how long what a finished get fetched is still served under its ticket. Then only the library's own
// tickets open it: the ticket is its issuer's to revoke, and nobody tells us when that happens.
const servedFor = 10 * time.Minute

// swarms are the gets of which others with the same ticket are served what has come already. It adds to the rights
// and the content of the library, which come first.
type swarms struct {
	lib   *library
	trees *trees
	store *storage.Store
	now   func() time.Time

	mu   sync.Mutex
	keys map[ticket.KeyID]*serving
}

// serving is one get, under one of its tickets.
type serving struct {
	ref     string // of its sessions: "get:" and the id of the transfer
	name    string
	key     ticket.Key
	root    cid.Cid
	size    int64
	expires time.Time // of the ticket; zero: never
	until   time.Time // when it ends after the get has; zero: the get is under way
	part    *fetch.Partial
	void    func(ticket.KeyID) error // why the ticket is good no more, as far as the get was told
}

func newSwarms(l *library, t *trees, st *storage.Store, now func() time.Time) *swarms {
	return &swarms{lib: l, trees: t, store: st, now: now, keys: map[ticket.KeyID]*serving{}}
}

// begin serves what a get has. The returned end stops at once or, when the get was completed, after servedFor. part is
// closed when nothing is served of it any more. A later get with the same ticket takes the place of an earlier one.
func (s *swarms) begin(ref string, g goal, part *fetch.Partial, void func(ticket.KeyID) error) (end func(complete bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	mine := map[ticket.KeyID]*serving{}
	for _, t := range g.tickets {
		k := t.Key()
		v := &serving{ref: ref, name: g.name, key: k, root: g.root, size: part.Tree().Size(), expires: t.Expires, part: part, void: void}
		old := s.keys[k.ID()]
		mine[k.ID()], s.keys[k.ID()] = v, v
		if old != nil && !old.until.IsZero() {
			s.closeUnused(old.part)
		}
	}
	return func(complete bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for id, v := range mine {
			v.until = s.now().Add(servedFor)
			if !complete && s.keys[id] == v {
				delete(s.keys, id)
			}
		}
		s.closeUnused(part)
	}
}

// closeUnused closes a part that nothing is served of. mu is held.
func (s *swarms) closeUnused(part *fetch.Partial) {
	for _, v := range s.keys {
		if v.part == part {
			return
		}
	}
	part.Close()
}

// sweep ends what was served long enough.
func (s *swarms) sweep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for id, v := range s.keys {
		if !v.until.IsZero() && now.After(v.until) {
			delete(s.keys, id)
			s.closeUnused(v.part)
		}
	}
}

// close ends all.
func (s *swarms) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, v := range s.keys {
		delete(s.keys, id)
		v.part.Close()
	}
}

// nameOf is the name of the object that a session is about.
func (s *swarms) nameOf(ref string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.keys {
		if v.ref == ref {
			return v.name
		}
	}
	return ""
}

// Lookup implements exchange.Rights. What was fetched and then removed from the library is served no more.
func (s *swarms) Lookup(id ticket.KeyID) (exchange.Grant, bool) {
	if g, ok := s.lib.Lookup(id); ok {
		return g, true
	}
	s.mu.Lock()
	v, now := s.keys[id], s.now()
	if v == nil {
		s.mu.Unlock()
		return exchange.Grant{}, false
	}
	over, late := !v.until.IsZero(), now.After(v.until)
	s.mu.Unlock()
	if over && (late || !s.lib.lists(v.root)) {
		return exchange.Grant{}, false
	}
	g := exchange.Grant{Key: v.key, Root: v.root, Size: v.size, Ref: v.ref, State: v.void(id)}
	if !v.expires.IsZero() && !now.Before(v.expires) {
		g.State = exchange.ErrExpired
	}
	return g, true
}

// Tree implements exchange.Content: what the library has whole, or else what the get of the grant has of it.
func (s *swarms) Tree(ctx context.Context, g exchange.Grant) (exchange.Tree, func(), error) {
	if s.lib.sizeOf(g.Root) < 0 {
		s.mu.Lock()
		for _, v := range s.keys {
			if v.ref == g.Ref {
				s.mu.Unlock()
				return v.part, func() {}, nil
			}
		}
		s.mu.Unlock()
	}
	return s.trees.Tree(ctx, g.Root)
}

// Get implements exchange.Content: the peer that asked compares what it gets with c.
func (s *swarms) Get(ctx context.Context, c cid.Cid, dst []byte) ([]byte, error) {
	return s.store.GetToSend(ctx, c, dst)
}
