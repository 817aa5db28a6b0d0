package membership

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Book is the set of documents of one network. Safe for concurrent use. What it says depends on the documents alone,
// never on the order in which they came, as long as no more than MaxOrphans lack what gives them authority and the
// book is not full.
type Book struct {
	id   NetworkID
	root peer.ID

	mu     sync.RWMutex
	s      *store
	j      *judgement // of s; replaced or, for a certificate that changes nothing else, amended
	digest *[32]byte  // of Docs, nil when it has to be made anew
	floor  time.Time  // with digest
}

// NewBook begins with a charter.
func NewBook(charter Doc) (*Book, error) {
	if charter.kind != KindCharter {
		return nil, faultf(ErrMalformed, "a network begins with a charter, not with %s", charter)
	}
	b := &Book{id: charter.network, root: charter.signer, s: newStore()}
	b.s.put(&charter)
	b.j = judge(b.s, b.root, "")
	return b, nil
}

// Network returns the id, name and charter.
func (b *Book) Network() (id NetworkID, name string, charter Doc) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.id, b.s.charter.said.name, *b.s.charter
}

// Root returns the peer id of the network's root key.
func (b *Book) Root() peer.ID { return b.root }

// Merge adds documents, in any order, and returns those that count or may count later, and that were new or had no
// authority before. For each one that is left out an error is joined; the others are added all the same. A document
// whose signer has no authority yet is left out and kept aside: it is among those that are returned once its authority
// has come. Errors wrap ErrForeign, ErrAuthority, ErrFull or ErrMalformed.
func (b *Book) Merge(docs ...Doc) (added []Doc, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var (
		fresh []*Doc
		errs  []error
		dirty bool
		joins = map[peer.ID]struct{}{} // new subjects of this call
	)
	for i := range docs {
		d := &docs[i]
		if b.s.docs[d.id] != nil && !d.IsZero() {
			if _, orphan := b.j.orphans[d.id]; orphan {
				errs = append(errs, unbacked(d))
			}
			continue
		}
		if err := b.refuse(d, joins); err != nil {
			errs = append(errs, err)
			continue
		}
		d = &Doc{}
		*d = docs[i]
		changes := b.changes(d)
		ok, out := b.s.put(d)
		if !ok {
			continue // newer ones are there
		}
		if out != nil {
			delete(b.j.orphans, out.id)
			fresh = slices.DeleteFunc(fresh, func(f *Doc) bool { return f.id == out.id })
		}
		fresh = append(fresh, d)
		dirty = dirty || changes
	}
	if len(fresh) == 0 {
		return nil, errors.Join(errs...)
	}
	b.digest = nil
	before := b.j.orphans
	if dirty {
		b.j = judge(b.s, b.root, "")
	} else {
		for _, d := range fresh {
			b.amend(d, joins)
		}
	}
	for id := range before {
		d := b.s.docs[id]
		if _, still := b.j.orphans[id]; !still && d != nil {
			added = append(added, *d)
		}
	}
	slices.SortFunc(added, func(a, b Doc) int { return oldest(&a, &b) })
	for _, d := range fresh {
		if _, orphan := b.j.orphans[d.id]; !orphan {
			added = append(added, *d)
			continue
		}
		errs = append(errs, unbacked(d))
		if len(b.j.orphans) > MaxOrphans {
			b.s.drop(d)
			delete(b.j.orphans, d.id)
		}
	}
	return added, errors.Join(errs...)
}

func unbacked(d *Doc) error {
	return faultf(ErrAuthority, "%s: its signer has no authority in this network", d)
}

// refuse tells why a document can never be in the book, or has no room.
func (b *Book) refuse(d *Doc, joins map[peer.ID]struct{}) error {
	switch {
	case d.IsZero():
		return faultf(ErrMalformed, "an empty document can not be merged")
	case d.network != b.id:
		return faultf(ErrForeign, "%s: it is of another network", d)
	case d.kind == KindSettlement && d.signer != b.root:
		return faultf(ErrAuthority, "%s: only the root settles revocations", d)
	case d.kind == KindDelegation && d.said.mayDelegate && d.signer != b.root:
		return faultf(ErrAuthority, "%s: only the root makes administrators that make others", d)
	}
	room := MaxDocs - reserveOther
	switch {
	case d.kind == KindCertificate && b.s.count(b.s.certs[d.subject], d.signer) >= kept:
		return nil // it takes the place of another
	case d.signer == b.root:
		room = MaxDocs
	case d.kind == KindRevocation || d.kind == KindDelegation:
		room = MaxDocs - reserveRoot
	}
	if len(b.s.docs)-len(b.j.orphans) >= room {
		return faultf(ErrFull, "%s: the network has no more room for documents", d)
	}
	if d.kind == KindCertificate || d.kind == KindAdmission {
		if !b.j.takesRoom(d.subject) {
			joins[d.subject] = struct{}{}
			if b.j.size+len(joins) > MaxMembers {
				delete(joins, d.subject)
				return faultf(ErrFull, "%s: the network has no room for more than %d members", d, MaxMembers)
			}
		}
	}
	return nil
}

// changes tells, before a document is put, whether others are to be judged anew. A certificate that only renews another
// one, or whose subject has signed nothing, changes nothing but its subject's own standing.
func (b *Book) changes(d *Doc) bool {
	switch {
	case d.kind == KindCharter:
		return false
	case d.kind != KindCertificate:
		return true
	case b.s.signed[d.subject] == 0:
		return false
	}
	for _, c := range b.s.certs[d.subject] {
		if c.signer == d.signer { // the newest of them
			return newest(d, c) < 0 &&
				((c.said.terms.Role < Member) != (d.said.terms.Role < Member) || b.j.late(c) != b.j.late(d))
		}
	}
	return true
}

// amend takes a document that changes no other into the judgement. joins are the subjects that are new.
func (b *Book) amend(d *Doc, joins map[peer.ID]struct{}) {
	switch {
	case d.kind != KindCertificate:
	case b.j.ranked(d.signer):
		b.j.members[d.subject] = struct{}{}
		if _, ok := joins[d.subject]; ok {
			delete(joins, d.subject)
			b.j.size++
		}
	default:
		b.j.orphans[d.id] = struct{}{}
	}
}

// Peer judges one peer at a time.
func (b *Book) Peer(id peer.ID, now time.Time) Info {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.j.peer(id, now)
}

// Check is nil when a peer is a member at a time; otherwise the error says why not and wraps ErrUnknown, ErrEarly,
// ErrExpired, ErrRevoked or ErrAuthority.
func (b *Book) Check(id peer.ID, now time.Time) error {
	i := b.Peer(id, now)
	kind := map[State]error{
		StateUnknown: ErrUnknown, StateEarly: ErrEarly, StateExpired: ErrExpired, StateVoid: ErrAuthority,
		StateRevoked: ErrRevoked, StateSuspended: ErrRevoked, StateLeft: ErrRevoked,
	}[i.State]
	if kind == nil {
		return nil
	}
	who := short(id)
	if i.Name != "" {
		who = fmt.Sprintf("%q (%s)", i.Name, short(id))
	}
	return faultf(kind, "%s is not a member of this network: %s", who, i.Reason)
}
