package membership

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
)

var update = flag.Bool("update", false, "write the golden files in testdata anew")

// golden compares with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not as it was (-update writes it anew):\n%s", file, got)
	}
}

func addrs(list ...string) (out []ma.Multiaddr) {
	for _, a := range list {
		out = append(out, ma.StringCast(a))
	}
	return out
}

// sampleInvites are of each form that an invite can have.
func sampleInvites(t testing.TB) map[string]Invite {
	n := newNet(t, "home")
	anna, alma, x := person("anna"), person("alma"), person("x")
	one := n.delegate(n.root, anna, true, 0)
	two := []Doc{one, n.delegate(anna, alma, false, 0)}
	admin := n.invite(anna, "admin", Admin, 1, 0)
	byJoin := []Doc{one, admin.Doc, n.join(admin, x, 0)}
	contacts := []Contact{
		{person("door 1").id, addrs("/ip4/192.168.178.20/tcp/4748", "/ip4/192.168.178.20/udp/4748/quic-v1",
			"/ip6/2001:db8:1234:5678:9abc:def0:1234:5678/tcp/4748", "/ip6/2001:db8:1234:5678:9abc:def0:1234:5678/udp/4748/quic-v1")},
		{person("door 2").id, addrs("/ip4/192.168.178.21/udp/4748/quic-v1", "/ip4/192.168.178.21/tcp/4748")},
	}
	odd := []Contact{{person("door 3").id, addrs("/dns4/cairn.example/tcp/443/wss", "/ip4/10.0.0.1/tcp/1", "/ip4/10.0.0.2/udp/1/quic-v1", "/ip6/::1/tcp/65535")}, {person("door 4").id, nil}}
	full := InviteTerms{Terms: Terms{Admin, true, "north.attic", []string{"disk", "big", "big"}}, Expires: at(MaxInvite), Uses: MaxUses, For: x.id}
	plain := InviteTerms{Terms: Terms{Role: Member, Coordinator: true}, Expires: at(DefaultInvite), Uses: 1}
	out := map[string]Invite{}
	for name, v := range map[string]struct {
		by       who
		chain    []Doc
		terms    InviteTerms
		contacts []Contact
	}{
		"usual":                        {anna, []Doc{one}, plain, contacts},
		"of the second step":           {alma, two, plain, contacts},
		"of the root, with no contact": {n.root, nil, plain, nil},
		"full":                         {anna, []Doc{one}, full, odd},
		"of one that came by invite":   {x, byJoin, plain, contacts},
	} {
		i, err := newInvite(v.by.key, person("invite "+name).key, n.charter, v.chain, v.terms, v.contacts, at(0))
		if err != nil {
			t.Fatal(name, err)
		}
		out[name] = i
	}
	return out
}

func TestInviteText(t *testing.T) {
	var lines strings.Builder
	invites := sampleInvites(t)
	for _, name := range []string{"usual", "of the second step", "of the root, with no contact", "full", "of one that came by invite"} {
		i := invites[name]
		text, err := i.Encode()
		if err != nil {
			t.Fatal(name, err)
		}
		fmt.Fprintf(&lines, "%s (%d)\n%s\n", name, len(text), text)
		again, err := ParseInvite(text)
		if err != nil {
			t.Fatal(name, err)
		}
		sameInvite(t, i, again)
		pasted := "\n  " + strings.ToUpper(text[:30]) + "\r\n\t" + text[30:100] + " \u200b\u00ad" + text[100:] + "\n"
		if again, err = ParseInvite(pasted); err != nil {
			t.Fatal(name, err)
		}
		sameInvite(t, i, again)
	}
	golden(t, "invites.txt", lines.String())
	usual, err := invites["usual"].Encode()
	if err != nil || len(usual) > 800 {
		t.Errorf("the usual invite has %d characters: too many for a QR code that one likes to scan", len(usual))
	}
}

