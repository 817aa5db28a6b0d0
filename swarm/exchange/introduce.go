package exchange

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"cairn/swarm/exchange/pb"
	"cairn/swarm/ticket"
)

// Limits of introductions.
const (
	peersFrame = 8  // peers in a frame
	peersAll   = 64 // in a session
	peersAgain = 4  // times that one peer is named in a session, because it came back
	addrsPeer  = 2  // addresses of a peer
	maxPeerID  = 64 // bytes of a peer id
	maxAddr    = 64 // bytes of an address
)

// Introduction names another downloader with the same ticket.
type Introduction struct {
	ID    peer.ID
	Addrs []ma.Multiaddr // as the source sees it, at least one
}

// circles are the sessions that said Swarm, by ticket, in the order in which they did. The zero value is ready.
type circles struct {
	mu sync.Mutex
	m  map[ticket.KeyID][]*session
}

// join adds a session to its circle, unless the ticket has none.
func (c *circles) join(ss *session, m *pb.Swarm) error {
	if m.Tcp > math.MaxUint16 || m.Udp > math.MaxUint16 {
		return fmt.Errorf("%w: ports %d and %d", ErrProtocol, m.Tcp, m.Udp)
	}
	addrs := dialable(ss.st.Conn().RemoteMultiaddr(), uint16(m.Tcp), uint16(m.Udp))
	c.mu.Lock()
	defer c.mu.Unlock()
	if ss.asked {
		return fmt.Errorf("%w: swarm said twice", ErrProtocol)
	}
	ss.asked, ss.addrs = true, addrs
	if ss.info.NoSwarm {
		return nil
	}
	if c.m == nil {
		c.m = map[ticket.KeyID][]*session{}
	}
	c.m[ss.key] = append(c.m[ss.key], ss)
	ss.swarm.Store(true)
	for _, o := range c.m[ss.key] {
		select {
		case o.met <- struct{}{}:
		default:
		}
	}
	return nil
}

// leave takes a session out; from then on it is named to nobody.
func (c *circles) leave(ss *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !ss.swarm.Load() {
		return
	}
	rest := slices.DeleteFunc(c.m[ss.key], func(o *session) bool { return o == ss })
	if c.m[ss.key] = rest; len(rest) == 0 {
		delete(c.m, ss.key)
	}
}

// told is what a session knows of one peer.
type told struct {
	last  uint64 // the latest session of the peer that it was told of
	times int    // it was named
}

// unmet picks peers that a session has not been told of since they came, with addresses that are of use to it, and
// notes in known that it is told.
func (c *circles) unmet(ss *session, known map[peer.ID]told, most int) (out []*pb.Peers_Peer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := map[peer.ID]*pb.Peers_Peer{}
	near := reachOf(ss.st.Conn().RemoteMultiaddr())
	for _, o := range slices.Backward(c.m[ss.key]) { // the latest address of a peer first
		p := o.info.Peer
		k := known[p]
		if p == ss.info.Peer || at[p] == nil && (o.info.ID <= k.last || k.times == peersAgain) {
			continue
		}
		if len(o.addrs) == 0 || reachOf(o.addrs[0]) > near {
			continue
		}
		if at[p] == nil {
			if len(out) == most {
				continue
			}
			at[p] = &pb.Peers_Peer{Id: []byte(p)}
			out = append(out, at[p])
			known[p] = told{o.info.ID, k.times + 1}
		}
		for _, a := range o.addrs {
			if b := a.Bytes(); len(at[p].Addr) < addrsPeer && !slices.ContainsFunc(at[p].Addr, func(x []byte) bool { return string(x) == string(b) }) {
				at[p].Addr = append(at[p].Addr, b)
			}
		}
	}
	return out
}

// introduce tells the client of others until the session ends. What it says was true a moment before it is sent.
func (p *pipeline) introduce(ctx context.Context) {
	ss := p.ss
	known := map[peer.ID]told{}
	for left := peersAll; left > 0; {
		select {
		case <-ss.met:
		case <-ctx.Done():
			return
		}
		for left > 0 && ss.mayMeet() {
			some := ss.srv.circles.unmet(ss, known, min(left, peersFrame))
			if len(some) == 0 {
				break
			}
			left -= len(some)
			if !p.aside(ctx, message(kindPeers, &pb.Peers{Peers: some})) || !pause(ctx, ss.srv.cfg.Timeouts.Introduce) {
				return
			}
		}
	}
}

// mayMeet tells whether the ticket still lets downloaders know of each other.
func (ss *session) mayMeet() bool {
	g, ok := ss.srv.cfg.Rights.Lookup(ss.key)
	return ok && g.State == nil && !g.NoSwarm && ss.swarm.Load()
}

