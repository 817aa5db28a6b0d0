package membership

import (
	"bytes"
	"crypto/sha256"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/record"
	recordpb "github.com/libp2p/go-libp2p/core/record/pb"
	"google.golang.org/protobuf/proto"
)

// t0 is when all test networks begin.
var t0 = time.Unix(1_800_000_000, 0).UTC()

func at(d time.Duration) time.Time { return t0.Add(d) }

// who is a test's peer: its key follows from its name.
type who struct {
	name string
	key  crypto.PrivKey
	id   peer.ID
}

func person(name string) who {
	seed := sha256.Sum256([]byte("test key of " + name))
	k, _, err := crypto.GenerateEd25519Key(bytes.NewReader(seed[:]))
	if err != nil {
		panic(err)
	}
	id, err := peer.IDFromPrivateKey(k)
	if err != nil {
		panic(err)
	}
	return who{name, k, id}
}

// net is a test's network: documents are made by it, books of them are up to the test.
type net struct {
	t       testing.TB
	root    who
	charter Doc
	id      NetworkID
}

func newNet(t testing.TB, name string) *net {
	root := person("root of " + name)
	c, err := Charter(root.key, name, t0)
	if err != nil {
		t.Fatal(err)
	}
	return &net{t, root, c, c.Network()}
}

func (n *net) must(d Doc, err error) Doc {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
	return d
}

func (n *net) delegate(by, to who, may bool, d time.Duration) Doc {
	n.t.Helper()
	return n.must(Delegate(by.key, n.id, to.id, may, at(d)))
}

func (n *net) certify(by, to who, role Role, d time.Duration) Doc {
	n.t.Helper()
	return n.must(Certify(by.key, n.id, to.id, to.name, Terms{Role: role}, at(d), CertificateLife))
}

func (n *net) revoke(by, whom who, d time.Duration) Doc {
	n.t.Helper()
	return n.must(Revoke(by.key, n.id, whom.id, "lost", at(d)))
}

func (n *net) revokeInvite(by who, i Invite, d time.Duration) Doc {
	n.t.Helper()
	return n.must(RevokeInvite(by.key, n.id, i.ID(), at(d)))
}

func (n *net) settle(r Doc, d time.Duration) Doc {
	n.t.Helper()
	return n.must(Settle(n.root.key, n.id, r.ID(), at(d)))
}

// invite makes one whose key follows from its name, with no checks.
func (n *net) invite(by who, name string, role Role, uses int, d time.Duration) Invite {
	n.t.Helper()
	t := InviteTerms{Terms: Terms{Role: role}, Expires: at(d + DefaultInvite), Uses: uses}
	i, err := newInvite(by.key, person("invite "+name).key, n.charter, nil, t, nil, at(d))
	if err != nil {
		n.t.Fatal(err)
	}
	return i
}

func (n *net) join(i Invite, p who, d time.Duration) Doc {
	n.t.Helper()
	return n.must(i.Join(p.key, p.name, at(d)))
}

func (n *net) admit(by who, join Doc, d time.Duration) Doc {
	n.t.Helper()
	return n.must(Admit(by.key, n.id, join, at(d)))
}

// book merges documents; those without authority are no failure here.
func (n *net) book(docs ...Doc) *Book {
	n.t.Helper()
	b, err := NewBook(n.charter)
	if err != nil {
		n.t.Fatal(err)
	}
	_, _ = b.Merge(docs...)
	return b
}

func (n *net) is(b *Book, p who, d time.Duration, want State) Info {
	n.t.Helper()
	i := b.Peer(p.id, at(d))
	if i.State != want {
		n.t.Errorf("%s is %s (%s), want %s", p.name, i.State, i.Reason, want)
	}
	if (i.Reason == "") != (i.State == StateValid) {
		n.t.Errorf("%s is %s with the reason %q", p.name, i.State, i.Reason)
	}
	return i
}

// statementOf returns the payload of a document.
func statementOf(t testing.TB, d Doc) []byte {
	var env recordpb.Envelope
	if err := proto.Unmarshal(d.raw, &env); err != nil {
		t.Fatal(err)
	}
	return env.Payload
}

// signRaw signs any payload as a kind.
func signRaw(t testing.TB, by who, kind Kind, b []byte) []byte {
	env, err := record.Seal(&payload{[]byte(typePrefix + kind.String()), b}, by.key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := env.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
