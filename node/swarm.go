package node

import (
	"context"
	"maps"
	"slices"
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

// keptShared is how many finished gets are served at a time, the newest: each holds its tree and a file.
const keptShared = 64

// swarms are the gets of which others with the same ticket are served what has come already. It adds to the rights
// and the content of the library, which come first.
type swarms struct {
	lib   *library
	trees *trees
	store *storage.Store
	now   func() time.Time

	mu    sync.Mutex
	gets  map[string]*shared          // by ref
	ended []*shared                   // those of them that are complete, in the order in which they were
	keys  map[ticket.KeyID][]*serving // oldest first; none is empty
}

// shared is what one get has.
type shared struct {
	ref   string // of its sessions: "get:" and the id of the transfer
	name  string
	root  cid.Cid
	part  *fetch.Partial
	until time.Time                // when it ends after the get has; zero: the get is under way
	void  func(ticket.KeyID) error // why a ticket is good no more, as far as the get was told
}

// serving is one ticket of a get.
type serving struct {
	*shared
	key     ticket.Key
	expires time.Time // of the ticket; zero: never
	members bool      // no ticket: served to members of the network only
}

func newSwarms(l *library, t *trees, st *storage.Store, now func() time.Time) *swarms {
	return &swarms{lib: l, trees: t, store: st, now: now, gets: map[string]*shared{}, keys: map[ticket.KeyID][]*serving{}}
}

// begin serves what a get has. The returned end stops at once or, when the get was completed, after servedFor or when
// keptShared others have been since. part is closed then.
func (s *swarms) begin(ref string, g goal, part *fetch.Partial, void func(ticket.KeyID) error) (end func(complete bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	mine := &shared{ref: ref, name: g.name, root: g.root, part: part, void: void}
	s.gets[ref] = mine
	ts := g.tickets
	if g.members {
		ts = []ticket.Ticket{ticket.ForMembers(g.root, "")}
	}
	for _, t := range ts {
		k := t.Key()
		s.keys[k.ID()] = append(s.keys[k.ID()], &serving{shared: mine, key: k, expires: t.Expires, members: t.Open()})
	}
	return func(complete bool) {
		s.end(func() []*shared {
			if !complete || s.gets[ref] != mine {
				return []*shared{mine}
			}
			mine.until = s.now().Add(servedFor)
			s.ended = append(s.ended, mine)
			return s.ended[:max(len(s.ended)-keptShared, 0)]
		})
	}
}

// end ends what is served of the gets that pick, called with mu held, returns.
func (s *swarms) end(pick func() []*shared) {
	s.mu.Lock()
	gone := slices.Clone(pick())
	for _, g := range gone {
		s.drop(g)
	}
	s.mu.Unlock()
	for _, g := range gone {
		g.part.Close() // not with mu held: it waits for reads
	}
}

// drop forgets one get. mu is held.
func (s *swarms) drop(g *shared) {
	if s.gets[g.ref] == g {
		delete(s.gets, g.ref)
	}
	s.ended = slices.DeleteFunc(s.ended, func(x *shared) bool { return x == g })
	for id, vs := range s.keys {
		if vs = slices.DeleteFunc(vs, func(v *serving) bool { return v.shared == g }); len(vs) > 0 {
			s.keys[id] = vs
		} else {
			delete(s.keys, id)
		}
	}
}

// leave stops serving members of a network what gets without tickets have, of one object or (cid.Undef) of all.
func (s *swarms) leave(root cid.Cid) {
	s.end(func() (gone []*shared) {
		for _, vs := range s.keys {
			for _, v := range vs {
				if v.members && (!root.Defined() || v.root.Equals(root)) {
					gone = append(gone, v.shared)
				}
			}
		}
		return gone
	})
}

// sweep ends what was served long enough.
func (s *swarms) sweep() {
	s.end(func() []*shared {
		now, n := s.now(), 0
		for n < len(s.ended) && now.After(s.ended[n].until) {
			n++
		}
		return s.ended[:n]
	})
}

// close ends all.
func (s *swarms) close() {
	s.end(func() []*shared { return slices.Collect(maps.Values(s.gets)) })
}

// nameOf is the name of the object that a session is about.
func (s *swarms) nameOf(ref string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.gets[ref]; g != nil {
		return g.name
	}
	return ""
}

// Lookup implements exchange.Rights. What was fetched and then removed from the library is served no more.
func (s *swarms) Lookup(id ticket.KeyID) (exchange.Grant, bool) {
	if g, ok := s.lib.Lookup(id); ok {
		return g, true
	}
	if v := s.choose(id); v != nil && !v.members {
		return s.grant(v, id), true
	}
	return exchange.Grant{}, false
}

// grant is the right to what a get has.
func (s *swarms) grant(v *serving, id ticket.KeyID) exchange.Grant {
	g := exchange.Grant{Key: v.key, Root: v.root, Size: v.part.Tree().Size(), Ref: v.ref, State: v.void(id)}
	if !v.expires.IsZero() && !s.now().Before(v.expires) {
		g.State = exchange.ErrExpired
	}
	return g
}

// choose returns of the gets with a ticket the one that is served: the newest that is complete, and otherwise the
// oldest that is under way, because it has most; nil if there is none.
func (s *swarms) choose(id ticket.KeyID) *serving {
	s.mu.Lock()
	defer s.mu.Unlock()
	var under *serving
	for _, v := range slices.Backward(s.keys[id]) {
		switch {
		case v.until.IsZero():
			under = v
		case !s.now().After(v.until) && s.lib.lists(v.root):
			return v
		}
	}
	return under
}

// Tree implements exchange.Content: what the library has whole, or else what the get of the grant has of it.
func (s *swarms) Tree(ctx context.Context, g exchange.Grant) (exchange.Tree, func(), error) {
	if s.lib.sizeOf(g.Root) >= 0 {
		return s.trees.Tree(ctx, g.Root)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.gets[g.Ref]; x != nil {
		return x.part, func() {}, nil
	}
	return nil, nil, exchange.ErrGone // a moment ago
}

// Get implements exchange.Content: the peer that asked compares what it gets with c.
func (s *swarms) Get(ctx context.Context, c cid.Cid, dst []byte) ([]byte, error) {
	return s.store.GetToSend(ctx, c, dst)
}
