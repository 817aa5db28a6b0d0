package exchange

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"google.golang.org/protobuf/proto"

	"cairn/storage/block"
	"cairn/swarm/exchange/pb"
	"cairn/swarm/ticket"
)

// wrong are tickets that must learn nothing.
func wrong(good ticket.Ticket) map[string]ticket.Ticket {
	alter := func(f func(*ticket.Ticket)) ticket.Ticket { t := good; f(&t); return t }
	return map[string]ticket.Ticket{
		"other secret":   alter(func(t *ticket.Ticket) { t.Secret[0]++ }),
		"later expiry":   alter(func(t *ticket.Ticket) { t.Expires = t.Expires.Add(time.Hour) }),
		"no expiry":      alter(func(t *ticket.Ticket) { t.Expires = time.Time{} }),
		"other object":   alter(func(t *ticket.Ticket) { t.Root = block.Sum(cid.DagProtobuf, []byte("x")) }),
		"other codec":    alter(func(t *ticket.Ticket) { t.Root = cid.NewCidV1(cid.Raw, t.Root.Hash()) }),
		"only the CID":   {Root: good.Root, Peer: good.Peer, Addrs: good.Addrs},
		"unknown object": {Root: block.Sum(cid.Raw, []byte("y")), Peer: good.Peer, Addrs: good.Addrs, Secret: good.Secret, Expires: good.Expires},
	}
}

