package admission

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"google.golang.org/protobuf/proto"

	"cairn/consensus/admission/pb"
	"cairn/consensus/membership"
)

// openAt opens a raw stream at a host.
func openAt(t testing.TB, from, at host.Host, p protocol.ID) network.Stream {
	t.Helper()
	if err := from.Connect(t.Context(), peer.AddrInfo{ID: at.ID(), Addrs: at.Addrs()}); err != nil {
		t.Fatal(err)
	}
	st, err := from.NewStream(t.Context(), at.ID(), p)
	if err != nil {
		t.Fatal(err)
	}
	st.SetDeadline(time.Now().Add(5 * time.Second))
	return st
}

// answerOf reads what a stream says until it ends. Challenges, which everybody gets, are left out.
func answerOf(t testing.TB, st network.Stream) (said []*pb.Frame) {
	t.Helper()
	w := newWire(st)
	for {
		f, err := w.read()
		if err != nil {
			if ne, ok := err.(interface{ Timeout() bool }); ok && ne.Timeout() {
				t.Error("the stream stays open")
			}
			return said
		}
		if f.GetChallenge() == nil {
			said = append(said, f)
		}
	}
}

func TestStrangersLearnNothing(t *testing.T) {
	r := newRealm(t)
	a := r.first.start()
	other := newRealm(t)
	o := other.first.start()
	stranger := newHost(t, newKey(t), nil)
	key := newKey(t)
	good := a.invite(membership.InviteTerms{}, a)
	stolen := r.must(good.Join(newKey(t), "victim", time.Now()))
	foreign := o.invite(membership.InviteTerms{}, o)
	foreignJoin := other.must(foreign.Join(key, "x", time.Now()))
	call := func(realm membership.NetworkID, p protocol.ID, docs ...membership.Doc) func(network.Stream) {
		return func(st network.Stream) {
			_, err := party{key, realm, time.Now}.call(st, p, docs, nil)
			if no := new(RefusedError); errors.As(err, &no) && (no.Err != ErrRefused || no.Skew != 0 || len(no.Docs) != 0) {
				t.Errorf("it was told %v, %v, %d documents", no.Err, no.Skew, len(no.Docs))
			} else if err == nil {
				t.Error("it was accepted")
			}
		}
	}
	raw := func(b []byte) func(network.Stream) { return func(st network.Stream) { st.Write(b); st.CloseWrite() } }
	frames := func(fs ...*pb.Frame) func(network.Stream) {
		return func(st network.Stream) { newWire(st).writeAll(fs); st.CloseWrite() }
	}
	open := &pb.Frame{Body: &pb.Frame_Open{Open: &pb.Open{Version: 1, Nonce: make([]byte, 32)}}}
	m := r.certified("m", membership.Member)
	a.s.take(m.documents(), nil)
	admin := membership.Terms{Role: membership.Admin}
	digest := a.book.Digest()
	for _, p := range []protocol.ID{JoinProtocol, HelloProtocol} {
		for name, do := range map[string]func(network.Stream){
			"nothing":                 raw(nil),
			"garbage":                 raw([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")),
			"2 GiB":                   raw(binary.AppendUvarint(nil, 2<<30)),
			"length without end":      raw([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}),
			"cut message":             raw([]byte{40, 1, 2}),
			"short nonce":             frames(&pb.Frame{Body: &pb.Frame_Open{Open: &pb.Open{Nonce: []byte{1}}}}),
			"proof first":             frames(&pb.Frame{Body: &pb.Frame_Proof{Proof: &pb.Proof{}}}),
			"no proof":                frames(append([]*pb.Frame{open}, documentFrames(nil, 0)...)...),
			"wrong proof":             frames(open, &pb.Frame{Body: &pb.Frame_Proof{Proof: &pb.Proof{Envelope: make([]byte, 300)}}}),
			"no documents":            call(r.id, p),
			"another network":         call(other.id, p),
			"another's documents":     call(r.id, p, a.book.Standing(a.id)...),
			"another's join":          call(r.id, p, append(good.Chain, good.Doc, stolen)...),
			"invite of another root":  call(r.id, p, append(foreign.Chain, foreign.Doc, foreignJoin)...),
			"certificate by itself":   call(r.id, p, r.must(membership.Certify(key, r.id, idOf(t, key), "x", admin, time.Now(), time.Hour))),
			"certificate by a member": call(r.id, p, append(a.book.Docs(), r.must(membership.Certify(m.key, r.id, idOf(t, key), "x", admin, time.Now(), time.Hour)))...),
			"all of the other's book": call(r.id, p, o.book.Docs()...),
		} {
			t.Run(string(p)+" "+name, func(t *testing.T) {
				st := openAt(t, stranger, a.door, p)
				defer st.Reset()
				do(st)
				for _, f := range answerOf(t, st) {
					want := &pb.Frame{Body: &pb.Frame_Refused{Refused: &pb.Refused{}}}
					if !proto.Equal(f, want) {
						t.Errorf("it was told %v", f)
					}
				}
			})
		}
	}
	if a.book.Digest() != digest {
		t.Error("strangers have changed the book")
	}
	if st := a.s.Stats(); st.Denied < 30 {
		t.Errorf("%+v", st)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.audits) == 0 {
		t.Error("nothing of this was written down")
	}
	if st, err := stranger.NewStream(network.WithNoDial(t.Context(), ""), a.door.ID(), MembersProtocol); err == nil {
		st.Reset()
		t.Error("the door speaks the members protocol")
	}
}

func TestStrangersAreShutOutOfTheMemberHost(t *testing.T) {
	r := newRealm(t)
	a := r.first.start()
	stranger := newHost(t, newKey(t), nil)
	protocols := append(a.host.Mux().Protocols(), "/ipfs/id/push/1.0.0", "/libp2p/circuit/relay/0.2.0/hop", "/libp2p/autonat/1.0.0", "/libp2p/dcutr")
	for _, p := range protocols {
		forgive(stranger, a.id)
		_ = stranger.Connect(t.Context(), peer.AddrInfo{ID: a.id, Addrs: a.host.Addrs()})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		st, err := stranger.NewStream(ctx, a.id, p)
		if err == nil {
			st.SetDeadline(time.Now().Add(3 * time.Second))
			st.Write([]byte("x"))
			if _, err = st.Read(make([]byte, 1)); err == nil {
				t.Errorf("%s was answered", p)
			}
			st.Reset()
		}
		cancel()
	}
	if n := a.gate.Stats().Refused; n == 0 {
		t.Error("no refusal was counted")
	}
	eventually(t, "it is written down with the stranger's id", 3*time.Second, func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return len(a.audits) > 0 && a.audits[0].Peer == stranger.ID() && a.audits[0].What == "refused"
	})
}

// TestHelloPassedOnToAThirdPeerIsRefused: who is asked for a hello can not use it to pose as the asker elsewhere.
func TestHelloPassedOnToAThirdPeerIsRefused(t *testing.T) {
	r := newRealm(t)
	a := r.first.start()
	b := r.certified("b", membership.Member).start()
	middle := newHost(t, newKey(t), nil)
	passed := make(chan struct{})
	middle.SetStreamHandler(HelloProtocol, func(in network.Stream) {
		out := openAt(t, middle, a.door, HelloProtocol)
		go func() { io.Copy(out, in); out.CloseWrite() }()
		io.Copy(in, out)
		in.Close()
		close(passed)
	})
	if err := b.door.Connect(t.Context(), peer.AddrInfo{ID: middle.ID(), Addrs: middle.Addrs()}); err != nil {
		t.Fatal(err)
	}
	st := openAt(t, b.door, middle, HelloProtocol)
	if _, err := b.s.party().call(st, HelloProtocol, b.s.credentials(), b.s.own()); !errors.Is(err, ErrRefused) {
		t.Errorf("the hello that was passed on: %v", err)
	}
	<-passed
	if a.gate.Admits(b.id) {
		t.Error("it let somebody in")
	}
}

func TestReplayedHelloIsRefused(t *testing.T) {
	r := newRealm(t)
	a := r.first.start()
	b := r.certified("b", membership.Member).start()
	// What b says to a, word for word.
	tape := &recorder{}
	st := openAt(t, b.door, a.door, HelloProtocol)
	tape.Stream = st
	if _, err := b.s.party().call(tape, HelloProtocol, b.s.credentials(), b.s.own()); err != nil {
		t.Fatal(err)
	}
	st.Reset()
	again := openAt(t, b.door, a.door, HelloProtocol) // even from the same door
	again.Write(tape.said)
	again.CloseWrite()
	for _, f := range answerOf(t, again) {
		if f.GetAccept() != nil {
			t.Error("a replayed hello was accepted")
		}
	}
}

// recorder keeps what is written to a stream.
type recorder struct {
	network.Stream
	said []byte
}

func (r *recorder) Write(b []byte) (int, error) {
	r.said = append(r.said, b...)
	return r.Stream.Write(b)
}

func TestHandshakesInFlightAreBounded(t *testing.T) {
	r := newRealm(t)
	a := r.first.start()
	stranger := newHost(t, newKey(t), nil)
	var idle []network.Stream
	challenged := func(st network.Stream) bool {
		newWire(st).write(&pb.Frame{Body: &pb.Frame_Open{Open: &pb.Open{Version: 1, Nonce: make([]byte, 32)}}})
		f, err := newWire(st).read()
		return err == nil && f.GetChallenge() != nil
	}
	for range maxShakes {
		st := openAt(t, stranger, a.door, HelloProtocol)
		if !challenged(st) {
			t.Fatal("one of those that are allowed was turned away")
		}
		idle = append(idle, st)
	}
	if challenged(openAt(t, stranger, a.door, JoinProtocol)) {
		t.Error("one more than allowed was served")
	}
	idle[0].Reset()
	eventually(t, "a place is given back", 3*time.Second, func() bool { return challenged(openAt(t, stranger, a.door, HelloProtocol)) })
}

// memberWithoutService is a member's host that is driven by hand.
func (r *realm) memberWithoutService(t testing.TB, a *member) (host.Host, crypto.PrivKey) {
	t.Helper()
	key := newKey(t)
	a.s.take([]membership.Doc{r.must(membership.Certify(a.key, r.id, idOf(t, key), "x", membership.Terms{Role: membership.Member}, time.Now(), time.Hour))}, nil)
	return newHost(t, key, nil), key
}

func TestMembersThatBreakTheRulesLoseTheirConnection(t *testing.T) {
	r := newRealm(t)
	a := r.first.start()
	status := func() *pb.Frame {
		return &pb.Frame{Body: &pb.Frame_Status{Status: &pb.Status{Version: 1, Instance: 7, Time: time.Now().UnixMilli(), Digest: make([]byte, 32)}}}
	}
	beat := func(n int) *pb.Frame {
		return &pb.Frame{Body: &pb.Frame_Heartbeat{Heartbeat: &pb.Heartbeat{Seen: make([]*pb.Heartbeat_Seen, n)}}}
	}
	for name, fs := range map[string][]*pb.Frame{
		"heartbeat first":      {beat(0)},
		"no instance":          {{Body: &pb.Frame_Status{Status: &pb.Status{Digest: make([]byte, 32)}}}},
		"short digest":         {{Body: &pb.Frame_Status{Status: &pb.Status{Instance: 1}}}},
		"two statuses":         {status(), status()},
		"renewal in it":        {status(), {Body: &pb.Frame_Renew{Renew: &pb.Renew{}}}},
		"broken document":      {status(), documentFrames([][]byte{{1, 2, 3}}, 0)[0]},
		"broken presence":      {status(), presenceFrames([][]byte{{1, 2, 3}})[0]},
		"broken list":          {status(), {Body: &pb.Frame_Have{Have: &pb.Have{Ids: make([]byte, 17)}}}},
		"long heartbeat":       {status(), beat(maxSeen + 1)},
		"list without an end":  append([]*pb.Frame{status()}, endlessHave()...),
		"presence of somebody": {status(), presenceFrames([][]byte{forged(t, r)})[0]},
	} {
		t.Run(name, func(t *testing.T) {
			h, _ := r.memberWithoutService(t, a)
			st := openAt(t, h, a.host, MembersProtocol)
			newWire(st).writeAll(fs)
			eventually(t, "the connection is closed", 5*time.Second, func() bool { return len(a.host.Network().ConnsToPeer(h.ID())) == 0 })
		})
	}
}

func endlessHave() (out []*pb.Frame) {
	for range 20 { // each with other ids
		out = append(out, &pb.Frame{Body: &pb.Frame_Have{Have: &pb.Have{Ids: randomBytes(chunkSize / shortID * shortID)}}})
	}
	return out
}

// forged is a presence in the first member's name that another has signed.
func forged(t testing.TB, r *realm) []byte {
	b, err := seal(newKey(t), presenceCodec, &pb.Presence{Network: r.id[:], Id: []byte(r.first.id), Door: []byte(r.first.id), Seq: 1})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func randomBytes(n int) []byte {
	var out []byte
	for len(out) < n {
		out = append(out, nonce()...)
	}
	return out[:n]
}

func TestJoinsThatAreNotRightAreToldWhyOnlyWithAGenuineInvite(t *testing.T) {
	r := newRealm(t)
	a := r.first.start()
	ended := a.invite(membership.InviteTerms{}, a)
	if _, err := a.s.Publish(t.Context(), r.must(membership.RevokeInvite(a.key, r.id, ended.ID(), time.Now().Add(-time.Minute)))); err != nil {
		t.Fatal(err)
	}
	soon := a.invite(membership.InviteTerms{Expires: time.Now().Add(2 * time.Second)}, a)
	for name, tt := range map[string]struct {
		invite membership.Invite
		now    time.Duration
		want   error
	}{
		"bound to another": {a.invite(membership.InviteTerms{For: idOf(t, newKey(t))}, a), 0, membership.ErrNotFor},
		"revoked":          {ended, 0, membership.ErrRevoked},
		"expired":          {soon, 0, membership.ErrExpired},
		"clock ahead":      {a.invite(membership.InviteTerms{}, a), 49 * time.Hour, membership.ErrEarly},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.want == membership.ErrExpired {
				gone := time.Now().Add(3 * time.Second)
				eventually(t, "it has expired", 5*time.Second, func() bool { return time.Now().After(gone) })
			}
			h := newHost(t, newKey(t), nil)
			now := func() time.Time { return time.Now().Add(tt.now) }
			_, err := Join(t.Context(), JoinConfig{Door: h, Identity: newKey(t), Invite: tt.invite, Name: "x", Now: now})
			if !errors.Is(err, tt.want) {
				t.Fatalf("%v, want %v", err, tt.want)
			}
			var no *RefusedError
			if tt.now != 0 && (!errors.As(err, &no) || (no.Skew+tt.now).Abs() > time.Minute) {
				t.Errorf("the difference of clocks is not told: %v", err)
			}
			t.Log(err)
		})
	}
}
