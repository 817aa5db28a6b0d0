package node

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"cairn/swarm/transport"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// mdnsName is the service under which peers find each other on a local network.
const mdnsName = "_cairn._udp"

// keptLAN bounds the peers of the local network that are remembered: anyone there can claim any number of ids.
const keptLAN = 256

// finder knows where peers of the local network are, by mDNS. What it learns is a hint for dialling a peer that a
// ticket names; the dial proves the peer's id.
type finder struct {
	host host.Host
	log  *slog.Logger
	// found hears of every peer that announces itself; nil: nobody does. It must not block.
	found func(peer.ID, []ma.Multiaddr)

	mu    sync.Mutex
	known map[peer.ID][]ma.Multiaddr
	wake  chan struct{}
}

func newFinder(h host.Host, log *slog.Logger) *finder {
	return &finder{host: h, log: log, known: map[peer.ID][]ma.Multiaddr{}, wake: make(chan struct{})}
}

// readdress is how often the host's addresses are compared with those that were announced.
const readdress = time.Second

// run announces this peer and listens for others until ctx ends. A machine without multicast is no error. The service
// announces the addresses of its start for ever, so it is started anew when they change.
func (f *finder) run(ctx context.Context) {
	for ctx.Err() == nil {
		told := f.own()
		s := mdns.NewMdnsService(current{f.host}, mdnsName, f)
		err := s.Start()
		if err != nil {
			f.log.Debug("no mDNS here", "err", err)
		}
		for pause(ctx, readdress) && f.own() == told {
		}
		if err != nil {
			continue // there may be a network now
		}
		if err := s.Close(); err != nil {
			f.log.Debug("stop mDNS", "err", err)
		}
	}
}

// own is where this peer can be reached, as one text.
func (f *finder) own() string { return fmt.Sprint(transport.Dialable(f.host)) }

// current is a host whose interfaces are looked at each time they are asked for.
type current struct{ host.Host }

func (c current) Network() network.Network { return currentNetwork{c.Host.Network(), c.Host} }

type currentNetwork struct {
	network.Network
	host host.Host
}

func (c currentNetwork) InterfaceListenAddresses() ([]ma.Multiaddr, error) {
	return transport.Interfaces(c.host)
}

// addrsLAN bounds the addresses of one of them.
const addrsLAN = 16

// HandlePeerFound implements mdns.Notifee. Anyone on the local network can claim anything of any peer: names to look up
// and addresses of this machine are not believed.
func (f *finder) HandlePeerFound(ai peer.AddrInfo) {
	as := slices.DeleteFunc(slices.Clone(ai.Addrs), func(a ma.Multiaddr) bool { return !plainAddr(a) || manet.IsIPLoopback(a) })
	if ai.ID == f.host.ID() || len(as) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.known[ai.ID]; !ok && len(f.known) >= keptLAN {
		for p := range f.known { // any: they come again
			delete(f.known, p)
			break
		}
	}
	f.known[ai.ID] = as[:min(len(as), addrsLAN)]
	if f.found != nil {
		f.found(ai.ID, f.known[ai.ID])
	}
	close(f.wake)
	f.wake = make(chan struct{})
}

// addrs returns what is known of a peer now.
func (f *finder) addrs(p peer.ID) []ma.Multiaddr {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]ma.Multiaddr(nil), f.known[p]...)
}

// find waits until a peer names addresses other than those in known; nil when ctx ends.
func (f *finder) find(ctx context.Context, p peer.ID, known []ma.Multiaddr) []ma.Multiaddr {
	for {
		f.mu.Lock()
		as, wake := slices.Clone(f.known[p]), f.wake
		f.mu.Unlock()
		if slices.ContainsFunc(as, func(a ma.Multiaddr) bool { return !ma.Contains(known, a) }) {
			return as
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return nil
		}
	}
}

// everybody returns the peers that are known now.
func (f *finder) everybody() map[peer.ID][]ma.Multiaddr {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.known)
}
