package fakepeer

import (
	"fmt"
	"time"

	"cairn/web/api"
)

// NewHousehold makes a network of twelve members in three zones, of which this peer is an administrator: one was revoked, one has
// expired, one runs on two machines, one administrator is away.
func NewHousehold(now func() time.Time) *Network {
	n := NewNetwork(now)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.enter("home", "example", "admin")
	n.populate()
	return n
}

// NewCutOff makes a household that has revoked this peer.
func NewCutOff(now func() time.Time) *Network {
	n := NewHousehold(now)
	n.mu.Lock()
	defer n.mu.Unlock()
	const reason = "nas revoked it: lost on a train"
	n.status.State, n.status.Reason = "revoked", reason
	n.status.Alerts = []api.Alert{{Kind: "revoked", MemberID: memberID(0), Message: "this peer was revoked by nas", Since: n.began.Add(-time.Hour).UTC()}}
	n.members[0].State, n.members[0].Reason, n.members[0].RevokedBy = "revoked", reason, memberID(1)
	for i := range n.members {
		n.members[i].Connection = nil
	}
	return n
}

// NewCrowd makes a network of size members in eight zones.
func NewCrowd(now func() time.Time, size int) *Network {
	n := NewNetwork(now)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.enter("campus", "example", "admin")
	n.members[0].Zone = "hall-0"
	for i := 1; i < size; i++ {
		p := person{name: fmt.Sprintf("desk-%03d", i), zone: fmt.Sprintf("hall-%d", i%8), role: "member", state: "valid", version: "0.2.0"}
		if i%7 != 0 {
			p.transport, p.rtt = []string{"tcp", "quic-v1"}[i%5/4], float64(i%40)/3+0.4
		}
		n.members = append(n.members, n.member(i, p))
	}
	return n
}

// person is a line of the list of members.
type person struct {
	name, role, zone string
	classes          []string
	state, reason    string
	version          string
	transport        string // "": not connected
	rtt              float64
	down, up         int64
	by               int // the administrator who issued it: index of the member
	seen             time.Duration
	cloned           bool
}

func household() []person {
	return []person{
		{name: "nas", role: "admin", zone: "cellar", classes: []string{"storage"}, state: "valid", version: "0.2.0", transport: "tcp", rtt: 0.4, down: 81_000_000, up: 2_400_000},
		{name: "desk", role: "member", zone: "study", classes: []string{"workstation"}, state: "valid", version: "0.2.0", transport: "tcp", rtt: 0.7, up: 12_000_000},
		{name: "laptop-anna", role: "member", zone: "study", classes: []string{"laptop"}, state: "valid", version: "0.2.0", transport: "tcp", rtt: 3.1, by: 1},
		{name: "laptop-ben", role: "member", zone: "study", classes: []string{"laptop"}, state: "valid", version: "0.1.4", transport: "quic-v1", rtt: 4.8, by: 1, cloned: true},
		{name: "tv", role: "reader", zone: "living room", classes: []string{"player"}, state: "valid", version: "0.2.0", transport: "tcp", rtt: 1.9, down: 3_100_000, by: 1},
		{name: "attic-pi", role: "member", zone: "living room", classes: []string{"storage", "slow"}, state: "valid", version: "0.2.0", transport: "tcp", rtt: 2.2},
		{name: "cottage", role: "admin", zone: "cottage", classes: []string{"storage"}, state: "valid", version: "0.2.0", seen: 26 * time.Hour},
		{name: "cottage-pi", role: "member", zone: "cottage", classes: []string{"storage", "slow"}, state: "valid", version: "0.2.0", transport: "quic-v1", rtt: 31, down: 700_000, by: 7},
		{name: "phone-anna", role: "reader", state: "valid", version: "0.2.0", seen: 3 * time.Hour},
		{name: "old-laptop", role: "member", zone: "study", classes: []string{"laptop"}, state: "revoked", reason: "lost on a train", version: "0.1.2", seen: 41 * 24 * time.Hour},
		{name: "camera", role: "reader", zone: "cottage", state: "expired", reason: "its certificate ended and no administrator has renewed it", version: "0.1.4", seen: 9 * 24 * time.Hour, by: 7},
	}
}

