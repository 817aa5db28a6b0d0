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

	"cairn/consensus/membership"
)

// Gate guards the member host: it lets in, and out, only connections with members in force. It is made before the host, and refuses
// everybody until a Service uses it. Safe for concurrent use.
type Gate struct {
	now     func() time.Time
	book    atomic.Pointer[judge]
	refused atomic.Int64
	flooded atomic.Int64

	mu    sync.Mutex
	flood flood
}

var _ connmgr.ConnectionGater = (*Gate)(nil)

// judge is what a gate asks.
type judge struct {
	book   *membership.Book
	now    func() time.Time
	refuse func(id peer.ID, addr string) // returns at once
}

// NewGate makes a gate. now is the clock of its rates.
func NewGate(now func() time.Time) *Gate {
	return &Gate{now: now, flood: newFlood(rates{floodRate, floodBurst}, rates{crowdRate, crowdBurst})}
}

// Use opens the gate for the members of a book, judged at the gate's time. New does so with a clock that has a floor.
func (g *Gate) Use(book *membership.Book) {
	g.use(&judge{book: book, now: g.now, refuse: func(peer.ID, string) {}})
}

func (g *Gate) use(j *judge) { g.book.Store(j) }

// Admits tells whether a peer is a member in force now.
func (g *Gate) Admits(id peer.ID) bool {
	j := g.book.Load()
	return j != nil && j.book.Peer(id, j.now()).State == membership.StateValid
}

// GateStats counts since the gate was made.
type GateStats struct {
	Refused int64 // connections of peers that are no members in force
	Flooded int64 // connections turned away before any cryptography, because their address opened too many
}

// Stats returns the counters.
func (g *Gate) Stats() GateStats { return GateStats{g.refused.Load(), g.flooded.Load()} }

// InterceptPeerDial lets only members be dialled.
func (g *Gate) InterceptPeerDial(p peer.ID) bool { return g.Admits(p) }

// InterceptAddrDial lets every address of a member be dialled.
func (g *Gate) InterceptAddrDial(peer.ID, ma.Multiaddr) bool { return true }

// InterceptAccept turns connections of addresses away that open too many.
func (g *Gate) InterceptAccept(c network.ConnMultiaddrs) bool {
	g.mu.Lock()
	ok := g.flood.accept(placeOf(c.RemoteMultiaddr()), g.now())
	g.mu.Unlock()
	if !ok {
		g.flooded.Add(1)
	}
	return ok
}

// InterceptSecured lets only members in, now that it is certain who the other is.
func (g *Gate) InterceptSecured(dir network.Direction, p peer.ID, c network.ConnMultiaddrs) bool {
	if g.Admits(p) {
		if dir == network.DirInbound {
			g.mu.Lock()
			g.flood.known(placeOf(c.RemoteMultiaddr()), g.now())
			g.mu.Unlock()
		}
		return true
	}
	g.refused.Add(1)
	if j := g.book.Load(); j != nil && dir == network.DirInbound {
		j.refuse(p, c.RemoteMultiaddr().String())
	}
	return false
}

// InterceptUpgraded asks once more: a revocation may have come since.
func (g *Gate) InterceptUpgraded(c network.Conn) (bool, control.DisconnectReason) {
	return g.Admits(c.RemotePeer()), 0
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
