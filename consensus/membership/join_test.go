package membership

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// joined is a network with the administrators anna (by the root, may make others) and alma (by anna, may not), the
// members mia and moe, and the reader rita.
func joined(t *testing.T) (n *net, b *Book) {
	n = newNet(t, "home")
	anna, alma := person("anna"), person("alma")
	b = n.book()
	if _, err := b.Merge(n.delegate(n.root, anna, true, 0), n.delegate(anna, alma, false, 0),
		n.certify(anna, anna, Admin, 0), n.certify(anna, alma, Admin, 0),
		n.certify(anna, person("mia"), Member, 0), n.certify(anna, person("moe"), Member, 0), n.certify(anna, person("rita"), Reader, 0)); err != nil {
		t.Fatal(err)
	}
	return n, b
}

func merge(t *testing.T, b *Book, docs ...Doc) {
	t.Helper()
	if _, err := b.Merge(docs...); err != nil {
		t.Fatal(err)
	}
}

func TestFirstAdmissionWins(t *testing.T) {
	n, b := joined(t)
	inv := n.invite(person("anna"), "single", Member, 1, 0)
	x, y := n.join(inv, person("x"), 0), n.join(inv, person("y"), 0)
	merge(t, b, inv.Doc, y, n.admit(person("mia"), y, 2*time.Minute))
	n.is(b, person("y"), time.Hour, StateValid)
	merge(t, b, x, n.admit(person("moe"), x, time.Minute)) // it was first, but apart
	n.is(b, person("x"), time.Hour, StateValid)
	if i := n.is(b, person("y"), time.Hour, StateVoid); !strings.Contains(i.Reason, "used up") {
		t.Error(i.Reason)
	}
	if err := b.CheckJoin(n.join(inv, person("z"), 0), inv.Docs(), at(time.Hour)); !errors.Is(err, ErrUsed) {
		t.Error(err)
	}
	if err := b.CheckJoin(n.join(inv, person("x"), 0), inv.Docs(), at(50*time.Hour)); err != nil {
		t.Error("the winner again, after the expiry:", err)
	}
	// Ties of a second are decided by the id of the admission.
	inv = n.invite(person("anna"), "tie", Member, 1, 0)
	x, y = n.join(inv, person("x"), 0), n.join(inv, person("y"), 0)
	ax, ay := n.admit(person("moe"), x, time.Minute), n.admit(person("mia"), y, time.Minute)
	merge(t, b, inv.Doc, x, y, ax, ay)
	won := b.Invites(at(0))[0].Used
	if want := map[bool]who{true: person("x"), false: person("y")}[oldest(&ax, &ay) < 0]; len(won) != 1 || won[0] != want.id {
		t.Errorf("%v won", won)
	}
}

func TestManyUses(t *testing.T) {
	n, b := joined(t)
	inv := n.invite(person("anna"), "triple", Reader, 3, 0)
	for i, name := range []string{"a", "b", "c", "d"} {
		j := n.join(inv, person(name), time.Minute)
		err := b.CheckJoin(j, inv.Docs(), at(time.Hour))
		if i < 3 && err != nil || i == 3 && !errors.Is(err, ErrUsed) {
			t.Fatal(name, err)
		}
		merge(t, b, inv.Doc, j, n.admit(person("mia"), j, time.Duration(i+1)*time.Minute))
	}
	for i, name := range []string{"a", "b", "c", "d"} {
		if want := [...]State{StateValid, StateValid, StateValid, StateVoid}[i]; n.is(b, person(name), time.Hour, want).Terms.Role != Reader {
			t.Error(name)
		}
	}
	// Admitted again, by somebody else: the same use and the same life.
	j := n.join(inv, person("b"), time.Hour)
	merge(t, b, j, n.admit(person("moe"), j, time.Hour))
	if i := n.is(b, person("b"), 2*time.Hour, StateValid); !i.Expires.Equal(at(2*time.Minute + CertificateLife)) {
		t.Error(i.Expires)
	}
	n.is(b, person("c"), time.Hour, StateValid)
}

