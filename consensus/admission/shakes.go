package admission

import (
	"net/netip"
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
)

// Limits of what strangers have under way at the door.
const (
	maxShakes      = 64
	maxShakesPlace = 8 // of one address, loopback exempt
)

// shakes counts the handshakes in flight. Each is bound by its deadline, so places come back by themselves.
type shakes struct {
	mu  sync.Mutex
	all int
	per map[netip.Prefix]int
}

// enter takes a place for a stream; leave gives it back.
func (s *shakes) enter(st network.Stream) (leave func(), ok bool) {
	from := placeOf(st.Conn().RemoteMultiaddr())
	most := maxShakesPlace
	if from.IsValid() && from.Addr().IsLoopback() {
		most = maxShakes
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= maxShakes || s.per[from] >= most {
		return nil, false
	}
	if s.per == nil {
		s.per = map[netip.Prefix]int{}
	}
	s.all++
	s.per[from]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all--
		if s.per[from]--; s.per[from] == 0 {
			delete(s.per, from)
		}
	}, true
}
