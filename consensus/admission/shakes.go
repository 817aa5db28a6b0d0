package admission

import (
	"net/netip"
	"slices"
	"sync"

	ma "github.com/multiformats/go-multiaddr"
)

// Limits of what strangers have under way at the door.
const (
	maxShakes      = 64
	maxShakesPlace = 8 // of one address, loopback exempt
)

// shake is a handshake in flight.
type shake struct {
	from netip.Prefix
	end  func() // makes it fail soon and does not wait
}

// shakes are the handshakes in flight, the oldest first. Each is bound by its deadline; when all places are taken, a new one gets that of the oldest
// from the address that holds most, so that whoever fills them hurts himself.
type shakes struct {
	mu  sync.Mutex
	all []*shake
}

// enter takes a place; leave gives it back.
func (s *shakes) enter(addr ma.Multiaddr, end func()) (leave func(), ok bool) {
	x := &shake{from: placeOf(addr), end: end}
	most := maxShakesPlace
	if x.from.IsValid() && x.from.Addr().IsLoopback() {
		most = maxShakes
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	held := map[netip.Prefix]int{}
	for _, o := range s.all {
		held[o.from]++
	}
	if held[x.from] >= most {
		return nil, false
	}
	if len(s.all) >= maxShakes {
		i := greediest(s.all, held)
		if held[s.all[i].from] <= held[x.from]+1 {
			return nil, false // it would be the same the other way round
		}
		s.all[i].end()
		s.all = slices.Delete(s.all, i, i+1)
	}
	s.all = append(s.all, x)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if i := slices.Index(s.all, x); i >= 0 { // it may have lost its place
			s.all = slices.Delete(s.all, i, i+1)
		}
	}, true
}

func (s *shakes) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

// greediest finds the oldest handshake of an address that holds most.
func greediest(all []*shake, held map[netip.Prefix]int) int {
	most := 0
	for i, o := range all {
		if held[o.from] > held[all[most].from] {
			most = i
		}
	}
	return most
}