func TestWrongTicketsAreRefused(t *testing.T) {
	w := newWorld(t, newObject(1, 3, 10, 20), overTCP, nil)
	for name, bad := range wrong(w.t) {
		if s, err := Dial(t.Context(), w.ch, bad, ClientConfig{}); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
	if st := w.srv.Stats(); st.Refused != 7 || st.Accepted != 0 || st.Violations != 0 {
		t.Errorf("%+v", st)
	}
}

// TestAnswersAreTheSame compares every byte that a peer without the right gets, the nonce excepted.
func TestAnswersAreTheSame(t *testing.T) {
	w := newWorld(t, newObject(1, 3, 10, 20), overTCP, nil)
	expired := w.book.issue(w.sh, w.o)
	w.book.set(expired.Key().ID(), func(g *Grant) { g.State = ErrExpired })
	known := w.t.Key().ID()
	type try struct {
		id ticket.KeyID
		t  ticket.Ticket
	}
	tries := map[string]try{
		"id of another":           {expired.Key().ID(), w.t},
		"wrong proof, of expired": {expired.Key().ID(), wrong(expired)["other secret"]},
	}
	for name, bad := range wrong(w.t) {
		tries[name+", own id"] = try{bad.Key().ID(), bad}
		tries[name+", known id"] = try{known, bad}
	}
	delete(tries, "other codec, own id") // the key does not depend on the codec: it is the same as with the known id
	want := appendMessage(nil, kindRefused, &pb.Refused{})
	for name, tr := range tries {
		c := w.rawDial(t)
		c.prove(tr.id, tr.t)
		got, reset := c.rest()
		if !bytes.Equal(got, want) || reset {
			t.Errorf("%s: answer %x, reset %v, want %x", name, got, reset, want)
		}
	}
}

func TestStateIsToldAfterTheProof(t *testing.T) {
	for _, state := range []error{ErrExpired, ErrUsedUp, ErrRevoked} {
		w := newWorld(t, newObject(1, 3, 10), overTCP, nil)
		w.book.set(w.t.Key().ID(), func(g *Grant) { g.State = state })
		if _, err := Dial(t.Context(), w.ch, w.t, ClientConfig{}); !errors.Is(err, state) {
			t.Errorf("%v, want %v", err, state)
		}
	}
}

func TestObjectThatIsGone(t *testing.T) {
	w := newWorld(t, newObject(1, 3, 10), overTCP, nil)
	lost := newObject(9, 0, 10)
	tk := w.book.issue(w.sh, lost)
	if _, err := Dial(t.Context(), w.ch, tk, ClientConfig{}); !errors.Is(err, ErrGone) {
		t.Errorf("%v, want ErrGone", err)
	}
}

// TestProofIsBoundToPeers: a peer in the middle that passes messages on between client and server gets nowhere,
// because the peer ids of its own connections are part of the proof.
func TestProofIsBoundToPeers(t *testing.T) {
	w := newWorld(t, newObject(1, 3, 10), overTCP, nil)
	c := w.rawDial(t)
	n := c.hello(w.t.Key().ID())
	victim := newHost(t).ID()
	p := w.t.Key().Proof(ticket.Client, zero, n, victim, w.sh.ID(), w.t.Root)
	c.message(kindProof, &pb.Proof{Hmac: p[:]})
	if got, _ := c.rest(); !bytes.Equal(got, appendMessage(nil, kindRefused, &pb.Refused{})) {
		t.Errorf("answer %x", got)
	}
}

func TestRevokedWhileServed(t *testing.T) {
	w := newWorld(t, newObject(1, 3, 10, 20, 30), overTCP, nil)
	s := w.dial(t, ClientConfig{})
	var got []int
	if err := s.Leaves(t.Context(), once([2]int{0, 1}), w.o.check(&got)); err != nil {
		t.Fatal(err)
	}
	w.book.set(w.t.Key().ID(), func(g *Grant) { g.State = ErrRevoked })
	if err := s.Leaves(t.Context(), once([2]int{1, 1}), w.o.check(&got)); !errors.Is(err, ErrRevoked) {
		t.Errorf("%v, want ErrRevoked", err)
	}
	if err := s.Done(t.Context(), testID); !errors.Is(err, ErrClosed) || !errors.Is(err, ErrRevoked) {
		t.Errorf("%v, want ErrClosed because of ErrRevoked", err)
	}
	if err := <-w.ended; !errors.Is(err, ErrRevoked) {
		t.Errorf("ended with %v", err)
	}

	w.book.set(w.t.Key().ID(), func(g *Grant) { g.State = nil })
	s = w.dial(t, ClientConfig{})
	if n := len(w.srv.Sessions()); n != 1 {
		t.Errorf("%d sessions", n)
	}
	w.srv.Drop("another", ErrRevoked)
	w.srv.Drop("ref", ErrExpired)
	if err := <-w.ended; !errors.Is(err, ErrExpired) {
		t.Errorf("ended with %v", err)
	}
	if err := s.Leaves(t.Context(), once([2]int{1, 1}), w.o.check(&got)); !errors.Is(err, ErrExpired) && !errors.Is(err, ErrLost) {
		t.Errorf("%v, want ErrExpired", err)
	}
}

// TestDoneIsRecordedFirst: the answer goes out only after Events.Done has returned.
func TestDoneIsRecordedFirst(t *testing.T) {
	gate, inside := make(chan error), make(chan SessionInfo, 1)
	w := newWorld(t, newObject(1, 0, 10), overTCP, func(c *ServerConfig) {
		c.Events.Done = func(i SessionInfo) error { inside <- i; return <-gate }
	})
	for _, result := range []error{nil, ErrUsedUp} {
		s := w.dial(t, ClientConfig{})
		answered := make(chan error, 1)
		go func() { answered <- s.Done(t.Context(), testID) }()
		if i := <-inside; i.Ref != "ref" || i.Peer != w.ch.ID() || i.Root != w.o.root {
			t.Errorf("%+v", i)
		}
		select {
		case err := <-answered:
			t.Errorf("answered before it was recorded: %v", err)
		default:
		}
		gate <- result
		if err := <-answered; !errors.Is(err, result) {
			t.Errorf("%v, want %v", err, result)
		}
	}
	if n := w.srv.Stats().Completed; n != 1 {
		t.Errorf("%d completed, want 1", n)
	}
}

func TestUnknownFieldsAreIgnored(t *testing.T) {
	w := newWorld(t, newObject(1, 0, 10), overTCP, nil)
	c := w.rawDial(t)
	id := w.t.Key().ID()
	body, _ := proto.Marshal(&pb.Hello{Version: 7, KeyId: id[:], ClientNonce: zero[:]})
	body = append(body, 0xfa, 0x01, 3, 'n', 'e', 'w') // field 31
	c.send(append(appendHeader(nil, header{kind: kindHello, size: len(body)}), body...))
	if err := expect(c.r, toClient, kindChallenge, &pb.Challenge{}); err != nil {
		t.Error(err)
	}
}
