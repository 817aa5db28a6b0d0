package admission

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"cairn/consensus/admission/pb"
	"cairn/consensus/membership"
)

// Limits of what is remembered of instances.
const (
	maxInstances = 4  // of one member
	maxSeen      = 96 // entries of one heartbeat
	cloneAgain   = time.Hour
)

// sighting says that one process with a member's key was alive from first to last.
type sighting struct {
	instance    uint64
	first, last time.Time
	where       string
}

// sightings of members.
type sightings map[peer.ID][]sighting

// saw notes that an instance was alive at a time, seen at another (now, at the latest).
func (s sightings) saw(id peer.ID, instance uint64, where string, alive, now time.Time) {
	list := s[id]
	for i := range list {
		if x := &list[i]; x.instance == instance {
			if alive.After(x.last) {
				x.last, x.where = alive, where
			}
			return
		}
	}
	if len(list) >= maxInstances { // the one that was silent for longest goes
		old := 0
		for i := range list {
			if list[i].last.Before(list[old].last) {
				old = i
			}
		}
		list = append(list[:old], list[old+1:]...)
	}
	s[id] = append(list, sighting{instance: instance, first: now, last: alive, where: where})
}

// clones returns two instances that were alive at one time: the older was seen alive margin after the newer had appeared, and the newer is not
// gone either. After a restart the older one is never seen again.
func (s sightings) clones(id peer.ID, margin time.Duration) (a, b sighting, ok bool) {
	list := s[id]
	for _, n := range list {
		for _, o := range list {
			if o.instance != n.instance && !o.first.After(n.first) && o.last.Sub(n.first) > margin && o.last.Sub(n.last) < 9*margin && !n.last.Before(n.first) {
				return o, n, true
			}
		}
	}
	return a, b, false
}

// meet notes a new connection's instance. Other connections with the same member but another instance are asked for a sign of life: after a
// restart they are dead, and closed when they do not answer.
func (s *Service) meet(l *link) {
	l.mu.Lock()
	mine := l.instance
	l.mu.Unlock()
	now := time.Now()
	s.mu.Lock()
	s.sightings.saw(l.peer, mine, l.conn.RemoteMultiaddr().String(), now, now)
	s.mu.Unlock()
	for _, o := range s.linksWith(l.peer) {
		o.mu.Lock()
		other, began := o.instance, time.Now()
		o.mu.Unlock()
		if o == l || other == 0 || other == mine {
			continue
		}
		ask := &pb.Frame{Body: &pb.Frame_Heartbeat{Heartbeat: &pb.Heartbeat{Answer: true}}}
		o.send(ask)
		s.spawn(func(ctx context.Context) {
			late := time.NewTimer(s.t.answer + s.t.margin)
			defer late.Stop()
			select {
			case <-late.C:
			case <-o.gone:
				return
			case <-ctx.Done():
				return
			}
			o.mu.Lock()
			heard := o.heard
			o.mu.Unlock()
			if heard.Before(began) {
				o.conn.Close()
				return
			}
			o.send(ask) // its answer comes margin after the new one: both live
		})
	}
}

// heartbeat takes a sign of life, with what it says of others.
func (l *link) heartbeat(m *pb.Heartbeat) error {
	s := l.s
	if len(m.GetSeen()) > maxSeen {
		return fmt.Errorf("%w: a heartbeat that is too long", ErrProtocol)
	}
	if m.GetAnswer() {
		l.send(&pb.Frame{Body: &pb.Frame_Heartbeat{Heartbeat: &pb.Heartbeat{Reply: true}}})
	}
	l.mu.Lock()
	instance := l.instance
	var seen []*pb.Heartbeat_Seen
	if !m.GetAnswer() && !m.GetReply() {
		if !m.GetSame() {
			l.seen = m.GetSeen()
		}
		seen = l.seen
	}
	l.mu.Unlock()
	var self []string
	verdicts := s.time()
	now := time.Now()
	s.mu.Lock()
	s.lastSeen[l.peer] = s.cfg.Now()
	s.sightings.saw(l.peer, instance, l.conn.RemoteMultiaddr().String(), now, now)
	for _, e := range seen {
		id, err := peer.IDFromBytes(e.GetId())
		if err != nil || e.GetInstance() == 0 || s.cfg.Book.Peer(id, verdicts).State == membership.StateUnknown {
			continue
		}
		where := printable(e.GetAddr(), 128)
		if where != "" {
			where += " "
		}
		// Whom the other lists it has heard since the heartbeat before its last, at the earliest.
		where += "at " + l.peer.String()
		s.sightings.saw(id, e.GetInstance(), where, now.Add(-s.alive()-s.t.margin), now) // margin: it may have been on its way for long
		if id == s.self && e.GetCloned() && e.GetInstance() != s.instance {
			self = []string{"here", where}
		}
	}
	s.mu.Unlock()
	if self != nil {
		s.tellCloned(s.self, self)
	}
	return nil
}

