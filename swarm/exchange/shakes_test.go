package exchange

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"cairn/swarm/exchange/pb"
	"cairn/swarm/ticket"
)

// TestShakes: who gets a place among the handshakes, and who loses one. A step is the peer, its host and the second.
func TestShakes(t *testing.T) {
	type step struct {
		peer, host string
		at         int
		want       string // "in", "out", or the name of whom it replaces: peer and second
	}
	for name, tc := range map[string]struct {
		proven string // whose proofs are right at once
		steps  []step
	}{
		"a peer has 2":                    {"", []step{{"a", "A", 0, "in"}, {"a", "A", 0, "in"}, {"a", "A", 9, "out"}, {"b", "A", 9, "in"}}},
		"a host has 3":                    {"", []step{{"a", "A", 0, "in"}, {"b", "A", 0, "in"}, {"c", "A", 0, "in"}, {"d", "A", 1, "out"}, {"e", "B", 1, "in"}}},
		"old ones of a host give way":     {"", []step{{"a", "A", 0, "in"}, {"b", "A", 1, "in"}, {"c", "A", 1, "in"}, {"d", "A", 2, "a0"}, {"e", "A", 3, "b1"}}},
		"the host that has most gives":    {"", []step{{"a", "A", 5, "in"}, {"b", "B", 5, "in"}, {"c", "B", 5, "in"}, {"d", "B", 5, "in"}, {"e", "C", 5, "b5"}, {"f", "C", 5, "c5"}}},
		"young equals do not":             {"", []step{{"a", "A", 5, "in"}, {"b", "B", 5, "in"}, {"c", "C", 5, "in"}, {"d", "D", 5, "in"}, {"e", "D", 5, "out"}, {"e", "E", 5, "a5"}}},
		"old equals do":                   {"", []step{{"a", "A", 5, "in"}, {"b", "B", 5, "in"}, {"c", "C", 5, "in"}, {"d", "D", 5, "in"}, {"e", "D", 7, "a5"}}},
		"what is proven stays":            {"bcd", []step{{"a", "A", 5, "in"}, {"b", "B", 5, "in"}, {"c", "B", 5, "in"}, {"d", "B", 5, "in"}, {"e", "C", 9, "a5"}}},
		"and if all is, nobody comes":     {"abcd", []step{{"a", "A", 5, "in"}, {"b", "B", 5, "in"}, {"c", "B", 5, "in"}, {"d", "B", 5, "in"}, {"e", "C", 9, "out"}}},
		"also of a host that has its all": {"abc", []step{{"a", "A", 5, "in"}, {"b", "A", 5, "in"}, {"c", "A", 5, "in"}, {"d", "A", 9, "out"}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := shakes{limits: Limits{Handshakes: 4, HandshakesHost: 3, HandshakesPeer: 2}}
			names := map[*shake]string{}
			for i, st := range tc.steps {
				x := &shake{peer: peer.ID(st.peer), from: netip.PrefixFrom(netip.AddrFrom4([4]byte{st.host[0]}), 32), began: time.Unix(int64(st.at), 0)}
				names[x] = fmt.Sprintf("%s%d", st.peer, st.at)
				before := len(s.all)
				cut, ok := s.admit(x)
				got := "in"
				if !ok {
					got = "out"
				}
				if cut != nil {
					got = names[cut]
				}
				if got != st.want || ok != s.settleIf(x, false) || cut != nil && (!ok || len(s.all) != before || s.settle(cut)) {
					t.Fatalf("step %d: %s, want %s; %d places taken after %d", i, got, st.want, len(s.all), before)
				}
				for _, p := range tc.proven {
					s.settleIf(x, string(p) == st.peer)
				}
			}
			for x := range names {
				s.leave(x)
				s.leave(x)
			}
			if len(s.all) != 0 {
				t.Errorf("%d places are left", len(s.all))
			}
		})
	}
}

// settleIf tells whether x has a place, and settles it.
func (s *shakes) settleIf(x *shake, yes bool) bool {
	was := x.proven
	has := s.settle(x)
	x.proven = was || has && yes
	return has
}

func TestHostOf(t *testing.T) {
	for a, want := range map[string]string{
		"/ip4/10.1.2.3/tcp/4":                     "10.1.2.3/32",
		"/ip6/2001:db8:1:2:3:4:5:6/udp/4/quic-v1": "2001:db8:1:2::/64",
		"/ip6/::ffff:10.1.2.3/tcp/4":              "10.1.2.3/32",
		"/ip6zone/eth0/ip6/fe80::1/tcp/4":         "fe80::/64",
		"/dns4/example.org/tcp/4":                 "invalid Prefix",
		"/unix/tmp":                               "invalid Prefix",
	} {
		if got := hostOf(ma.StringCast(a)); got.String() != want {
			t.Errorf("%s: %s, want %s", a, got, want)
		}
	}
}

// TestSlowHandshakesOfOneMachine: when slow handshakes from one address have all its places, another one is proved as
// soon as they are too old, and the places of those are free.
func TestSlowHandshakesOfOneMachine(t *testing.T) {
	w := newWorld(t, newObject(1, 0, 10), overTCP, func(c *ServerConfig) {
		c.Limits.Handshakes, c.Limits.HandshakesHost, c.Timeouts.Handshake = 8, 4, time.Hour
	})
	slow, nonces := [4]*raw{}, [4][32]byte{}
	for i := range slow {
		w.ch = newHost(t) // a peer id of its own
		slow[i] = w.rawDial(t)
		nonces[i] = slow[i].hello(w.t.Key().ID())
	}
	begin := func(at time.Time) {
		w.srv.mu.Lock()
		defer w.srv.mu.Unlock()
		for _, x := range w.srv.shakes.all {
			x.began = at
		}
	}
	begin(time.Now().Add(time.Hour)) // young, however slow this machine is
	if _, err := Dial(t.Context(), newHost(t), w.t, ClientConfig{}); !errors.Is(err, ErrBusy) {
		t.Errorf("without a place: %v, want ErrBusy", err)
	}
	begin(time.Now().Add(-settles))
	s, err := Dial(t.Context(), newHost(t), w.t, ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, reset := slow[0].rest(); !reset {
		t.Error("the oldest was not reset")
	}
	if st := w.srv.Stats(); st.Turned != 2 || st.Handshakes > 4 || st.Sessions != 1 {
		t.Errorf("%+v", st)
	}
	conn := slow[1].st.Conn() // this one still has its place
	p := w.t.Key().Proof(ticket.Client, zero, nonces[1], conn.LocalPeer(), conn.RemotePeer(), w.t.Root)
	slow[1].message(kindProof, &pb.Proof{Hmac: p[:]})
	if err := expect(slow[1].r, toClient, kindAccept, &pb.Accept{}); err != nil {
		t.Error(err)
	}
}

// TestTurnedAway: a stream that ends while the connection stays is a source without room.
func TestTurnedAway(t *testing.T) {
	for _, tc := range []struct {
		err  error
		gone bool
		busy bool
	}{
		{network.ErrReset, false, true},
		{io.ErrUnexpectedEOF, false, true},
		{network.ErrReset, true, false},
		{io.ErrUnexpectedEOF, true, false},
		{ErrProtocol, false, false},
		{errors.New("disk"), false, false},
	} {
		if err := turnedAway(tc.err, tc.gone); errors.Is(err, ErrBusy) != tc.busy || !errors.Is(err, tc.err) {
			t.Errorf("%v, gone %v: %v", tc.err, tc.gone, err)
		}
	}
}
