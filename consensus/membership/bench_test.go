package membership

import (
	"fmt"
	"testing"
	"time"
)

// crowd is a network of a thousand: ten administrators, each member with certificates of two of them, a hundred of
// them by invite, fifty revoked.
func crowd(b *testing.B) (n *net, book *Book, people []who) {
	n = newNet(b, "crowd")
	var docs []Doc
	var admins []who
	for i := range 10 {
		a := person(fmt.Sprint("admin", i))
		admins = append(admins, a)
		docs = append(docs, n.delegate(n.root, a, i < 5, 0))
	}
	for i := range 1000 {
		p := person(fmt.Sprint("p", i))
		if i < len(admins) {
			p = admins[i]
		}
		people = append(people, p)
		docs = append(docs, n.certify(admins[i%10], p, Member, 0), n.certify(admins[(i+1)%10], p, Member, time.Hour), n.certify(admins[i%10], p, Member, 2*time.Hour))
		if i >= 900 {
			inv := n.invite(admins[i%10], fmt.Sprint(i), Member, 1, 0)
			j := n.join(inv, p, 0)
			docs = append(docs, inv.Doc, j, n.admit(people[i-100], j, time.Minute))
		}
		if i%20 == 19 {
			docs = append(docs, n.revoke(admins[i%10], p, time.Hour))
		}
	}
	book, err := NewBook(n.charter)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := book.Merge(docs...); err != nil {
		b.Fatal(err)
	}
	return n, book, people
}

func BenchmarkPeer(b *testing.B) {
	_, book, people := crowd(b)
	for i := 0; b.Loop(); i++ {
		book.Peer(people[i%len(people)].id, at(3*time.Hour))
	}
}

func BenchmarkMembers(b *testing.B) {
	_, book, _ := crowd(b)
	for b.Loop() {
		book.Members(at(3 * time.Hour))
	}
}

func BenchmarkMergeCertificate(b *testing.B) {
	n, book, people := crowd(b)
	docs := make([]Doc, 1000)
	for i := range docs {
		docs[i] = n.certify(people[0], people[i], Member, time.Duration(3+i)*time.Hour)
	}
	for i := 0; b.Loop(); i++ {
		_, _ = book.Merge(docs[i%len(docs)])
	}
}

func BenchmarkMergeRevocation(b *testing.B) {
	n, book, people := crowd(b)
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		r := n.revoke(people[1], people[20+i%900], time.Duration(i)*time.Second)
		b.StartTimer()
		if _, err := book.Merge(r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMergeDocsOfAnother(b *testing.B) {
	n, book, _ := crowd(b)
	docs := book.Docs()
	for b.Loop() {
		other, err := NewBook(n.charter)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := other.Merge(docs...); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDigest(b *testing.B) {
	_, book, _ := crowd(b)
	for b.Loop() {
		book.digest = nil
		book.Digest()
	}
}

func BenchmarkCheckJoin(b *testing.B) {
	n, book, people := crowd(b)
	inv := n.invite(people[0], "bench", Member, 1, 0)
	j := n.join(inv, person("joiner"), 0)
	for b.Loop() {
		if err := book.CheckJoin(j, inv.Docs(), at(time.Hour)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseDoc(b *testing.B) {
	n := newNet(b, "home")
	raw := n.certify(n.root, person("x"), Member, 0).Bytes()
	for b.Loop() {
		if _, err := ParseDoc(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseInviteWithOneWrong(b *testing.B) {
	text, err := sampleInvites(b)["usual"].Encode()
	if err != nil {
		b.Fatal(err)
	}
	wrong := text[:700] + "aa" + text[702:]
	for b.Loop() {
		if _, err := ParseInvite(wrong); err == nil {
			b.Fatal("it is accepted")
		}
	}
}