func sameInvite(t *testing.T, a, b Invite) {
	t.Helper()
	same := a.Charter.id == b.Charter.id && a.Doc.id == b.Doc.id && len(a.Chain) == len(b.Chain) && a.Key.Equals(b.Key) && len(a.Contacts) == len(b.Contacts)
	for k := 0; same && k < len(a.Chain); k++ {
		same = a.Chain[k].id == b.Chain[k].id
	}
	for k := 0; same && k < len(a.Contacts); k++ {
		same = fmt.Sprint(a.Contacts[k]) == fmt.Sprint(b.Contacts[k])
	}
	if !same {
		t.Errorf("%+v is read as %+v", a, b)
	}
}

// TestDocumentVectors: the bytes of each kind stay what they are.
func TestDocumentVectors(t *testing.T) {
	n := newNet(t, "home")
	anna, x := person("anna"), person("x")
	i := sampleInvites(t)["full"]
	j := n.join(i, x, time.Minute)
	r := n.revoke(anna, x, 2*time.Minute)
	var lines strings.Builder
	for _, d := range []Doc{
		n.charter, n.delegate(n.root, anna, true, 0),
		n.must(Certify(anna.key, n.id, x.id, " Ä x ", Terms{Member, true, "attic", []string{"b", "a"}}, t0, time.Hour)),
		i.Doc, j, n.admit(anna, j, time.Minute), r, n.revokeInvite(anna, i, 0), n.settle(r, 3*time.Minute),
	} {
		again, err := ParseDoc(d.Bytes())
		if err != nil || again.ID() != d.ID() || again.String() != d.String() {
			t.Error(d, again, err)
		}
		fmt.Fprintf(&lines, "%s %s\n%s\n", d.Kind(), d.ID(), hex.EncodeToString(d.Bytes()))
	}
	golden(t, "documents.txt", lines.String())
}

