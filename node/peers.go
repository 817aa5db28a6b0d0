package node

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"cairn/swarm/exchange"
	"cairn/swarm/ticket"
	"cairn/web/api"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// peerRates turns the exchange's totals into rates, in total and per peer.
type peerRates struct {
	meter *exchange.Meter

	mu       sync.Mutex
	up, down meter
	rates    api.Rates
	peers    map[peer.ID]*peerRate
	known    int
}

type peerRate struct {
	up, down       meter
	upBPS, downBPS int64
}

func newPeerRates(m *exchange.Meter) *peerRates {
	return &peerRates{meter: m, peers: map[peer.ID]*peerRate{}}
}

func (p *peerRates) tick(now time.Time) api.Rates {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.meter.Total()
	p.rates = api.Rates{DownBPS: p.down.tick(now, t.Down), UpBPS: p.up.tick(now, t.Up), DownTotal: t.Down, UpTotal: t.Up}
	for id, t := range p.meter.Peers() {
		r := p.peers[id]
		if r == nil {
			r = &peerRate{}
			p.peers[id] = r
		}
		r.upBPS, r.downBPS = r.up.tick(now, t.Up), r.down.tick(now, t.Down)
	}
	return p.rates
}

func (p *peerRates) current() api.Rates {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rates
}

func (p *peerRates) of(id peer.ID) (up, down int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.peers[id]; r != nil {
		return r.upBPS, r.downBPS
	}
	return 0, 0
}

// changed tells whether the number of connections is another than at the last call.
func (p *peerRates) changed(hosts []host.Host) bool {
	n := 0
	for _, h := range hosts {
		n += len(h.Network().Conns())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.known
	p.known = n
	return n != was
}

// connected lists the connections, one per peer.
func (n *Node) connected() []api.PeerInfo {
	out := []api.PeerInfo{}
	for _, h := range n.hosts() {
		for _, id := range h.Network().Peers() {
			c := n.connection(h, id)
			if c == nil {
				continue
			}
			t := n.meter.Peer(id)
			out = append(out, api.PeerInfo{PeerID: id.String(), Member: n.memberName(id), Address: c.Address, Direction: c.Direction,
				Transport: c.Transport, Since: c.Since, RTTMillis: c.RTTMillis, UpBPS: c.UpBPS, DownBPS: c.DownBPS, UpBytes: t.Up, DownBytes: t.Down})
		}
	}
	return out
}

// connection describes how a host is connected to a peer; nil: it is not.
func (n *Node) connection(h host.Host, id peer.ID) *api.Connection {
	cs := h.Network().ConnsToPeer(id)
	if len(cs) == 0 {
		return nil
	}
	c := cs[0]
	v := &api.Connection{Address: c.RemoteMultiaddr().String(), Direction: "inbound", Transport: "other", Since: c.Stat().Opened.UTC(),
		RTTMillis: float64(h.Peerstore().LatencyEWMA(id).Microseconds()) / 1000}
	if c.Stat().Direction == network.DirOutbound {
		v.Direction = "outbound"
	}
	switch t := c.ConnState().Transport; t {
	case "tcp", "quic-v1":
		v.Transport = t
	}
	v.UpBPS, v.DownBPS = n.peers.of(id)
	return v
}

// Peers lists the connected peers.
func (n *Node) Peers(context.Context) ([]api.PeerInfo, error) { return n.connected(), nil }

// listening is where the host listens, as it was bound.
func listening(h host.Host) (out []string) {
	for _, a := range h.Network().ListenAddresses() {
		out = append(out, a.String())
	}
	return out
}

// dial opens a session with a ticket's peer. When the local network names other addresses of it meanwhile, or soon
// after none has answered, those are dialled as well: it may have moved.
func (n *Node) dial(ctx context.Context, t ticket.Ticket) (*exchange.Session, error) {
	if t.Open() {
		return n.dialAt(ctx, t) // who keeps the members connected knows where they are
	}
	t.Addrs = slices.Concat(n.finder.addrs(t.Peer), t.Addrs)
	if !n.cfg.MDNS {
		return n.dialAt(ctx, t)
	}
	look, stop := context.WithCancel(ctx)
	defer stop()
	type outcome struct {
		sess *exchange.Session
		err  error
	}
	first := make(chan outcome, 1)
	go func() {
		sess, err := n.dialAt(look, t)
		first <- outcome{sess, err}
	}()
	moved := make(chan []ma.Multiaddr, 1)
	go func() { moved <- n.finder.find(look, t.Peer, t.Addrs) }()
	var o outcome
	var fresh []ma.Multiaddr
	select {
	case o = <-first:
		if !errors.Is(o.err, exchange.ErrUnreachable) {
			return o.sess, o.err
		}
		wait := time.AfterFunc(lanWait, stop)
		fresh = <-moved
		wait.Stop()
	case fresh = <-moved:
		stop()
		if o = <-first; o.err == nil {
			return o.sess, nil
		}
	}
	if len(fresh) == 0 || ctx.Err() != nil {
		return nil, o.err
	}
	t.Addrs = fresh
	return n.dialAt(ctx, t)
}

func (n *Node) dialAt(ctx context.Context, t ticket.Ticket) (*exchange.Session, error) {
	return exchange.Dial(ctx, n.hostFor(t.Open()), t, exchange.ClientConfig{Pool: n.pool, Meter: n.meter, Shape: n.shape, Log: n.log.With("part", "exchange")})
}

// lanWait is how long a peer on the local network has to answer a call by mDNS.
const lanWait = 2 * time.Second
