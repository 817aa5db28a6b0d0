package fakepeer

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"cairn/web/api"
)

// swarm is one transfer and how it goes on.
type swarm struct {
	t       api.Transfer
	leaf    int64 // bytes
	leaves  int
	members []*member
	resumed int // leaves that an earlier attempt left
	failAt  int // second at which it fails; 0: never

	age   int // seconds
	told  bool
	owner []uint16 // of each leaf: 0 nobody, k member k-1, none for an earlier attempt
	order []int32  // in which the leaves come
	next  int      // how many of order are here
}

const earlier = math.MaxUint16

// member is the other side of a swarm.
type member struct {
	id, role, addr, transport, why string
	base                           int64   // bytes per second
	from, to                       int     // seconds in which it is there; to 0: until the end
	have                           float64 // when it begins; it holds all if that is 1
	reason                         string  // why it is dropped at the end of its time

	rates  []int64
	bytes  int64
	credit int64
}

// peerID makes something that looks like a peer id.
func peerID(n int) string {
	const digits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	r := rand.New(rand.NewPCG(uint64(n)+1, 7))
	id := []byte("12D3KooW")
	for range 44 {
		id = append(id, digits[r.IntN(len(digits))])
	}
	return string(id)
}

func (m *member) here(second int) bool { return second >= m.from && (m.to == 0 || second < m.to) }

func (m *member) direction() string {
	if m.role == "source" {
		return "down"
	}
	return "up"
}

func (s *swarm) begin(at time.Time) {
	s.t.Started, s.t.State = at, "active"
	s.t.Total, s.t.Files = s.leaf*int64(s.leaves), 1
	s.owner, s.order = make([]uint16, s.leaves), make([]int32, s.leaves)
	r := rand.New(rand.NewPCG(uint64(s.leaves), 3))
	run := max(1, s.leaves/1500) // leaves come in short stretches
	i := 0
	for _, v := range r.Perm((s.leaves + run - 1) / run) {
		for leaf := v * run; leaf < min(s.leaves, (v+1)*run); leaf++ {
			s.order[i] = int32(leaf)
			i++
		}
	}
	for i := range s.resumed {
		s.owner[s.order[i]] = earlier
	}
	s.next = s.resumed
	s.t.Done, s.t.Resumed = int64(s.resumed)*s.leaf, int64(s.resumed)*s.leaf
}

// second lets one second pass; at is when it began.
func (s *swarm) second(at time.Time) {
	if s.t.Ended != nil {
		return
	}
	for k, m := range s.members {
		if s.age < m.from {
			continue
		}
		bps := int64(0)
		if m.here(s.age) {
			r := rand.New(rand.NewPCG(uint64(s.age), uint64(k)))
			bps = int64(float64(m.base) * (0.8 + 0.2*math.Sin(float64(s.age)/9+float64(k)) + 0.15*(r.Float64()-0.5)))
		}
		m.rates = append(m.rates, bps)
		m.bytes += bps
		if m.role == "source" || s.t.Direction == "upload" {
			s.take(k, bps)
		}
	}
	s.age++
	s.t.State = "waiting"
	for _, m := range s.members {
		if m.here(s.age) {
			s.t.State = "active"
		}
	}
	if s.next == s.leaves {
		s.end(at.Add(time.Second), "done", "")
	}
	if s.failAt > 0 && s.age >= s.failAt {
		s.end(at.Add(time.Second), "failed", "no source is left: both sent bytes that do not belong to this object")
	}
}

// take gives a member the leaves that its bytes are worth.
func (s *swarm) take(k int, bps int64) {
	m := s.members[k]
	for m.credit += bps; m.credit >= s.leaf && s.next < s.leaves; m.credit -= s.leaf {
		s.owner[s.order[s.next]] = uint16(k + 1)
		s.next++
		s.t.Done += s.leaf
	}
}

func (s *swarm) end(at time.Time, state, reason string) {
	if s.t.Ended == nil {
		s.t.Ended, s.t.State, s.t.Reason = &at, state, reason
	}
}

func (s *swarm) transfer() api.Transfer {
	t := s.t
	t.Sources = nil
	for _, m := range s.members {
		v := api.TransferSource{PeerID: m.id, Role: m.role, Address: m.addr, Transport: m.transport, Why: m.why,
			Partial: m.have < 1, Have: min(1, m.have+float64(s.age)/500), Bytes: m.bytes, State: "active"}
		switch {
		case s.age < m.from:
			continue
		case !m.here(s.age):
			v.State, v.Reason = "dropped", m.reason
		case t.Ended != nil:
			v.State = "idle"
		default:
			v.BPS = m.rates[len(m.rates)-1]
		}
		if v.Role == "source" || t.Direction == "upload" {
			t.BPS += v.BPS
		}
		t.Sources = append(t.Sources, v)
	}
	if t.BPS > 0 {
		t.ETAMillis = (t.Total - t.Done) * 1000 / t.BPS
	}
	return t
}