// TestAdmissionsThatDoNotCount: each of them is by or for somebody who must not.
func TestAdmissionsThatDoNotCount(t *testing.T) {
	anna, mia := person("anna"), person("mia")
	hour := time.Hour
	for _, tt := range []struct {
		name string
		docs func(n *net) []Doc
		want State
	}{
		{"by a member", func(n *net) []Doc {
			i := n.invite(anna, "i", Member, 1, 0)
			j := n.join(i, person("x"), hour)
			return []Doc{i.Doc, j, n.admit(mia, j, hour)}
		}, StateValid},
		{"by a reader", func(n *net) []Doc {
			i := n.invite(anna, "i", Member, 1, 0)
			j := n.join(i, person("x"), hour)
			return []Doc{i.Doc, j, n.admit(person("rita"), j, hour)}
		}, StateUnknown},
		{"by a stranger", func(n *net) []Doc {
			i := n.invite(anna, "i", Member, 1, 0)
			j := n.join(i, person("x"), hour)
			return []Doc{i.Doc, j, n.admit(person("stranger"), j, hour)}
		}, StateUnknown},
		{"by itself", func(n *net) []Doc {
			i := n.invite(anna, "i", Member, 1, 0)
			j := n.join(i, person("x"), hour)
			return []Doc{i.Doc, j, n.admit(person("x"), j, hour)}
		}, StateUnknown},
		{"after the invite's expiry", func(n *net) []Doc {
			i := n.invite(anna, "i", Member, 1, 0)
			j := n.join(i, person("x"), hour)
			return []Doc{i.Doc, j, n.admit(mia, j, 25*hour)}
		}, StateUnknown},
		{"of an invite that was revoked before", func(n *net) []Doc {
			i := n.invite(anna, "i", Member, 1, 0)
			j := n.join(i, person("x"), hour)
			return []Doc{i.Doc, j, n.revokeInvite(anna, i, hour), n.admit(mia, j, 2*hour)}
		}, StateVoid},
		{"of an invite that was revoked after", func(n *net) []Doc {
			i := n.invite(anna, "i", Member, 1, 0)
			j := n.join(i, person("x"), hour)
			return []Doc{i.Doc, j, n.revokeInvite(anna, i, 2*hour), n.admit(mia, j, hour)}
		}, StateValid},
		{"of an invite that a member revoked", func(n *net) []Doc {
			i := n.invite(anna, "i", Member, 1, 0)
			j := n.join(i, person("x"), hour)
			return []Doc{i.Doc, j, n.revokeInvite(mia, i, 0), n.admit(mia, j, hour)}
		}, StateValid},
		{"by one that had been revoked before", func(n *net) []Doc {
			i := n.invite(anna, "i", Member, 1, 0)
			j := n.join(i, person("x"), hour)
			return []Doc{i.Doc, j, n.revoke(anna, mia, hour), n.admit(mia, j, 2*hour)}
		}, StateVoid},
		{"by one that was revoked later", func(n *net) []Doc {
			i := n.invite(anna, "i", Member, 1, 0)
			j := n.join(i, person("x"), hour)
			return []Doc{i.Doc, j, n.revoke(anna, mia, 2*hour), n.admit(mia, j, hour)}
		}, StateValid},
		{"by one that had left before", func(n *net) []Doc {
			i := n.invite(anna, "i", Member, 1, 0)
			j := n.join(i, person("x"), hour)
			return []Doc{i.Doc, j, n.revoke(mia, mia, hour), n.admit(mia, j, 2*hour)}
		}, StateUnknown},
		{"of an inviter that was revoked", func(n *net) []Doc {
			i := n.invite(person("alma"), "i", Member, 1, 0)
			j := n.join(i, person("x"), hour)
			return []Doc{i.Doc, j, n.admit(mia, j, hour), n.revoke(anna, person("alma"), 2*hour)}
		}, StateVoid},
		{"of an invite by a member", func(n *net) []Doc {
			i := n.invite(mia, "i", Member, 1, 0)
			j := n.join(i, person("x"), hour)
			return []Doc{i.Doc, j, n.admit(mia, j, hour)}
		}, StateUnknown},
		{"of an administrator's invite by one that may not make any", func(n *net) []Doc {
			i := n.invite(person("alma"), "i", Admin, 1, 0)
			j := n.join(i, person("x"), hour)
			return []Doc{i.Doc, j, n.admit(mia, j, hour)}
		}, StateUnknown},
		{"of a join with another invite's document", func(n *net) []Doc {
			i, other := n.invite(anna, "i", Member, 1, 0), n.invite(anna, "other", Member, 1, 0)
			other.Doc = i.Doc // its own key signs for a document that is not its own
			j := n.join(other, person("x"), hour)
			return []Doc{i.Doc, j, n.admit(mia, j, hour)}
		}, StateUnknown},
		{"for one peer, by another", func(n *net) []Doc {
			terms := InviteTerms{Terms: Terms{Role: Member}, Expires: at(hour * 2), Uses: 1, For: person("z").id}
			i, err := newInvite(anna.key, person("invite i").key, n.charter, nil, terms, nil, at(0))
			if err != nil {
				n.t.Fatal(err)
			}
			if _, err := i.Join(person("x").key, "x", at(0)); !errors.Is(err, ErrNotFor) {
				n.t.Error(err)
			}
			open := i
			open.Doc.said = &statement{} // to get past the check of the honest
			j := n.join(open, person("x"), hour)
			if err := n.book(n.delegate(n.root, anna, true, 0)).CheckJoin(j, []Doc{i.Doc}, at(hour)); !errors.Is(err, ErrNotFor) {
				n.t.Error(err)
			}
			return []Doc{i.Doc, j, n.admit(mia, j, hour)}
		}, StateUnknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n, b := joined(t)
			docs := tt.docs(n)
			_, _ = b.Merge(docs...)
			n.is(b, person("x"), 3*time.Hour, tt.want)
			_, before := joined(t)
			w := newTwin(n.charter, append(before.Docs(), docs...))
			if s, _, _ := w.peer(person("x").id, at(3*time.Hour)); s != tt.want {
				t.Errorf("the twin says %s", s)
			}
		})
	}
}

