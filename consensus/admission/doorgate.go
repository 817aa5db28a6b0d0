package admission

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// DoorGate guards the door host. Everybody may come; but connections of addresses that open too many are turned away before any
// cryptography, so that a crowd of strangers leaves the machine to those who have something to do here. Safe for concurrent use.
type DoorGate struct {
	now     func() time.Time
	flooded atomic.Int64

	mu    sync.Mutex
	flood flood
}

var _ connmgr.ConnectionGater = (*DoorGate)(nil)

// NewDoorGate makes a gate. now is the clock of its rates.
func NewDoorGate(now func() time.Time) *DoorGate {
	return &DoorGate{now: now, flood: newFlood(rates{doorRate, doorBurst}, rates{throngRate, throngBurst})}
}

// Flooded counts the connections turned away since the gate was made.
func (g *DoorGate) Flooded() int64 { return g.flooded.Load() }

// InterceptPeerDial lets everybody be dialled.
func (g *DoorGate) InterceptPeerDial(peer.ID) bool { return true }

// InterceptAddrDial lets every address be dialled.
func (g *DoorGate) InterceptAddrDial(peer.ID, ma.Multiaddr) bool { return true }

// InterceptAccept turns connections of addresses away that open too many.
func (g *DoorGate) InterceptAccept(c network.ConnMultiaddrs) bool {
	g.mu.Lock()
	ok := g.flood.accept(placeOf(c.RemoteMultiaddr()), g.now())
	g.mu.Unlock()
	if !ok {
		g.flooded.Add(1)
	}
	return ok
}

// InterceptSecured lets everybody in.
func (g *DoorGate) InterceptSecured(network.Direction, peer.ID, network.ConnMultiaddrs) bool {
	return true
}

// InterceptUpgraded lets everybody in.
func (g *DoorGate) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }
