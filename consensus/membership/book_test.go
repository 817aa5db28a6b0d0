package membership

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"cairn/consensus/membership/pb"
)

func TestCertificates(t *testing.T) {
	const day = 24 * time.Hour
	n, _ := joined(t)
	anna, alma, x := person("anna"), person("alma"), person("x")
	cert := func(by who, name string, role Role, d, life time.Duration) Doc {
		return n.must(Certify(by.key, n.id, x.id, name, Terms{Role: role}, at(d), life))
	}
	for _, tt := range []struct {
		name  string
		docs  []Doc
		when  time.Duration
		state State
		is    string
	}{
		{"one", []Doc{cert(anna, "a", Member, 0, day)}, time.Hour, StateValid, "a"},
		{"at its end", []Doc{cert(anna, "a", Member, 0, day)}, day, StateExpired, "a"},
		{"just before", []Doc{cert(anna, "a", Member, 0, day)}, day - time.Nanosecond, StateValid, "a"},
		{"a life that is too long is cut", []Doc{cert(anna, "a", Member, 0, 90*day)}, CertificateLife, StateExpired, "a"},
		{"the newest", []Doc{cert(anna, "a", Member, 0, 7*day), cert(alma, "b", Member, day, 7*day)}, 2 * day, StateValid, "b"},
		{"the other while the newest has ended", []Doc{cert(anna, "a", Member, 0, 7*day), cert(alma, "b", Member, day, time.Hour)}, 2 * day, StateValid, "a"},
		{"but not one that its issuer replaced", []Doc{cert(anna, "a", Member, 0, 7*day), cert(anna, "b", Member, day, time.Hour)}, 2 * day, StateExpired, "b"},
		{"a little ahead", []Doc{cert(anna, "a", Member, day, 7*day)}, 0, StateValid, "a"},
		{"from the future", []Doc{cert(anna, "a", Member, day+time.Second, 7*day)}, 0, StateEarly, "a"},
		{"from the future with one of today", []Doc{cert(anna, "a", Member, 0, 7*day), cert(anna, "b", Member, 900*day, day)}, day, StateValid, "a"},
		{"from the future with one that has ended", []Doc{cert(anna, "a", Member, 0, day), cert(anna, "b", Member, 900*day, day)}, 2 * day, StateExpired, "a"},
		{"the same by another", []Doc{cert(anna, "a", Member, 0, 7*day), cert(alma, "b", Member, 900*day, day)}, day, StateValid, "a"},
		{"by a member", []Doc{cert(person("mia"), "a", Member, 0, day)}, 0, StateUnknown, ""},
		{"by itself", []Doc{cert(x, "a", Member, 0, day)}, 0, StateUnknown, ""},
		{"by a stranger", []Doc{cert(person("s"), "a", Member, 0, day)}, 0, StateUnknown, ""},
		{"by the root", []Doc{cert(n.root, "a", Member, 0, day)}, 0, StateValid, "a"},
	} {
		_, b := joined(t)
		_, _ = b.Merge(tt.docs...)
		i := b.Peer(x.id, at(tt.when))
		if i.State != tt.state || i.Name != tt.is {
			t.Errorf("%s: %s %q (%s)", tt.name, i.State, i.Name, i.Reason)
		}
		if err := b.Check(x.id, at(tt.when)); (err == nil) != (tt.state == StateValid) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	// A certificate makes nobody an administrator.
	_, b := joined(t)
	merge(t, b, cert(anna, "x", Admin, 0, day))
	if i := n.is(b, x, 0, StateValid); i.Admin || i.Terms.Role != Member {
		t.Errorf("%+v", i)
	}
	if _, err := b.Merge(n.certify(x, person("o"), Member, 0)); !errors.Is(err, ErrAuthority) {
		t.Error(err)
	}
}

// TestEscalation: what a peer could sign to get more than it has.
func TestEscalation(t *testing.T) {
	n, _ := joined(t)
	alma, mia, x := person("alma"), person("mia"), person("x")
	other := newNet(t, "other")
	for _, tt := range []struct {
		name string
		doc  Doc
		want error
	}{
		{"a member makes an administrator", n.delegate(mia, mia, false, 0), ErrAuthority},
		{"an administrator of the second step makes one", n.delegate(alma, x, false, 0), ErrAuthority},
		{"an administrator gives himself the right to make others", delegation(n, alma, alma), ErrAuthority},
		{"one of the first step gives it to others", delegation(n, person("anna"), x), ErrAuthority},
		{"a member certifies", n.certify(mia, x, Member, 0), ErrAuthority},
		{"a member settles", n.must(Settle(mia.key, n.id, DocID{}, t0)), ErrAuthority},
		{"an administrator settles", n.must(Settle(alma.key, n.id, DocID{}, t0)), ErrAuthority},
		{"a member revokes", n.revoke(mia, alma, 0), ErrAuthority},
		{"the root of another network", n.must(Delegate(other.root.key, n.id, x.id, false, t0)), ErrAuthority},
		{"another network's certificate", other.certify(other.root, x, Member, 0), ErrForeign},
		{"another network's charter", other.charter, ErrForeign},
	} {
		_, b := joined(t)
		if added, err := b.Merge(tt.doc); !errors.Is(err, tt.want) || len(added) > 0 {
			t.Errorf("%s: %v, %v", tt.name, added, err)
		}
		if i := b.Peer(x.id, t0); i.State != StateUnknown || i.Admin {
			t.Errorf("%s: %+v", tt.name, i)
		}
		for _, p := range []who{alma, mia} {
			if i := b.Peer(p.id, t0); i.State != StateValid || i.Admin != (p.name == "alma") || i.Deleg {
				t.Errorf("%s: %+v", tt.name, i)
			}
		}
	}
	if _, err := Delegate(alma.key, n.id, x.id, true, t0); !errors.Is(err, ErrAuthority) {
		t.Error(err)
	}
}

// delegation signs what Delegate refuses.
func delegation(n *net, by, to who) Doc {
	m, err := about(n.id, to.id, t0)
	if err != nil {
		n.t.Fatal(err)
	}
	m.MayDelegate = true
	return n.must(sign(by.key, KindDelegation, m))
}

// TestForgedDocuments: what ParseDoc must refuse although its signature is right.
func TestForgedDocuments(t *testing.T) {
	n, _ := joined(t)
	x := person("x")
	inv := n.invite(n.root, "i", Member, 1, 0)
	for name, f := range map[string]func(m *pb.Statement) Kind{
		"a certificate for a year":       func(m *pb.Statement) Kind { m.Expires = m.Issued + 366*86400; return KindCertificate },
		"an invite for a year":           func(m *pb.Statement) Kind { m.Expires = m.Issued + 366*86400; return KindInvite },
		"one that ends before it begins": func(m *pb.Statement) Kind { m.Expires = m.Issued - 1; return KindCertificate },
		"a time after all times":         func(m *pb.Statement) Kind { m.Issued = 1 << 63; return KindDelegation },
		"no time":                        func(m *pb.Statement) Kind { m.Issued = 0; return KindDelegation },
		"a key of another length":        func(m *pb.Statement) Kind { m.Subject = append(m.Subject, 0); return KindDelegation },
		"no network":                     func(m *pb.Statement) Kind { m.Network = nil; return KindDelegation },
		"classes twice":                  func(m *pb.Statement) Kind { m.Classes = []string{"a", "a"}; return KindCertificate },
		"a name that turns":              func(m *pb.Statement) Kind { m.Name = "a\u202eb"; return KindCertificate },
		"a reason that moves the cursor": func(m *pb.Statement) Kind { m.Reason = "\x1b[2J"; return KindRevocation },
		"a long reason":                  func(m *pb.Statement) Kind { m.Reason = strings.Repeat("x", MaxReason+1); return KindRevocation },
		"many uses":                      func(m *pb.Statement) Kind { m.Uses = MaxUses + 1; return KindInvite },
		"a join without proof":           func(m *pb.Statement) Kind { m.Proof = nil; return KindJoin },
		"a charter of another root":      func(m *pb.Statement) Kind { return KindCharter },
		"a settlement of nothing":        func(m *pb.Statement) Kind { m.Doc = m.Doc[:31]; return KindSettlement },
	} {
		m, err := about(n.id, x.id, t0)
		if err != nil {
			t.Fatal(err)
		}
		termsOf(m, Terms{Role: Member})
		m.Name, m.Uses, m.Expires, m.Doc = "x", 1, m.Issued+3600, inv.Doc.id[:]
		if m.Proof, err = x.key.Sign(proofText(n.id, inv.Doc.id, m.Subject, m.Issued, m.Name)); err != nil {
			t.Fatal(err)
		}
		signer := n.root.key
		good := []Kind{KindDelegation, KindCertificate, KindInvite, KindJoin, KindAdmission, KindRevocation, KindSettlement}
		for _, k := range good {
			if _, err := sign(signer, k, m); err != nil {
				t.Fatal(k, err)
			}
		}
		kind := f(m)
		if kind == KindCharter {
			signer = x.key
		}
		if d, err := sign(signer, kind, m); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, %v", name, d, err)
		}
	}
	// Somebody else's join is not to be had by who holds the invite alone.
	j := n.join(inv, x, 0)
	stolen := &pb.Statement{}
	if err := proto.Unmarshal(statementOf(t, j), stolen); err != nil {
		t.Fatal(err)
	}
	other := n.invite(n.root, "other", Member, 1, 0)
	stolen.Doc = other.Doc.id[:]
	if d, err := sign(other.Key, KindJoin, stolen); !errors.Is(err, ErrMalformed) {
		t.Error(d, err)
	}
}

