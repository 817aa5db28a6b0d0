package exchange

import (
	"bufio"
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"cairn/swarm/exchange/pb"
	"cairn/swarm/ticket"
)

// patience is how long a test waits for what should come at once.
const patience = 20 * time.Second

// raw is one side of a stream written by hand, to break the protocol with.
type raw struct {
	t  testing.TB
	st network.Stream
	r  *bufio.Reader
}

func newRaw(t testing.TB, st network.Stream) *raw {
	st.SetDeadline(time.Now().Add(patience))
	return &raw{t, st, bufio.NewReader(st)}
}

// rawDial opens a stream to the world's server and says nothing.
func (w *world) rawDial(t testing.TB) *raw {
	t.Helper()
	w.ch.Peerstore().AddAddrs(w.t.Peer, w.t.Addrs, time.Hour)
	st, err := w.ch.NewStream(t.Context(), w.t.Peer, Protocol)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Reset() })
	return newRaw(t, st)
}

func (c *raw) send(b []byte) {
	c.t.Helper()
	if _, err := c.st.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

func (c *raw) message(k kind, m proto.Message) {
	c.t.Helper()
	c.send(appendMessage(nil, k, m))
}

// rest reads until the other side closes or resets, and tells which.
func (c *raw) rest() (b []byte, reset bool) {
	b, err := io.ReadAll(c.r)
	if isTimeout(err) {
		c.t.Error("the other side neither closed nor reset the stream")
	}
	return b, err != nil
}

var zero [32]byte

func (c *raw) hello(id ticket.KeyID) (serverNonce [32]byte) {
	c.t.Helper()
	c.message(kindHello, &pb.Hello{Version: version, KeyId: id[:], ClientNonce: zero[:]})
	var ch pb.Challenge
	if err := expect(c.r, toClient, kindChallenge, &ch); err != nil {
		c.t.Fatal(err)
	}
	return [32]byte(ch.ServerNonce)
}

// prove sends the proof of a ticket, under a key id.
func (c *raw) prove(id ticket.KeyID, t ticket.Ticket) {
	c.t.Helper()
	n := c.hello(id)
	conn := c.st.Conn()
	p := t.Key().Proof(ticket.Client, zero, n, conn.LocalPeer(), conn.RemotePeer(), t.Root)
	c.message(kindProof, &pb.Proof{Hmac: p[:]})
}

// enter goes through the handshake as it should be.
func (c *raw) enter(t ticket.Ticket) {
	c.t.Helper()
	c.prove(t.Key().ID(), t)
	var a pb.Accept
	if err := expect(c.r, toClient, kindAccept, &a); err != nil {
		c.t.Fatal(err)
	}
}

// reads tells whether the other side sent exactly these bytes next.
func (c *raw) reads(want []byte) bool {
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c.r, got); err != nil {
		c.t.Error(err)
		return false
	}
	return bytes.Equal(got, want)
}

// rawServer answers on a host's protocol by hand: script runs after a handshake as it should be, which alter may
// change.
func rawServer(t testing.TB, o *object, alter func(*pb.Challenge, *pb.Accept), script func(*raw)) (w *world) {
	t.Helper()
	w = &world{o: o, sh: newHost(t, overTCP), ch: newHost(t)}
	w.t = w.book.issue(w.sh, o)
	ended := make(chan struct{}, 16)
	w.sh.SetStreamHandler(Protocol, func(st network.Stream) {
		defer func() { ended <- struct{}{} }()
		defer st.Reset()
		c := newRaw(t, st)
		me, you := st.Conn().LocalPeer(), st.Conn().RemotePeer()
		var hello pb.Hello
		if err := expect(c.r, toServer, kindHello, &hello); err != nil {
			t.Error(err)
			return
		}
		ch := &pb.Challenge{Version: version, ServerNonce: zero[:]}
		acc := &pb.Accept{Size: uint64(o.size()), Leaves: uint64(len(o.leaves))}
		acc.Hmac = serverProof(w.t, [32]byte(hello.ClientNonce), you, me)
		if alter != nil {
			alter(ch, acc)
		}
		st.Write(appendMessage(nil, kindChallenge, ch))
		if expect(c.r, toServer, kindProof, &pb.Proof{}) != nil {
			return
		}
		st.Write(appendMessage(nil, kindAccept, acc))
		if script == nil { // a reset would overtake what was sent
			c.rest()
			return
		}
		script(c)
	})
	t.Cleanup(func() {
		w.ch.Close() // frees a script that waits
		for range len(ended) {
			<-ended
		}
	})
	return w
}

func serverProof(t ticket.Ticket, clientNonce [32]byte, client, server peer.ID) []byte {
	p := t.Key().Proof(ticket.Server, clientNonce, zero, client, server, t.Root)
	return p[:]
}

// reflect answers a handshake with the client's own nonce and proof.
func reflect(t testing.TB) network.StreamHandler {
	return func(st network.Stream) {
		defer st.Reset()
		c := newRaw(t, st)
		var hello pb.Hello
		if expect(c.r, toServer, kindHello, &hello) != nil {
			return
		}
		st.Write(appendMessage(nil, kindChallenge, &pb.Challenge{ServerNonce: hello.ClientNonce}))
		var p pb.Proof
		if expect(c.r, toServer, kindProof, &p) != nil {
			return
		}
		st.Write(appendMessage(nil, kindAccept, &pb.Accept{Hmac: p.Hmac}))
		c.rest()
	}
}
