package membership

import (
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
)

// admin is a peer that has ever been made an administrator.
type admin struct {
	id       peer.ID
	direct   bool // by the root, with the right to make others
	supports []support
	state    power
}

// support is one reason why a peer is an administrator: a delegation, or its use of an invite of role Admin.
type support struct {
	by  peer.ID
	doc *Doc // delegation or invite
	via *slot
}

// ranked tells whether a peer is the root or has ever been an administrator.
func (j *judgement) ranked(id peer.ID) bool {
	return id == j.root || j.admins[id] != nil
}

// mayDelegate tells whether the signer of a delegation had the rank for it. Rights end after two steps: only the root
// makes administrators that make others.
func (j *judgement) mayDelegate(d *Doc) bool {
	if d.signer == j.root {
		return true
	}
	a := j.admins[d.signer]
	return a != nil && a.direct && !d.said.mayDelegate
}

// mayGrant tells whether the signer of an invite had the rank for its role.
func (j *judgement) mayGrant(invite *Doc) bool {
	if invite.signer == j.root || invite.said.terms.Role < Admin {
		return true
	}
	a := j.admins[invite.signer]
	return a != nil && a.direct
}

// mayMake tells whether there is room for one more administrator by another one, and takes it.
func (j *judgement) mayMake(by, id peer.ID) bool {
	if by == j.root {
		return true
	}
	if a := j.admins[id]; a != nil && slices.ContainsFunc(a.supports, func(s support) bool { return s.by == by }) {
		return true
	}
	if j.made[by] >= maxMade {
		return false
	}
	j.made[by]++
	return true
}

func (j *judgement) support(id peer.ID, s support, direct bool) {
	a := j.admins[id]
	if a == nil {
		a = &admin{id: id}
		j.admins[id] = a
	}
	a.direct = a.direct || direct
	a.supports = append(a.supports, s)
}

// rank finds out who has ever been an administrator, and who came by which invite, be it one too many. Revocations are
// left aside, because who may revoke follows from it. Admissions are gone through in the order of their time, so that
// whether an admitter was a member depends on earlier ones only.
func (j *judgement) rank() {
	delegations := j.s.of(KindDelegation)
	for _, d := range delegations {
		if d.signer == j.root && d.subject != j.root {
			j.support(d.subject, support{by: j.root, doc: d}, d.said.mayDelegate)
		}
	}
	for _, d := range delegations {
		if d.signer == j.root || d.subject == j.root || !j.mayDelegate(d) || j.late(d) {
			continue
		}
		if !j.mayMake(d.signer, d.subject) {
			j.orphans[d.id] = struct{}{}
			continue
		}
		j.support(d.subject, support{by: d.signer, doc: d}, false)
	}
	all := j.s.of(KindAdmission)
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].issued.Equal(all[0].issued) {
			n++
		}
		// Those of one second may depend on each other: again, until none is added.
		for now := all[:n:n]; ; {
			var rest []*Doc
			for _, a := range now {
				if !j.admit(a) {
					rest = append(rest, a)
				}
			}
			if len(rest) == len(now) {
				break
			}
			now = rest
		}
		all = all[n:]
	}
}

// admit takes an admission into its slot; false when its signer was no member, or something about it is wrong.
func (j *judgement) admit(a *Doc) bool {
	join := j.join(a)
	if join == nil || join.subject != a.subject || j.late(a) || !j.wasMember(a.signer) {
		return false
	}
	invite := j.s.kinds[KindInvite][join.said.doc]
	switch {
	case invite == nil, invite.subject != join.signer, !j.ranked(invite.signer), !j.mayGrant(invite), j.late(invite):
		return false
	case invite.said.bound != "" && invite.said.bound != join.subject:
		return false
	case a.issued.After(invite.said.expires), join.subject == j.root:
		return false
	}
	used := j.invited[invite.id]
	let := 0 // peers that the same admitter has let in by it
	for _, sl := range used {
		n := sl.by(a.signer)
		if sl.subject == join.subject && n >= maxRepeats {
			return false
		}
		if n > 0 {
			let++
		}
	}
	if i := slices.IndexFunc(used, func(s *slot) bool { return s.subject == join.subject }); i >= 0 {
		used[i].admissions = append(used[i].admissions, a)
		slices.SortFunc(used[i].admissions, oldest) // within a second they are not gone through in order
		return true
	}
	if let >= invite.said.uses+spareUses {
		return false
	}
	if invite.said.terms.Role == Admin && !j.mayMake(invite.signer, join.subject) {
		return false
	}
	sl := &slot{invite: invite, subject: join.subject, admissions: []*Doc{a}}
	j.invited[invite.id] = append(used, sl)
	j.slots[join.subject] = append(j.slots[join.subject], sl)
	if invite.said.terms.Role == Admin {
		j.support(join.subject, support{by: invite.signer, doc: invite, via: sl}, false)
	}
	return true
}

// by counts the admissions of a slot by one peer.
func (sl *slot) by(id peer.ID) (n int) {
	for _, a := range sl.admissions {
		if a.signer == id {
			n++
		}
	}
	return n
}

// wasMember tells whether a peer has ever been one that admits others.
func (j *judgement) wasMember(id peer.ID) bool {
	if j.ranked(id) {
		return true
	}
	for _, sl := range j.slots[id] {
		if sl.invite.said.terms.Role >= Member {
			return true
		}
	}
	was := false
	j.s.newestOf(id, func(c *Doc) bool {
		was = c.said.terms.Role >= Member && j.ranked(c.signer) && !j.late(c)
		return !was
	})
	return was
}