func TestRevokedNeverReturns(t *testing.T) {
	n, b := joined(t)
	mia, anna := person("mia"), person("anna")
	r := n.revoke(anna, mia, time.Hour)
	merge(t, b, r, n.certify(n.root, mia, Member, 2*time.Hour), n.certify(person("alma"), mia, Member, 3*time.Hour))
	i := n.is(b, mia, 4*time.Hour, StateRevoked)
	if i.By != anna.id || !strings.Contains(i.Reason, "anna") || !strings.Contains(i.Reason, "lost") {
		t.Errorf("%+v", i)
	}
	merge(t, b, n.revoke(n.root, person("moe"), 2*time.Hour), n.revoke(anna, person("moe"), time.Hour))
	if i := n.is(b, person("moe"), 4*time.Hour, StateRevoked); i.By != n.root.id || !strings.Contains(i.Reason, "the root") {
		t.Errorf("%+v", i)
	}
	inv := n.invite(anna, "back", Member, 1, 0)
	if err := b.CheckJoin(n.join(inv, mia, 0), inv.Docs(), at(4*time.Hour)); !errors.Is(err, ErrRevoked) {
		t.Error(err)
	}
	merge(t, b, n.settle(r, 5*time.Hour))
	n.is(b, mia, 6*time.Hour, StateValid)
	// A revocation of somebody nobody knows waits for him; a stranger's leaving is no news.
	merge(t, b, n.revoke(anna, person("later"), 0), n.certify(anna, person("later"), Member, 0))
	n.is(b, person("later"), 0, StateRevoked)
	if _, err := b.Merge(n.revoke(person("s"), person("s"), 0)); !errors.Is(err, ErrAuthority) {
		t.Error(err)
	}
	n.is(b, person("s"), 0, StateUnknown)
}

