package admission

import (
	"crypto/sha256"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"

	"cairn/consensus/admission/pb"
	"cairn/consensus/membership"
)

const (
	maxStrangePresences         = 256     // presences kept of peers whose documents have not come yet
	presenceRate, presenceBurst = 0.2, 16 // per second and at once, of one member
)

// announce signs this peer's presence if it says something new, and tells it.
func (s *Service) announce() {
	p := &presence{id: s.self, instance: s.instance, seq: s.cfg.Now().UnixMilli(), door: s.cfg.Door.ID(),
		doors: s.cfg.DoorAddrs(), members: s.cfg.MemberAddrs(), software: printable(s.cfg.Version, maxSoftware)}
	p.doors, p.members = p.doors[:min(len(p.doors), maxAddrs)], p.members[:min(len(p.members), maxAddrs)]
	s.mu.Lock()
	if o := s.presences[s.self]; o != nil {
		if o.same(p) {
			s.mu.Unlock()
			return
		}
		p.seq = max(p.seq, o.seq+1) // a clock that was ahead at the last start does not silence this one
	}
	if err := p.sign(s.cfg.Identity, s.network); err != nil {
		s.mu.Unlock()
		s.cfg.Log.Error("presence not told", "err", err)
		return
	}
	s.put(p)
	s.mu.Unlock()
	s.spread(p, nil)
}

// spread keeps a presence and sends it to everybody but to whom it came from.
func (s *Service) spread(p *presence, from *link) {
	s.keeper.keep([]Record{{presencePrefix + p.id.String(), p.raw}}, nil)
	frames := presenceFrames([][]byte{p.raw})
	for _, l := range s.allLinks() {
		if l != from {
			l.send(frames...)
		}
	}
}

// takePresence takes what a member says of where it is, from itself or by way of others. It counts from the time when its member's documents
// do.
func (s *Service) takePresence(p *presence, from *link) {
	now := s.time()
	if p.when().After(now.Add(membership.MaxSkew)) {
		return // its clock is wrong, and nothing later would be believed
	}
	if p.id == s.self {
		s.ownPresence(p)
		return
	}
	state := s.cfg.Book.Peer(p.id, now).State
	s.mu.Lock()
	o := s.presences[p.id]
	if o != nil && o.seq >= p.seq {
		s.mu.Unlock()
		return
	}
	if o == nil && state == membership.StateUnknown {
		strange := 0
		for id := range s.presences {
			if s.cfg.Book.Peer(id, now).State == membership.StateUnknown {
				strange++
			}
		}
		if strange >= maxStrangePresences {
			s.mu.Unlock()
			return
		}
	}
	rate := s.presenceRates[p.id]
	if rate == nil {
		rate = &bucket{}
		s.presenceRates[p.id] = rate
	}
	if !rate.take(time.Now(), 1, presenceRate, presenceBurst) {
		s.mu.Unlock()
		return // everybody would pass it on
	}
	s.put(p)
	if c := s.contacts[p.id]; c != nil && (o == nil || !sameAddrs(o.members, p.members) || !sameAddrs(o.doors, p.doors)) {
		c.tries, c.next = 0, time.Time{} // a new way: it is tried at once
	}
	s.mu.Unlock()
	if o != nil {
		s.cfg.Member.Peerstore().ClearAddrs(p.id)
		s.cfg.Door.Peerstore().ClearAddrs(o.door)
	}
	s.spread(p, from)
	s.changed()
}

// toldAlready tells whether an envelope is the one that counts now: everybody sends what he knows, and checking a signature costs more than a hash.
func (s *Service) toldAlready(envelope []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.presenceSums[sha256.Sum256(envelope)]
	return ok
}

// put makes a presence the one that counts. The caller has the lock.
func (s *Service) put(p *presence) {
	if o := s.presences[p.id]; o != nil {
		delete(s.presenceSums, sha256.Sum256(o.raw))
	}
	s.presences[p.id] = p
	s.presenceSums[sha256.Sum256(p.raw)] = struct{}{}
}

// ownPresence hears of itself: what an earlier process of this peer said, or what a clone says now. This process has the last word, so
// that others find it; if both have, that shows in the sightings.
func (s *Service) ownPresence(p *presence) {
	s.mu.Lock()
	o := s.presences[s.self]
	if o == nil || p.instance == s.instance || p.seq < o.seq {
		s.mu.Unlock()
		return
	}
	mine := *o
	now := s.cfg.Now()
	if now.Sub(s.outspoken) < time.Minute { // two clones would go on for ever
		s.mu.Unlock()
		return
	}
	s.outspoken = now
	mine.seq = max(now.UnixMilli(), p.seq+1)
	err := mine.sign(s.cfg.Identity, s.network)
	if err == nil {
		s.put(&mine)
	}
	s.mu.Unlock()
	if err == nil {
		s.spread(&mine, nil)
	}
}

// presenceFrames are all presences of members that are known.
func (s *Service) presenceFrames() []*pb.Frame { return presenceFrames(s.presenceBytes()) }

func (s *Service) presenceBytes() [][]byte {
	s.mu.Lock()
	all := make([]*presence, 0, len(s.presences))
	for _, p := range s.presences {
		all = append(all, p)
	}
	s.mu.Unlock()
	now := s.time()
	var out [][]byte
	for _, p := range all {
		if st := s.cfg.Book.Peer(p.id, now).State; st == membership.StateValid || st == membership.StateExpired {
			out = append(out, p.raw)
		}
	}
	return out
}

// own is this peer's presence, signed.
func (s *Service) own() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.presences[s.self]; p != nil {
		return [][]byte{p.raw}
	}
	return nil
}

// presenceOf is what is known of where a member is; nil if nothing is.
func (s *Service) presenceOf(id peer.ID) *presence {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.presences[id]
}

// addresses puts what a presence says into the peerstores.
func (s *Service) addresses(p *presence) {
	s.cfg.Member.Peerstore().AddAddrs(p.id, p.members, peerstore.TempAddrTTL)
	s.cfg.Door.Peerstore().AddAddrs(p.door, p.doors, peerstore.TempAddrTTL)
}
