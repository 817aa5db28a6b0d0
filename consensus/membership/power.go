package membership

import (
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
)

// power is what has become of an administrator.
type power uint8

const (
	undecided power = iota
	standing        // what it grants counts
	suspended       // one of a circle: only what it revoked counts
	revoked         // nothing that it signed counts
	fallen          // it lost who made it one: as before, but it may still be a member
)

// decide finds out which administrators are in force. Who is revoked depends on whether his revokers are in force, and
// they on who made them and on who revoked them: a graph. Its strongly connected components are decided one after the
// other, those first that depend on nothing undecided. A component of one that nobody in force has revoked stands; one
// of several can not be decided by documents, so all of it is suspended until the root settles it.
func (j *judgement) decide() {
	open := make([]*admin, 0, len(j.admins))
	for _, a := range j.admins {
		open = append(open, a)
	}
	for len(open) > 0 {
		for again := true; again; {
			again = false
			for _, a := range open {
				if a.state == undecided && j.settle(a) {
					again = true
				}
			}
		}
		open = slices.DeleteFunc(open, func(a *admin) bool { return a.state != undecided })
		for _, c := range sources(open, j.dependencies) {
			for _, a := range c {
				if a.state = standing; len(c) > 1 {
					a.state = suspended
				}
			}
		}
		open = slices.DeleteFunc(open, func(a *admin) bool { return a.state != undecided })
	}
}

// settle decides about one that those who are decided already have revoked or let fall.
func (j *judgement) settle(a *admin) bool {
	if a.id == j.struck || slices.ContainsFunc(j.against[a.id], func(r *Doc) bool { return !r.said.ofInvite && j.effective(r) }) {
		a.state = revoked
		return true
	}
	if !slices.ContainsFunc(a.supports, func(s support) bool { return j.alive(a, s) }) {
		a.state = fallen
		return true
	}
	return false
}

// alive tells whether a support may still hold.
func (j *judgement) alive(a *admin, s support) bool {
	if s.via != nil && !slices.ContainsFunc(j.behind(s.via), j.open) && !j.empowers(s.via) {
		return false
	}
	if s.by == j.root {
		return true
	}
	switch by := j.admins[s.by]; by.state {
	case undecided, standing:
		return true
	default:
		// Who revokes the one that made him must not fall by that, or nobody could. But when others revoked that one
		// as well, he falls like all whom it made: otherwise a signature would save them.
		return j.revokes(a.id, s.by) && !j.otherwiseOut(a, by)
	}
}

// secure tells whether a support holds whatever becomes of those who are undecided.
func (j *judgement) secure(s support) bool {
	if s.by != j.root && j.admins[s.by].state != standing {
		return false
	}
	return s.via == nil || !slices.ContainsFunc(j.behind(s.via), j.open) && j.empowers(s.via)
}

// empowers tells whether a use of an invite of role Admin makes an administrator: when an admission was right. But
// when more peers have taken the invite than it allows, only those count whom an administrator let in: any member can
// write an early time into an admission, and must not get an administrator out of an old invite.
func (j *judgement) empowers(sl *slot) bool {
	all := j.invited[sl.invite.id]
	if len(all) <= sl.invite.said.uses {
		return slices.ContainsFunc(sl.admissions, func(ad *Doc) bool { return !j.blocked(sl.invite, ad) })
	}
	return j.contested(sl.invite).winners(j)[sl]
}

// contest is an invite of role Admin that more peers have taken than it allows.
type contest struct {
	invite *Doc
	behind []peer.ID      // administrators on whom it depends who wins
	won    map[*slot]bool // nil until none of them is undecided
}

func (j *judgement) contested(invite *Doc) *contest {
	c := j.contest[invite.id]
	if c == nil {
		c = &contest{invite: invite}
		for _, sl := range j.invited[invite.id] {
			c.behind = append(c.behind, j.blockerSigners(sl)...)
			for _, ad := range sl.admissions {
				if !j.cameBy(ad.signer, invite) {
					c.behind = append(c.behind, ad.signer)
				}
			}
		}
		slices.Sort(c.behind)
		c.behind = slices.Compact(c.behind)
		j.contest[invite.id] = c
	}
	return c
}

// winners are asked for when all behind are decided.
func (c *contest) winners(j *judgement) map[*slot]bool {
	if c.won != nil {
		return c.won
	}
	first := map[*slot]*Doc{} // the first admission by an administrator in force
	var in []*slot
	for _, sl := range j.invited[c.invite.id] {
		for _, ad := range sl.admissions {
			a := j.admins[ad.signer]
			power := ad.signer == j.root || a != nil && a.state == standing && !j.cameBy(ad.signer, c.invite)
			if power && !j.blocked(c.invite, ad) {
				first[sl], in = ad, append(in, sl)
				break
			}
		}
	}
	slices.SortFunc(in, func(a, b *slot) int { return oldest(first[a], first[b]) })
	c.won = map[*slot]bool{}
	for _, sl := range in[:min(len(in), c.invite.said.uses)] {
		c.won[sl] = true
	}
	return c.won
}

// blocked tells whether an admission is void because the invite or the admitter had been revoked before.
func (j *judgement) blocked(invite, admission *Doc) bool {
	return slices.ContainsFunc(j.blockers(invite, admission), j.effective)
}

