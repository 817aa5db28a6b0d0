package admission

import (
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"cairn/consensus/membership"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Peer is what is known of a member.
type Peer struct {
	membership.Info
	Connected bool
	Door      peer.ID // "" if not known
	Doors     []ma.Multiaddr
	Addrs     []ma.Multiaddr // of the member host
	Remote    []ma.Multiaddr // where the connections lead
	Instance  uint64
	Software  string        // its version, as it says
	LastSeen  time.Time     // zero: not in the life of this Service
	Skew      time.Duration // its clock is ahead of this one, as of the last connection
	Cloned    bool          // two processes with its keys were seen within the last hour
}

// Peers returns all that is known of members, this peer among them, in the order of Book.Members.
func (s *Service) Peers() (out []Peer) {
	for _, i := range s.cfg.Book.Members(s.time()) {
		out = append(out, Peer{Info: i})
	}
	remote := map[peer.ID][]ma.Multiaddr{}
	instance := map[peer.ID]uint64{}
	for _, l := range s.allLinks() {
		if l.isAdmitted() {
			remote[l.peer] = append(remote[l.peer], l.conn.RemoteMultiaddr())
			l.mu.Lock()
			instance[l.peer] = l.instance
			l.mu.Unlock()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range out {
		o := &out[i]
		if p := s.presences[o.ID]; p != nil {
			o.Door, o.Doors, o.Addrs, o.Instance, o.Software = p.door, p.doors, p.members, p.instance, p.software
		}
		if o.Remote = remote[o.ID]; len(o.Remote) > 0 {
			o.Connected, o.Instance = true, instance[o.ID]
		}
		o.LastSeen, o.Skew = s.lastSeen[o.ID], s.skews[o.ID]
		if t, ok := s.cloned[o.ID]; ok {
			o.Cloned = time.Since(t) < cloneAgain
		}
	}
	return out
}

// Stats is what there is now, and counts since the Service was made.
type Stats struct {
	Connected  int   // members with an admitted connection
	Waiting    int   // streams that wait for admission
	Handshakes int   // joins and hellos in flight at the door
	Denied     int64 // of every sort, those included that were not told one by one
	GateStats        // of the member host
}

// Stats returns the counters.
func (s *Service) Stats() Stats {
	st := Stats{GateStats: s.cfg.Gate.Stats()}
	peers := map[peer.ID]bool{}
	for _, l := range s.allLinks() {
		if l.isAdmitted() {
			peers[l.peer] = true
		}
	}
	st.Connected, st.Waiting, st.Handshakes, st.Denied = len(peers), s.lobby.count(), s.shakes.count(), s.denials.count()
	return st
}
