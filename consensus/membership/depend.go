package membership

import (
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
)

// DependsOn are the members whose membership or power would end with that of an administrator, because nobody else
// stands for them, and whom it revoked alone: those would come back. They are shown as they are now.
func (b *Book) DependsOn(admin peer.ID, now time.Time) []Info {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.j.admins[admin] == nil {
		return nil
	}
	without := judge(b.s, b.root, admin)
	return slices.DeleteFunc(b.j.all(now), func(i Info) bool {
		if i.ID == admin {
			return true
		}
		w := without.peer(i.ID, now)
		return w.State == i.State && w.Admin == i.Admin && w.Deleg == i.Deleg
	})
}

// Countersign makes the documents by which signer takes over what another administrator issued: certificates with the
// terms and rest of life of those in force (of who came by an invite, too), revocations with their own time, and
// delegations where signer may delegate. It is right before that administrator is revoked and after. What signer or
// the root said already is left out, and so are revocations of signer and of those who revoked that administrator.
func (b *Book) Countersign(signer crypto.PrivKey, admin peer.ID, now time.Time) ([]Doc, error) {
	id, err := signerOf(signer)
	if err != nil {
		return nil, fmt.Errorf("countersign: %w", err)
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	a := b.j.admins[id]
	_, out := b.j.cut[id]
	if id != b.root && (a == nil || a.state != standing || out) {
		return nil, faultf(ErrAuthority, "only an administrator in force can take over what another one issued")
	}
	if id == admin {
		return nil, faultf(ErrAuthority, "an administrator can not take over from itself")
	}
	var docs []Doc
	var errs error
	add := func(d Doc, err error) {
		if err != nil {
			errs = err
			return
		}
		docs = append(docs, d)
	}
	if id == b.root || a.direct {
		for _, y := range b.j.madeBy(admin, id) {
			add(Delegate(signer, b.id, y, false, now))
		}
	}
	for _, r := range b.s.of(KindRevocation) {
		if r.signer != admin || b.j.leaves(r) || b.j.settled[r.id] || b.j.late(r) || b.j.saidBy(r, id) {
			continue
		}
		switch {
		case r.said.ofInvite:
			add(RevokeInvite(signer, b.id, r.subject, r.issued))
		case r.subject != id && !b.j.revokes(r.subject, admin):
			add(Revoke(signer, b.id, r.subject, r.said.reason, r.issued))
		}
	}
	for m := range b.j.members {
		if c := b.j.claimBy(m, admin, id, now); c != nil {
			add(Certify(signer, b.id, m, c.name, c.doc.Terms(), now, c.expires.Sub(now)))
		}
	}
	if errs != nil {
		return nil, fmt.Errorf("countersign: %w", errs)
	}
	slices.SortFunc(docs, func(a, b Doc) int {
		if a.kind != b.kind {
			return int(a.kind) - int(b.kind)
		}
		return slices.Compare([]byte(a.subject), []byte(b.subject))
	})
	return docs, nil
}

// madeBy are the administrators that one has made, and for whom neither another one nor the root stands.
func (j *judgement) madeBy(maker, another peer.ID) (ids []peer.ID) {
	for id, a := range j.admins {
		if _, out := j.cut[id]; out || id == another || id == maker {
			continue
		}
		by := func(who peer.ID) bool {
			return slices.ContainsFunc(a.supports, func(s support) bool { return s.by == who })
		}
		if by(maker) && !by(another) && !by(j.root) {
			ids = append(ids, id)
		}
	}
	return ids
}

// saidBy tells whether a peer or the root has revoked the same.
func (j *judgement) saidBy(r *Doc, id peer.ID) bool {
	return slices.ContainsFunc(j.against[r.subject], func(o *Doc) bool {
		return o.said.ofInvite == r.said.ofInvite && (o.signer == id || o.signer == j.root)
	})
}

// claimBy is a peer's newest claim by an administrator, when it has not ended and neither id nor the root vouches for
// it as well.
func (j *judgement) claimBy(m, admin, id peer.ID, now time.Time) (found *claim) {
	if _, out := j.cut[m]; out || m == admin {
		return nil
	}
	for _, c := range j.claims(m, now) {
		c.expires = c.expires.Truncate(time.Second)
		if !now.Before(c.expires) || c.issued.After(now.Add(MaxSkew)) {
			continue
		}
		switch c.doc.signer {
		case admin:
			if found == nil && (c.void == "" || c.lost) {
				found = &c
			}
		case id, j.root:
			if c.void == "" {
				return nil
			}
		}
	}
	return found
}
