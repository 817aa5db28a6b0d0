package node

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"cairn/swarm/exchange"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// When a better connection than the present one is looked for.
const (
	betterEvery = 5 * time.Second
	maxSwitches = 3 // of one source in one get: a line that comes and goes must not make us dance
	probeFor    = time.Second
)

// way is what kind of connection an address makes, the best first. TCP moves bytes about four times as fast as QUIC
// between machines that reach each other directly.
type way int

const (
	thisMachineTCP way = iota
	thisMachineQUIC
	localTCP
	localQUIC
	publicTCP
	publicQUIC
	relayed
	noWay
)

func wayOf(a ma.Multiaddr) way {
	_, err := a.ValueForProtocol(ma.P_CIRCUIT)
	if err == nil {
		return relayed
	}
	w := publicTCP
	switch {
	case manet.IsIPLoopback(a):
		w = thisMachineTCP
	case manet.IsPrivateAddr(a) || manet.IsIP6LinkLocal(a):
		w = localTCP
	}
	if _, err := a.ValueForProtocol(ma.P_QUIC_V1); err == nil {
		return w + 1
	}
	if _, err := a.ValueForProtocol(ma.P_TCP); err == nil {
		return w
	}
	return noWay
}

func (w way) String() string {
	switch w {
	case thisMachineTCP:
		return "TCP on this machine"
	case thisMachineQUIC:
		return "QUIC on this machine"
	case localTCP:
		return "TCP on the local network"
	case localQUIC:
		return "QUIC on the local network"
	case publicTCP:
		return "TCP over the internet"
	case publicQUIC:
		return "QUIC over the internet"
	case relayed:
		return "through a relay"
	}
	return "another kind of connection"
}

// why says what connection a session has and how it came to it.
func (c *contact) why(sess *exchange.Session) string {
	a, err := ma.NewMultiaddr(sess.Addr())
	if err != nil {
		return noWay.String()
	}
	w := wayOf(a)
	switch {
	case c.moved != noWay && w < c.moved:
		return fmt.Sprintf("%s: moved from %s, which is slower", w, c.moved)
	case w == localQUIC || w == thisMachineQUIC:
		return fmt.Sprintf("%s: TCP did not answer in time", w)
	case w == publicQUIC:
		return fmt.Sprintf("%s: it answered before TCP", w)
	case c.origin == fromSource:
		return fmt.Sprintf("%s: introduced by a source", w)
	case c.origin == fromNetwork:
		return fmt.Sprintf("%s: found there", w)
	}
	return fmt.Sprintf("%s: the fastest way that answered", w)
}

// candidates are the addresses under which the peer might be reached in a better way than w, the best first.
func (c *contact) candidates(w way) []ma.Multiaddr {
	n := c.s.n
	p := c.ticket.Peer
	all := slices.Concat(c.ticket.Addrs, n.finder.addrs(p), n.host.Peerstore().Addrs(p))
	all = slices.DeleteFunc(ma.Unique(all), func(a ma.Multiaddr) bool {
		g := wayOf(a)
		return g >= w || g%2 != 0 || manet.IsIPUnspecified(a) // only TCP can be probed without a libp2p connection
	})
	slices.SortStableFunc(all, func(a, b ma.Multiaddr) int { return int(wayOf(a) - wayOf(b)) })
	return all[:min(len(all), 8)]
}

// improve looks for a better way to a source and, when there is one, lets the session finish what is on its way and
// closes the connection, so that the next dial takes that way. libp2p holds one direct connection to a peer at a time.
func (c *contact) improve(ctx context.Context, src *source) bool {
	a, err := ma.NewMultiaddr(src.Addr())
	if err != nil {
		return false
	}
	now := wayOf(a)
	for _, better := range c.candidates(now) {
		if !answers(ctx, better) {
			continue
		}
		n := c.s.n
		n.log.Info("better connection found", "part", "swarm", "peer", src.Peer(), "address", better, "instead", src.Addr())
		src.leave(ctx)
		if ctx.Err() != nil {
			return false
		}
		c.redialAt(better, now)
		return true
	}
	return false
}

// redialAt makes the next dial take one address alone: with others at hand libp2p would choose by its own order.
func (c *contact) redialAt(a ma.Multiaddr, was way) {
	h, p := c.s.n.host, c.ticket.Peer
	if err := h.Network().ClosePeer(p); err != nil {
		c.s.n.log.Debug("close connection", "part", "swarm", "peer", p, "err", err)
	}
	h.Peerstore().ClearAddrs(p)
	h.Peerstore().AddAddrs(p, []ma.Multiaddr{a}, peerstore.TempAddrTTL)
	c.only, c.moved = a, was
}

// answers tells whether something listens at a TCP address. That it is the peer is proved by the dial.
func answers(ctx context.Context, a ma.Multiaddr) bool {
	network, host, err := manet.DialArgs(a)
	if err != nil || !strings.HasPrefix(network, "tcp") {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, probeFor)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, host)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// staleConns closes connections whose own address this machine has no more, so that both ends find each other anew
// at once instead of waiting for time-outs. It returns the peers concerned.
func (n *Node) staleConns() (gone []peer.ID) {
	as, err := net.InterfaceAddrs()
	if err != nil || len(as) == 0 {
		return nil
	}
	have := map[string]bool{}
	for _, a := range as {
		if ipn, ok := a.(*net.IPNet); ok {
			have[ipn.IP.String()] = true
		}
	}
	for _, c := range n.host.Network().Conns() {
		ip, err := manet.ToIP(c.LocalMultiaddr())
		if err != nil || ip.IsUnspecified() || ip.IsLoopback() || have[ip.String()] {
			continue
		}
		n.log.Info("address gone, closing connection", "part", "swarm", "peer", c.RemotePeer(), "address", c.LocalMultiaddr())
		gone = append(gone, c.RemotePeer())
		if err := c.Close(); err != nil {
			n.log.Debug("close connection", "part", "swarm", "err", err)
		}
	}
	return gone
}