// TestOrphans: documents whose authority comes later are kept, up to a bound, and counted when it has come.
func TestOrphans(t *testing.T) {
	n := newNet(t, "home")
	anna, x := person("anna"), person("x")
	cert, power := n.certify(anna, x, Member, 0), n.delegate(n.root, anna, false, 0)
	b := n.book()
	for range 2 {
		if added, err := b.Merge(cert); !errors.Is(err, ErrAuthority) || len(added) > 0 {
			t.Fatal(added, err)
		}
	}
	if len(b.Docs()) != 1 || b.Digest() != n.book().Digest() || len(b.Members(t0)) > 0 {
		t.Error("an orphan is shown")
	}
	added, err := b.Merge(power)
	if err != nil || len(added) != 2 {
		t.Fatal(added, err)
	}
	n.is(b, x, 0, StateValid)

	flood := n.book()
	for i := range MaxOrphans + 50 {
		_, _ = flood.Merge(n.certify(person("flooder"), person(fmt.Sprint(i)), Member, 0))
	}
	if k := len(flood.s.docs); k > MaxOrphans+1 || len(flood.s.certs) > MaxOrphans {
		t.Errorf("%d documents are kept", k)
	}
	merge(t, flood, power, cert)
	n.is(flood, x, 0, StateValid)
}

