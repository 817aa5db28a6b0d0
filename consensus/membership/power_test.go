package membership

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// scene is a network in one line per document, so that rules of revocation can be read: "root+ a" makes a an
// administrator that makes others, "root> b" one that does not, "a: m" certifies m, "a! b" revokes b, "a! b settled"
// and "m leaves".
func scene(t *testing.T, n *net, text string) (*Book, []Doc) {
	t.Helper()
	var docs []Doc
	for line := range strings.SplitSeq(text, ",") {
		f := strings.Fields(line)
		by, hour := person(f[0]), time.Hour
		switch {
		case strings.HasSuffix(f[0], "+"), strings.HasSuffix(f[0], ">"):
			by = n.named(f[0][:len(f[0])-1])
			docs = append(docs, n.delegate(by, person(f[1]), strings.HasSuffix(f[0], "+"), 0))
		case strings.HasSuffix(f[0], ":"):
			docs = append(docs, n.certify(n.named(f[0][:len(f[0])-1]), person(f[1]), Member, 0))
		case strings.HasSuffix(f[0], "!"):
			r := n.revoke(n.named(f[0][:len(f[0])-1]), person(f[1]), hour)
			docs = append(docs, r)
			if len(f) > 2 {
				docs = append(docs, n.settle(r, 2*hour))
			}
		case f[1] == "leaves":
			docs = append(docs, n.revoke(by, by, hour))
		default:
			t.Fatal(line)
		}
	}
	return n.book(docs...), docs
}

func (n *net) named(name string) who {
	if name == "root" {
		return n.root
	}
	return person(name)
}

func TestPower(t *testing.T) {
	// r: root-made, may make others. Everybody is certified by the root unless the scene says so.
	for _, tt := range []struct{ name, scene, want string }{
		{"an administrator revokes a member", "root+ a, a: m, a! m", "a admin, m revoked"},
		{"the root does", "root+ a, a: m, root! m", "a admin, m revoked"},
		{"a member can not", "root+ a, a: m, a: o, o! m", "m valid"},
		{"a stranger can not", "root+ a, a: m, x! m", "m valid"},
		{"leaving", "root+ a, a: m, m leaves", "m left"},
		{"what one that left had issued stays", "root+ a, a: m, a: a, a leaves", "m valid, a left"},
		{"settled", "root+ a, a: m, a! m settled", "m valid"},

		{"revoking an administrator voids certificates", "root+ a, root+ b, a: m, b! a", "a revoked, m void, b admin"},
		{"but not countersigned ones", "root+ a, root+ b, a: m, b: m, b! a", "a revoked, m valid"},
		{"and voids delegations", "root+ a, root+ b, a> c, root: c, b! a", "c valid, b admin"},
		{"but not those of others too", "root+ a, root+ b, a> c, b> c, root: c, b! a", "c admin"},
		{"and voids revocations", "root+ a, root+ b, root: m, a! m, b! a", "m valid"},
		{"but not countersigned ones of members", "root+ a, root+ b, root: m, a! m, b! m, b! a", "m revoked"},
		{"and what those whom it made did", "root+ a, root+ b, a> c, root: m, root: o, c! m, c: o, c: p, b! a", "m valid, o valid, p void"},

		{"two revoke each other", "root+ a, root+ b, root: a, root: b, a! b, b! a", "a suspended, b suspended"},
		{"what they revoked stays", "root+ a, root+ b, root: m, a! b, b! a, a! m", "m revoked"},
		{"what they issued does not", "root+ a, root+ b, a: m, a! b, b! a", "m void"},
		{"settled for one", "root+ a, root+ b, root: a, root: b, a! b settled, b! a", "a revoked, b admin"},
		{"settled for both", "root+ a, root+ b, root: a, root: b, a! b settled, b! a settled", "a admin, b admin"},
		{"the root decides", "root+ a, root+ b, root: a, root: b, a! b, b! a, root! a", "a revoked, b admin"},
		{"a third one decides", "root+ a, root+ b, root+ c, root: a, root: b, a! b, b! a, c! a", "a revoked, b admin, c admin"},
		{"a circle of three", "root+ a, root+ b, root+ c, a! b, b! c, c! a", "a suspended, b suspended, c suspended"},
		{"revoked from a circle", "root+ a, root+ b, root+ c, root: d, root+ d, a! b, b! a, a! d, d! c", "d revoked, c admin"},
		{"a chain: the first stands, the second falls, the third stays", "root+ a, root+ b, root+ c, root: c, a! b, b! c", "b revoked, c admin"},
		{"a chain, countersigned", "root+ a, root+ b, root+ c, root: c, a! b, b! c, a! c", "b revoked, c revoked"},
		{"a circle within reach of one that stands", "root+ a, root+ b, root+ c, root: b, root: c, b! c, c! b, a! b", "b revoked, c admin"},

		{"who revokes his maker stays", "root+ a, root: b, a> b, b! a", "a revoked, b admin"},
		{"nor do those fall who revoke him together", "root+ a, root: b, root: c, a> b, a> c, root> e, root> f, f! e, e! b, b! a, c! a", "a revoked, b admin, c admin, e revoked"},
		{"his brothers do not", "root+ a, root: b, root: c, a> b, a> c, b! a", "a revoked, b admin, c valid"},
		{"nobody saves himself by revoking a maker whom another has revoked", "root+ a, root+ w, root: z, a> z, z! a, w! a", "a revoked, w admin, z valid"},
		{"nor one whom the root has", "root+ a, root: z, a> z, z! a, root! a", "a revoked, z valid"},
		{"maker and made revoke each other", "root+ a, root: b, a> b, a! b, b! a", "a suspended, b suspended"},
		{"a maker does not win by a puppet", "root+ a, root> b, a> z, b! a, z! b", "a suspended, b suspended, z suspended"},
		{"whoever is made by one that is revoked does not revoke", "root+ a, root+ b, root+ c, root: c, a> z, b! a, z! c", "a revoked, c admin"},
		{"a puppet with another maker stands by itself", "root+ a, root> b, root> z, a> z, b! a, z! b", "z admin, b revoked, a admin"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNet(t, "power")
			b, docs := scene(t, n, tt.scene)
			for want := range strings.SplitSeq(tt.want, ", ") {
				who, state, _ := strings.Cut(want, " ")
				i := b.Peer(person(who).id, at(3*time.Hour))
				got := i.State.String()
				if i.Admin {
					got = "admin"
				}
				if got != state {
					t.Errorf("%s is %s (%s), want %s", who, got, i.Reason, state)
				}
				if p, err := followChain(n.charter, b.Chain(i.ID)); i.Admin && (err != nil || p.id != i.ID) {
					t.Errorf("the chain of %s does not lead to it: %v", who, err)
				}
				w := newTwin(n.charter, docs)
				if s, admin, _ := w.peer(person(who).id, at(3*time.Hour)); s != i.State || admin != i.Admin {
					t.Errorf("the twin says that %s is %s, admin %v", who, s, admin)
				}
			}
		})
	}
}