// TestErrors: each thing that can be wrong with an invite or a document has its own sentence.
func TestErrors(t *testing.T) {
	n, b := joined(t)
	anna, mia, x := person("anna"), person("mia"), person("x")
	text, err := sampleInvites(t)["usual"].Encode()
	if err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	seen := map[string]string{}
	say := func(what string, err error, is error) {
		t.Helper()
		if !errors.Is(err, is) {
			t.Errorf("%s: %v is not %q", what, err, is)
			return
		}
		if seen[err.Error()] != "" {
			t.Errorf("%s and %s have one sentence: %v", what, seen[err.Error()], err)
		}
		if strings.ContainsAny(err.Error(), "\n\x1b") || len(err.Error()) > 200 {
			t.Errorf("%s: %q is no plain line", what, err)
		}
		seen[err.Error()] = what
		fmt.Fprintf(&lines, "%s\n  %s: %s\n", what, is, err)
	}
	parse := func(what, text string, is error) {
		t.Helper()
		_, err := ParseInvite(text)
		if _, ok := err.(*ParseError); !ok {
			t.Errorf("%s: %#v", what, err)
		}
		say(what, err, is)
	}
	change := func(at int) string {
		return text[:at] + string(alphabet[(strings.IndexByte(alphabet, text[at])+1)%32]) + text[at+1:]
	}
	repack := func(f func(b []byte) []byte) string {
		i, err := ParseInvite(text)
		if err != nil {
			t.Fatal(err)
		}
		b, err := i.pack()
		if err != nil {
			t.Fatal(err)
		}
		return prefix + coding().EncodeToString(seal(f(b)))
	}
	parse("nothing", " \n", ErrMalformed)
	parse("something else", "cairn1abc", ErrMalformed)
	parse("the beginning only", "cairninv", ErrMalformed)
	parse("the brand only", "cairninvite", ErrMalformed)
	parse("newer version", "cairninvite2"+text[12:], ErrNewer)
	parse("no version", "cairninvitex"+text[12:], ErrMalformed)
	parse("one character wrong", change(200), ErrAltered)
	parse("two characters wrong", change(200)[:300]+change(300)[300:], ErrAltered)
	parse("a character that none has", text[:100]+"1"+text[101:], ErrMalformed)
	parse("a character of another alphabet", text[:100]+"ß"+text[101:], ErrMalformed)
	parse("cut off", text[:400], ErrMalformed)
	parse("too much", text+"aaaaaaaa", ErrMalformed)
	parse("much too much", text+strings.Repeat("a", MaxText), ErrMalformed)
	parse("newer form inside", repack(func(b []byte) []byte { b[0] = 2; return b }), ErrNewer)
	parse("altered with a right checksum", repack(func(b []byte) []byte { b[70]++; return b }), ErrAltered)
	parse("cut with a right checksum", repack(func(b []byte) []byte { return b[:len(b)-1] }), ErrMalformed)
	parse("more with a right checksum", repack(func(b []byte) []byte { return append(b, 0) }), ErrMalformed)
	strange := n.invite(mia, "m", Member, 1, 0)
	strange.Chain = []Doc{n.delegate(n.root, anna, true, 0)}
	forged, err := strange.Encode()
	if err != nil {
		t.Fatal(err)
	}
	// Who signed is not in the text: the chain's end is taken for it, and then the signature is wrong.
	if _, err := ParseInvite(forged); !errors.Is(err, ErrAltered) {
		t.Error(err)
	}
	// Protobuf takes the last of a field that is there twice: what was left out of the text must not be said again.
	for what, field := range map[string][]byte{
		"the key twice":     append(bytes.Clone(subjectField), keyOf(x.id)...),
		"the network twice": append(bytes.Clone(networkField), keyOf(x.id)...),
	} {
		twice := n.invite(anna, "t", Member, 1, 0)
		twice.Chain = strange.Chain
		key := twice.ID()
		if twice.Doc, err = ParseDoc(signRaw(t, anna, KindInvite, append(statementOf(t, twice.Doc), field...))); err != nil {
			t.Fatal(err)
		}
		twice.Doc.subject, twice.Doc.network = key, n.id
		if forged, err = twice.Encode(); err != nil {
			t.Fatal(err)
		}
		if _, err := ParseInvite(forged); !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrForeign) {
			t.Error(what, err)
		}
	}
	second := n.invite(person("alma"), "second", Admin, 1, 0)
	second.Chain = []Doc{n.delegate(n.root, anna, true, 0), n.delegate(anna, person("alma"), false, 0)}
	if forged, err = second.Encode(); err != nil {
		t.Fatal(err)
	}
	parse("an administrator's invite by one that may not", forged, ErrAuthority)
	long := n.invite(person("x"), "long", Member, 1, 0)
	long.Chain = append(second.Chain, n.delegate(person("alma"), x, false, 0))
	if forged, err = long.Encode(); err != nil {
		t.Fatal(err)
	}
	parse("a chain of three steps", forged, ErrAuthority)

	inv := n.invite(anna, "i", Member, 1, 0)
	check := func(what string, join Doc, d time.Duration, is error, docs ...Doc) {
		t.Helper()
		say(what, b.CheckJoin(join, docs, at(d)), is)
	}
	other := newNet(t, "other")
	foreign := other.invite(other.root, "f", Member, 1, 0)
	check("no join", inv.Doc, 0, ErrMalformed)
	check("other network", other.join(foreign, x, 0), 0, ErrForeign, foreign.Doc)
	check("without the invite", n.join(inv, x, 0), 0, ErrAuthority)
	check("expired", n.join(inv, x, 0), 25*time.Hour, ErrExpired, inv.Docs()...)
	check("from the future", n.join(inv, x, 48*time.Hour), time.Hour, ErrEarly, inv.Docs()...)
	check("the invite from the future", n.join(inv, x, 0), -48*time.Hour, ErrEarly, inv.Docs()...)
	check("by a member", n.join(n.invite(mia, "m", Member, 1, 0), x, 0), 0, ErrAuthority, n.invite(mia, "m", Member, 1, 0).Doc)
	check("by an administrator of the second step", n.join(second, x, 0), 0, ErrAuthority, second.Docs()...)
	used, gone := n.invite(anna, "used", Member, 1, 0), n.invite(anna, "gone", Member, 1, 0)
	twice := n.invite(anna, "twice", Member, 2, 0)
	j := n.join(used, person("u"), 0)
	merge(t, b, used.Doc, j, n.admit(mia, j, 0), n.revokeInvite(anna, gone, 0), twice.Doc)
	for _, p := range []string{"v", "w"} {
		j := n.join(twice, person(p), 0)
		merge(t, b, j, n.admit(mia, j, 0))
	}
	check("used", n.join(used, x, 0), 0, ErrUsed)
	check("used twice", n.join(twice, x, 0), 0, ErrUsed)
	check("revoked", n.join(gone, x, 0), 0, ErrRevoked, gone.Doc)
	terms := InviteTerms{Terms: Terms{Role: Member}, Expires: at(time.Hour), Uses: 1, For: mia.id}
	bound, err := newInvite(anna.key, person("invite bound").key, n.charter, nil, terms, nil, t0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = bound.Join(x.key, "x", t0)
	say("for another peer, on joining", err, ErrNotFor)
	open := bound
	open.Doc.said = &statement{}
	check("for another peer", n.join(open, x, 0), 0, ErrNotFor, bound.Doc)
	merge(t, b, n.revoke(anna, mia, time.Hour), n.revoke(person("moe"), person("moe"), time.Hour), n.revoke(anna, person("alma"), time.Hour))
	check("a revoked peer", n.join(inv, mia, 0), time.Hour, ErrRevoked, inv.Doc)
	check("a peer that has left", n.join(inv, person("moe"), 0), time.Hour, ErrRevoked, inv.Doc)
	byAlma := n.invite(person("alma"), "a", Member, 1, 0)
	check("by one that was revoked", n.join(byAlma, x, 0), time.Hour, ErrRevoked, byAlma.Doc)
	check("the root", n.join(inv, n.root, 0), 0, ErrAuthority, inv.Doc)

	for what, id := range map[string]who{"not a member": person("s")} {
		say(what, b.Check(id.id, t0), ErrUnknown)
	}
	say("revoked member", b.Check(mia.id, t0), ErrRevoked)
	say("left member", b.Check(person("moe").id, t0), ErrRevoked)
	say("expired member", b.Check(person("rita").id, at(CertificateLife)), ErrExpired)
	say("member from the future", b.Check(person("rita").id, at(-48*time.Hour)), ErrEarly)

	doc := func(what string, raw []byte, is error) {
		t.Helper()
		_, err := ParseDoc(raw)
		say(what, err, is)
	}
	raw := n.charter.Bytes()
	doc("no document", []byte("hello"), ErrMalformed)
	doc("a long document", make([]byte, MaxDoc+1), ErrMalformed)
	doc("an altered document", bytes.Replace(raw, []byte("home"), []byte("hime"), 1), ErrAltered)
	doc("a document with more in it", append(raw, 0x38, 1), ErrMalformed)
	golden(t, "errors.txt", lines.String())
}

