package transport

import (
	"fmt"
	"slices"

	"github.com/libp2p/go-libp2p/core/host"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Dialable returns the addresses under which others may reach h, best first: unspecified ones resolved to those
// of the interfaces, TCP and QUIC of one address and port beside each other, private and public IPv4, then
// IPv6, then link-local left out (they need a zone that means nothing elsewhere). Loopback addresses come last,
// so that a ticket also works on this machine; without any network they are all there is.
func Dialable(h host.Host) []ma.Multiaddr {
	addrs := h.Addrs()
	if own, err := Interfaces(h); err == nil {
		addrs = append(own, addrs...) // what others have observed comes after what is known
	}
	addrs = slices.DeleteFunc(ma.Unique(slices.Clone(addrs)), func(a ma.Multiaddr) bool {
		return manet.IsIPUnspecified(a) || manet.IsIP6LinkLocal(a)
	})
	slices.SortStableFunc(addrs, func(a, b ma.Multiaddr) int { return grade(a) - grade(b) })
	// Bring pairs together without losing the order.
	var out []ma.Multiaddr
	for len(addrs) > 0 {
		first := addrs[0]
		out = append(out, first)
		addrs = addrs[1:]
		if i := slices.IndexFunc(addrs, func(a ma.Multiaddr) bool { return samePlace(first, a) }); i >= 0 {
			out = append(out, addrs[i])
			addrs = slices.Delete(slices.Clone(addrs), i, i+1)
		}
	}
	return out
}

// Interfaces returns the addresses on which h listens, unspecified ones resolved to those of the interfaces as they are
// now. The host's own answer is up to a minute old.
func Interfaces(h host.Host) ([]ma.Multiaddr, error) {
	now, err := manet.InterfaceMultiaddrs()
	if err != nil {
		return nil, fmt.Errorf("look at the interfaces: %w", err)
	}
	out, err := manet.ResolveUnspecifiedAddresses(h.Network().ListenAddresses(), now)
	if err != nil {
		return nil, fmt.Errorf("resolve listening addresses: %w", err)
	}
	return out, nil
}

// grade sorts: lower is better.
func grade(a ma.Multiaddr) int {
	g := 0
	if manet.IsIPLoopback(a) {
		g += 8
	}
	if isIP6(a) {
		g += 4
	}
	if !isTCP(a) {
		g++
	}
	return g
}

// samePlace tells whether two addresses have one IP address and port.
func samePlace(a, b ma.Multiaddr) bool {
	return len(a) >= 2 && len(b) >= 2 && a[0].Equal(&b[0]) && a[1].Value() == b[1].Value()
}
