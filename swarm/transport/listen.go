package transport

import (
	"errors"
	"fmt"
	"strconv"
	"syscall"

	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
)

// portTries is how often another free port is looked for when TCP got one that UDP can not have.
const portTries = 16

// ListenOn returns the addresses of TCP and QUIC on all interfaces, IPv4 and IPv6, on one port; 0 is any.
func ListenOn(port int) []ma.Multiaddr {
	p := strconv.Itoa(port)
	return []ma.Multiaddr{
		ma.StringCast("/ip4/0.0.0.0/tcp/" + p), ma.StringCast("/ip4/0.0.0.0/udp/" + p + "/quic-v1"),
		ma.StringCast("/ip6/::/tcp/" + p), ma.StringCast("/ip6/::/udp/" + p + "/quic-v1"),
	}
}

// network.Network plus what the swarm can do besides.
type listener interface {
	network.Network
	ListenClose(...ma.Multiaddr)
}

// listen makes net listen on all of addrs, those with port 0 on one free port. With soft, IPv6 addresses may fail
// on a machine that has no IPv6.
func listen(n network.Network, addrs []ma.Multiaddr, soft bool) error {
	net, ok := n.(listener)
	if !ok {
		return errors.New("host's network is not a swarm")
	}
	var err error
	for range portTries {
		port := 0
		var did []ma.Multiaddr
		err = nil
		for _, a := range addrs {
			want, free, bad := withPort(a, port)
			if bad != nil {
				return fmt.Errorf("%w on %s: %w", ErrListen, a, bad)
			}
			before := net.ListenAddresses()
			if err = net.Listen(want); err != nil {
				if isIP6(a) && noIP6(err) && (soft || len(addrs) > 1) {
					err = nil
					continue
				}
				err = fmt.Errorf("%w on %s: %w", ErrListen, want, cause(err))
				if free && port != 0 {
					break // the other transport has this port taken: look for another
				}
				return err
			}
			got := added(before, net.ListenAddresses())
			did = append(did, got...)
			if free && port == 0 && len(got) > 0 {
				port = portOf(got[0])
			}
		}
		if err == nil {
			return nil
		}
		net.ListenClose(did...)
	}
	return err
}

// withPort replaces port 0 by port; free tells that it was 0.
func withPort(a ma.Multiaddr, port int) (out ma.Multiaddr, free bool, err error) {
	if len(a) < 2 {
		return nil, false, errors.New("it has no port")
	}
	if c := a[1].Code(); c != ma.P_TCP && c != ma.P_UDP {
		return nil, false, errors.New("only TCP and QUIC over IP are supported")
	}
	if portOf(a) != 0 {
		return a, false, nil
	}
	c, err := ma.NewComponent(a[1].Protocol().Name, strconv.Itoa(port))
	if err != nil {
		return nil, false, err
	}
	out = append(ma.Multiaddr{a[0], *c}, a[2:]...)
	return out, true, nil
}

func portOf(a ma.Multiaddr) int {
	if len(a) < 2 {
		return 0
	}
	p, _ := strconv.Atoi(a[1].Value())
	return p
}

func added(before, after []ma.Multiaddr) (out []ma.Multiaddr) {
	for _, a := range after {
		if !ma.Contains(before, a) {
			out = append(out, a)
		}
	}
	return out
}

func isIP6(a ma.Multiaddr) bool { return len(a) > 0 && a[0].Code() == ma.P_IP6 }

func noIP6(err error) bool {
	return errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EPROTONOSUPPORT)
}

// cause strips the library's list of one.
func cause(err error) error {
	for {
		switch u := err.(type) {
		case interface{ Unwrap() []error }:
			if l := u.Unwrap(); len(l) == 1 {
				err = l[0]
				continue
			}
		}
		return err
	}
}
