package membership

import (
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
)

// TestPlain is the life of a small network: founded, a peer invited, joined, admitted by another member than the
// inviter, certified, revoked.
func TestPlain(t *testing.T) {
	root, charter, err := Found("home", t0)
	if err != nil {
		t.Fatal(err)
	}
	n := &net{t: t, root: who{key: root, id: charter.Signer()}, charter: charter, id: charter.Network()}
	anna, bert, carl := person("anna"), person("bert"), person("carl")
	b := n.book()
	added, err := b.Merge(n.delegate(n.root, anna, true, 0), n.certify(anna, anna, Admin, 0), n.certify(anna, bert, Member, 0))
	if err != nil || len(added) != 3 {
		t.Fatal(added, err)
	}
	if i := n.is(b, anna, time.Hour, StateValid); !i.Admin || !i.Deleg || i.Terms.Role != Admin {
		t.Errorf("%+v", i)
	}
	inv, err := NewInvite(anna.key, charter, b.Chain(anna.id), InviteTerms{
		Terms: Terms{Role: Member, Coordinator: true, Zone: "attic", Classes: []string{"disk", "big", "disk"}}, Expires: at(25 * time.Hour), Uses: 1,
	}, []Contact{{person("door").id, []ma.Multiaddr{ma.StringCast("/ip4/192.168.1.7/tcp/4748"), ma.StringCast("/ip4/192.168.1.7/udp/4748/quic-v1")}}}, at(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	text, err := inv.Encode()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d characters", len(text))
	inv, err = ParseInvite(text)
	if err != nil {
		t.Fatal(err)
	}
	join := n.join(inv, carl, 2*time.Hour)
	n.is(b, carl, 2*time.Hour, StateUnknown)
	if err := b.CheckJoin(join, inv.Docs(), at(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Merge(inv.Doc, join, n.admit(bert, join, 2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	i := n.is(b, carl, 3*time.Hour, StateValid)
	if i.Name != "carl" || i.Issuer != anna.id || i.Invite != inv.ID() || i.Terms.Zone != "attic" || len(i.Terms.Classes) != 2 || !i.Expires.Equal(at(2*time.Hour+CertificateLife)) {
		t.Errorf("%+v", i)
	}
	if err := b.CheckJoin(join, inv.Docs(), at(3*time.Hour)); err != nil {
		t.Error("the same again:", err)
	}
	other := n.book()
	if _, err := other.Merge(b.Docs()...); err != nil || other.Digest() != b.Digest() {
		t.Error("Docs do not make an equal book:", err)
	}
	if _, err := b.Merge(n.revoke(anna, carl, 4*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if i := n.is(b, carl, 5*time.Hour, StateRevoked); i.By != anna.id {
		t.Errorf("%+v", i)
	}
	n.is(b, bert, CertificateLife, StateExpired)
}
