package membership

import (
	"bytes"
	"testing"
	"unicode/utf8"
)

// FuzzParseDoc: no bytes make ParseDoc panic; what it accepts is within its limits and has no other form. Signatures
// keep a fuzzer out of what is signed, so it is also given the payload to be signed.
func FuzzParseDoc(f *testing.F) {
	n := newNet(f, "home")
	i := sampleInvites(f)["full"]
	j := n.join(i, person("x"), 0)
	for _, d := range []Doc{n.charter, n.delegate(n.root, person("anna"), true, 0), n.certify(person("anna"), person("x"), Member, 0),
		i.Doc, j, n.admit(person("anna"), j, 0), n.revoke(person("anna"), person("x"), 0), n.settle(j, 0)} {
		f.Add(d.Bytes())
		f.Add(d.Bytes()[:d.Size()/2])
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ParseDoc(b)
		if err != nil {
			if !d.IsZero() {
				t.Error("a document comes with an error")
			}
			return
		}
		checkDoc(t, n, d, b)
	})
}

// FuzzStatement gets past the signature: the bytes are signed as each kind.
func FuzzStatement(f *testing.F) {
	n := newNet(f, "home")
	i := sampleInvites(f)["full"]
	j := n.join(i, person("x"), 0)
	for _, d := range []Doc{n.charter, n.certify(person("anna"), person("x"), Member, 0), i.Doc, j, n.revoke(person("anna"), person("x"), 0)} {
		f.Add(byte(d.kind), statementOf(f, d))
	}
	f.Fuzz(func(t *testing.T, kind byte, payload []byte) {
		raw := signRaw(t, n.root, Kind(kind%byte(lastKind+1)), payload)
		if d, err := ParseDoc(raw); err == nil {
			checkDoc(t, n, d, raw)
		}
	})
}

func checkDoc(t *testing.T, n *net, d Doc, b []byte) {
	if !bytes.Equal(d.Bytes(), b) || d.Kind() == 0 || d.Kind() > lastKind || d.Signer() == "" || d.Issued().Unix() <= 0 {
		t.Errorf("%#v", d)
	}
	if len(d.Name()) > MaxName || len(d.Reason()) > MaxReason || len(d.Terms().Classes) > MaxClasses || !utf8.ValidString(d.Name()+d.Reason()) || d.Uses() > MaxUses {
		t.Error("limits are not kept")
	}
	_ = d.String()
	book, err := NewBook(n.charter)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = book.Merge(d)
	_ = book.Members(t0)
	_ = book.CheckJoin(d, []Doc{d}, t0)
}

// FuzzParseInvite: no text makes ParseInvite panic; what it accepts is written and read again the same.
func FuzzParseInvite(f *testing.F) {
	for _, i := range sampleInvites(f) {
		text, err := i.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
		f.Add(text[:len(text)/2])
		f.Add(text + "a")
	}
	f.Add("cairninvite2")
	f.Add("\x00\xff\ufeffCAIRNINVITE1 aaaa")
	f.Fuzz(func(t *testing.T, text string) {
		i, err := ParseInvite(text)
		if err != nil {
			if pe, ok := err.(*ParseError); !ok || pe.Err == nil || pe.Reason == "" || pe.Pos < 0 || pe.Pos > utf8.RuneCountInString(text) {
				t.Fatalf("%#v", err)
			}
			return
		}
		checkInvite(t, i)
	})
}

// FuzzUnpack gets past the checksum.
func FuzzUnpack(f *testing.F) {
	for _, i := range sampleInvites(f) {
		b, err := i.pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if i, err := unpack(b); err == nil {
			checkInvite(t, i)
		}
	})
}

// checkInvite: one that was read has limits, and is written and read again the same.
func checkInvite(t *testing.T, i Invite) {
	if len(i.Contacts) > MaxContacts || len(i.Chain) > maxChain || i.ID() == "" {
		t.Error("limits are not kept")
	}
	for _, c := range i.Contacts {
		if len(c.Addrs) > MaxAddrs {
			t.Error("limits are not kept")
		}
	}
	b, err := i.pack()
	if err != nil {
		t.Fatalf("an invite that was read can not be written: %v", err)
	}
	again, err := unpack(b)
	if err != nil {
		t.Fatalf("an invite that was written can not be read: %v", err)
	}
	sameInvite(t, i, again)
}
