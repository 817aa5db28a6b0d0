package transport

import (
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Delays between the steps of dialling private addresses. A peer on the same network answers within a few
// milliseconds, but one behind a full socket queue or a sleeping radio may need more, and QUIC winning costs
// more than waiting.
const (
	tcpStep   = 50 * time.Millisecond
	quicDelay = 500 * time.Millisecond
)

// rank orders dials: loopback TCP at once, then other private TCP addresses, private QUIC only when those have
// had time to answer (over TCP bytes move about four times as fast between machines that reach each other
// directly); public addresses as libp2p orders them, QUIC first, because NATs are in the way there.
func rank(addrs []ma.Multiaddr) []network.AddrDelay {
	var out []network.AddrDelay
	var near, rest []ma.Multiaddr
	loopback := false
	for _, a := range addrs {
		switch {
		case manet.IsIPLoopback(a) && isTCP(a):
			out = append(out, network.AddrDelay{Addr: a})
			loopback = true
		case manet.IsPrivateAddr(a) || manet.IsIPLoopback(a) || manet.IsIP6LinkLocal(a):
			near = append(near, a)
		default:
			rest = append(rest, a)
		}
	}
	first := time.Duration(0)
	if loopback {
		first = tcpStep // a loopback address that leads to the peer answers at once; any other refuses at once
	}
	tcp := false
	for _, a := range near {
		if isTCP(a) {
			out, tcp = append(out, network.AddrDelay{Addr: a, Delay: first}), true
		}
	}
	quicAt := first
	if tcp || loopback {
		quicAt += quicDelay
	}
	for _, a := range near {
		if !isTCP(a) {
			out = append(out, network.AddrDelay{Addr: a, Delay: quicAt})
		}
	}
	later := time.Duration(0)
	if len(out) > 0 {
		later = first + tcpStep // a direct way is better than the one through the router
	}
	for _, d := range swarm.DefaultDialRanker(rest) {
		d.Delay += later
		out = append(out, d)
	}
	return out
}

func isTCP(a ma.Multiaddr) bool {
	_, err := a.ValueForProtocol(ma.P_TCP)
	return err == nil
}
