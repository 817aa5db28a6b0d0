package membership

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// history draws documents of a network of a few peers: honest ones and such as nobody honest would sign, with clocks
// that are wrong and seconds that are shared, so that circles, ties and races are common.
func history(rt *rapid.T, n *net, people []who) (docs []Doc) {
	signers := append([]who{n.root}, people...)
	one := func(label string) who { return rapid.SampledFrom(people).Draw(rt, label) }
	when := func() time.Duration {
		return time.Duration(rapid.SampledFrom([]int{0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 6, 60, 24 * 20}).Draw(rt, "hour")) * time.Hour
	}
	var invites []Invite
	var joins, revocations []Doc
	add := func(d Doc, err error) Doc {
		if err == nil {
			docs = append(docs, d)
		}
		return d
	}
	// A few administrators to begin with, or little would happen.
	for i, p := range people[:3] {
		add(Delegate(n.root.key, n.id, p.id, i < 2, t0))
	}
	for _, p := range people {
		by := rapid.SampledFrom(append([]who{n.root, n.root}, people[:3]...)).Draw(rt, "certified by")
		add(Certify(by.key, n.id, p.id, p.name, Terms{Role: rapid.SampledFrom([]Role{Reader, Member, Member}).Draw(rt, "role")}, t0, CertificateLife))
		if p.id == people[4].id {
			break // the others are strangers at first
		}
	}
	steps := rapid.IntRange(3, 28).Draw(rt, "steps")
	for i := range steps {
		by := rapid.SampledFrom(signers).Draw(rt, "by")
		switch what := rapid.SampledFrom([]string{
			"revoke", "revoke", "revoke", "certify", "certify", "delegate", "invite", "join", "join", "admit", "admit", "settle", "leave", "revoke invite",
		}).Draw(rt, "what"); what {
		case "revoke":
			r := add(Revoke(by.key, n.id, one("whom").id, "", at(when())))
			revocations = append(revocations, r)
		case "leave":
			p := one("whom")
			r := add(Revoke(p.key, n.id, p.id, "", at(when())))
			revocations = append(revocations, r)
		case "certify":
			role := Role(rapid.IntRange(1, 3).Draw(rt, "role"))
			life := time.Duration(rapid.SampledFrom([]int{1, 24 * 7}).Draw(rt, "life")) * time.Hour
			whom := one("whom")
			add(Certify(by.key, n.id, whom.id, whom.name, Terms{Role: role}, at(when()), life))
		case "delegate":
			add(Delegate(by.key, n.id, one("whom").id, rapid.Bool().Draw(rt, "may"), at(when())))
		case "invite":
			role := rapid.SampledFrom([]Role{Reader, Member, Member, Admin, Admin}).Draw(rt, "role")
			t := when()
			terms := InviteTerms{Terms: Terms{Role: role}, Expires: at(t + 100*time.Hour), Uses: rapid.IntRange(1, 2).Draw(rt, "uses")}
			inv, err := newInvite(by.key, person(fmt.Sprint("invite ", i)).key, n.charter, nil, terms, nil, at(t))
			if err != nil {
				rt.Fatal(err)
			}
			add(inv.Doc, nil)
			invites = append(invites, inv)
		case "join":
			if len(invites) > 0 {
				inv := rapid.SampledFrom(invites).Draw(rt, "invite")
				p := rapid.SampledFrom(people[3:]).Draw(rt, "joiner")
				j := add(inv.Join(p.key, p.name, at(0)))
				joins = append(joins, j)
				add(Admit(by.key, n.id, j, at(when())))
			}
		case "admit":
			if len(joins) > 0 {
				add(Admit(by.key, n.id, rapid.SampledFrom(joins).Draw(rt, "join"), at(when())))
			}
		case "settle":
			if len(revocations) > 0 && rapid.IntRange(0, 2).Draw(rt, "really") == 0 {
				add(Settle(n.root.key, n.id, rapid.SampledFrom(revocations).Draw(rt, "revocation").id, at(when())))
			}
		case "revoke invite":
			if len(invites) > 0 {
				add(RevokeInvite(by.key, n.id, rapid.SampledFrom(invites).Draw(rt, "invite").ID(), at(when())))
			}
		}
	}
	return docs
}

// TestRandomHistories: a book says what its twin says, whatever the order of documents; so does one that was told in
// parts, and one made from another's Docs.
func TestRandomHistories(t *testing.T) {
	n := newNet(t, "random")
	var people []who
	for i := range 7 {
		people = append(people, person(fmt.Sprint("p", i)))
	}
	rapid.Check(t, func(rt *rapid.T) {
		docs := history(rt, n, people)
		w := newTwin(n.charter, docs)
		first := n.book(docs...)
		parts := n.book()
		for _, d := range rapid.Permutation(docs).Draw(rt, "order") {
			_, _ = parts.Merge(d)
		}
		// Two halves that meet.
		left, right := n.book(), n.book()
		for _, d := range docs {
			if rapid.Bool().Draw(rt, "left") {
				_, _ = left.Merge(d)
			} else {
				_, _ = right.Merge(d)
			}
		}
		orphans := append(right.aside(), left.aside()...)
		_, _ = left.Merge(right.Docs()...)
		_, _ = left.Merge(orphans...)
		copied := n.book()
		if _, err := copied.Merge(first.Docs()...); err != nil {
			rt.Fatalf("own documents are refused: %v", err)
		}
		for name, b := range map[string]*Book{"at once": first, "one by one": parts, "halves": left, "from Docs": copied} {
			if b.Digest() != first.Digest() {
				rt.Errorf("%s: another digest", name)
			}
			for _, p := range people {
				for _, hour := range []int{2, 5, 70, 24*20 + 1} {
					now := at(time.Duration(hour) * time.Hour)
					s, admin, deleg := w.peer(p.id, now)
					i := b.Peer(p.id, now)
					if i.State != s || i.Admin != admin || i.Deleg != deleg {
						rt.Errorf("%s: %s at hour %d is %s admin %v %v (%s), its twin says %s %v %v", name, p.name, hour,
							i.State, i.Admin, i.Deleg, i.Reason, s, admin, deleg)
					}
				}
			}
		}
		if rt.Failed() {
			for _, d := range docs {
				rt.Logf("%s %s ref %s", d.issued.Sub(t0), d, d.say().doc.String()[:8])
			}
		}
		for _, p := range people {
			proves(rt, n, first, p)
		}
	})
}

// proves: Standing shows to one who knows only the charter and the revocations what the book says itself.
func proves(rt *rapid.T, n *net, b *Book, p who) {
	now := at(5 * time.Hour)
	want := b.Peer(p.id, now)
	stranger := n.book(b.Revocations()...)
	_, _ = stranger.Merge(b.Standing(p.id)...)
	if got := stranger.Peer(p.id, now); want.State != got.State && slices.Contains([]State{StateRevoked, StateLeft, StateSuspended}, want.State) {
		rt.Errorf("%s is %s, by its documents %s", p.name, want.State, got.State)
	}
}

// aside are the documents that have no authority yet.
func (b *Book) aside() (out []Doc) {
	for id := range b.j.orphans {
		out = append(out, *b.s.docs[id])
	}
	return out
}
