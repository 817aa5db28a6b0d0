package transport

import (
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func addrs(s ...string) (out []ma.Multiaddr) {
	for _, a := range s {
		out = append(out, ma.StringCast(a))
	}
	return out
}

func start(t *testing.T, cfg Config) host.Host {
	t.Helper()
	h, err := tryStart(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func tryStart(cfg Config) (host.Host, error) {
	cfg.Key, _, _ = crypto.GenerateEd25519Key(rand.Reader)
	return New(cfg)
}

func info(h host.Host) peer.AddrInfo { return peer.AddrInfo{ID: h.ID(), Addrs: Dialable(h)} }

func TestOnePortForAll(t *testing.T) {
	h := start(t, Config{Listen: ListenOn(0)})
	got := h.Network().ListenAddresses()
	if len(got) < 2 {
		t.Fatalf("listens on %v", got)
	}
	for _, a := range got {
		if portOf(a) == 0 || portOf(a) != portOf(got[0]) {
			t.Errorf("listens on %v, not on one port", got)
		}
	}
}

// TestTCPBetweenNeighbours: of all the addresses of a peer on this machine, TCP is taken, with TLS.
func TestTCPBetweenNeighbours(t *testing.T) {
	a, b := start(t, Config{Listen: ListenOn(0)}), start(t, Config{NoListen: true})
	if err := b.Connect(t.Context(), info(a)); err != nil {
		t.Fatal(err)
	}
	for _, c := range b.Network().ConnsToPeer(a.ID()) {
		if s := c.ConnState(); s.Transport != "tcp" || s.Security != "/tls/1.0.0" || s.StreamMultiplexer != "/yamux/1.0.0" {
			t.Errorf("connected by %+v", s)
		}
	}
}

func TestEveryTransport(t *testing.T) {
	for listen, want := range map[string]string{
		"/ip4/127.0.0.1/tcp/0": "tcp", "/ip4/127.0.0.1/udp/0/quic-v1": "quic-v1",
	} {
		a, b := start(t, Config{Listen: addrs(listen)}), start(t, Config{NoListen: true})
		if err := b.Connect(t.Context(), info(a)); err != nil {
			t.Fatal(err)
		}
		if got := b.Network().ConnsToPeer(a.ID())[0].ConnState().Transport; got != want {
			t.Errorf("%s: connected over %s", listen, got)
		}
	}
}

func TestListenErrors(t *testing.T) {
	h := start(t, Config{Listen: addrs("/ip4/127.0.0.1/tcp/0")})
	taken := h.Network().ListenAddresses()[0]
	for name, listen := range map[string][]ma.Multiaddr{
		"port in use":         {taken},
		"one of two in use":   append(addrs("/ip4/127.0.0.1/udp/0/quic-v1"), taken),
		"not an address here": addrs("/ip4/203.0.113.7/tcp/0"),
		"no port":             addrs("/ip4/127.0.0.1"),
		"other transport":     addrs("/ip4/127.0.0.1/sctp/1"),
	} {
		h, err := tryStart(Config{Listen: listen})
		if !errors.Is(err, ErrListen) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want ErrListen on one line", name, err)
		}
		if err == nil {
			h.Close()
		}
	}
	if _, err := New(Config{}); err == nil {
		t.Error("a host without a key")
	}
}

// TestPortIsTakenAlone: with port 0, a UDP port that is taken makes the pair move elsewhere.
func TestPortIsTakenAlone(t *testing.T) {
	h := start(t, Config{Listen: ListenOn(0)})
	port := portOf(h.Network().ListenAddresses()[0])
	if _, err := tryStart(Config{Listen: ListenOn(port)}); !errors.Is(err, ErrListen) {
		t.Errorf("second host on port %d: %v, want ErrListen", port, err)
	}
}

func TestDialable(t *testing.T) {
	h := start(t, Config{Listen: ListenOn(0)})
	got := Dialable(h)
	loopback := false
	for i, a := range got {
		if manet.IsIPUnspecified(a) || manet.IsIP6LinkLocal(a) {
			t.Errorf("%s can not be dialled from elsewhere", a)
		}
		if loopback && !manet.IsIPLoopback(a) {
			t.Errorf("%v: loopback is not last", got)
		}
		loopback = manet.IsIPLoopback(a)
		if i%2 == 1 && (!samePlace(got[i-1], a) || !isTCP(got[i-1]) || isTCP(a)) {
			t.Errorf("%v: TCP and QUIC of one place are not together", got)
		}
	}
	if !loopback {
		t.Errorf("%v: no loopback address", got)
	}
}

// TestServesNothingElse: a stranger finds identify and ping, nothing else.
func TestServesNothingElse(t *testing.T) {
	a, b := start(t, Config{Listen: addrs("/ip4/127.0.0.1/tcp/0")}), start(t, Config{NoListen: true})
	if err := b.Connect(t.Context(), info(a)); err != nil {
		t.Fatal(err)
	}
	want := []protocol.ID{"/ipfs/id/1.0.0", "/ipfs/id/push/1.0.0", "/ipfs/ping/1.0.0"}
	for _, h := range []host.Host{a, b} {
		got := h.Mux().Protocols()
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("serves %v, want %v", got, want)
		}
	}
	if agent, _ := b.Peerstore().Get(a.ID(), "AgentVersion"); agent != UserAgent {
		t.Errorf("user agent %v", agent)
	}
	metrics, err := prometheus.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range metrics {
		if strings.Contains(m.GetName(), "libp2p") {
			t.Errorf("metric %s is registered", m.GetName())
		}
	}
}

type closed struct{}

func (closed) InterceptPeerDial(peer.ID) bool               { return true }
func (closed) InterceptAddrDial(peer.ID, ma.Multiaddr) bool { return true }
func (closed) InterceptAccept(network.ConnMultiaddrs) bool  { return false }
func (closed) InterceptSecured(network.Direction, peer.ID, network.ConnMultiaddrs) bool {
	return true
}
func (closed) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }

func TestGaterAndLimits(t *testing.T) {
	listen := addrs("/ip4/127.0.0.1/tcp/0")
	a := start(t, Config{Listen: listen, Gater: closed{}})
	b := start(t, Config{NoListen: true})
	if err := b.Connect(t.Context(), info(a)); err == nil {
		t.Error("the gater was not asked")
	}
	a = start(t, Config{Listen: listen, Limits: Limits{ConnsInbound: 1}})
	if err := b.Connect(t.Context(), info(a)); err != nil {
		t.Fatal(err)
	}
	c := start(t, Config{NoListen: true})
	if err := c.Connect(t.Context(), info(a)); err == nil {
		if _, err := c.NewStream(t.Context(), a.ID(), "/ipfs/ping/1.0.0"); err == nil {
			t.Error("the limit of one connection was not kept")
		}
	}
	for _, l := range (Limits{Streams: 5}).List() {
		if l.Value <= 0 || l.Name == "" || l.Name == "streams" && l.Value != 5 {
			t.Errorf("limit %+v", l)
		}
	}
}

func TestRank(t *testing.T) {
	for _, tc := range []struct {
		name  string
		addrs []string
		want  []string // delay, then address
	}{
		{"private", []string{"/ip4/10.0.0.1/udp/1/quic-v1", "/ip4/10.0.0.1/tcp/1"},
			[]string{"0s /ip4/10.0.0.1/tcp/1", "500ms /ip4/10.0.0.1/udp/1/quic-v1"}},
		{"private QUIC alone", []string{"/ip4/10.0.0.1/udp/1/quic-v1"}, []string{"0s /ip4/10.0.0.1/udp/1/quic-v1"}},
		{"loopback first", []string{"/ip4/10.0.0.1/tcp/1", "/ip4/127.0.0.1/udp/1/quic-v1", "/ip4/127.0.0.1/tcp/1"},
			[]string{"0s /ip4/127.0.0.1/tcp/1", "50ms /ip4/10.0.0.1/tcp/1", "550ms /ip4/127.0.0.1/udp/1/quic-v1"}},
		{"public: QUIC first", []string{"/ip4/1.2.3.4/tcp/1", "/ip4/1.2.3.4/udp/1/quic-v1"},
			[]string{"0s /ip4/1.2.3.4/udp/1/quic-v1", "250ms /ip4/1.2.3.4/tcp/1"}},
		{"public after private", []string{"/ip4/1.2.3.4/udp/1/quic-v1", "/ip4/192.168.0.2/tcp/1"},
			[]string{"0s /ip4/192.168.0.2/tcp/1", "50ms /ip4/1.2.3.4/udp/1/quic-v1"}},
		{"nothing", nil, nil},
	} {
		var got []string
		for _, d := range rank(addrs(tc.addrs...)) {
			got = append(got, d.Delay.Round(time.Millisecond).String()+" "+d.Addr.String())
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}