// blockers are the revocations of the invite or of the admitter that are older than an admission. Those by peers that
// came by the same invite do not matter: they have no say in who else did.
func (j *judgement) blockers(invite, admission *Doc) (rs []*Doc) {
	for _, r := range j.against[invite.subject] {
		if r.said.ofInvite && r.issued.Before(admission.issued) && !j.cameBy(r.signer, invite) {
			rs = append(rs, r)
		}
	}
	for _, r := range j.against[admission.signer] {
		if !r.said.ofInvite && r.issued.Before(admission.issued) && !j.cameBy(r.signer, invite) {
			rs = append(rs, r)
		}
	}
	return rs
}

// cameBy tells whether a peer has taken an invite.
func (j *judgement) cameBy(id peer.ID, invite *Doc) bool {
	return slices.ContainsFunc(j.slots[id], func(sl *slot) bool { return sl.invite.id == invite.id })
}

// behind are the administrators on whom it depends whether a use of an invite makes one.
func (j *judgement) behind(sl *slot) []peer.ID {
	if len(j.invited[sl.invite.id]) > sl.invite.said.uses {
		return j.contested(sl.invite).behind
	}
	return j.blockerSigners(sl)
}

func (j *judgement) blockerSigners(sl *slot) (ids []peer.ID) {
	for _, ad := range sl.admissions {
		for _, r := range j.blockers(sl.invite, ad) {
			ids = append(ids, r.signer)
		}
	}
	return ids
}

func (j *judgement) open(id peer.ID) bool {
	a := j.admins[id]
	return a != nil && a.state == undecided
}

// revokes tells whether there is a revocation of one administrator by another.
func (j *judgement) revokes(by, id peer.ID) bool {
	return slices.ContainsFunc(j.against[id], func(r *Doc) bool { return r.signer == by && !r.said.ofInvite })
}

// otherwiseOut tells whether someone in force whom by has not made has revoked by too.
func (j *judgement) otherwiseOut(a, by *admin) bool {
	return by.id == j.struck || slices.ContainsFunc(j.against[by.id], func(r *Doc) bool {
		return !r.said.ofInvite && r.signer != a.id && j.effective(r) && j.apart(r.signer, by.id)
	})
}

// apart tells whether a peer is an administrator without the help of another one. Of those who are decided the answer
// does not change any more: one that revoked its supporter does not rest on it, and one that does not was decided after
// it, or is secure by someone else.
func (j *judgement) apart(id, without peer.ID) bool {
	if id == j.root {
		return true
	}
	a := j.admins[id]
	return a != nil && slices.ContainsFunc(a.supports, func(s support) bool {
		return s.by == j.root || s.by != without && j.admins[s.by].state <= suspended && !j.revokes(id, s.by)
	})
}

// dependencies are the undecided administrators that what becomes of a depends on.
func (j *judgement) dependencies(a *admin) (ids []peer.ID) {
	add := func(id peer.ID) {
		if id != a.id && j.open(id) && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	for _, r := range j.against[a.id] {
		if !r.said.ofInvite {
			add(r.signer)
		}
	}
	if slices.ContainsFunc(a.supports, func(s support) bool { return j.secure(s) }) {
		return ids
	}
	for _, s := range a.supports {
		if !j.alive(a, s) {
			continue
		}
		if s.via != nil {
			for _, id := range j.behind(s.via) {
				add(id)
			}
		}
		if !j.revokes(a.id, s.by) {
			add(s.by)
			continue
		}
		for _, r := range j.against[s.by] {
			if !r.said.ofInvite && j.apart(r.signer, s.by) {
				add(r.signer)
			}
		}
	}
	return ids
}

// sources returns the strongly connected components that depend on no other, by Tarjan's algorithm (SIAM J. Comput. 1,
// 1972): a component is complete as soon as all that it depends on are, so it is a source when no edge leaves it.
func sources(nodes []*admin, dependencies func(*admin) []peer.ID) (out [][]*admin) {
	t := tarjan{of: dependencies, by: make(map[peer.ID]*vertex, len(nodes))}
	for _, n := range nodes {
		t.by[n.id] = &vertex{admin: n}
	}
	for _, n := range nodes {
		if v := t.by[n.id]; v.index == 0 {
			t.visit(v)
		}
	}
	return t.out
}

// vertex is an administrator in the search.
type vertex struct {
	*admin
	index, low int  // from 1
	onStack    bool // its component is not complete yet
	below      bool // an edge leads out of its component
	edges      []peer.ID
	next       int // of edges
}

type tarjan struct {
	of    func(*admin) []peer.ID
	by    map[peer.ID]*vertex
	n     int
	stack []*vertex
	out   [][]*admin
}

// visit is written without recursion: chains may be as long as a network has administrators.
func (t *tarjan) visit(start *vertex) {
	path := []*vertex{start}
	for len(path) > 0 {
		v := path[len(path)-1]
		if v.index == 0 {
			t.n++
			v.index, v.low, v.onStack, v.edges = t.n, t.n, true, t.of(v.admin)
			t.stack = append(t.stack, v)
		}
		if v.next < len(v.edges) {
			w := t.by[v.edges[v.next]]
			switch {
			case w.index == 0:
				path = append(path, w)
				continue // the edge is looked at again when w is done
			case w.onStack:
				v.low = min(v.low, w.low)
			default:
				v.below = true
			}
			v.next++
			continue
		}
		path = path[:len(path)-1]
		if v.low < v.index {
			continue
		}
		at := slices.Index(t.stack, v)
		component, below := []*admin(nil), false
		for _, w := range t.stack[at:] {
			w.onStack = false
			below = below || w.below
			component = append(component, w.admin)
		}
		t.stack = t.stack[:at]
		if !below {
			t.out = append(t.out, component)
		}
	}
}
