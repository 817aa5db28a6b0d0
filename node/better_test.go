package node

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cairn/swarm/fetch"
	"cairn/swarm/ticket"
	"cairn/web/api"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/test"
	ma "github.com/multiformats/go-multiaddr"
)

func addrs(t *testing.T, texts ...string) (out []ma.Multiaddr) {
	t.Helper()
	for _, x := range texts {
		a, err := ma.NewMultiaddr(x)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, a)
	}
	return out
}

func stranger(t *testing.T) peer.ID {
	t.Helper()
	id, err := test.RandPeerID()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestWays(t *testing.T) {
	order := addrs(t, "/ip4/127.0.0.1/tcp/1", "/ip6/::1/udp/1/quic-v1", "/ip4/10.0.0.1/tcp/1", "/ip6/fe80::1/udp/1/quic-v1", "/ip4/8.8.8.8/tcp/1",
		"/ip6/2a00::1/udp/1/quic-v1", "/ip4/8.8.8.8/tcp/1/p2p/12D3KooWRdcdh3dUnQM9grHsVgpUu12jF4o7gyyBWWWNemer6k14/p2p-circuit", "/ip4/8.8.8.8")
	for i, a := range order {
		if w := wayOf(a); w != way(i) {
			t.Errorf("%s is %q", a, w)
		}
	}
}

// TestCandidates: a probe goes where the ticket says, and otherwise nowhere that is nearer than the peer.
func TestCandidates(t *testing.T) {
	n, _ := start(t, t.TempDir())
	for name, x := range map[string]struct {
		now                       string
		ticket, found, told, want []string
	}{
		"on the internet": {
			now:    "/ip4/8.8.8.8/udp/4/quic-v1",
			ticket: []string{"/ip4/192.168.1.7/tcp/4", "/ip4/8.8.8.8/tcp/4", "/ip4/8.8.8.8/udp/4/quic-v1", "/dns4/localhost/tcp/22", "/ip4/0.0.0.0/tcp/4"},
			found:  []string{"/ip4/10.0.0.9/tcp/4", "/ip4/127.0.0.1/tcp/6379", "/dns/printer.local/tcp/80", "/ip4/224.0.0.1/tcp/4"},
			told: []string{"/ip4/127.0.0.1/tcp/22", "/ip6/::1/tcp/22", "/ip6/::ffff:127.0.0.1/tcp/22", "/ip4/192.168.1.1/tcp/80", "/ip4/169.254.169.254/tcp/80", "/ip6/fe80::1/tcp/80",
				"/ip4/100.64.0.1/tcp/80", "/dns4/victim.example/tcp/80", "/ip4/9.9.9.9/tcp/4", "/ip4/9.9.9.9/tcp/80/ws"},
			want: []string{"/ip4/192.168.1.7/tcp/4", "/ip4/10.0.0.9/tcp/4", "/ip4/8.8.8.8/tcp/4", "/ip4/9.9.9.9/tcp/4"},
		},
		"nearby": {
			now:  "/ip4/10.0.0.2/udp/4/quic-v1",
			told: []string{"/ip4/127.0.0.1/tcp/22", "/ip4/10.0.0.2/tcp/4", "/ip4/9.9.9.9/tcp/4"},
			want: []string{"/ip4/10.0.0.2/tcp/4"},
		},
		"our own port":        {now: "/ip4/10.0.0.2/tcp/4748", ticket: []string{"/ip4/10.0.0.2/tcp/4748", "/ip4/127.0.0.1/tcp/4748"}},
		"on the same machine": {now: "/ip4/127.0.0.1/udp/4/quic-v1", ticket: []string{"/ip4/127.0.0.1/tcp/4"}, want: []string{"/ip4/127.0.0.1/tcp/4"}},
		"good enough":         {now: "/ip4/10.0.0.2/tcp/4", ticket: []string{"/ip4/10.0.0.3/tcp/4"}, told: []string{"/ip4/10.0.0.2/tcp/5"}},
	} {
		id := stranger(t)
		c := &contact{s: &sources{n: n}, ticket: ticket.Ticket{Peer: id, Addrs: addrs(t, x.ticket...)}}
		n.finder.HandlePeerFound(peer.AddrInfo{ID: id, Addrs: addrs(t, x.found...)})
		n.host.Peerstore().AddAddrs(id, addrs(t, x.told...), peerstore.TempAddrTTL)
		var got []string
		for _, a := range c.candidates(addrs(t, x.now)[0]) {
			got = append(got, a.String())
		}
		slices.Sort(got)
		slices.Sort(x.want)
		if !slices.Equal(got, x.want) {
			t.Errorf("%s: %q, want %q", name, got, x.want)
		}
	}
}

// TestWrongAddress: an address where another peer answers interrupts a get once.
func TestWrongAddress(t *testing.T) {
	t.Parallel()
	n, _ := start(t, t.TempDir())
	other, _ := start(t, t.TempDir())
	i := slices.IndexFunc(other.host.Addrs(), func(a ma.Multiaddr) bool { return wayOf(a) == thisMachineTCP })
	better := other.host.Addrs()[i]
	c := &contact{s: &sources{n: n}, origin: fromNetwork, ticket: ticket.Ticket{Peer: stranger(t), Addrs: []ma.Multiaddr{better}}}
	now := addrs(t, "/ip4/127.0.0.1/udp/4/quic-v1")[0]
	if len(c.candidates(now)) != 1 || !answers(t.Context(), better) {
		t.Fatal("it is no candidate at first")
	}
	c.redialAt(better, wayOf(now))
	if _, err := c.dial(t.Context()); err == nil {
		t.Fatal("found at the address of another")
	}
	if got := c.candidates(now); len(got) != 0 {
		t.Errorf("%v after it was not found there", got)
	}
}

// TestProbesAreFew: a peer that names many addresses does not make us a scanner.
func TestProbesAreFew(t *testing.T) {
	n, _ := start(t, t.TempDir())
	s := &sources{n: n}
	tried := 0
	for i := range 5 {
		id := stranger(t)
		for k := range 50 {
			n.host.Peerstore().AddAddrs(id, addrs(t, fmt.Sprintf("/ip4/9.9.%d.%d/tcp/4", i, k)), peerstore.TempAddrTTL)
		}
		c := &contact{s: s, ticket: ticket.Ticket{Peer: id}}
		tried += len(c.candidates(addrs(t, "/ip4/8.8.8.8/udp/4/quic-v1")[0]))
	}
	if tried != mostProbes {
		t.Errorf("%d addresses", tried)
	}
	var b budget
	now, passed := time.Now(), 0
	for range 600 { // ten minutes
		if b.take(now) {
			passed++
		}
		now = now.Add(time.Second)
	}
	if passed < 10*mostProbes || passed > 11*mostProbes {
		t.Errorf("%d in ten minutes", passed)
	}
}

func TestStale(t *testing.T) {
	var have []net.Addr
	for _, x := range []string{"127.0.0.1/8", "192.168.1.5/24", "2a00::5/64", "fe80::5/64"} {
		ip, mask, err := net.ParseCIDR(x)
		if err != nil {
			t.Fatal(err)
		}
		have = append(have, &net.IPNet{IP: ip, Mask: mask.Mask})
	}
	for text, want := range map[string]bool{
		"/ip4/192.168.1.5/tcp/4":            false,
		"/ip4/192.168.1.6/tcp/4":            true,
		"/ip4/192.168.1.6/udp/4/quic-v1":    true,
		"/ip6/::ffff:192.168.1.5/tcp/4":     false,
		"/ip6/2a00::5/tcp/4":                false,
		"/ip6/2a00::6/tcp/4":                true, // a temporary address that has expired
		"/ip6zone/eth0/ip6/fe80::5/tcp/4":   false,
		"/ip6zone/eth0/ip6/fe80::6/tcp/4":   true,
		"/ip4/0.0.0.0/udp/4/quic-v1":        false,
		"/ip6/::/udp/4/quic-v1":             false,
		"/ip4/127.0.0.2/tcp/4":              false,
		"/ip6/::1/tcp/4":                    false,
		"/dns4/localhost/tcp/4":             false,
		"/memory/4":                         false,
		"/ip4/192.168.1.255/udp/4/quic-v1":  true,
		"/ip4/192.168.1.5/udp/9/quic-v1":    false,
		"/ip6/::ffff:192.168.1.9/tcp/12345": true,
	} {
		if got := stale(addrs(t, text)[0], have); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// TestMovesToTCP: a download that began over QUIC goes on over TCP when that answers, and nothing is sent twice.
func TestMovesToTCP(t *testing.T) {
	t.Parallel()
	const size = 40 << 20
	a, _ := startAs(t, Config{Home: t.TempDir(), Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"}})
	b, _ := start(t, t.TempDir())
	src := filepath.Join(t.TempDir(), "f")
	want := write(t, src, size)
	x, err := ticket.Parse(share(t, a, api.TicketOptions{}, src).Ticket.Text)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp4", "127.0.0.1:0") // a port that is free
	if err != nil {
		t.Fatal(err)
	}
	tcp := addrs(t, fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", ln.Addr().(*net.TCPAddr).Port))
	ln.Close()
	x.Addrs = append(x.Addrs, tcp...)
	text, err := x.Encode()
	if err != nil {
		t.Fatal(err)
	}
	upLimit(t, a, 4<<20) // ten seconds, so that there is time to move
	g := get(t, b, api.GetRequest{Tickets: []string{text}})
	why := func() string {
		for _, x := range of(b, "download") {
			if len(x.Sources) == 1 {
				return x.Sources[0].Why
			}
		}
		return ""
	}
	eventually(t, "it begins over QUIC", 10*time.Second, func() bool { return strings.HasPrefix(why(), "QUIC") && a.meter.Total().Up > 1<<20 })
	if err := a.host.Network().Listen(tcp...); err != nil {
		t.Fatal(err)
	}
	g.same(t, want)
	if got := why(); got != "TCP on this machine: moved from QUIC on this machine, which is slower" {
		t.Errorf("%q", got)
	}
	if s := g.res.Sources; len(s) != 1 || s[0].State == "dropped" || s[0].Transport != "tcp" {
		t.Errorf("%+v", s)
	}
	if sent := a.meter.Total().Up; sent > size+size/100 {
		t.Errorf("the source sent %d bytes of %d", sent, size)
	}
	if ups := of(a, "upload"); len(ups) != 2 || ups[1].Sources[0].Transport != "quic-v1" {
		t.Errorf("%d sessions", len(ups))
	}
}

// taken counts leaves that came.
type taken struct {
	nothing
	n atomic.Int64
}

func (k *taken) Leaf(_ int, b fetch.Buf) error {
	k.n.Add(1)
	b.Release()
	return nil
}

// TestLeave: a source that is left brings what it was asked for, is asked for nothing more, and is blamed for nothing.
func TestLeave(t *testing.T) {
	t.Parallel()
	a, _ := start(t, t.TempDir())
	b, _ := start(t, t.TempDir())
	src := filepath.Join(t.TempDir(), "f")
	write(t, src, 8<<20)
	x, err := ticket.Parse(share(t, a, api.TicketOptions{}, src).Ticket.Text)
	if err != nil {
		t.Fatal(err)
	}
	upLimit(t, a, 4<<20)
	s, err := b.connect(t.Context(), x)
	if err != nil {
		t.Fatal(err)
	}
	var came taken
	run := make(chan error, 1)
	go func() { run <- s.Run(t.Context(), &came) }()
	if err := s.Request(0, 6); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first leaf comes", 5*time.Second, func() bool { return came.n.Load() > 0 })
	more := make(chan error, 1)
	left := make(chan struct{})
	go func() { s.leave(t.Context()); close(left) }()
	eventually(t, "it leaves", 5*time.Second, func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.leaving })
	go func() { more <- s.Request(6, 1) }()
	<-left
	if n := came.n.Load(); n != 6 || s.owes() {
		t.Errorf("%d leaves came", n)
	}
	if err := <-run; !errors.Is(err, errMoved) || s.err != nil {
		t.Errorf("%v, %v", err, s.err)
	}
	if err := <-more; !errors.Is(err, errMoved) {
		t.Error(err)
	}
}