// TestAdminInvite: a join of an invite of role Admin is a delegation without the right to make others, and no more can
// be had from an old invite.
func TestAdminInvite(t *testing.T) {
	n, b := joined(t)
	anna, mia, x := person("anna"), person("mia"), person("x")
	inv := n.invite(anna, "admin", Admin, 1, 0)
	j := n.join(inv, x, time.Minute)
	if err := b.CheckJoin(j, inv.Docs(), at(time.Hour)); err != nil {
		t.Fatal(err)
	}
	merge(t, b, inv.Doc, j, n.admit(mia, j, time.Hour))
	if i := n.is(b, x, time.Hour, StateValid); !i.Admin || i.Deleg || i.Terms.Role != Admin {
		t.Errorf("%+v", i)
	}
	merge(t, b, n.certify(x, person("o"), Member, 0))
	n.is(b, person("o"), time.Hour, StateValid)
	if d := n.delegate(x, person("p"), false, 0); b.isBacked(d) {
		t.Error("an administrator by invite makes others")
	}
	// Its chain is the invite and the join, and leads to it.
	chain := b.Chain(x.id)
	if p, err := followChain(n.charter, chain); err != nil || p.id != x.id || p.mayDelegate {
		t.Error(chain, p, err)
	}
	inv2, err := NewInvite(x.key, n.charter, chain, InviteTerms{Terms: Terms{Role: Member}, Expires: at(time.Hour), Uses: 1}, nil, at(0))
	if err != nil {
		t.Fatal(err)
	}
	text, err := inv2.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := ParseInvite(text); err != nil || len(again.Chain) != 3 {
		t.Error(again, err)
	}
	// A member who has kept the invite writes an early time into an admission of his own: nobody becomes an
	// administrator by that, and who was one stays it by whom an administrator has let him in or made him one.
	e := n.join(inv, person("evil"), time.Minute)
	merge(t, b, e, n.admit(person("moe"), e, 2*time.Minute))
	if n.is(b, person("evil"), time.Hour, StateValid).Admin {
		t.Error("an old invite made an administrator")
	}
	if b.Peer(x.id, at(time.Hour)).Admin {
		t.Error("a contested invite makes an administrator whom no administrator let in")
	}
	merge(t, b, n.admit(anna, j, 3*time.Hour))
	if !b.Peer(x.id, at(4*time.Hour)).Admin || b.Peer(person("evil").id, at(4*time.Hour)).Admin {
		t.Error("whom an administrator let in is none")
	}
	// Who came by it has no say in who else did.
	f := n.join(inv, person("friend"), 0)
	merge(t, b, f, n.admit(x, f, 2*time.Hour))
	if !b.Peer(x.id, at(4*time.Hour)).Admin || b.Peer(person("friend").id, at(4*time.Hour)).Admin {
		t.Error("one that came by an invite hands it on")
	}
}

// TestAdminInviteBlocked: whether a revocation before the admission counts is found out first.
func TestAdminInviteBlocked(t *testing.T) {
	for _, void := range []bool{false, true} {
		n, b := joined(t)
		anna, alma, mia, x := person("anna"), person("alma"), person("mia"), person("x")
		inv := n.invite(anna, "admin", Admin, 1, 0)
		j := n.join(inv, x, time.Minute)
		merge(t, b, n.certify(n.root, x, Member, 0), inv.Doc, j, n.revoke(alma, mia, time.Hour), n.admit(mia, j, 2*time.Hour))
		if void {
			merge(t, b, n.revoke(anna, alma, 3*time.Hour))
		}
		if i := n.is(b, x, 3*time.Hour, StateValid); i.Admin != void {
			t.Errorf("the revocation is void: %v, and the administrator is one: %v", void, i.Admin)
		}
	}
}

