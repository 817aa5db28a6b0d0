package exchange

import (
	"sync"
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/peer"
)

// maxMetered is the number of peers that a Meter tells apart.
const maxMetered = 1024

// Traffic is bytes of this protocol since the meter was made, headers included.
type Traffic struct {
	Up, Down int64 // sent, received
}

type counter struct{ up, down atomic.Int64 }

func (c *counter) traffic() Traffic { return Traffic{Up: c.up.Load(), Down: c.down.Load()} }

// Meter counts bytes per peer and in total. Beyond maxMetered peers the rest share one counter under the empty
// peer id. The zero Meter is ready. Safe for concurrent use.
type Meter struct {
	all   counter
	mu    sync.Mutex
	peers map[peer.ID]*counter
}

// Total returns the bytes of all peers.
func (m *Meter) Total() Traffic { return m.all.traffic() }

// Peer returns the bytes of one peer.
func (m *Meter) Peer(p peer.ID) Traffic {
	m.mu.Lock()
	c := m.peers[p]
	m.mu.Unlock()
	if c == nil {
		return Traffic{}
	}
	return c.traffic()
}

// Peers returns the bytes of every peer that is told apart.
func (m *Meter) Peers() map[peer.ID]Traffic {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make(map[peer.ID]Traffic, len(m.peers))
	for p, c := range m.peers {
		out[p] = c.traffic()
	}
	return out
}

func (m *Meter) of(p peer.ID) *counter {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.peers == nil {
		m.peers = map[peer.ID]*counter{}
	}
	if m.peers[p] == nil && len(m.peers) >= maxMetered {
		p = ""
	}
	if m.peers[p] == nil {
		m.peers[p] = &counter{}
	}
	return m.peers[p]
}
