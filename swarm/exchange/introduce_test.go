package exchange

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"cairn/swarm/exchange/pb"
	"cairn/swarm/transport"
)

// member is a downloader that takes part in a swarm.
type member struct {
	*client
	h   host.Host
	met chan Introduction
}

// join dials from a host, runs, and says Swarm.
func (w *world) join(t *testing.T, h host.Host) *member {
	t.Helper()
	s, err := Dial(t.Context(), h, w.t, ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	m := &member{newClient(t, s), h, make(chan Introduction, 256)}
	m.client.h.Peers = func(in []Introduction) {
		for _, i := range in {
			m.met <- i
		}
	}
	m.run(t.Context())
	if err := m.Swarm(); err != nil {
		t.Fatal(err)
	}
	if err := m.Swarm(); err != nil { // says nothing
		t.Fatal(err)
	}
	return m
}

func (m *member) meets(t *testing.T, want ...*member) {
	t.Helper()
	var ids, met []peer.ID
	for _, o := range want {
		ids = append(ids, o.h.ID())
	}
	for range want {
		select {
		case i := <-m.met:
			met = append(met, i.ID)
			for _, a := range i.Addrs {
				if !slices.ContainsFunc(transport.Dialable(m.peer(i.ID, want)), a.Equal) {
					t.Errorf("introduced with %s, which it does not listen on", a)
				}
			}
		case <-time.After(patience):
			t.Fatalf("met %v, want %v", met, ids)
		}
	}
	slices.Sort(ids)
	if slices.Sort(met); !slices.Equal(ids, met) {
		t.Errorf("met %v, want %v", met, ids)
	}
}

func (m *member) peer(id peer.ID, all []*member) host.Host {
	for _, o := range all {
		if o.h.ID() == id {
			return o.h
		}
	}
	return m.h
}

func quick(c *ServerConfig) { c.Timeouts.Introduce = time.Millisecond }

// TestIntroductions: whoever says Swarm meets all others that do, with the address at which the server sees them;
// whoever does not meets nobody; whoever comes back is met again, and whoever has left is not.
func TestIntroductions(t *testing.T) {
	w := newWorld(t, newObject(1, 0, 10), overTCP, quick)
	listening := func() host.Host { return newHost(t, overTCP) }
	w.dial(t, ClientConfig{}).run(t.Context()) // a client that keeps to itself
	a := w.join(t, listening())
	b := w.join(t, listening())
	a.meets(t, b)
	b.meets(t, a)
	c := w.join(t, listening())
	c.meets(t, a, b)
	a.meets(t, c)
	b.meets(t, c)
	if n := c.Others(); n != 3 {
		t.Errorf("%d others, want 3", n)
	}
	infos := w.srv.Sessions()
	if infos[0].Swarm || !infos[1].Swarm {
		t.Errorf("%+v", infos)
	}

	b.Close()
	<-w.ended
	d := w.join(t, listening())
	d.meets(t, a, c)
	a.meets(t, d)
	c.meets(t, d)
	b = w.join(t, b.h)
	b.meets(t, a, c, d)
	a.meets(t, b)
	c.meets(t, b)
	d.meets(t, b)
	for _, m := range []*member{a, b, c, d} {
		m.Close()
		<-m.client.ended
		if len(m.met) > 0 {
			t.Errorf("met %v once too often", <-m.met)
		}
	}
	for range 4 {
		<-w.ended
	}
	if len(w.srv.circles.m) != 0 {
		t.Errorf("%d circles are left", len(w.srv.circles.m))
	}
}

// TestIntroductionsByTicket: holders of another ticket to the same object, or of one without a swarm, stay apart.
func TestIntroductionsByTicket(t *testing.T) {
	w := newWorld(t, newObject(1, 0, 10), overTCP, quick)
	a := w.join(t, newHost(t, overTCP))
	first := w.t
	w.t = w.book.issue(w.sh, w.o)
	b := w.join(t, newHost(t, overTCP))
	w.t = w.book.issue(w.sh, w.o)
	w.book.set(w.t.Key().ID(), func(g *Grant) { g.NoSwarm = true })
	c, d := w.join(t, newHost(t, overTCP)), w.join(t, newHost(t, overTCP))
	w.t = first
	e := w.join(t, newHost(t, overTCP))
	e.meets(t, a)
	a.meets(t, e)
	if a.NoSwarm() || !d.NoSwarm() || d.Others() != 0 || w.srv.Sessions()[2].Swarm {
		t.Error("there is a swarm where there must be none")
	}
	for _, m := range []*member{a, b, c, d, e} {
		if m.Close(); len(m.met) > 0 {
			t.Errorf("met %v", <-m.met)
		}
	}
}

// TestIntroductionsAreBounded: one peer that comes again and again is told of a few times.
func TestIntroductionsAreBounded(t *testing.T) {
	w := newWorld(t, newObject(1, 0, 10), overTCP, quick)
	a, other := w.join(t, newHost(t, overTCP)), newHost(t, overTCP)
	for i := range peersAgain + 3 {
		b := w.join(t, other)
		b.meets(t, a)
		if i < peersAgain {
			a.meets(t, b)
		}
		b.Close()
		<-w.ended
	}
	if len(a.met) != 0 {
		t.Errorf("told of one peer %d times", peersAgain+len(a.met))
	}
}

func TestReachOf(t *testing.T) {
	for addr, want := range map[string]reach{
		"/ip4/8.8.8.8/tcp/4001":                   anywhere,
		"/ip4/8.8.8.8/udp/4001/quic-v1":           anywhere,
		"/ip6/2a00:1450::1/tcp/1":                 anywhere,
		"/ip6/::ffff:8.8.8.8/tcp/1":               anywhere,
		"/ip4/192.168.1.1/tcp/1":                  nearby,
		"/ip4/10.0.0.1/udp/1/quic-v1":             nearby,
		"/ip4/100.64.0.1/tcp/1":                   nearby,
		"/ip4/169.254.1.1/tcp/1":                  nearby,
		"/ip6/fe80::1/tcp/1":                      nearby,
		"/ip6/fd00::1/tcp/1":                      nearby,
		"/ip4/127.0.0.1/tcp/1":                    same,
		"/ip4/127.9.9.9/tcp/1":                    same,
		"/ip6/::1/udp/1/quic-v1":                  same,
		"/ip6/::ffff:127.0.0.1/tcp/1":             same,
		"/ip6/::ffff:10.0.0.1/tcp/1":              nearby,
		"/ip4/0.0.0.0/tcp/1":                      nowhere,
		"/ip4/0.1.2.3/tcp/1":                      nowhere,
		"/ip6/::/tcp/1":                           nowhere,
		"/ip4/224.0.0.1/udp/1/quic-v1":            nowhere,
		"/ip6/ff02::1/udp/1/quic-v1":              nowhere,
		"/ip4/255.255.255.255/udp/1/quic-v1":      nowhere,
		"/ip6/::ffff:255.255.255.255/tcp/1":       nowhere,
		"/ip4/8.8.8.8/tcp/0":                      nowhere,
		"/ip4/8.8.8.8/udp/0/quic-v1":              nowhere,
		"/ip4/8.8.8.8/udp/53":                     nowhere,
		"/ip4/8.8.8.8":                            nowhere,
		"/ip4/8.8.8.8/tcp/1/ws":                   nowhere,
		"/ip4/8.8.8.8/tcp/1/http":                 nowhere,
		"/dns4/example.com/tcp/1":                 nowhere,
		"/dns/example.com/udp/1/quic-v1":          nowhere,
		"/ip6zone/eth0/ip6/fe80::1/tcp/1":         nowhere,
		"/unix/tmp/x":                             nowhere,
		"/ip4/8.8.8.8/tcp/1/p2p/" + somePeer(7):   nowhere,
		"/p2p/" + somePeer(7) + "/p2p-circuit":    nowhere,
		"/ip4/1.2.3.4/udp/1/quic-v1/webtransport": nowhere,
	} {
		if got := reachOf(ma.StringCast(addr)); got != want {
			t.Errorf("%s: %d, want %d", addr, got, want)
		}
	}
	if reachOf(nil) != nowhere {
		t.Error("no address is somewhere")
	}
}

// somePeer returns an id that nobody has.
func somePeer(n byte) string {
	return peer.ID(append([]byte{0, 36, 8, 1, 18, 32}, slices.Repeat([]byte{n}, 32)...)).String()
}

// peersOf makes an introduction.
func peersOf(id string, addrs ...string) *pb.Peers {
	p, _ := peer.Decode(id)
	m := &pb.Peers_Peer{Id: []byte(p)}
	for _, a := range addrs {
		m.Addr = append(m.Addr, ma.StringCast(a).Bytes())
	}
	return &pb.Peers{Peers: []*pb.Peers_Peer{m}}
}

func TestBadIntroductions(t *testing.T) {
	self, source := somePeer(1), somePeer(2)
	me, _ := peer.Decode(self)
	you, _ := peer.Decode(source)
	good := "/ip4/8.8.8.8/tcp/1"
	many := peersOf(somePeer(3), good)
	for range peersFrame {
		many.Peers = append(many.Peers, many.Peers[0])
	}
	thousand := peersOf(somePeer(3), slices.Repeat([]string{good}, 1000)...)
	junk := peersOf(somePeer(3), good)
	junk.Peers[0].Addr[0] = []byte{1, 2, 3}
	long := peersOf(somePeer(3), good)
	long.Peers[0].Addr[0] = make([]byte, maxAddr+1)
	noID := peersOf(somePeer(3), good)
	noID.Peers[0].Id = nil
	junkID := peersOf(somePeer(3), good)
	junkID.Peers[0].Id = []byte("someone")
	for name, m := range map[string]*pb.Peers{
		"nobody": {}, "too many": many, "thousand addresses": thousand, "junk": junk, "long": long, "no id": noID, "junk id": junkID,
		"no address": peersOf(somePeer(3)), "own id": peersOf(self, good), "the source": peersOf(source, good),
		"dns": peersOf(somePeer(3), "/dns4/example.com/tcp/1"), "relay": peersOf(somePeer(3), good+"/p2p/"+source+"/p2p-circuit"),
		"unspecified": peersOf(somePeer(3), "/ip4/0.0.0.0/tcp/1"), "multicast": peersOf(somePeer(3), "/ip4/239.1.1.1/udp/1/quic-v1"),
		"broadcast": peersOf(somePeer(3), "/ip4/255.255.255.255/tcp/1"), "second bad": peersOf(somePeer(3), good, "/dns/x/tcp/1"),
	} {
		for _, from := range []string{"/ip4/9.9.9.9/tcp/1", "/ip4/127.0.0.1/tcp/1"} {
			if in, err := introductions(m, me, you, ma.StringCast(from)); !errors.Is(err, ErrProtocol) {
				t.Errorf("%s: %v, %v, want ErrProtocol", name, in, err)
			}
		}
	}
	// What is nearer than the source is passed over.
	all := []string{"/ip4/8.8.8.8/tcp/1", "/ip4/192.168.1.1/tcp/1", "/ip4/127.0.0.1/tcp/1"}
	for from, most := range map[string]int{"/ip4/9.9.9.9/udp/1/quic-v1": 1, "/ip4/10.0.0.1/tcp/1": 2, "/ip6/::1/tcp/1": 3} {
		m := &pb.Peers{}
		for i, a := range all {
			m.Peers = append(m.Peers, peersOf(somePeer(byte(10+i)), a).Peers...)
		}
		in, err := introductions(m, me, you, ma.StringCast(from))
		var got []string
		for _, i := range in {
			got = append(got, i.Addrs[0].String())
		}
		if err != nil || !slices.Equal(got, all[:most]) {
			t.Errorf("from %s: %v, %v", from, got, err)
		}
	}
}

// FuzzPeers: what is accepted is something that a host may dial.
func FuzzPeers(f *testing.F) {
	for i, a := range []string{"/ip4/8.8.8.8/tcp/1", "/dns/x/tcp/1", "/ip6/::1/udp/9/quic-v1"} {
		f.Add(appendMessage(nil, kindPeers, peersOf(somePeer(byte(i)), a)), i)
	}
	f.Add([]byte(fmt.Sprintf("%c\x05hello", kindPeers)), 0)
	me, _ := peer.Decode(somePeer(1))
	you, _ := peer.Decode(somePeer(2))
	f.Fuzz(func(t *testing.T, b []byte, from int) {
		near := []string{"/ip4/8.8.8.8/tcp/1", "/ip4/10.8.8.8/tcp/1", "/ip4/127.0.0.1/tcp/1"}[uint(from)%3]
		var m pb.Peers
		r := bufio.NewReader(bytes.NewReader(b))
		h, err := readHeader(r, toClient)
		if err != nil || h.kind != kindPeers || readMessage(r, h, &m) != nil {
			return
		}
		in, err := introductions(&m, me, you, ma.StringCast(near))
		if err != nil {
			if !errors.Is(err, ErrProtocol) {
				t.Fatal(err)
			}
			return
		}
		if len(in) > peersFrame {
			t.Fatalf("%d peers", len(in))
		}
		for _, i := range in {
			if i.ID == me || i.ID == you || i.ID.Validate() != nil || len(i.Addrs) == 0 || len(i.Addrs) > addrsPeer {
				t.Fatalf("%+v", i)
			}
			for _, a := range i.Addrs {
				if r := reachOf(a); r == nowhere || r > reachOf(ma.StringCast(near)) {
					t.Fatalf("%s from %s", a, near)
				}
			}
		}
	})
}

// TestDialable: a peer is named by the IP address at which it is seen, whatever it says.
func TestDialable(t *testing.T) {
	for _, tc := range []struct {
		seen     string
		tcp, udp uint16
		want     []string
	}{
		{"/ip4/8.8.8.8/tcp/50000", 4001, 4002, []string{"/ip4/8.8.8.8/tcp/4001", "/ip4/8.8.8.8/udp/4002/quic-v1"}},
		{"/ip4/8.8.8.8/tcp/50000", 4001, 0, []string{"/ip4/8.8.8.8/tcp/4001"}},
		{"/ip4/8.8.8.8/tcp/50000", 0, 0, nil},
		{"/ip4/8.8.8.8/udp/50000/quic-v1", 4001, 4002, []string{"/ip4/8.8.8.8/tcp/4001", "/ip4/8.8.8.8/udp/50000/quic-v1"}},
		{"/ip4/8.8.8.8/udp/50000/quic-v1", 0, 0, nil},
		{"/ip6/fd00::1/tcp/50000", 0, 7, []string{"/ip6/fd00::1/udp/7/quic-v1"}},
		{"/ip4/8.8.8.8/tcp/1/p2p/" + somePeer(7) + "/p2p-circuit", 4001, 4002, nil},
		{"/dns/example.com/tcp/1", 4001, 4002, nil},
	} {
		var got []string
		for _, a := range dialable(ma.StringCast(tc.seen), tc.tcp, tc.udp) {
			got = append(got, a.String())
			if reachOf(a) == nowhere {
				t.Errorf("%s is nowhere", a)
			}
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%+v: %v", tc, got)
		}
	}
}

// TestIntroductionsOverQUIC names both addresses of a peer that was seen over QUIC, and not one that listens nowhere.
func TestIntroductionsOverQUIC(t *testing.T) {
	w := newWorld(t, newObject(1, 0, 10), overQUIC, quick)
	deaf := w.join(t, newHost(t))
	a := w.join(t, newHost(t, overTCP, overQUIC))
	deaf.meets(t, a)
	b := w.join(t, newHost(t, overQUIC))
	b.meets(t, a)
	a.meets(t, b)
	if len(a.met) != 0 {
		t.Errorf("met %v, which can not be dialled", <-a.met)
	}
	for _, h := range []host.Host{a.h, b.h} {
		tcp, udp := listens(h, ma.StringCast("/ip4/127.0.0.1/tcp/9"))
		if udp == 0 || (tcp == 0) != (h == b.h) {
			t.Errorf("ports %d, %d", tcp, udp)
		}
		if tcp, udp := listens(h, ma.StringCast("/ip4/8.8.8.8/tcp/9")); tcp != 0 || udp != 0 {
			t.Errorf("listens on ports %d, %d of an address that it does not listen on", tcp, udp)
		}
	}
}

// TestSwarmIsNotIdle: who said Swarm stays, and is introduced, while it asks for nothing; others are ended.
func TestSwarmIsNotIdle(t *testing.T) {
	w := newWorld(t, newObject(1, 0, 10), overTCP, func(c *ServerConfig) { c.Timeouts.Idle = 500 * time.Millisecond })
	a := w.join(t, newHost(t, overTCP))
	for range 2 {
		w.dialFrom(t, newHost(t), ClientConfig{})
		if err := <-w.ended; !errors.Is(err, ErrStalled) {
			t.Fatalf("ended with %v, want ErrStalled", err)
		}
	}
	if now := w.srv.Sessions(); len(now) != 1 || !now[0].Swarm {
		t.Fatalf("%+v", now)
	}
	b := w.join(t, newHost(t, overTCP))
	b.meets(t, a)
	a.meets(t, b)
	var got []int
	if err := a.Leaves(t.Context(), every(1, 1), w.o.check(&got)); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
}