func TestFullBook(t *testing.T) {
	n, b := joined(t)
	anna := person("anna")
	// Signing thousands would take long: the book is made to believe.
	b.j.size = MaxMembers
	if _, err := b.Merge(n.certify(anna, person("one more"), Member, 0)); !errors.Is(err, ErrFull) {
		t.Error(err)
	}
	if _, err := b.Merge(n.certify(anna, person("mia"), Member, time.Hour)); err != nil {
		t.Error("a member is not renewed:", err)
	}
	inv := n.invite(anna, "i", Member, 1, 0)
	if err := b.CheckJoin(n.join(inv, person("one more"), 0), inv.Docs(), t0); !errors.Is(err, ErrFull) {
		t.Error(err)
	}
	_, b = joined(t)
	for i := 0; len(b.s.docs) < MaxDocs-reserveOther; i++ {
		b.s.docs[DocID{byte(i), byte(i >> 8), byte(i >> 16), 1}] = &n.charter
	}
	if _, err := b.Merge(n.certify(anna, person("one more"), Member, 0)); !errors.Is(err, ErrFull) {
		t.Error(err)
	}
	if err := b.refuse(new(n.revoke(anna, person("mia"), 0)), nil); err != nil {
		t.Error("a full book can not revoke:", err)
	}
	for _, d := range []time.Duration{time.Hour, 2 * time.Hour} {
		if _, err := b.Merge(n.certify(anna, person("mia"), Member, d)); (err == nil) != (d == 2*time.Hour) {
			t.Error(d, err)
		}
		b.s.put(new(n.certify(anna, person("mia"), Member, d))) // from now on one takes the place of another
	}
}

func TestMergeRefuses(t *testing.T) {
	n, b := joined(t)
	digest := b.Digest()
	x := n.certify(person("anna"), person("x"), Member, 0)
	added, err := b.Merge(Doc{}, newNet(t, "other").charter, x, x)
	if !errors.Is(err, ErrMalformed) || !errors.Is(err, ErrForeign) || len(added) != 1 {
		t.Error(added, err)
	}
	if b.Digest() == digest {
		t.Error("the digest stays when a document comes")
	}
	digest = b.Digest()
	if added, err := b.Merge(x); err != nil || len(added) > 0 || b.Digest() != digest {
		t.Error(added, err)
	}
	for i := range 5 { // renewals do not pile up
		merge(t, b, n.certify(person("anna"), person("x"), Member, time.Duration(i+1)*time.Hour))
	}
	if k := len(b.s.certs[person("x").id]); k != kept {
		t.Errorf("%d certificates are kept", k)
	}
	if added, err := b.Merge(x); err != nil || len(added) > 0 {
		t.Error("an old certificate comes back:", added, err)
	}
	if _, err := NewBook(x); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
	renamed := n.must(Charter(n.root.key, "cottage", at(time.Hour)))
	merge(t, b, renamed)
	if _, name, _ := b.Network(); name != "cottage" {
		t.Error(name)
	}
	merge(t, b, n.charter)
	if _, name, _ := b.Network(); name != "cottage" {
		t.Error("the older name comes back")
	}
	inv := n.invite(person("anna"), "i", Member, 1, 0)
	j := n.join(inv, person("y"), 9*time.Hour)
	merge(t, b, inv.Doc, j, n.admit(person("anna"), j, 9*time.Hour), n.revoke(person("y"), person("y"), 10*time.Hour))
	if !b.Floor().Equal(at(5 * time.Hour)) {
		t.Error(b.Floor())
	}
}