// populate adds the household to a network that this peer is in. The caller holds mu.
func (n *Network) populate() {
	n.members[0].Zone, n.members[0].Classes = "study", []string{"workstation"}
	created := n.began.Add(-200 * 24 * time.Hour).UTC()
	n.status.Created, n.members[0].Joined = &created, &created
	for i, p := range household() {
		n.members = append(n.members, n.member(i+1, p))
	}
	n.members[10].RevokedBy = memberID(0)
	n.status.Alerts = []api.Alert{
		{Kind: "clone", MemberID: memberID(4), Message: "two machines run with the identity of laptop-ben", Since: n.began.Add(-9 * time.Minute).UTC(),
			Hint: "stop one of them, or revoke laptop-ben and invite both anew"},
		{Kind: "renewal", MemberID: memberID(11), Message: "the certificate of camera has expired", Since: n.began.Add(-50 * time.Hour).UTC(),
			Hint: "it is renewed once camera meets an administrator; revoke it if it will not come back"},
	}
	n.invites = []api.Invite{
		{ID: "i2", Text: inviteText(2), Role: "reader", Zone: "living room", Classes: []string{"player"}, Uses: 3, Used: []string{memberID(5)},
			Created: n.began.Add(-2 * time.Hour).UTC(), Expires: n.began.Add(22 * time.Hour).UTC(), State: "open"},
		{ID: "i1", Text: inviteText(1), Role: "member", Coordinator: true, Uses: 1, Used: []string{memberID(3)},
			Created: n.began.Add(-80 * time.Hour).UTC(), Expires: n.began.Add(-56 * time.Hour).UTC(), State: "used"},
	}
	n.made = 2
}

func (n *Network) member(i int, p person) api.Member {
	joined := n.began.Add(-time.Duration(190-i*11%180) * 24 * time.Hour).UTC()
	expires := n.began.Add(time.Duration(100+i*5%60) * time.Hour).UTC()
	if p.state == "expired" {
		expires = n.began.Add(-50 * time.Hour).UTC()
	}
	m := api.Member{
		ID: memberID(i), Name: p.name, Role: p.role, Zone: p.zone, Classes: p.classes, Coordinator: p.role != "reader", State: p.state, Reason: p.reason,
		Joined: &joined, Expires: &expires, IssuedBy: memberID(p.by), Version: p.version, Cloned: p.cloned,
	}
	seen := n.began.Add(-p.seen).UTC()
	m.LastSeen = &seen
	if p.transport == "" {
		return m
	}
	address := fmt.Sprintf("/ip4/192.168.1.%d/tcp/4749", 30+i%200)
	if p.transport == "quic-v1" {
		address = fmt.Sprintf("/ip4/203.0.113.%d/udp/4749/quic-v1", 10+i%200)
	}
	m.Connection = &api.Connection{
		Address: address, Direction: []string{"inbound", "outbound"}[i%2], Transport: p.transport, Since: n.began.Add(-time.Duration(i*17) * time.Minute).UTC(),
		RTTMillis: p.rtt, DownBPS: p.down, UpBPS: p.up,
	}
	return m
}

// news is what changed of the network since told, and the members whose measures move. told 0: everything.
func (n *Network) news(told uint64) ([]api.Event, uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.told + 1
	var members []api.Member
	for _, m := range n.members {
		if told != now || m.Connection != nil {
			members = append(members, n.measured(m))
		}
	}
	var out []api.Event
	if told != now {
		s := n.picture()
		out = append(out, api.Event{Type: "network", Network: &s})
	}
	if len(members) > 0 {
		out = append(out, api.Event{Type: "members", Members: members})
	}
	return out, now
}
