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

// Contacts are the doors of members in force that can be reached now, this peer's first: what an invite names.
func (s *Service) Contacts(most int) (out []membership.Contact) {
	var others []membership.Contact
	for _, p := range s.Peers() {
		if p.State != membership.StateValid || p.Terms.Role < membership.Member || len(p.Doors) == 0 {
			continue
		}
		c := membership.Contact{Door: p.Door, Addrs: p.Doors[:min(len(p.Doors), 8)]}
		if p.ID == s.self {
			out = append(out, c)
		} else if p.Connected {
			others = append(others, c)
		}
	}
	out = append(out, others...)
	return out[:min(len(out), most)]
}