func TestDependsOnAndCountersign(t *testing.T) {
	n, b := joined(t)
	anna, alma, mia := person("anna"), person("alma"), person("mia")
	bob := person("bob") // the second of the root's administrators
	merge(t, b, n.delegate(n.root, bob, true, 0), n.certify(bob, bob, Admin, 0), n.certify(bob, person("moe"), Member, 0))
	inv := n.invite(anna, "i", Member, 1, 0)
	j := n.join(inv, person("joiner"), time.Hour)
	merge(t, b, inv.Doc, j, n.admit(mia, j, time.Hour), n.revoke(anna, person("rita"), time.Hour))
	now := at(2 * time.Hour)
	names := func(all []Info) (out []string) {
		for _, i := range all {
			out = append(out, i.Name)
		}
		return out
	}
	if got := names(b.DependsOn(anna.id, now)); !slices.Equal(got, []string{"alma", "joiner", "mia", "rita"}) {
		t.Error(got)
	}
	if got := b.DependsOn(mia.id, now); got != nil {
		t.Error(names(got))
	}
	if _, err := b.Countersign(mia.key, anna.id, now); !errors.Is(err, ErrAuthority) {
		t.Error(err)
	}
	for _, first := range []bool{true, false} { // countersigned before the revocation, and after
		c := n.book(b.Docs()...)
		r := n.revoke(bob, anna, 3*time.Hour)
		if !first {
			merge(t, c, r)
			n.is(c, mia, 3*time.Hour, StateVoid)
		}
		docs, err := c.Countersign(bob.key, anna.id, now)
		if err != nil {
			t.Fatal(err)
		}
		merge(t, c, docs...)
		if first {
			if got := names(c.DependsOn(anna.id, now)); got != nil {
				t.Error("still depend:", got)
			}
			merge(t, c, r)
		}
		n.is(c, anna, 3*time.Hour, StateRevoked)
		n.is(c, mia, 3*time.Hour, StateValid)
		n.is(c, person("rita"), 3*time.Hour, StateRevoked)
		if i := n.is(c, person("joiner"), 3*time.Hour, StateValid); i.Issuer != bob.id || i.Expires.After(at(time.Hour+CertificateLife)) {
			t.Errorf("%+v", i)
		}
		if !n.is(c, alma, 3*time.Hour, StateValid).Admin {
			t.Error("alma's power is not taken over")
		}
		again, err := c.Countersign(bob.key, anna.id, now)
		if err != nil || len(again) > 0 {
			t.Error("countersigned twice:", again, err)
		}
	}
}

// TestConcurrentUse is for the race detector.
func TestConcurrentUse(t *testing.T) {
	n, b := joined(t)
	var g sync.WaitGroup
	for i := range 4 {
		g.Go(func() {
			for k := range 20 {
				_, _ = b.Merge(n.certify(person("anna"), person(fmt.Sprint(i, k)), Member, 0), n.revoke(person("anna"), person(fmt.Sprint(i, k-1)), 0))
			}
		})
		g.Go(func() {
			for range 20 {
				b.Peer(person("mia").id, t0)
				b.Members(t0)
				b.Digest()
				b.Floor()
				b.Docs()
				b.Standing(person("mia").id)
				b.Revocations()
				b.Invites(t0)
				b.DependsOn(person("anna").id, t0)
			}
		})
	}
	g.Wait()
	if got := len(b.Members(t0)); got != 5+80 {
		t.Errorf("%d members", got)
	}
}
