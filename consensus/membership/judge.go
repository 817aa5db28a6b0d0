package membership

import (
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// judgement is what follows from a set of documents whatever the time is. It is made in four steps, each of which needs
// only those before it, so that there is one outcome whatever the order in which documents came (see DESIGN.md):
//
//  1. what the root has settled, and who has left;
//  2. rank: who has ever been an administrator or a member, revocations left aside (rank.go);
//  3. power: which administrators are in force, from who revoked whom (power.go);
//  4. which revocations take effect, and which admissions count.
type judgement struct {
	s      *store
	root   peer.ID
	struck peer.ID // judged as if the root had revoked it; "": nobody

	settled map[DocID]bool        // revocations that do not count
	left    map[peer.ID]time.Time // who has left, and when
	against map[peer.ID][]*Doc    // revocations by ranked administrators and the root, by subject, oldest first

	admins  map[peer.ID]*admin
	made    map[peer.ID]int     // administrators by each that is not the root
	slots   map[peer.ID][]*slot // by joiner, in the order of their admission
	invited map[DocID][]*slot   // by the invite's document, in the same order
	contest map[DocID]*contest  // of invites of role Admin that more have taken than may

	cut     map[peer.ID]cut      // who is out
	ended   map[peer.ID][]*Doc   // revocations of invites that take effect, by invite, oldest first
	members map[peer.ID]struct{} // who has a certificate or a slot, in force or not
	size    int                  // of members, without those who only ever lost a use of an invite
	orphans map[DocID]struct{}   // documents without authority: they do not count
}

// cut says why a peer is out.
type cut struct {
	state State
	by    peer.ID
	doc   *Doc      // nil of one that was struck
	since time.Time // of the first revocation in effect: what the peer admitted later does not count
}

// slot is one peer's use of an invite.
type slot struct {
	invite     *Doc
	subject    peer.ID
	admissions []*Doc // by members, oldest first
	good       *Doc   // the one by which it takes its place; nil when none is right
	won        bool   // its place is among as many as the invite allows; see holds
}

// join returns the document that an admission is about.
func (j *judgement) join(admission *Doc) *Doc { return j.s.kinds[KindJoin][admission.said.doc] }

// judge makes a judgement from scratch.
func judge(s *store, root, struck peer.ID) *judgement {
	j := &judgement{
		s: s, root: root, struck: struck,
		settled: map[DocID]bool{}, left: map[peer.ID]time.Time{}, against: map[peer.ID][]*Doc{},
		admins: map[peer.ID]*admin{}, made: map[peer.ID]int{}, slots: map[peer.ID][]*slot{}, invited: map[DocID][]*slot{}, contest: map[DocID]*contest{},
		cut: map[peer.ID]cut{}, ended: map[peer.ID][]*Doc{},
		members: map[peer.ID]struct{}{}, orphans: map[DocID]struct{}{},
	}
	revocations := s.of(KindRevocation)
	for _, d := range s.kinds[KindSettlement] {
		j.settled[d.said.doc] = true // Merge takes those of the root only
	}
	left := map[peer.ID]int{}
	for _, r := range revocations {
		if !j.leaves(r) {
			continue
		}
		if left[r.signer]++; left[r.signer] > maxRepeats {
			j.orphans[r.id] = struct{}{}
		} else if _, ok := j.left[r.signer]; !ok && !j.settled[r.id] {
			j.left[r.signer] = r.issued
		}
	}
	j.rank()
	j.findMembers()
	for _, r := range revocations {
		if j.ranked(r.signer) && !j.leaves(r) && !j.settled[r.id] && !j.late(r) {
			j.against[r.subject] = append(j.against[r.subject], r)
		}
	}
	j.decide()
	j.cutOff()
	j.count()
	j.markOrphans()
	for id := range j.members {
		if j.takesRoom(id) {
			j.size++
		}
	}
	return j
}

// leaves tells whether a revocation says that a peer has left. The root can not: it is no member.
func (j *judgement) leaves(r *Doc) bool {
	return !r.said.ofInvite && r.signer == r.subject && r.signer != j.root
}

// late tells whether a document was signed after its signer had left.
func (j *judgement) late(d *Doc) bool {
	l, ok := j.left[d.signer]
	return ok && d.issued.After(l)
}

// inForce tells whether what an administrator or the root has granted counts.
func (j *judgement) inForce(d *Doc) bool {
	if d.signer == j.root {
		return true
	}
	a := j.admins[d.signer]
	return a != nil && a.state == standing && !j.late(d)
}

// effective tells whether a revocation that is in against counts: those of suspended administrators do, too.
func (j *judgement) effective(r *Doc) bool {
	if r.signer == j.root {
		return true
	}
	a := j.admins[r.signer]
	return a != nil && (a.state == standing || a.state == suspended)
}

// cutOff finds out who is out, and which invites are.
func (j *judgement) cutOff() {
	for id, when := range j.left {
		if !j.known(id) {
			continue
		}
		j.cut[id] = cut{state: StateLeft, by: id, doc: j.leaving(id), since: when}
	}
	for id, rs := range j.against {
		var c cut
		for _, r := range rs {
			if !j.effective(r) {
				continue
			}
			if r.said.ofInvite {
				j.ended[id] = append(j.ended[id], r)
				continue
			}
			if c.doc == nil {
				c = cut{state: StateRevoked, by: r.signer, doc: r, since: r.issued}
			} else if r.signer == j.root && c.by != j.root {
				c.by, c.doc = r.signer, r
			}
		}
		if c.doc == nil {
			continue
		}
		if a := j.admins[id]; a != nil && a.state == suspended && c.by != j.root {
			c.state = StateSuspended
		}
		j.cut[id] = c
	}
	for id, a := range j.admins {
		if c, ok := j.cut[id]; a.state == suspended && (!ok || c.state == StateLeft) {
			// Part of a circle, though nobody revoked it itself.
			j.cut[id] = cut{state: StateSuspended, since: never()}
		}
	}
	if j.struck != "" {
		j.cut[j.struck] = cut{state: StateRevoked, by: j.root, since: never()}
	}
}

// never is later than any document.
func never() time.Time { return time.Unix(maxTime, 0) }

// findMembers lists those who have a certificate by somebody of rank, or a slot.
func (j *judgement) findMembers() {
	for id, all := range j.s.certs {
		if slices.ContainsFunc(all, func(c *Doc) bool { return j.ranked(c.signer) }) {
			j.members[id] = struct{}{}
		}
	}
	for id := range j.slots {
		j.members[id] = struct{}{}
	}
}

// takesRoom tells whether a member counts against MaxMembers.
func (j *judgement) takesRoom(id peer.ID) bool {
	return slices.ContainsFunc(j.s.certs[id], func(c *Doc) bool { return j.ranked(c.signer) }) ||
		slices.ContainsFunc(j.slots[id], func(sl *slot) bool { return sl.won })
}

// known tells whether a peer has ever been a member or an administrator.
func (j *judgement) known(id peer.ID) bool {
	_, ok := j.members[id]
	return ok || j.ranked(id)
}

// leaving returns the document by which a peer left.
func (j *judgement) leaving(id peer.ID) (first *Doc) {
	for _, r := range j.s.kinds[KindRevocation] {
		if r.signer == id && j.leaves(r) && !j.settled[r.id] && (first == nil || oldest(r, first) < 0) {
			first = r
		}
	}
	return first
}

// count finds out who has won a use of each invite. Whether its inviter is in force is another matter. The first
// admissions win; but those by members in force go before all others, because one who was revoked, or whose issuer was,
// could write any time into his own.
func (j *judgement) count() {
	for _, all := range j.invited {
		strong := map[*slot]bool{}
		var right []*slot
		for _, sl := range all {
			for _, a := range sl.admissions {
				c, out := j.cut[a.signer]
				if out && c.state != StateLeft && c.since.Before(a.issued) || j.endedBefore(sl.invite, a) {
					continue
				}
				in := (!out || c.state == StateLeft) && j.admits(a.signer)
				if sl.good == nil || in && !strong[sl] {
					sl.good, strong[sl] = a, in
				}
			}
			if sl.good != nil {
				right = append(right, sl)
			}
		}
		slices.SortFunc(right, func(a, b *slot) int {
			if strong[a] != strong[b] {
				if strong[a] {
					return -1
				}
				return 1
			}
			return oldest(a.good, b.good)
		})
		for i, sl := range right {
			sl.won = i < sl.invite.said.uses
		}
	}
}

// endedBefore tells whether an invite had been revoked when an admission was signed.
func (j *judgement) endedBefore(invite, admission *Doc) bool {
	e := j.ended[invite.subject]
	return len(e) > 0 && e[0].issued.Before(admission.issued)
}

// admits tells whether somebody in force stands for a peer as one that admits others.
func (j *judgement) admits(id peer.ID) bool {
	if a := j.admins[id]; id == j.root || a != nil && a.state == standing {
		return true
	}
	ok := slices.ContainsFunc(j.slots[id], func(sl *slot) bool {
		return sl.invite.said.terms.Role >= Member && j.inForce(sl.invite)
	})
	j.s.newestOf(id, func(c *Doc) bool {
		ok = ok || c.said.terms.Role >= Member && j.inForce(c)
		return !ok
	})
	return ok
}

// holds tells whether a slot makes its peer a member.
func (j *judgement) holds(sl *slot) bool {
	return sl.won && j.inForce(sl.invite) && j.mayGrant(sl.invite)
}

// markOrphans finds the documents that nobody of rank stands behind.
func (j *judgement) markOrphans() {
	for id, d := range j.s.docs {
		if !j.backed(d) {
			j.orphans[id] = struct{}{}
		}
	}
	admitted := map[DocID]bool{}
	for _, all := range j.slots {
		for _, sl := range all {
			for _, a := range sl.admissions {
				admitted[a.id], admitted[a.said.doc] = true, true
			}
		}
	}
	for _, k := range []Kind{KindAdmission, KindJoin} {
		for id := range j.s.kinds[k] {
			if !admitted[id] {
				j.orphans[id] = struct{}{}
			}
		}
	}
	// Leaving is known of those only who were there.
	for id, d := range j.s.kinds[KindRevocation] {
		if j.leaves(d) && !j.known(d.subject) {
			j.orphans[id] = struct{}{}
		}
	}
}

// backed tells whether a document's signer had the rank to sign it; joins, admissions and leaving are looked at apart.
func (j *judgement) backed(d *Doc) bool {
	switch d.kind {
	case KindDelegation:
		return j.mayDelegate(d)
	case KindCertificate:
		return j.ranked(d.signer)
	case KindInvite:
		return j.ranked(d.signer) && j.mayGrant(d)
	case KindRevocation:
		return j.leaves(d) || j.ranked(d.signer)
	}
	return true
}
