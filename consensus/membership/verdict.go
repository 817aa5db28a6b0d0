package membership

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// claim is one reason why a peer could be a member: a certificate, or its use of an invite.
type claim struct {
	doc     *Doc // certificate or invite: who vouches, and the terms
	id      DocID
	name    string
	issued  time.Time
	expires time.Time
	invite  peer.ID
	void    string // why it does not count, in plain words; "" when it does
	lost    bool   // it would count if its issuer were an administrator
}

// claims are those of a peer, newest first. Of an issuer only the newest certificate that is not from the future is
// one, or the newest at all.
func (j *judgement) claims(id peer.ID, now time.Time) (out []claim) {
	certs := j.s.certs[id]
	for i, c := range certs {
		if !j.ranked(c.signer) {
			continue
		}
		same := func(o *Doc) bool { return o.signer == c.signer }
		earlier := func(o *Doc) bool { return same(o) && !o.Early(now) }
		if slices.ContainsFunc(certs[:i], earlier) || c.Early(now) && (slices.ContainsFunc(certs[i+1:], earlier) || slices.ContainsFunc(certs[:i], same)) {
			continue
		}
		cl := claim{doc: c, id: c.id, name: c.said.name, issued: c.issued, expires: c.said.expires}
		if !j.inForce(c) {
			cl.void, cl.lost = "its certificate was issued by "+j.who(c.signer)+", who is no administrator any more", true
		}
		out = append(out, cl)
	}
	for _, sl := range j.slots[id] {
		a := cmp.Or(sl.good, sl.admissions[0])
		cl := claim{
			doc: sl.invite, id: a.id, name: j.join(a).said.name, issued: a.issued,
			expires: a.issued.Add(CertificateLife), invite: sl.invite.subject,
		}
		switch {
		case j.holds(sl):
		case sl.won:
			cl.void, cl.lost = "it came by an invite of "+j.who(sl.invite.signer)+", who is no administrator any more", true
		case sl.good != nil:
			cl.void = "the invite that it came by had been used up by others before"
		case j.endedBefore(sl.invite, a):
			cl.void = "the invite that it came by had been revoked before"
		default:
			cl.void = "it was let in by " + j.who(a.signer) + ", who had been revoked before"
		}
		out = append(out, cl)
	}
	slices.SortStableFunc(out, func(a, b claim) int {
		return cmp.Or(b.issued.Compare(a.issued), slices.Compare(b.id[:], a.id[:]))
	})
	return out
}

// peer judges one peer.
func (j *judgement) peer(id peer.ID, now time.Time) Info {
	info := Info{ID: id, State: StateUnknown, Reason: "it has no certificate of this network"}
	claims := j.claims(id, now)
	if len(claims) > 0 {
		at := slices.IndexFunc(claims, func(c claim) bool { return c.state(now) == StateValid })
		c := claims[max(at, 0)]
		info.Name, info.Terms, info.Issuer = c.name, c.doc.Terms(), c.doc.signer
		info.Issued, info.Expires = c.issued, c.expires
		info.State, info.Reason = c.state(now), c.reason(now)
	}
	info.Joined, info.Invite = j.joined(id)
	if c, ok := j.cut[id]; ok {
		info.State, info.By, info.Reason = c.state, c.by, j.whyCut(c)
	}
	a := j.admins[id]
	if _, out := j.cut[id]; a != nil && a.state == standing && !out {
		info.Admin, info.Deleg = true, a.direct
	}
	switch {
	case len(claims) == 0:
	case info.Admin:
		info.Terms.Role = Admin
	case info.Terms.Role == Admin:
		info.Terms.Role = Member // a certificate alone makes nobody an administrator
	}
	return info
}

func (c claim) state(now time.Time) State {
	switch {
	case c.void != "":
		return StateVoid
	case c.issued.After(now.Add(MaxSkew)):
		return StateEarly
	case !now.Before(c.expires):
		return StateExpired
	}
	return StateValid
}

func (c claim) reason(now time.Time) string {
	switch c.state(now) {
	case StateVoid:
		return c.void
	case StateEarly:
		return fmt.Sprintf("its certificate is from the future (%s): a clock is wrong", stamp(c.issued))
	case StateExpired:
		return "its certificate expired at " + stamp(c.expires)
	}
	return ""
}

// joined tells since when a peer is in the network as far as the documents that are kept say, and by which invite.
func (j *judgement) joined(id peer.ID) (since time.Time, invite peer.ID) {
	first := func(t time.Time) {
		if since.IsZero() || t.Before(since) {
			since = t
		}
	}
	for _, sl := range j.slots[id] {
		if j.holds(sl) {
			first(sl.good.issued)
			if invite == "" {
				invite = sl.invite.subject
			}
		}
	}
	if all := j.s.certs[id]; len(all) > 0 && since.IsZero() {
		for _, c := range all {
			if j.ranked(c.signer) {
				first(c.issued)
			}
		}
		if a := j.admins[id]; a != nil {
			for _, s := range a.supports {
				first(s.doc.issued)
			}
		}
	}
	return since, invite
}

func (j *judgement) whyCut(c cut) string {
	switch {
	case c.state == StateLeft:
		return "it has left the network at " + stamp(c.since)
	case c.state == StateSuspended && c.by == "":
		return "administrators revoked each other, and it is one of them: the root key has to settle it"
	case c.state == StateSuspended:
		return "it and " + j.who(c.by) + " revoked each other: the root key has to settle it"
	case c.doc == nil:
		return "it was revoked"
	}
	s := "it was revoked by " + j.who(c.by) + " at " + stamp(c.doc.issued)
	if r := c.doc.said.reason; r != "" {
		s += ": " + r
	}
	return s
}

// who names a peer in reasons.
func (j *judgement) who(id peer.ID) string {
	if id == j.root {
		return "the root"
	}
	if all := j.s.certs[id]; len(all) > 0 {
		for _, c := range all {
			if j.ranked(c.signer) {
				return fmt.Sprintf("%q (%s)", c.said.name, short(id))
			}
		}
	}
	for _, sl := range j.slots[id] {
		return fmt.Sprintf("%q (%s)", j.join(sl.admissions[0]).said.name, short(id))
	}
	return short(id)
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 MST") }

// members judges all who were ever in the network, by name, then id.
func (j *judgement) all(now time.Time) []Info {
	out := make([]Info, 0, len(j.members))
	for id := range j.members {
		out = append(out, j.peer(id, now))
	}
	slices.SortFunc(out, func(a, b Info) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(string(a.ID), string(b.ID)))
	})
	return out
}
