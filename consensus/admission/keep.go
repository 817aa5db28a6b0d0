package admission

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"

	"cairn/consensus/membership"
)

// How many members are kept connected with: all of a small network, some of a larger one, so that news reach everybody within a few steps.
const (
	keepAll   = 64
	keepSome  = 32
	maxDials  = 16 // at a time
	lookAgain = 10 * time.Second
	dialTime  = 10 * time.Second
	goneFor   = 90 * 24 * time.Hour // who has been without a certificate for so long is not looked for
)

// contact is what is known of the tries to reach one member.
type contact struct {
	busy  bool
	tries int // that failed one after the other
	next  time.Time
}

// keepConnected dials members, sends heartbeats, tells new addresses and renews, until ctx ends. Cost of a tick: O(members) only when the book has changed
// or every 10 s, else O(connections).
func (s *Service) keepConnected(ctx context.Context) {
	t := time.NewTicker(s.t.tick)
	defer t.Stop()
	var beat, addrs, renew, clones, looked time.Time
	var targets []peer.ID
	for {
		now := time.Now()
		if now.Sub(beat) >= s.t.heartbeat {
			if !beat.IsZero() {
				s.beat()
				s.cutOff() // certificates may have run out
			}
			beat = now
		}
		if now.Sub(addrs) >= s.t.addrs {
			addrs = now
			s.announce()
		}
		if now.Sub(clones) >= s.t.margin/4 {
			clones = now
			s.lookForClones()
		}
		if now.Sub(renew) >= s.t.renew {
			renew = now
			s.spawn(s.renewSelf)
		}
		s.dialSome(now, &looked, &targets)
		select {
		case <-t.C:
		case <-s.wake:
		case <-ctx.Done():
			return
		}
	}
}

// dialSome starts dials to those who should be connected and are not.
// They are looked up when the book has changed, and now and then because certificates run out.
func (s *Service) dialSome(now time.Time, looked *time.Time, targets *[]peer.ID) {
	switch s.Self().State {
	case membership.StateValid, membership.StateExpired, membership.StateEarly: // the others judge by their clocks
	case membership.StateSuspended: // they may know that the root has settled it
	default:
		return
	}
	connected := map[peer.ID]bool{}
	for _, l := range s.allLinks() {
		if l.isAdmitted() {
			connected[l.peer] = true
		}
	}
	if s.stale.Swap(false) || now.Sub(*looked) > lookAgain {
		*looked, *targets = now, s.targets()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	running := 0
	for _, c := range s.contacts {
		if c.busy {
			running++
		}
	}
	for _, id := range *targets {
		if connected[id] || running >= maxDials || s.presences[id] == nil {
			continue
		}
		c := s.contacts[id]
		if c == nil {
			c = &contact{next: now}
			if s.self > id { // so that two do not meet half way
				c.next = now.Add(s.t.firstWait)
			}
			s.contacts[id] = c
		}
		if c.busy || now.Before(c.next) {
			continue
		}
		c.busy = s.spawn(func(ctx context.Context) { s.reach(ctx, id, c) })
		running++
	}
}

// targets are the members to be connected with. One whose certificate has run out may have a newer one that has not come here: after a week
// away that is everybody. To one that is suspended those count too that hang on the same question: they may have the answer.
func (s *Service) targets() (ids []peer.ID) {
	now := s.time()
	suspended := s.Self().State == membership.StateSuspended
	for _, m := range s.cfg.Book.Members(now) {
		if m.ID == s.self {
			continue
		}
		switch m.State {
		case membership.StateValid:
		case membership.StateExpired:
			if now.Sub(m.Expires) >= goneFor {
				continue
			}
		case membership.StateSuspended, membership.StateVoid:
			if !suspended {
				continue
			}
		default:
			continue
		}
		ids = append(ids, m.ID)
	}
	if len(ids) <= keepAll {
		return ids
	}
	// Random, but the same ones for as long as this process runs.
	key := func(id peer.ID) string {
		h := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(id), s.instance))
		return string(h[:])
	}
	slices.SortFunc(ids, func(a, b peer.ID) int {
		if key(a) < key(b) {
			return -1
		}
		return 1
	})
	return ids[:keepSome]
}

// reach tries to get an admitted connection with a member: on its member host, then by saying hello at its door and dialling again.
func (s *Service) reach(ctx context.Context, id peer.ID, c *contact) {
	ok := s.tryReach(ctx, id)
	s.mu.Lock()
	defer s.mu.Unlock()
	c.busy = false
	if ok {
		c.tries, c.next = 0, time.Now().Add(s.t.pause) // in case it ends at once
		return
	}
	d := min(s.t.pause<<min(c.tries, 16), s.t.pauseMost)
	c.tries++
	c.next = time.Now().Add(d/2 + rand.N(d))
}

func (s *Service) tryReach(ctx context.Context, id peer.ID) bool {
	p := s.presenceOf(id)
	if p == nil {
		return false
	}
	s.addresses(p)
	if s.connect(ctx, p) {
		return true
	}
	if s.Connected(id) {
		return true
	}
	if err := s.hello(ctx, p); err != nil {
		if ctx.Err() == nil {
			s.cfg.Log.Debug("hello failed", "peer", id.String(), "err", err)
		}
		return false
	}
	if p = s.presenceOf(id); p == nil {
		return false
	}
	s.addresses(p)
	return s.connect(ctx, p)
}

// connect dials a member host and waits for the connection's admission. Behind a gate that refuses, the connection ends at once.
func (s *Service) connect(ctx context.Context, p *presence) bool {
	if len(p.members) == 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	forgive(s.cfg.Member, p.id)
	if err := s.cfg.Member.Connect(ctx, peer.AddrInfo{ID: p.id, Addrs: p.members}); err != nil {
		return false
	}
	for _, l := range s.linksWith(p.id) {
		select {
		case <-l.admitted:
			return true
		case <-l.gone:
		case <-ctx.Done():
			return false
		}
	}
	return false
}

// forgive makes a host dial although it failed a moment ago.
func forgive(h host.Host, id peer.ID) {
	if n, ok := h.Network().(interface{ Backoff() *swarm.DialBackoff }); ok {
		n.Backoff().Clear(id)
	}
}

// dialDoor connects with a door host and opens a stream.
func dialDoor(ctx context.Context, h host.Host, at peer.AddrInfo, f func() (network.Stream, error)) (network.Stream, error) {
	forgive(h, at.ID)
	if at.ID == h.ID() {
		return nil, errors.New("that door is this peer's own")
	}
	if err := h.Connect(ctx, at); err != nil {
		return nil, err
	}
	return f()
}
