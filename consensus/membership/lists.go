package membership

import (
	"crypto/sha256"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Members are all peers that were ever in the network, by name, then id.
func (b *Book) Members(now time.Time) []Info {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.j.all(now)
}

// Docs returns what another book needs to give the same verdicts: charter and delegations, then revocations and their
// settlements, then the rest. Certificates that newer ones of the same issuer replace are left out (the last before the
// newest is there, for the case that the newest is from the future).
func (b *Book) Docs() []Doc {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.docs()
}

func (b *Book) docs() []Doc {
	out := make([]Doc, 0, len(b.s.docs))
	for _, k := range []Kind{KindCharter, KindDelegation, KindRevocation, KindSettlement, KindInvite, KindJoin, KindAdmission, KindCertificate} {
		for _, d := range b.s.of(k) {
			if _, orphan := b.j.orphans[d.id]; !orphan {
				out = append(out, *d)
			}
		}
	}
	return out
}

// Digest is equal for books with equal Docs.
func (b *Book) Digest() [32]byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.derive()
	return *b.digest
}

// Floor is the latest time at which any document of an administrator in force or of the root was issued: it is not
// earlier than that.
func (b *Book) Floor() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.derive()
	return b.floor
}

// derive makes digest and floor anew when documents have come since.
func (b *Book) derive() {
	if b.digest != nil {
		return
	}
	h := sha256.New()
	b.floor = time.Time{}
	for _, d := range b.docs() {
		h.Write(d.id[:])
		// Joins and admissions are the word of those who are not trusted with time.
		if d.kind != KindJoin && d.kind != KindAdmission && b.j.inForce(&d) && d.issued.After(b.floor) {
			b.floor = d.issued
		}
	}
	sum := [32]byte(h.Sum(nil))
	b.digest = &sum
}

// Invites are all that are known, newest first. One that is bound to be refused because its maker is no administrator
// any more is shown as revoked.
func (b *Book) Invites(now time.Time) []InviteInfo {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var out []InviteInfo
	known := map[peer.ID]bool{}
	for _, d := range b.s.of(KindInvite) {
		if _, orphan := b.j.orphans[d.id]; orphan {
			continue
		}
		known[d.subject] = true
		i := InviteInfo{
			ID: d.subject, By: d.signer, Issued: d.issued,
			Terms:   InviteTerms{Terms: d.Terms(), Expires: d.said.expires, Uses: d.said.uses, For: d.said.bound},
			Revoked: len(b.j.ended[d.subject]) > 0 || !b.j.inForce(d),
		}
		for _, sl := range b.j.invited[d.id] {
			if sl.won {
				i.Used = append(i.Used, sl.subject)
			}
		}
		out = append(out, i)
	}
	for id, rs := range b.j.ended {
		if !known[id] { // of which there is but the revocation
			out = append(out, InviteInfo{ID: id, By: rs[0].signer, Issued: rs[0].issued, Revoked: true})
		}
	}
	slices.SortFunc(out, func(a, b InviteInfo) int {
		if c := b.Issued.Compare(a.Issued); c != 0 {
			return c
		}
		return strings.Compare(string(a.ID), string(b.ID))
	})
	return out
}

// Chain are the documents that give an administrator its power, root's first: delegations or, of one that came by an
// invite of role Admin, that invite and its join. It is nil when the peer is no administrator in force, and empty but
// not nil for the root itself.
func (b *Book) Chain(admin peer.ID) []Doc {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.j.chain(admin)
}

func (j *judgement) chain(id peer.ID) []Doc {
	if id == j.root {
		return []Doc{}
	}
	a := j.admins[id]
	if _, out := j.cut[id]; a == nil || a.state != standing || out {
		return nil
	}
	var best []Doc
	for _, s := range a.supports {
		// One that revoked his maker has no other chain than by him; that he is revoked is no matter here.
		if !j.secure(s) && !j.alive(a, s) {
			continue
		}
		var up []Doc
		if s.by != j.root {
			// The root's delegation of one that may delegate is the only one that serves.
			for _, t := range j.admins[s.by].supports {
				if t.by == j.root && t.via == nil && t.doc.said.mayDelegate {
					up = []Doc{*t.doc}
				}
			}
		}
		up = append(up, *s.doc)
		if s.via != nil {
			up = append(up, *j.join(s.via.admissions[0]))
		}
		// The shortest; of the root's own the one with more rights.
		if best == nil || len(up) < len(best) || len(up) == len(best) && a.direct && s.by == j.root && s.doc.said.mayDelegate {
			best = up
		}
	}
	return best
}

// Standing are the documents that prove a peer's own membership to one who knows only the charter: chains,
// certificates, invite, join, admission, and what proves those who signed them.
func (b *Book) Standing(id peer.ID) []Doc {
	b.mu.RLock()
	defer b.mu.RUnlock()
	p := proof{j: b.j, done: map[peer.ID]bool{}, has: map[DocID]bool{}}
	p.peer(id)
	return p.out
}

// Revocations are those that are known, their settlements, and what proves the right of who signed them: what goes
// first in every hello. Whether one counts depends on all administrators, so all are proved.
func (b *Book) Revocations() []Doc {
	b.mu.RLock()
	defer b.mu.RUnlock()
	p := proof{j: b.j, done: map[peer.ID]bool{}, has: map[DocID]bool{}}
	revocations := b.s.of(KindRevocation)
	if len(revocations) == 0 {
		return nil
	}
	for _, id := range slices.Sorted(maps.Keys(b.j.admins)) {
		p.peer(id)
	}
	for _, d := range append(revocations, b.s.of(KindSettlement)...) {
		if _, orphan := b.j.orphans[d.id]; !orphan {
			p.peer(d.signer)
			p.add(d)
		}
	}
	return p.out
}

// proof collects documents, each after those that give its signer authority.
type proof struct {
	j    *judgement
	done map[peer.ID]bool
	has  map[DocID]bool
	out  []Doc
}

func (p *proof) add(d *Doc) {
	if !p.has[d.id] {
		p.has[d.id] = true
		p.out = append(p.out, *d)
	}
}

// peer adds what makes a peer an administrator or a member. It ends, because a peer is looked at once.
func (p *proof) peer(id peer.ID) {
	if p.done[id] || id == p.j.root {
		return
	}
	p.done[id] = true
	a := p.j.admins[id]
	if a != nil {
		for _, s := range a.supports {
			p.peer(s.by)
			p.add(s.doc)
		}
	}
	p.j.s.newestOf(id, func(c *Doc) bool {
		if p.j.ranked(c.signer) {
			p.peer(c.signer)
			p.add(c)
		}
		return true
	})
	for _, sl := range p.j.slots[id] {
		p.peer(sl.invite.signer)
		p.add(sl.invite)
		for _, ad := range sl.admissions {
			p.peer(ad.signer)
			p.add(p.j.join(ad))
			p.add(ad)
		}
	}
}
