package admission

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"cairn/consensus/membership"
)

// How many refusals are told: anybody can cause them.
const denialRate, denialBurst = 1, 20

// denials holds refusals back when they are too many.
type denials struct {
	mu   sync.Mutex
	b    bucket
	more int
	all  int64
}

func (d *denials) count() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.all
}

// take tells whether one may be told now, and how many were not before.
func (d *denials) take(now time.Time) (more int, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all++
	if !d.b.take(now, 1, denialRate, denialBurst) {
		d.more++
		return 0, false
	}
	more, d.more = d.more, 0
	return more, true
}

func (s *Service) audit(a Audit) {
	a.Time = s.cfg.Now()
	if s.cfg.Events.Audit != nil {
		s.cfg.Events.Audit(a)
	}
}

func (s *Service) refused(a Audit) {
	more, ok := s.denials.take(s.cfg.Now())
	if !ok {
		return
	}
	a.What, a.More = "refused", more
	s.audit(a)
	s.cfg.Log.Info("refused", "peer", a.Peer.String(), "addr", a.Addr, "protocol", a.Proto, "why", a.Why, "more", a.More)
}

// why says in plain words what is wrong with a peer; "" if nothing is.
func (s *Service) why(id peer.ID) string {
	i := s.cfg.Book.Peer(id, s.time())
	if i.State == membership.StateUnknown {
		return membership.ErrUnknown.Error()
	}
	return i.Reason
}

// stateError is the condition that belongs to a state; nil for a member in force.
func stateError(st membership.State) error {
	switch st {
	case membership.StateValid:
		return nil
	case membership.StateExpired:
		return membership.ErrExpired
	case membership.StateEarly:
		return membership.ErrEarly
	case membership.StateUnknown:
		return membership.ErrUnknown
	}
	return membership.ErrRevoked
}
