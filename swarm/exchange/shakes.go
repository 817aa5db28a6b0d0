package exchange

import (
	"net/netip"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// settles is in what time a handshake is over on any usable line: it takes two round trips.
const settles = 2 * time.Second

// shake is a handshake in flight.
type shake struct {
	peer   peer.ID
	from   netip.Prefix // the machine or network, see hostOf
	began  time.Time
	end    func() // makes it fail soon and does not wait
	proven bool   // the proof was right, so its place is not given away
}

// shakes are the handshakes in flight, the oldest first. Its user has the lock and ends what is cut.
//
// New peer ids cost nothing, addresses do. So one address gets only some of the places, and when all are taken a
// new handshake gets that of the oldest from the address that holds most: whoever fills them hurts himself.
type shakes struct {
	limits Limits
	all    []*shake
}

// admit takes a place for x. If there is none, cut has lost its own to x; nothing is cut when x is turned away.
func (s *shakes) admit(x *shake) (cut *shake, ok bool) {
	own, mine := 0, 0
	for _, o := range s.all {
		if o.peer == x.peer {
			own++
		}
		if o.from == x.from {
			mine++
		}
	}
	full := len(s.all) >= s.limits.Handshakes
	switch {
	case own >= s.limits.HandshakesPeer:
		return nil, false
	case mine >= s.limits.HandshakesHost:
		cut = s.oldest(x.from)
	case full:
		var most int
		if cut, most = s.greediest(); most > mine {
			return cut, s.take(x, cut)
		}
	default:
		return nil, s.take(x, nil)
	}
	// Among equals those that are under way go on, so that a crowd of honest ones does not undo itself.
	if cut == nil || x.began.Sub(cut.began) < settles {
		return nil, false
	}
	return cut, s.take(x, cut)
}

func (s *shakes) take(x, cut *shake) bool {
	if cut != nil {
		s.leave(cut)
	}
	s.all = append(s.all, x)
	return true
}

// oldest returns the handshake from a host that may be cut first, nil if there is none.
func (s *shakes) oldest(from netip.Prefix) *shake {
	for _, o := range s.all {
		if o.from == from && !o.proven {
			return o
		}
	}
	return nil
}

// greediest returns what may be cut first of the host that holds most which may be cut, and how much that is.
func (s *shakes) greediest() (first *shake, most int) {
	held := map[netip.Prefix]int{}
	for _, o := range s.all {
		if !o.proven {
			held[o.from]++
			most = max(most, held[o.from])
		}
	}
	for _, o := range s.all {
		if !o.proven && held[o.from] == most {
			return o, most
		}
	}
	return nil, 0
}

// settle notes that the proof of x was right; false: its place has been given away.
func (s *shakes) settle(x *shake) bool {
	for _, o := range s.all {
		if o == x {
			x.proven = true
			return true
		}
	}
	return false
}

// leave gives the place of x back, if it still has it.
func (s *shakes) leave(x *shake) {
	for i, o := range s.all {
		if o == x {
			s.all = slices.Delete(s.all, i, i+1)
			return
		}
	}
}

// hostOf is what one machine or household has of addresses: an IPv4 address, or the first half of an IPv6 address.
// What is neither counts as one.
func hostOf(a ma.Multiaddr) netip.Prefix {
	b, err := manet.ToIP(a)
	ip, ok := netip.AddrFromSlice(b)
	if err != nil || !ok {
		return netip.Prefix{}
	}
	bits := 64
	if ip = ip.Unmap(); ip.Is4() {
		bits = 32
	}
	p, _ := ip.WithZone("").Prefix(bits) // no error: the bits fit the address
	return p
}
