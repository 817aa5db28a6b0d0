package membership

import (
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// CheckJoin judges a join before it is recorded: nil, or an error that wraps ErrExpired, ErrUsed, ErrRevoked,
// ErrForeign, ErrAuthority, ErrNotFor, ErrEarly or ErrFull. The invite's document and chain must be in docs or in the
// book. A join of a peer that was admitted by the same invite before is right.
func (b *Book) CheckJoin(join Doc, docs []Doc, now time.Time) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	switch {
	case join.kind != KindJoin:
		return faultf(ErrMalformed, "this is not a join but %s", join)
	case join.network != b.id:
		return faultf(ErrForeign, "the invite is of another network")
	}
	invite := b.s.kinds[KindInvite][join.said.doc]
	for i := range docs {
		switch d := &docs[i]; {
		case d.network != b.id:
			return faultf(ErrForeign, "the invite is of another network")
		case d.id == join.said.doc && d.kind == KindInvite:
			invite = d
		}
	}
	if invite == nil || invite.subject != join.signer {
		return faultf(ErrAuthority, "the join does not come with its invite")
	}
	j := b.j
	if !j.ranked(invite.signer) && b.introduces(docs) {
		// Someone that this book has not heard of made the invite: what the documents make of him is judged apart.
		j = b.with(docs)
	}
	if join.subject == b.root {
		return faultf(ErrAuthority, "the root key is no peer and can not join")
	}
	if c, out := j.cut[join.subject]; out {
		if c.state == StateLeft {
			return faultf(ErrRevoked, "this peer has left the network: it needs a new identity to come back")
		}
		return faultf(ErrRevoked, "this peer was revoked: it can not come back with the same identity")
	}
	for _, sl := range b.j.invited[invite.id] {
		if sl.subject == join.subject && b.j.holds(sl) {
			return nil
		}
	}
	if err := j.checkInvite(invite, now); err != nil {
		return err
	}
	return b.checkUse(invite, &join, now)
}

// checkInvite tells whether an invite could be used by somebody.
func (j *judgement) checkInvite(invite *Doc, now time.Time) error {
	if invite.signer != j.root {
		a := j.admins[invite.signer]
		switch {
		case a == nil:
			return faultf(ErrAuthority, "who made the invite is no administrator of this network")
		case a.state != standing || j.late(invite):
			return faultf(ErrRevoked, "who made the invite, %s, is no administrator any more", j.who(invite.signer))
		case !j.mayGrant(invite):
			return faultf(ErrAuthority, "the invite makes an administrator, and who made it may not do that")
		}
	}
	switch {
	case len(j.ended[invite.subject]) > 0:
		return faultf(ErrRevoked, "the invite was revoked at %s", stamp(j.ended[invite.subject][0].issued))
	case invite.Early(now):
		return faultf(ErrEarly, "the invite is from the future (%s): a clock is wrong", stamp(invite.issued))
	case now.After(invite.said.expires):
		return faultf(ErrExpired, "the invite expired at %s", stamp(invite.said.expires))
	}
	return nil
}

// checkUse tells whether this peer may use an invite that is good.
func (b *Book) checkUse(invite, join *Doc, now time.Time) error {
	if f := invite.said.bound; f != "" && f != join.subject {
		return faultf(ErrNotFor, "the invite was made for another peer")
	}
	if join.Early(now) {
		return faultf(ErrEarly, "the join is from the future (%s): a clock is wrong", stamp(join.issued))
	}
	used := 0
	for _, sl := range b.j.invited[invite.id] {
		if sl.won && sl.subject != join.subject {
			used++
		}
	}
	if used >= invite.said.uses {
		if invite.said.uses == 1 {
			return faultf(ErrUsed, "the invite was used already")
		}
		return faultf(ErrUsed, "the invite was used %d times already, as often as it allows", used)
	}
	if b.j.size >= MaxMembers && !b.j.takesRoom(join.subject) {
		return faultf(ErrFull, "the network has no room for more than %d members", MaxMembers)
	}
	return nil
}

// introduces tells whether documents could make someone an administrator. Judging them takes a while, and what a
// stranger has signed himself must not cost it.
func (b *Book) introduces(docs []Doc) bool {
	return slices.ContainsFunc(docs, func(d Doc) bool {
		return b.j.ranked(d.signer) && b.s.docs[d.id] == nil && (d.kind == KindDelegation || d.kind == KindInvite && d.said.terms.Role == Admin)
	})
}

// with judges what the book knows of power together with further documents.
func (b *Book) with(docs []Doc) *judgement {
	s := newStore()
	for _, k := range []Kind{KindCharter, KindDelegation, KindRevocation, KindSettlement, KindInvite, KindJoin, KindAdmission} {
		for _, d := range b.s.kinds[k] {
			s.put(d)
		}
	}
	s.certs = b.s.certs // read only
	for i := range docs {
		d := &docs[i]
		wants := []Kind{KindDelegation, KindInvite, KindJoin, KindAdmission}
		if slices.Contains(wants, d.kind) && s.docs[d.id] == nil && b.refuse(d, map[peer.ID]struct{}{}) == nil {
			s.put(d)
		}
	}
	return judge(s, b.root, "")
}