// TestManyMade: one administrator makes no crowd of them.
func TestManyMade(t *testing.T) {
	n, b := joined(t)
	anna := person("anna") // has made alma already
	inv := n.invite(anna, "admins", Admin, 100, 0)
	docs := []Doc{inv.Doc}
	for i := range maxMade / 2 {
		j := n.join(inv, person(fmt.Sprint("j", i)), 0)
		docs = append(docs, n.delegate(anna, person(fmt.Sprint("d", i)), false, time.Hour), j, n.admit(person("mia"), j, time.Duration(i)*time.Minute))
	}
	docs = append(docs, n.delegate(anna, person("alma"), false, 9*time.Hour)) // again is no further one
	_, err := b.Merge(docs...)
	if !errors.Is(err, ErrAuthority) {
		t.Error(err)
	}
	if got := len(b.j.admins); got != 1+maxMade {
		t.Errorf("%d administrators", got)
	}
	if !b.Peer(person("alma").id, t0).Admin {
		t.Error("alma lost her power")
	}
	if d := n.delegate(n.root, person("by the root"), false, 0); !b.isBacked(d) {
		t.Error("the root has no room")
	}
	if n.book(b.Docs()...).Digest() != b.Digest() {
		t.Error("Docs do not make an equal book")
	}
}

// TestLongChain: power is decided in time that a hostile network can not make unbearable.
func TestLongChain(t *testing.T) {
	n := newNet(t, "chain")
	const long = 400
	var docs []Doc
	for i := range long {
		docs = append(docs, n.delegate(n.root, person(fmt.Sprint("c", i)), true, 0))
		if i > 0 {
			docs = append(docs, n.revoke(person(fmt.Sprint("c", i-1)), person(fmt.Sprint("c", i)), time.Hour))
		}
	}
	start := time.Now()
	b := n.book(docs...)
	took := time.Since(start)
	for i := range long {
		if in := b.Peer(person(fmt.Sprint("c", i)).id, at(0)).Admin; in != (i%2 == 0) {
			t.Fatalf("c%d is an administrator: %v", i, in)
		}
	}
	t.Logf("%d administrators in a chain: %s", long, took)
	if took > 5*time.Second {
		t.Errorf("merging took %s", took)
	}
}