// TestInviteKeepsItsSecret: no way of printing shows the key.
func TestInviteKeepsItsSecret(t *testing.T) {
	i := sampleInvites(t)["usual"]
	seed, err := i.Key.Raw()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{i.String(), fmt.Sprint(i), fmt.Sprintf("%+v %#v %s %q %x %d", i, i, i, i, i, i), fmt.Sprintf("%v", []any{&i, struct{ I Invite }{i}})} {
		for _, secret := range []string{hex.EncodeToString(seed[:32]), fmt.Sprint(seed[:8])[1:20], string(seed[:32]), fmt.Sprintf("%#x", seed[:4])} {
			if strings.Contains(s, secret) {
				t.Errorf("%q shows the key", s)
			}
		}
		if !strings.Contains(s, i.ID().String()) {
			t.Errorf("%q does not name the invite", s)
		}
	}
	if b, err := json.Marshal(i); err == nil {
		t.Errorf("%s", b)
	}
}

func TestNewInviteRefuses(t *testing.T) {
	n := newNet(t, "home")
	anna, alma := person("anna"), person("alma")
	one := []Doc{n.delegate(n.root, anna, true, 0)}
	two := append(one, n.delegate(anna, alma, false, 0))
	good := InviteTerms{Terms: Terms{Role: Member}, Expires: at(time.Hour), Uses: 1}
	with := func(f func(t *InviteTerms)) InviteTerms { t := good; f(&t); return t }
	for _, tt := range []struct {
		name  string
		by    who
		chain []Doc
		terms InviteTerms
		want  error
	}{
		{"good", anna, one, good, nil},
		{"the root", n.root, nil, good, nil},
		{"an administrator", anna, one, with(func(t *InviteTerms) { t.Role = Admin }), nil},
		{"the second step makes an administrator", alma, two, with(func(t *InviteTerms) { t.Role = Admin }), ErrAuthority},
		{"without chain", anna, nil, good, ErrAuthority},
		{"another's chain", alma, one, good, ErrAuthority},
		{"another network's chain", anna, []Doc{newNet(t, "other").delegate(newNet(t, "other").root, anna, true, 0)}, good, ErrForeign},
		{"expired", anna, one, with(func(t *InviteTerms) { t.Expires = at(0) }), ErrMalformed},
		{"too long", anna, one, with(func(t *InviteTerms) { t.Expires = at(MaxInvite + time.Second) }), ErrMalformed},
		{"no uses", anna, one, with(func(t *InviteTerms) { t.Uses = 0 }), ErrMalformed},
		{"too many uses", anna, one, with(func(t *InviteTerms) { t.Uses = MaxUses + 1 }), ErrMalformed},
		{"no role", anna, one, with(func(t *InviteTerms) { t.Role = 0 }), ErrMalformed},
		{"an unknown role", anna, one, with(func(t *InviteTerms) { t.Role = 4 }), ErrMalformed},
		{"a zone with a blank", anna, one, with(func(t *InviteTerms) { t.Zone = "a b" }), ErrMalformed},
		{"too many classes", anna, one, with(func(t *InviteTerms) {
			for c := range MaxClasses + 1 {
				t.Classes = append(t.Classes, fmt.Sprint(c))
			}
		}), ErrMalformed},
		{"for nobody", anna, one, with(func(t *InviteTerms) { t.For = "nobody" }), ErrMalformed},
	} {
		if _, err := NewInvite(tt.by.key, n.charter, tt.chain, tt.terms, nil, at(0)); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"laptop": true, "Küche 2": true, "日本": true, strings.Repeat("x", MaxName): true,
		"": false, " a": false, "a ": false, "a\nb": false, "a\x1b[1m": false, "a\u202eb": false, "a\u2066b": false, "a\u200fb": false,
		"a\ufeff": false, "a\u2028b": false, "\xff": false, "a\u0000": false, strings.Repeat("x", MaxName+1): false, "a\ufffdb": false,
	} {
		if err := CheckName(name); (err == nil) != ok || err != nil && !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", name, err)
		}
	}
	for name, ok := range map[string]bool{"attic": true, "a-b_c.D9": true, "": false, "a b": false, "ä": false, "a/b": false, strings.Repeat("x", MaxZone+1): false} {
		if err := CheckLabel(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
	n := newNet(t, "home")
	r := n.must(Revoke(n.root.key, n.id, person("x").id, " lost\nin \u202e the tram\xff "+strings.Repeat("ä", 100), t0))
	if !strings.HasPrefix(r.Reason(), "lost in   the tram") || len(r.Reason()) > MaxReason {
		t.Errorf("%q", r.Reason())
	}
}