// dialable returns under which addresses a peer may be dialled that is seen at an address and says on which ports it
// listens. The IP address is always the one that is seen, so a peer can only lead others to itself. TCP connections
// come from a port of their own; those of QUIC from the one that listens, which a NAT may have changed.
func dialable(seen ma.Multiaddr, tcp, udp uint16) (out []ma.Multiaddr) {
	if reachOf(seen) == nowhere {
		return nil
	}
	with := func(f string, port uint16) {
		if rest := ma.StringCast(fmt.Sprintf(f, port)); port != 0 {
			out = append(out, seen[:1:1].Encapsulate(rest))
		}
	}
	with("/tcp/%d", tcp)
	if len(seen) == 3 && udp != 0 {
		return append(out, seen)
	}
	with("/udp/%d/quic-v1", udp)
	return out
}

// listens returns the ports on which a host can be reached at the local address of a connection, 0 for none.
func listens(h host.Host, local ma.Multiaddr) (tcp, udp uint16) {
	here, _ := manet.ToIP(local)
	for _, a := range h.Network().ListenAddresses() {
		ip, err := manet.ToIP(a)
		if err != nil || len(a) < 2 || len(a[1].RawValue()) != 2 || !ip.IsUnspecified() && !ip.Equal(here) {
			continue
		}
		switch n := binary.BigEndian.Uint16(a[1].RawValue()); {
		case len(a) == 2 && a[1].Code() == ma.P_TCP:
			tcp = n
		case len(a) == 3 && a[1].Code() == ma.P_UDP && a[2].Code() == ma.P_QUIC_V1:
			udp = n
		}
	}
	return tcp, udp
}

// reach says from where an address can be dialled, nearest last.
type reach int

const (
	nowhere  reach = iota // not the plain address of one host
	anywhere              // from the whole internet, as far as the address tells
	nearby                // from the same private network or link
	same                  // from the same machine
)

// reachOf judges an address: an ip4 or ip6 address with a TCP port or QUIC v1, and nothing else, names a host.
func reachOf(a ma.Multiaddr) reach {
	if len(a) < 2 || len(a) > 3 {
		return nowhere
	}
	ip, ok := netip.AddrFromSlice(a[0].RawValue())
	if c := a[0].Code(); !ok || c != ma.P_IP4 && c != ma.P_IP6 {
		return nowhere
	}
	tcp := len(a) == 2 && a[1].Code() == ma.P_TCP
	quic := len(a) == 3 && a[1].Code() == ma.P_UDP && a[2].Code() == ma.P_QUIC_V1
	if port := a[1].RawValue(); !tcp && !quic || len(port) != 2 || port[0]|port[1] == 0 {
		return nowhere
	}
	ip = ip.Unmap() // or ::ffff:127.0.0.1 would be a public address
	all := ip.As16()
	v4 := all[12:]
	switch {
	case ip.IsUnspecified(), ip.IsMulticast(), ip.Is4() && (v4[0] == 0 || v4[0] >= 240):
		return nowhere
	case ip.IsLoopback():
		return same
	case ip.IsPrivate(), ip.IsLinkLocalUnicast(), ip.Is4() && v4[0] == 100 && v4[1]&0xc0 == 64: // behind a carrier's NAT
		return nearby
	}
	return anywhere
}

// introductions checks what a source at an address says of others. What a source can not know to be of no use here
// is passed over: it may see everyone through a forwarder on its own machine or network. Everything else that is
// not as it should be is a violation.
func introductions(m *pb.Peers, self, source peer.ID, from ma.Multiaddr) ([]Introduction, error) {
	if n := len(m.Peers); n == 0 || n > peersFrame {
		return nil, fmt.Errorf("%w: %d peers introduced at a time", ErrProtocol, n)
	}
	near := reachOf(from)
	var out []Introduction
	for _, p := range m.Peers {
		if len(p.Id) > maxPeerID || len(p.Addr) == 0 || len(p.Addr) > addrsPeer {
			return nil, fmt.Errorf("%w: introduced a peer with an id of %d bytes and %d addresses", ErrProtocol, len(p.Id), len(p.Addr))
		}
		id, err := peer.IDFromBytes(p.Id)
		if err != nil || id == self || id == source {
			return nil, fmt.Errorf("%w: introduced no other peer", ErrProtocol)
		}
		in := Introduction{ID: id}
		for _, b := range p.Addr {
			if len(b) > maxAddr {
				return nil, fmt.Errorf("%w: introduced an address of %d bytes", ErrProtocol, len(b))
			}
			a, err := ma.NewMultiaddrBytes(b)
			r := reachOf(a)
			if err != nil || r == nowhere {
				return nil, fmt.Errorf("%w: introduced an address that is not that of a host", ErrProtocol)
			}
			if r <= near {
				in.Addrs = append(in.Addrs, a)
			}
		}
		if len(in.Addrs) > 0 {
			out = append(out, in)
		}
	}
	return out, nil
}
