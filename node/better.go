package node

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"cairn/swarm/exchange"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// When a better connection than the present one is looked for.
const (
	betterEvery = 5 * time.Second
	maxSwitches = 3 // of one source in one get: a line that comes and goes must not make us dance
	answerFor   = time.Second
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

// whyThis says what connection a session has and how it came to it.
func (c *contact) whyThis(sess *exchange.Session) string {
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

// mostProbes bounds what is tried at a time, and, of addresses that the peer itself or the local network told, in a minute.
const mostProbes = 8

// budget lets mostProbes pass at once, and then as many in a minute.
type budget struct {
	left float64
	at   time.Time // when left was right; zero: at no time
}

// take tells whether one more passes.
func (b *budget) take(now time.Time) bool {
	if b.at.IsZero() {
		b.left = mostProbes
	}
	b.left = min(b.left+now.Sub(b.at).Minutes()*mostProbes, mostProbes)
	if b.at = now; b.left < 1 {
		return false
	}
	b.left--
	return true
}

// candidates are the addresses under which the peer might be reached in a better way than now, the best first. Only
// TCP can be probed without a libp2p connection.
//
// Those in the ticket are what the user asked for. Others were told by somebody who may want to aim our probes at a
// third party: what the peer says of itself must not be nearer than the peer is, as with introductions (see
// swarm/exchange), what the local network says is never this machine (see finder), and of both there are few in a minute.
//
// An address at which the peer was not found, although something answers there (a private one on another network), is
// not tried again: each try interrupts the download.
func (c *contact) candidates(now ma.Multiaddr) (out []ma.Multiaddr) {
	n, p, w := c.s.n, c.ticket.Peer, wayOf(now)
	given, found, told := c.ticket.Addrs, n.finder.addrs(p), c.host().Peerstore().Addrs(p)
	for _, a := range ma.Unique(slices.Concat(given, found, told)) {
		g := wayOf(a)
		switch {
		case !plainTCP(a) || g >= w || ma.Contains(c.wrong, a):
		case manet.IsIPLoopback(a) && !isHere(now): // it is our own port that would answer
		case ma.Contains(given, a):
			out = append(out, a)
		case ma.Contains(told, a) && !ma.Contains(found, a) && g/2 < w/2:
		default:
			c.s.mu.Lock()
			if c.s.probes.take(n.now()) {
				out = append(out, a)
			}
			c.s.mu.Unlock()
		}
	}
	slices.SortStableFunc(out, func(a, b ma.Multiaddr) int { return int(wayOf(a) - wayOf(b)) })
	return out[:min(len(out), mostProbes)]
}

// isHere tells whether an address is one of this machine.
func isHere(a ma.Multiaddr) bool {
	ip, err := manet.ToIP(a)
	if err != nil || ip.IsLoopback() {
		return err == nil
	}
	own, err := net.InterfaceAddrs()
	return err == nil && slices.ContainsFunc(own, func(o net.Addr) bool { n, ok := o.(*net.IPNet); return ok && n.IP.Equal(ip) })
}

// plainTCP tells whether an address is an IP address of one host and a TCP port, and nothing else.
func plainTCP(a ma.Multiaddr) bool { return plainAddr(a) && len(a) == 2 && a[1].Code() == ma.P_TCP }

// plainAddr tells whether an address is an IP address of one host with a port of TCP or QUIC, and nothing else: no name to
// look up, no relay.
func plainAddr(a ma.Multiaddr) bool {
	if len(a) < 2 || a[0].Code() != ma.P_IP4 && a[0].Code() != ma.P_IP6 {
		return false
	}
	ip, err := manet.ToIP(a)
	if err != nil || ip.IsUnspecified() || ip.IsMulticast() || ip.Equal(net.IPv4bcast) {
		return false
	}
	return len(a) == 2 && a[1].Code() == ma.P_TCP || len(a) == 3 && a[1].Code() == ma.P_UDP && a[2].Code() == ma.P_QUIC_V1
}

// improve looks for a better way to a source and, when there is one, lets the session finish what is on its way and
// closes the connection, so that the next dial takes that way. libp2p holds one direct connection to a peer at a time.
func (c *contact) improve(ctx context.Context, src *source) bool {
	now, err := ma.NewMultiaddr(src.Addr())
	if err != nil {
		return false
	}
	better := firstToAnswer(ctx, c.candidates(now))
	if better == nil {
		return false
	}
	c.s.n.log.Info("better connection found", "part", "swarm", "peer", src.Peer(), "address", better, "instead", src.Addr())
	src.leave(ctx)
	if ctx.Err() != nil {
		return false
	}
	c.redialAt(better, wayOf(now))
	return true
}

// firstToAnswer probes all at a time, and returns the first of the list at which something listens.
func firstToAnswer(ctx context.Context, as []ma.Multiaddr) ma.Multiaddr {
	yes := make([]bool, len(as))
	var wg sync.WaitGroup
	for i, a := range as {
		wg.Go(func() { yes[i] = answers(ctx, a) })
	}
	wg.Wait()
	if i := slices.Index(yes, true); i >= 0 {
		return as[i]
	}
	return nil
}

// redialAt makes the next dial take one address alone: with others at hand libp2p would choose by its own order.
func (c *contact) redialAt(a ma.Multiaddr, was way) {
	h, p := c.host(), c.ticket.Peer
	c.s.n.closePeer(h, p)
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
	ctx, cancel := context.WithTimeout(ctx, answerFor)
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
// at once instead of waiting for time-outs.
func (n *Node) staleConns() {
	have, err := net.InterfaceAddrs()
	if err != nil || len(have) == 0 {
		return
	}
	for _, h := range n.hosts() {
		for _, c := range h.Network().Conns() {
			if !stale(c.LocalMultiaddr(), have) {
				continue
			}
			n.log.Info("address gone, closing connection", "part", "swarm", "peer", c.RemotePeer(), "address", c.LocalMultiaddr())
			if err := c.Close(); err != nil {
				n.log.Debug("close connection", "part", "swarm", "err", err)
			}
		}
	}
}

// stale tells whether a connection's own address is none of those that this machine has. Of a QUIC connection the
// socket may have all of them; then it is not known.
func stale(local ma.Multiaddr, have []net.Addr) bool {
	ip, err := manet.ToIP(local)
	if err != nil || ip.IsUnspecified() || ip.IsLoopback() {
		return false
	}
	return !slices.ContainsFunc(have, func(a net.Addr) bool {
		ipn, ok := a.(*net.IPNet)
		return ok && ipn.IP.Equal(ip)
	})
}

// closePeer closes the connections of a host to a peer.
func (n *Node) closePeer(h host.Host, p peer.ID) {
	if err := h.Network().ClosePeer(p); err != nil {
		n.log.Debug("close connection", "part", "swarm", "peer", p, "err", err)
	}
}
