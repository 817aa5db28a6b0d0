package membership

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
)

// store holds the documents of a book in the order that judging needs. What it keeps of a set of documents does not
// depend on the order in which they came.
type store struct {
	docs    map[DocID]*Doc // all that are kept
	charter *Doc           // the newest
	kinds   [lastKind + 1]map[DocID]*Doc
	certs   map[peer.ID][]*Doc // by subject, newest first, at most kept of an issuer
	signed  map[peer.ID]int    // documents other than certificates, by signer
}

func newStore() *store {
	s := &store{docs: map[DocID]*Doc{}, certs: map[peer.ID][]*Doc{}, signed: map[peer.ID]int{}}
	for k := range s.kinds {
		s.kinds[k] = map[DocID]*Doc{}
	}
	return s
}

// put keeps a document and tells whether it did. A certificate may push out an older one of its issuer, which is
// returned, or be pushed out itself; so may a charter.
func (s *store) put(d *Doc) (ok bool, out *Doc) {
	switch d.kind {
	case KindCharter:
		if s.charter != nil && newest(s.charter, d) < 0 {
			return false, nil
		}
		out, s.charter = s.charter, d
	case KindCertificate:
		all := s.certs[d.subject]
		at, _ := slices.BinarySearchFunc(all, d, newest)
		newer, last := 0, -1
		for i, c := range all {
			if c.signer != d.signer {
				continue
			}
			if i < at {
				newer++
			}
			last = i
		}
		if newer >= kept {
			return false, nil
		}
		if s.count(all, d.signer) >= kept {
			out = all[last]
			all = slices.Delete(all, last, last+1)
		}
		s.certs[d.subject] = slices.Insert(all, at, d)
	default:
		s.signed[d.signer]++
	}
	if out != nil {
		delete(s.docs, out.id)
		delete(s.kinds[out.kind], out.id)
	}
	s.docs[d.id] = d
	s.kinds[d.kind][d.id] = d
	return true, out
}

// drop forgets a document that does not count.
func (s *store) drop(d *Doc) {
	delete(s.docs, d.id)
	delete(s.kinds[d.kind], d.id)
	switch d.kind {
	case KindCertificate:
		left := slices.DeleteFunc(s.certs[d.subject], func(c *Doc) bool { return c.id == d.id })
		if s.certs[d.subject] = left; len(left) == 0 {
			delete(s.certs, d.subject)
		}
	default:
		if s.signed[d.signer]--; s.signed[d.signer] == 0 {
			delete(s.signed, d.signer)
		}
	}
}

func (s *store) count(all []*Doc, issuer peer.ID) (n int) {
	for _, c := range all {
		if c.signer == issuer {
			n++
		}
	}
	return n
}

// of returns the documents of a kind, oldest first.
func (s *store) of(k Kind) []*Doc {
	all := make([]*Doc, 0, len(s.kinds[k]))
	for _, d := range s.kinds[k] {
		all = append(all, d)
	}
	slices.SortFunc(all, oldest)
	return all
}

// newestOf calls f for the newest certificate of each issuer of a peer, the newest of them first, until f is false.
func (s *store) newestOf(id peer.ID, f func(*Doc) bool) {
	all := s.certs[id]
	for i, c := range all {
		if !slices.ContainsFunc(all[:i], func(n *Doc) bool { return n.signer == c.signer }) && !f(c) {
			return
		}
	}
}

// oldest orders documents by time, those of one second by id. newest is the reverse.
func oldest(a, b *Doc) int {
	return cmp.Or(a.issued.Compare(b.issued), bytes.Compare(a.id[:], b.id[:]))
}

func newest(a, b *Doc) int { return oldest(b, a) }