// alive is the age up to which a connection counts as alive in heartbeats.
func (s *Service) alive() time.Duration { return s.t.heartbeat + s.t.answer }

// beat sends heartbeats, closes connections that have been silent. Cost: one message per link, O(links) bytes only when they
// changed.
func (s *Service) beat() {
	now := time.Now()
	s.mu.Lock()
	// The clock that counts does not run while the machine sleeps: what was heard before may be hours old.
	slept := !s.beaten.IsZero() && now.Round(0).Sub(s.beaten.Round(0))-now.Sub(s.beaten) > s.t.answer
	s.beaten = now
	s.mu.Unlock()
	var list []*pb.Heartbeat_Seen
	instances := map[peer.ID]map[uint64]bool{}
	links := s.allLinks()
	type alive struct {
		l        *link
		instance uint64
	}
	var living []alive
	for _, l := range links {
		l.mu.Lock()
		if slept && now.Sub(l.heard) <= s.alive() {
			l.heard = now.Add(-s.alive() - 1)
		}
		open, heard, instance := l.open && !l.over && !l.leaving, l.heard, l.instance
		l.mu.Unlock()
		if !open {
			continue
		}
		if now.Sub(heard) > s.t.silence {
			s.spawn(func(context.Context) { l.conn.Close() })
			continue
		}
		if now.Sub(heard) <= s.alive() {
			living = append(living, alive{l, instance})
			if instances[l.peer] == nil {
				instances[l.peer] = map[uint64]bool{}
			}
			instances[l.peer][instance] = true
		}
	}
	told := map[uint64]bool{}
	s.mu.Lock()
	cloned := maps.Clone(s.cloned)
	s.mu.Unlock()
	for _, a := range living {
		if told[a.instance] || len(list) >= maxSeen {
			continue
		}
		told[a.instance] = true
		t, twice := cloned[a.l.peer]
		e := &pb.Heartbeat_Seen{Id: []byte(a.l.peer), Instance: a.instance, Cloned: twice && time.Since(t) < cloneAgain}
		if len(instances[a.l.peer]) > 1 {
			e.Addr = a.l.conn.RemoteMultiaddr().String()
		}
		list = append(list, e)
	}
	sortSeen(list)
	for _, l := range links {
		l.mu.Lock()
		if l.open {
			hb := &pb.Heartbeat{Same: sameSeen(l.seenSent, list)}
			if !hb.Same {
				hb.Seen, l.seenSent = list, list
			}
			l.push([]*pb.Frame{{Body: &pb.Frame_Heartbeat{Heartbeat: hb}}})
		}
		l.mu.Unlock()
	}
}

// lookForClones tells of members that live twice, this peer first of all the others.
func (s *Service) lookForClones() {
	now := time.Now()
	found := map[peer.ID][]string{}
	s.mu.Lock()
	s.sightings.saw(s.self, s.instance, "here", now, now)
	for id := range s.sightings {
		if a, b, ok := s.sightings.clones(id, s.t.margin); ok {
			found[id] = []string{a.where, b.where}
		}
	}
	s.mu.Unlock()
	news := false
	for id, where := range found {
		news = s.tellCloned(id, where) || news
	}
	if news {
		s.beat() // so that both hear of it
	}
}

// tellCloned tells of a member that lives twice, unless that has been told lately.
func (s *Service) tellCloned(id peer.ID, where []string) bool {
	now := time.Now()
	s.mu.Lock()
	t, told := s.cloned[id]
	if told = told && now.Sub(t) < cloneAgain; !told {
		s.cloned[id] = now
	}
	s.mu.Unlock()
	if told {
		return false
	}
	s.cfg.Log.Warn("two processes use the keys of one member", "peer", id.String(), "where", where)
	s.audit(Audit{What: "clone", Peer: id, Why: "two processes use its keys: " + where[0] + " and " + where[1]})
	if s.cfg.Events.Cloned != nil {
		s.cfg.Events.Cloned(id, where)
	}
	return true
}

func sortSeen(list []*pb.Heartbeat_Seen) {
	slices.SortFunc(list, func(a, b *pb.Heartbeat_Seen) int {
		return cmp.Or(bytes.Compare(a.GetId(), b.GetId()), cmp.Compare(a.GetInstance(), b.GetInstance()))
	})
}

func sameSeen(a, b []*pb.Heartbeat_Seen) bool {
	return slices.EqualFunc(a, b, func(x, y *pb.Heartbeat_Seen) bool { return proto.Equal(x, y) })
}