// TestDatedBack: one that was revoked can not take an invite from who has used it.
func TestDatedBack(t *testing.T) {
	n, b := joined(t)
	inv := n.invite(person("anna"), "i", Member, 1, 0)
	x, e := n.join(inv, person("x"), 0), n.join(inv, person("evil"), 0)
	merge(t, b, inv.Doc, x, n.admit(person("mia"), x, 5*time.Minute), n.revoke(person("anna"), person("moe"), time.Hour))
	merge(t, b, e, n.admit(person("moe"), e, time.Minute))
	n.is(b, person("x"), 2*time.Hour, StateValid)
	n.is(b, person("evil"), 2*time.Hour, StateVoid)
	// Nor can one whom a revoked administrator has made up.
	sock := n.certify(person("alma"), person("sock"), Member, 0)
	merge(t, b, sock, n.revoke(person("anna"), person("alma"), 0), n.admit(person("sock"), e, 2*time.Minute))
	n.is(b, person("x"), 2*time.Hour, StateValid)
	n.is(b, person("evil"), 2*time.Hour, StateVoid)
}

// TestFlood: a member can not fill the book with what it may sign.
func TestFlood(t *testing.T) {
	n, b := joined(t)
	inv := n.invite(person("anna"), "i", Member, 1, 0)
	var docs []Doc
	for i := range 40 {
		j := n.join(inv, person(fmt.Sprint("sock", i)), 0)
		docs = append(docs, j, n.admit(person("mia"), j, time.Duration(i)*time.Second),
			n.admit(person("mia"), j, time.Duration(i+100)*time.Second), n.revoke(person("mia"), person("mia"), time.Duration(i+3)*time.Hour))
	}
	before, size := len(b.Docs()), b.j.size
	_, _ = b.Merge(append(docs, inv.Doc)...)
	if got := len(b.Docs()) - before; got > 1+3*(1+spareUses)+maxRepeats {
		t.Errorf("%d documents are taken", got)
	}
	if b.j.size != size+1 {
		t.Errorf("%d members more", b.j.size-size)
	}
	// Whom another member lets in has not less room for that.
	j := n.join(inv, person("x"), 0)
	merge(t, b, j, n.admit(person("moe"), j, time.Hour))
	for range 2 * maxRepeats {
		_, _ = b.Merge(n.admit(person("moe"), j, time.Hour+time.Duration(len(b.s.docs))*time.Second))
	}
	if got := len(b.j.slots[person("x").id][0].admissions); got != maxRepeats {
		t.Errorf("%d admissions of one join are taken", got)
	}
}

// TestInviterNotHeardOf: a member that has not heard of an administrator yet lets in by the documents in his invite.
func TestInviterNotHeardOf(t *testing.T) {
	n, b := joined(t)
	anna, new, x := person("anna"), person("new"), person("x")
	d := n.delegate(anna, new, false, 0)
	inv := n.invite(new, "i", Member, 1, 0)
	inv.Chain = []Doc{n.delegate(n.root, anna, true, 0), d}
	j := n.join(inv, x, 0)
	if err := b.CheckJoin(j, inv.Docs(), t0); err != nil {
		t.Error(err)
	}
	n.is(b, x, 0, StateUnknown)
	if err := b.CheckJoin(j, []Doc{inv.Doc}, t0); !errors.Is(err, ErrAuthority) {
		t.Error(err)
	}
	merge(t, b, n.revoke(n.root, new, 0))
	if err := b.CheckJoin(j, inv.Docs(), t0); !errors.Is(err, ErrRevoked) {
		t.Error(err)
	}
	merge(t, b, inv.Doc, d, j, n.admit(person("mia"), j, 0))
	n.is(b, x, 0, StateVoid)
}

// isBacked tells whether a document counts as authorised.
func (b *Book) isBacked(d Doc) bool {
	_, err := b.Merge(d)
	return err == nil
}

// TestChainOfAdmissions: who was let in lets others in, within the same second too, and in any order of merging.
func TestChainOfAdmissions(t *testing.T) {
	n, _ := joined(t)
	_, start := joined(t)
	docs := start.Docs()
	by := person("mia")
	for _, name := range []string{"c1", "c2", "c3", "c4", "c5", "c6"} {
		i := n.invite(person("anna"), name, Member, 1, 0)
		j := n.join(i, person(name), 0)
		docs = append(docs, n.admit(by, j, time.Minute), j, i.Doc)
		by = person(name)
	}
	forth, back := n.book(docs...), n.book()
	for k := range docs {
		_, _ = back.Merge(docs[len(docs)-1-k])
	}
	for _, b := range []*Book{forth, back} {
		n.is(b, by, time.Hour, StateValid)
	}
	if forth.Digest() != back.Digest() {
		t.Error("the order of documents matters")
	}
}
