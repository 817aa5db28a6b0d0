package node

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
	ma "github.com/multiformats/go-multiaddr"
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

	mu    sync.Mutex
	known map[peer.ID][]ma.Multiaddr
	wake  chan struct{}
}

func newFinder(h host.Host, log *slog.Logger) *finder {
	return &finder{host: h, log: log, known: map[peer.ID][]ma.Multiaddr{}, wake: make(chan struct{})}
}

// run announces this peer and listens for others until ctx ends. A machine without multicast is no error.
func (f *finder) run(ctx context.Context) {
	s := mdns.NewMdnsService(f.host, mdnsName, f)
	if err := s.Start(); err != nil {
		f.log.Debug("no mDNS here", "err", err)
		return
	}
	<-ctx.Done()
	if err := s.Close(); err != nil {
		f.log.Debug("stop mDNS", "err", err)
	}
}

// HandlePeerFound implements mdns.Notifee.
func (f *finder) HandlePeerFound(ai peer.AddrInfo) {
	if ai.ID == f.host.ID() {
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
	f.known[ai.ID] = ai.Addrs[:min(len(ai.Addrs), 16)]
	close(f.wake)
	f.wake = make(chan struct{})
}

// addrs returns what is known of a peer now.
func (f *finder) addrs(p peer.ID) []ma.Multiaddr {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]ma.Multiaddr(nil), f.known[p]...)
}

// find waits up to d for a peer to name itself.
func (f *finder) find(ctx context.Context, p peer.ID, d time.Duration) []ma.Multiaddr {
	t := time.NewTimer(d)
	defer t.Stop()
	for {
		f.mu.Lock()
		as, wake := append([]ma.Multiaddr(nil), f.known[p]...), f.wake
		f.mu.Unlock()
		if len(as) > 0 {
			return as
		}
		select {
		case <-wake:
		case <-t.C:
			return nil
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
