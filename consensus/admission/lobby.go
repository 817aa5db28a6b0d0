package admission

import (
	"context"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// How many streams may wait for the admission of their connections.
const (
	maxLobby     = 512
	maxLobbyPeer = 64
)

// lobby counts streams that wait.
type lobby struct {
	mu  sync.Mutex
	all int
	per map[peer.ID]int
}

func (y *lobby) enter(id peer.ID) bool {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.all >= maxLobby || y.per[id] >= maxLobbyPeer {
		return false
	}
	if y.per == nil {
		y.per = map[peer.ID]int{}
	}
	y.all++
	y.per[id]++
	return true
}

func (y *lobby) leave(id peer.ID) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.all--
	if y.per[id]--; y.per[id] == 0 {
		delete(y.per, id)
	}
}

func (y *lobby) count() int {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.all
}

// wait waits until a link is admitted; false: it will not be, in time, or too many wait.
func (y *lobby) wait(ctx context.Context, l *link, most time.Duration) bool {
	select {
	case <-l.admitted:
		return true
	default:
	}
	if !y.enter(l.peer) {
		return false
	}
	defer y.leave(l.peer)
	late := time.NewTimer(most)
	defer late.Stop()
	select {
	case <-l.admitted:
		return true
	case <-l.gone:
	case <-late.C:
	case <-ctx.Done():
	}
	return false
}

// Handle serves a protocol on the member host. A stream that comes before its connection is admitted waits for that, up to 3 s; at most 64 of
// one peer and 512 of all wait, others are reset. h is called only for members in force, and owns the stream then; Run does not
// wait for it.
func (s *Service) Handle(p protocol.ID, h network.StreamHandler) {
	s.cfg.Member.SetStreamHandler(p, func(st network.Stream) {
		life := s.life.Load()
		if life == nil {
			st.Reset()
			return
		}
		l := s.linkOf(st.Conn())
		if !s.lobby.wait(life.ctx, l, s.t.lobby) || !l.isAdmitted() || !s.cfg.Gate.Admits(l.peer) {
			st.Reset()
			if life.ctx.Err() != nil {
				return
			}
			s.refused(Audit{Peer: l.peer, Addr: st.Conn().RemoteMultiaddr().String(), Proto: string(p), Why: "its connection is not admitted"})
			return
		}
		h(st)
	})
}
