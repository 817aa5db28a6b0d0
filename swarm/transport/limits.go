package transport

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/x/rate"
)

// Limits bound what others can make this host hold. Zero fields mean the default.
type Limits struct {
	Conns          int     // connections, 1024
	ConnsInbound   int     // opened by others, 768
	ConnsOpening   int     // not yet authenticated, 256
	ConnsPerPeer   int     // 16
	ConnsPerIP     int     // per IPv4 address and IPv6 /64, loopback exempt, 256; per IPv6 /48 four times that
	ConnRatePerIP  float64 // new ones per second after a burst of ConnsPerIP, loopback exempt, 16
	ConnsLow       int     // when there are more than ConnsHigh idle ones, they are closed down to this, 192
	ConnsHigh      int     // 384
	Streams        int     // 8192
	StreamsPerPeer int     // 512
	Memory         int64   // bytes of stream windows and buffers, 512 MiB
	MemoryPerPeer  int64   // 256 MiB
	FD             int     // file descriptors of connections, 1024
}

// Limit is one limit in force, for status.
type Limit struct {
	Name  string
	Value int64
}

func or[T int | int64 | float64](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

func (l Limits) withDefaults() Limits {
	or(&l.Conns, 1024)
	or(&l.ConnsInbound, 768)
	or(&l.ConnsOpening, 256)
	or(&l.ConnsPerPeer, 16)
	or(&l.ConnsPerIP, 256)
	or(&l.ConnRatePerIP, 16)
	or(&l.ConnsLow, 192)
	or(&l.ConnsHigh, 384)
	or(&l.Streams, 8192)
	or(&l.StreamsPerPeer, 512)
	or(&l.Memory, 512<<20)
	or(&l.MemoryPerPeer, 256<<20)
	or(&l.FD, 1024)
	return l
}

// List returns the limits in force, defaults filled in.
func (l Limits) List() []Limit {
	l = l.withDefaults()
	return []Limit{
		{"connections", int64(l.Conns)},
		{"connections_inbound", int64(l.ConnsInbound)},
		{"connections_opening", int64(l.ConnsOpening)},
		{"connections_per_peer", int64(l.ConnsPerPeer)},
		{"connections_per_address", int64(l.ConnsPerIP)},
		{"new_connections_per_address_and_second", int64(l.ConnRatePerIP)},
		{"connections_trim_above", int64(l.ConnsHigh)},
		{"connections_trim_to", int64(l.ConnsLow)},
		{"streams", int64(l.Streams)},
		{"streams_per_peer", int64(l.StreamsPerPeer)},
		{"memory_bytes", l.Memory},
		{"memory_per_peer_bytes", l.MemoryPerPeer},
		{"file_descriptors", int64(l.FD)},
	}
}

// manager turns the limits into a resource manager. What is not named here keeps the library's base value, not
// one scaled to the machine, so that the limits are the same everywhere.
func (l Limits) manager() (network.ResourceManager, error) {
	base := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&base)
	n := func(i int) rcmgr.LimitVal { return rcmgr.LimitVal(i) }
	streams, perPeer := n(l.Streams), n(l.StreamsPerPeer)
	mem, memPeer := rcmgr.LimitVal64(l.Memory), rcmgr.LimitVal64(l.MemoryPerPeer)
	conf := rcmgr.PartialLimitConfig{
		System: rcmgr.ResourceLimits{
			Conns: n(l.Conns), ConnsInbound: n(l.ConnsInbound), ConnsOutbound: n(l.Conns),
			Streams: streams, StreamsInbound: streams, StreamsOutbound: streams, Memory: mem, FD: n(l.FD),
		},
		Transient: rcmgr.ResourceLimits{
			Conns: n(l.ConnsOpening), ConnsInbound: n(l.ConnsOpening), ConnsOutbound: n(l.ConnsOpening),
			Streams: 512, StreamsInbound: 256, StreamsOutbound: 512, Memory: 64 << 20, FD: n(l.ConnsOpening),
		},
		PeerDefault: rcmgr.ResourceLimits{
			Conns: n(l.ConnsPerPeer), ConnsInbound: n(l.ConnsPerPeer), ConnsOutbound: n(l.ConnsPerPeer),
			Streams: perPeer, StreamsInbound: perPeer, StreamsOutbound: perPeer, Memory: memPeer, FD: n(l.ConnsPerPeer),
		},
		ProtocolDefault:     rcmgr.ResourceLimits{Streams: streams, StreamsInbound: streams, StreamsOutbound: streams, Memory: mem},
		ProtocolPeerDefault: rcmgr.ResourceLimits{Streams: perPeer, StreamsInbound: perPeer, StreamsOutbound: perPeer, Memory: memPeer},
		Conn:                rcmgr.ResourceLimits{Conns: 1, ConnsInbound: 1, ConnsOutbound: 1, FD: 1, Memory: memPeer},
		Stream:              rcmgr.ResourceLimits{Streams: 1, StreamsInbound: 1, StreamsOutbound: 1, Memory: 2 * maxWindow},
	}
	loop4, loop6 := netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")
	none := int(^uint(0) >> 1)
	perIP := rate.Limit{RPS: l.ConnRatePerIP, Burst: l.ConnsPerIP}
	perSite := rate.Limit{RPS: 4 * l.ConnRatePerIP, Burst: 4 * l.ConnsPerIP}
	rm, err := rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(conf.Build(base.Scale(l.Memory, l.FD))),
		rcmgr.WithMetricsDisabled(),
		rcmgr.WithLimitPerSubnet(
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: l.ConnsPerIP}},
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 64, ConnCount: l.ConnsPerIP}, {PrefixLength: 48, ConnCount: 4 * l.ConnsPerIP}}),
		rcmgr.WithNetworkPrefixLimit(
			[]rcmgr.NetworkPrefixLimit{{Network: loop4, ConnCount: none}},
			[]rcmgr.NetworkPrefixLimit{{Network: loop6, ConnCount: none}}),
		rcmgr.WithConnRateLimiters(&rate.Limiter{
			NetworkPrefixLimits: []rate.PrefixLimit{{Prefix: loop4}, {Prefix: loop6}},
			SubnetRateLimiter: rate.SubnetLimiter{
				IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: perIP}},
				IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 64, Limit: perIP}, {PrefixLength: 48, Limit: perSite}},
				GracePeriod:      time.Minute,
			},
		}))
	if err != nil {
		return nil, fmt.Errorf("make resource manager: %w", err)
	}
	return rm, nil
}
