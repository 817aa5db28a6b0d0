package membership

import (
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// twin gives the verdicts of a book in the most stupid way: everything is searched through again for each question,
// and circles are found by asking who reaches whom. It is written from DESIGN.md, not from the code beside it.
type twin struct {
	root  peer.ID
	docs  []Doc
	ranks []peer.ID
	uses  []twinUse
	state map[peer.ID]power
}

// twinUse is an admission that counts as one by a member, with its join and invite.
type twinUse struct{ admission, join, invite Doc }

func newTwin(charter Doc, docs []Doc) *twin {
	w := &twin{root: charter.signer, state: map[peer.ID]power{}}
	for _, d := range docs {
		newer := 0
		for _, o := range docs {
			if d.kind == KindCertificate && o.kind == KindCertificate && o.signer == d.signer && o.subject == d.subject && oldest(&o, &d) > 0 {
				newer++
			}
		}
		known := slices.ContainsFunc(w.docs, func(o Doc) bool { return o.id == d.id })
		if newer < 2 && !known && !(d.kind == KindDelegation && d.said.mayDelegate && d.signer != w.root) {
			w.docs = append(w.docs, d)
		}
	}
	slices.SortFunc(w.docs, func(a, b Doc) int { return oldest(&a, &b) })
	w.rank()
	w.decide()
	return w
}

func (w *twin) any(k Kind, f func(d Doc) bool) bool {
	return slices.ContainsFunc(w.docs, func(d Doc) bool { return d.kind == k && f(d) })
}

func (w *twin) settled(r Doc) bool {
	return w.any(KindSettlement, func(s Doc) bool { return s.signer == w.root && s.said.doc == r.id })
}

func (w *twin) late(d Doc) bool {
	return d.signer != w.root && w.any(KindRevocation, func(r Doc) bool {
		return r.signer == d.signer && r.subject == d.signer && !r.said.ofInvite && !w.settled(r) && r.issued.Before(d.issued)
	})
}

func (w *twin) ranked(id peer.ID) bool { return id == w.root || slices.Contains(w.ranks, id) }

func (w *twin) direct(id peer.ID) bool {
	return id == w.root || w.any(KindDelegation, func(d Doc) bool { return d.signer == w.root && d.subject == id && d.said.mayDelegate })
}

// top tells whether a certificate is the newest of its issuer.
func (w *twin) top(c Doc) bool {
	return !w.any(KindCertificate, func(o Doc) bool {
		return o.signer == c.signer && o.subject == c.subject && oldest(&o, &c) > 0
	})
}

func (w *twin) admitter(id peer.ID, vouches func(d Doc) bool) bool {
	return w.any(KindCertificate, func(c Doc) bool {
		return c.subject == id && w.top(c) && c.said.terms.Role >= Member && vouches(c)
	}) || slices.ContainsFunc(w.uses, func(u twinUse) bool {
		return u.join.subject == id && u.invite.said.terms.Role >= Member && vouches(u.invite)
	})
}

func (w *twin) find(id DocID) (Doc, bool) {
	for _, d := range w.docs {
		if d.id == id {
			return d, true
		}
	}
	return Doc{}, false
}

func (w *twin) rank() {
	for _, d := range w.docs {
		if d.kind == KindDelegation && d.subject != w.root && (d.signer == w.root || w.direct(d.signer) && !w.late(d)) {
			w.ranks = append(w.ranks, d.subject)
		}
	}
	// All admissions from the beginning, again and again: the first second in which one can be added goes first.
	for again := true; again; {
		again = false
		for _, a := range w.docs {
			if a.kind != KindAdmission || slices.ContainsFunc(w.uses, func(u twinUse) bool { return u.admission.id == a.id }) {
				continue
			}
			if len(w.uses) > 0 && a.issued.Before(w.uses[len(w.uses)-1].admission.issued) {
				continue // what was missing came too late
			}
			join, ok := w.find(a.said.doc)
			invite, ok2 := w.find(join.say().doc)
			if !ok || !ok2 || join.kind != KindJoin || invite.kind != KindInvite || join.subject != a.subject || invite.subject != join.signer {
				continue
			}
			bound := invite.said.bound
			if w.late(a) || w.late(invite) || !w.ranked(invite.signer) || invite.said.terms.Role == Admin && !w.direct(invite.signer) ||
				bound != "" && bound != join.subject || a.issued.After(invite.said.expires) || join.subject == w.root {
				continue
			}
			if !w.ranked(a.signer) && !w.admitter(a.signer, func(d Doc) bool { return w.ranked(d.signer) && !w.late(d) }) {
				continue
			}
			w.uses = append(w.uses, twinUse{a, join, invite})
			if invite.said.terms.Role == Admin && !slices.Contains(w.ranks, join.subject) {
				w.ranks = append(w.ranks, join.subject)
			}
			again = true
			break
		}
	}
	slices.Sort(w.ranks)
	w.ranks = slices.Compact(w.ranks)
}

// revocations are those of a peer (or an invite) by those of rank that nothing makes void but their signer's fate.
func (w *twin) revocations(id peer.ID, invite bool) (out []Doc) {
	for _, r := range w.docs {
		if r.kind == KindRevocation && r.subject == id && r.said.ofInvite == invite && w.ranked(r.signer) && !w.settled(r) && !w.late(r) &&
			(invite || r.signer != r.subject || r.signer == w.root) {
			out = append(out, r)
		}
	}
	return out
}

func (w *twin) effective(r Doc) bool {
	s := w.state[r.signer]
	return r.signer == w.root || s == standing || s == suspended
}

func (w *twin) by(id, subject peer.ID) bool {
	return slices.ContainsFunc(w.revocations(subject, false), func(r Doc) bool { return r.signer == id })
}

func (w *twin) open(id peer.ID) bool { return w.ranked(id) && id != w.root && w.state[id] == undecided }

func (w *twin) took(id peer.ID, invite Doc) bool {
	return slices.ContainsFunc(w.uses, func(u twinUse) bool { return u.join.subject == id && u.invite.id == invite.id })
}

// why lists whoever made a peer an administrator: the delegation, or the invite and its use.
func (w *twin) why(id peer.ID) (out []Doc) {
	for _, d := range w.docs {
		switch {
		case d.kind == KindDelegation && d.subject == id && (d.signer == w.root || w.direct(d.signer) && !w.late(d)):
			out = append(out, d)
		case d.kind == KindInvite && d.said.terms.Role == Admin && w.took(id, d):
			out = append(out, d)
		}
	}
	return out
}

func (w *twin) takers(invite Doc) (ids []peer.ID) {
	for _, u := range w.uses {
		if u.invite.id == invite.id && !slices.Contains(ids, u.join.subject) {
			ids = append(ids, u.join.subject)
		}
	}
	return ids
}

func (w *twin) blockers(u twinUse) (out []Doc) {
	for _, r := range append(w.revocations(u.invite.subject, true), w.revocations(u.admission.signer, false)...) {
		if r.issued.Before(u.admission.issued) && !w.took(r.signer, u.invite) {
			out = append(out, r)
		}
	}
	return out
}

// behind are those on whom the power of an invite's taker depends.
func (w *twin) behind(id peer.ID, invite Doc) (out []peer.ID) {
	contested := len(w.takers(invite)) > invite.said.uses
	for _, u := range w.uses {
		if u.invite.id != invite.id || !contested && u.join.subject != id {
			continue
		}
		for _, r := range w.blockers(u) {
			out = append(out, r.signer)
		}
		if contested && !w.took(u.admission.signer, invite) {
			out = append(out, u.admission.signer)
		}
	}
	return slices.DeleteFunc(out, func(id peer.ID) bool { return !w.open(id) })
}

func (w *twin) empowers(id peer.ID, invite Doc) bool {
	var first []twinUse // of each taker
	contested := len(w.takers(invite)) > invite.said.uses
	for _, u := range w.uses {
		if u.invite.id != invite.id || slices.ContainsFunc(w.blockers(u), w.effective) {
			continue
		}
		if contested && u.admission.signer != w.root && (w.state[u.admission.signer] != standing || w.took(u.admission.signer, invite)) {
			continue
		}
		first = append(first, u)
	}
	slices.SortFunc(first, func(a, b twinUse) int { return oldest(&a.admission, &b.admission) })
	var in []peer.ID
	for _, u := range first {
		if !slices.Contains(in, u.join.subject) && len(in) < invite.said.uses {
			in = append(in, u.join.subject)
		}
	}
	return slices.Contains(in, id)
}

func (w *twin) alive(id peer.ID, s Doc) bool {
	if s.kind == KindInvite && len(w.behind(id, s)) == 0 && !w.empowers(id, s) {
		return false
	}
	if s.signer == w.root || w.state[s.signer] <= standing {
		return true
	}
	if !w.by(id, s.signer) {
		return false
	}
	for _, r := range w.revocations(s.signer, false) {
		if r.signer != id && w.effective(r) && w.apart(r.signer, s.signer) {
			return false
		}
	}
	return true
}

func (w *twin) apart(id, without peer.ID) bool {
	return id == w.root || slices.ContainsFunc(w.why(id), func(s Doc) bool {
		return s.signer == w.root || s.signer != without && w.state[s.signer] <= suspended && !w.by(id, s.signer)
	})
}

func (w *twin) secure(id peer.ID, s Doc) bool {
	if s.signer != w.root && w.state[s.signer] != standing {
		return false
	}
	return s.kind != KindInvite || len(w.behind(id, s)) == 0 && w.empowers(id, s)
}

func (w *twin) needs(id peer.ID) (out []peer.ID) {
	for _, r := range w.revocations(id, false) {
		out = append(out, r.signer)
	}
	why := w.why(id)
	if !slices.ContainsFunc(why, func(s Doc) bool { return w.secure(id, s) }) {
		for _, s := range why {
			if !w.alive(id, s) {
				continue
			}
			if s.kind == KindInvite {
				out = append(out, w.behind(id, s)...)
			}
			if !w.by(id, s.signer) {
				out = append(out, s.signer)
				continue
			}
			for _, r := range w.revocations(s.signer, false) {
				if w.apart(r.signer, s.signer) {
					out = append(out, r.signer)
				}
			}
		}
	}
	return slices.DeleteFunc(out, func(o peer.ID) bool { return o == id || !w.open(o) })
}

func (w *twin) decide() {
	for {
		for again := true; again; {
			again = false
			for _, id := range w.ranks {
				if w.state[id] != undecided {
					continue
				}
				hit := slices.ContainsFunc(w.revocations(id, false), w.effective)
				dead := !slices.ContainsFunc(w.why(id), func(s Doc) bool { return w.alive(id, s) })
				if hit {
					w.state[id], again = revoked, true
				} else if dead {
					w.state[id], again = fallen, true
				}
			}
		}
		reach := map[peer.ID][]peer.ID{}
		for _, id := range w.ranks {
			if w.open(id) {
				todo := w.needs(id)
				for len(todo) > 0 {
					o := todo[0]
					todo = todo[1:]
					if !slices.Contains(reach[id], o) {
						reach[id] = append(reach[id], o)
						todo = append(todo, w.needs(o)...)
					}
				}
			}
		}
		next := map[peer.ID]power{}
		for _, id := range w.ranks {
			if !w.open(id) {
				continue
			}
			// Nothing is reached that does not reach back.
			if !slices.ContainsFunc(reach[id], func(o peer.ID) bool { return !slices.Contains(reach[o], id) }) {
				next[id] = standing
				if len(reach[id]) > 0 {
					next[id] = suspended
				}
			}
		}
		if len(next) == 0 {
			return
		}
		for id, s := range next {
			w.state[id] = s
		}
	}
}

func (w *twin) inForce(d Doc) bool {
	return d.signer == w.root || w.state[d.signer] == standing && !w.late(d)
}

// out tells whether a peer is cut off, how, and since when.
func (w *twin) out(id peer.ID) (s State, since time.Time) {
	for _, r := range w.revocations(id, false) {
		if w.effective(r) {
			if s == StateUnknown {
				s, since = StateRevoked, r.issued
			}
			if w.state[id] == suspended {
				s = StateSuspended
			}
		}
	}
	if s == StateUnknown && w.state[id] == suspended {
		return StateSuspended, time.Unix(maxTime, 0)
	}
	if s == StateUnknown && w.any(KindRevocation, func(r Doc) bool {
		return r.signer == id && r.subject == id && !r.said.ofInvite && !w.settled(r) && id != w.root
	}) {
		return StateLeft, time.Unix(maxTime, 0)
	}
	return s, since
}

// strong tells whether an admission is by somebody in force.
func (w *twin) strong(u twinUse) bool {
	id := u.admission.signer
	s, _ := w.out(id)
	return (s == StateUnknown || s == StateLeft) && (id == w.root || w.state[id] == standing || w.admitter(id, w.inForce))
}

// right tells whether neither invite nor admitter had been revoked before an admission.
func (w *twin) right(u twinUse) bool {
	s, since := w.out(u.admission.signer)
	before := func(r Doc) bool { return w.effective(r) && r.issued.Before(u.admission.issued) }
	return (s == StateUnknown || s == StateLeft || !since.Before(u.admission.issued)) &&
		!slices.ContainsFunc(w.revocations(u.invite.subject, true), before)
}

// places are the uses of an invite, one of each peer, in the order in which they win; after them those that can not.
func (w *twin) places(invite Doc) (out []twinUse) {
	var all []twinUse
	for _, u := range w.uses {
		if u.invite.id == invite.id {
			all = append(all, u)
		}
	}
	order := func(u twinUse) int {
		switch {
		case !w.right(u):
			return 2
		case !w.strong(u):
			return 1
		}
		return 0
	}
	slices.SortFunc(all, func(a, b twinUse) int {
		if d := order(a) - order(b); d != 0 {
			return d
		}
		return oldest(&a.admission, &b.admission)
	})
	for _, u := range all {
		if !slices.ContainsFunc(out, func(o twinUse) bool { return o.join.subject == u.join.subject }) {
			out = append(out, u)
		}
	}
	return out
}

// peer gives what of an Info matters.
func (w *twin) peer(id peer.ID, now time.Time) (s State, admin, deleg bool) {
	type reason struct {
		at State
		t  time.Time
		id DocID
	}
	var all []reason
	judge := func(ok bool, issued, expires time.Time) State {
		switch {
		case !ok:
			return StateVoid
		case issued.After(now.Add(MaxSkew)):
			return StateEarly
		case !now.Before(expires):
			return StateExpired
		}
		return StateValid
	}
	for _, c := range w.docs {
		if c.kind != KindCertificate || c.subject != id || !w.ranked(c.signer) {
			continue
		}
		better := w.any(KindCertificate, func(o Doc) bool {
			same := o.signer == c.signer && o.subject == id && o.id != c.id
			newer := oldest(&o, &c) > 0
			return same && (newer && !o.Early(now) || c.Early(now) && (newer || !o.Early(now)))
		})
		if !better {
			all = append(all, reason{judge(w.inForce(c), c.issued, c.said.expires), c.issued, c.id})
		}
	}
	for _, invite := range w.docs {
		if invite.kind != KindInvite {
			continue
		}
		for i, u := range w.places(invite) {
			if u.join.subject == id {
				won := w.right(u) && i < invite.said.uses
				all = append(all, reason{judge(won && w.inForce(invite), u.admission.issued, u.admission.issued.Add(CertificateLife)), u.admission.issued, u.admission.id})
			}
		}
	}
	for _, r := range all {
		if r.at == StateValid {
			s = StateValid
		}
	}
	if s != StateValid && len(all) > 0 {
		slices.SortFunc(all, func(a, b reason) int {
			if c := b.t.Compare(a.t); c != 0 {
				return c
			}
			return slices.Compare(b.id[:], a.id[:])
		})
		s = all[0].at
	}
	known := len(all) > 0 || w.ranked(id)
	out, _ := w.out(id)
	if out == StateLeft && !known {
		out = StateUnknown
	}
	if out != StateUnknown {
		return out, false, false
	}
	admin = w.state[id] == standing && id != w.root
	return s, admin, admin && w.direct(id)
}
