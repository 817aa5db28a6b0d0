package ticket

import (
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
)

// TestProof changes every input of a proof: none of the changed ones is accepted.
func TestProof(t *testing.T) {
	v := vectors()[1]
	type in struct {
		k      Key
		role   Role
		cn, sn [32]byte
		c, s   peer.ID
		root   cid.Cid
	}
	good := in{v.Key(), Client, [32]byte{1}, [32]byte{2}, testPeer(7), testPeer(8), v.Root}
	proof := good.k.Proof(good.role, good.cn, good.sn, good.c, good.s, good.root)
	check := func(i in) bool { return i.k.Check(proof, i.role, i.cn, i.sn, i.c, i.s, i.root) }
	if !check(good) {
		t.Fatal("own proof is not accepted")
	}
	other := func(f func(*Ticket)) Key { w := v; f(&w); return w.Key() }
	for name, f := range map[string]func(*in){
		"role":           func(i *in) { i.role = Server },
		"client nonce":   func(i *in) { i.cn[31]++ },
		"server nonce":   func(i *in) { i.sn[0]++ },
		"nonces swapped": func(i *in) { i.cn, i.sn = i.sn, i.cn },
		"client":         func(i *in) { i.c = testPeer(9) },
		"server":         func(i *in) { i.s = testPeer(9) },
		"peers swapped":  func(i *in) { i.c, i.s = i.s, i.c },
		"root":           func(i *in) { i.root = sum(cid.DagProtobuf, nil) },
		"codec":          func(i *in) { i.root = cid.NewCidV1(cid.Raw, v.Root.Hash()) },
		"secret":         func(i *in) { i.k = other(func(w *Ticket) { w.Secret[15]++ }) },
		"expiry":         func(i *in) { i.k = other(func(w *Ticket) { w.Expires = w.Expires.Add(time.Second) }) },
		"no expiry":      func(i *in) { i.k = other(func(w *Ticket) { w.Expires = time.Time{} }) },
		"key of a root":  func(i *in) { i.k = other(func(w *Ticket) { w.Root = sum(cid.Raw, []byte("x")) }) },
	} {
		i := good
		f(&i)
		if check(i) {
			t.Errorf("proof with another %s is accepted", name)
		}
	}
	// What the ticket says besides does not matter: holders may correct name and addresses.
	if other(func(w *Ticket) { w.Name, w.Size, w.Addrs, w.Peer = "x", 1, nil, testPeer(9) }) != good.k {
		t.Error("the key depends on more than secret, root and expiry")
	}
	if (KeyID{}) == good.k.ID() || string(good.k[:16]) == string(func() []byte { id := good.k.ID(); return id[:] }()) {
		t.Error("the key id is not derived")
	}
}