func (s *swarm) pieces() api.Pieces {
	if s.t.Direction != "download" || s.t.State == "waiting" {
		return api.Pieces{}
	}
	per := (s.leaves + api.MaxCells - 1) / api.MaxCells
	n := (s.leaves + per - 1) / per
	p := api.Pieces{Leaves: s.leaves, PerCell: per, Done: make([]byte, n), Source: make([]byte, n), Asked: make([]byte, n)}
	for _, m := range s.members {
		p.Peers = append(p.Peers, m.id)
	}
	for c := range n {
		cell := s.owner[c*per : min((c+1)*per, s.leaves)]
		here := 0
		for _, o := range cell {
			if o == 0 {
				continue
			}
			here++
			switch k := byte(min(o, 255)); {
			case o == earlier:
			case p.Source[c] == 0:
				p.Source[c] = k
			case p.Source[c] != k:
				p.Source[c] = 255
			}
		}
		p.Done[c] = byte(here * 100 / len(cell))
	}
	if s.t.Ended == nil {
		for _, leaf := range s.order[s.next:min(s.leaves, s.next+6*len(s.members))] {
			p.Asked[int(leaf)/per] = 1
		}
	}
	return p
}

// plays are the transfers that a Lively has.
func plays() []*swarm {
	const MB = 1_000_000
	lan := func(n int) string { return fmt.Sprintf("/ip4/192.168.1.%d/tcp/4748", n) }
	far := "/ip4/203.0.113.9/udp/4748/quic-v1"
	near, away := "TCP on the local network", "QUIC: TCP did not answer"
	down := func(id, name string) api.Transfer {
		return api.Transfer{ID: id, Direction: "download", Name: name, CID: CID}
	}
	many := []*member{}
	for i := range 9 {
		many = append(many, &member{id: peerID(20 + i), role: "source", addr: lan(40 + i), transport: "tcp", why: near, base: int64(i+1) * 30 * MB, have: 1})
	}
	return []*swarm{
		{t: down("swarm", "lecture recordings, winter.mp4"), leaf: 1 << 20, leaves: 3000, resumed: 250, members: []*member{
			{id: peerID(1), role: "source", addr: lan(31), transport: "tcp", why: near, base: 4 * MB, have: 1},
			{id: peerID(2), role: "source", addr: lan(32), transport: "tcp", why: near, base: 5 * MB, have: 0.3},
			{id: peerID(3), role: "source", addr: far, transport: "quic-v1", why: away, base: 2 * MB, from: 12, have: 0.1},
			{id: peerID(4), role: "source", addr: lan(34), transport: "tcp", why: near, base: 3 * MB, to: 70, have: 0.5,
				reason: "it sent bytes that do not belong to leaf 411"},
			{id: peerID(2), role: "downloader", addr: lan(32), transport: "tcp", why: near, base: 4 * MB, have: 0.3},
			{id: peerID(5), role: "downloader", addr: lan(35), transport: "tcp", why: near, base: 6 * MB, from: 30, have: 0},
		}},
		{t: down("large", "archive.tar"), leaf: 1 << 20, leaves: 1_000_000, resumed: 400_000, members: many},
		{t: down("one", "note.txt"), leaf: 4096, leaves: 1, members: []*member{
			{id: peerID(1), role: "source", addr: lan(31), transport: "tcp", why: near, base: 1, have: 1}}},
		{t: down("waiting", "offline.iso"), leaf: 1 << 20, leaves: 700, members: []*member{
			{id: peerID(6), role: "source", addr: lan(36), transport: "tcp", why: near, base: 1, to: 5, have: 1, reason: "it went away"}}},
		{t: down("failed", "damaged.zip"), leaf: 1 << 20, leaves: 900, failAt: 60, members: []*member{
			{id: peerID(7), role: "source", addr: lan(37), transport: "tcp", why: near, base: 6 * MB, to: 40, have: 1, reason: "it sent bytes that do not belong to leaf 14"},
			{id: peerID(8), role: "source", addr: far, transport: "quic-v1", why: away, base: 2 * MB, to: 59, have: 0.4, reason: "it sent bytes that do not belong to leaf 230"}}},
		{t: down("done", "slides.pdf"), leaf: 1 << 20, leaves: 180, members: []*member{
			{id: peerID(1), role: "source", addr: lan(31), transport: "tcp", why: near, base: 3 * MB, have: 1},
			{id: peerID(2), role: "source", addr: lan(32), transport: "tcp", why: near, base: 2 * MB, have: 0.2}}},
		{t: api.Transfer{ID: "upload", Direction: "upload", Name: "holiday photos.zip", CID: CID}, leaf: 1 << 20, leaves: 2600, members: []*member{
			{id: peerID(9), role: "downloader", addr: far, transport: "quic-v1", why: away, base: 9 * MB, have: 0.05}}},
	}
}
