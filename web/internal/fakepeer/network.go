package fakepeer

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"cairn/web/api"
)

// Network is an api.Network in memory: a home with three zones, or whatever is made of it. It forgets nothing but what
// Leave ends, and starts no goroutine. What is measured depends on the time alone, so that two runs look the same. Safe for
// concurrent use.
type Network struct {
	now   func() time.Time
	began time.Time

	mu      sync.Mutex
	status  api.NetworkStatus
	members []api.Member // this peer first
	invites []api.Invite // newest first
	made    int          // invites so far
	told    uint64       // grows with every change but measured ones
}

// Words of the fake root key.
const Words = "amber basket cactus delta ember falcon garden harbor island jacket kettle lemon meadow needle orbit " +
	"pencil quartz ribbon saddle timber umbrella velvet willow yellow"

// InviteText is the beginning of every invite that a Network makes and takes.
const InviteText = "cairninvite1"

// NewNetwork makes a peer that is in no network yet.
func NewNetwork(now func() time.Time) *Network {
	return &Network{now: now, began: now(), status: api.NetworkStatus{MemberID: memberID(0), SelfName: "example"}}
}

// memberID makes the id of the n-th member. The identity for members is another than that of the door.
func memberID(n int) string { return peerID(500 + n) }

func conflict(format string, args ...any) *api.Error {
	return api.Errorf(api.CodeConflict, format, args...)
}

func inNone() error {
	return api.Errorf(api.CodeNotFound, "this peer is in no network").
		WithHint("cairn init NAME makes one, cairn join INVITE enters one")
}

func inForce(m api.Member) bool { return m.State == "valid" }

// picture is the status with what follows from the members. The caller holds mu.
func (n *Network) picture() api.NetworkStatus {
	s := n.status
	s.Members, s.Administrators, s.Connected = 0, 0, 0
	for _, m := range n.members {
		if !inForce(m) {
			continue
		}
		s.Members++
		if m.Role == "admin" {
			s.Administrators++
		}
		if m.Connection != nil {
			s.Connected++
		}
	}
	s.Alerts, s.Addresses, s.Limits = slices.Clone(s.Alerts), slices.Clone(s.Addresses), slices.Clone(s.Limits)
	return s
}

// measured is a member as it is this second: round trips and rates move. The caller holds mu.
func (n *Network) measured(m api.Member) api.Member {
	m.Classes = slices.Clone(m.Classes)
	if m.Connection == nil {
		return m
	}
	c := *m.Connection
	second := int64(n.now().Sub(n.began) / time.Second)
	c.RTTMillis = max(0.1, c.RTTMillis*(1+float64((second*7+int64(len(m.Name)))%9-4)/40))
	if c.DownBPS > 0 {
		c.DownBPS += second * 7919 % 400_000
	}
	if c.UpBPS > 0 {
		c.UpBPS += second * 6007 % 300_000
	}
	seen := n.now()
	m.Connection, m.LastSeen = &c, &seen
	return m
}

// find returns the index of a member. The caller holds mu.
func (n *Network) find(ref string) (int, error) {
	if !n.status.Joined {
		return 0, inNone()
	}
	found := -1
	for i, m := range n.members {
		if m.ID == ref || m.Name == ref {
			return i, nil
		}
		if len(ref) >= 8 && strings.HasPrefix(m.ID, ref) {
			found = i
		}
	}
	if found < 0 {
		return 0, api.Errorf(api.CodeNotFound, "there is no member %s", ref).WithHint("cairn members shows who there is")
	}
	return found, nil
}

// enter makes this peer a member. The caller holds mu.
func (n *Network) enter(name, self, role string) {
	now := n.now().UTC()
	expires := now.Add(7 * 24 * time.Hour)
	if self == "" {
		self = "example"
	}
	n.told++
	n.status = api.NetworkStatus{
		Joined: true, ID: "qkzd-4m7t-x2pv-9h6c", Name: name, Created: &now, MemberID: memberID(0), SelfName: self, Role: role,
		State: "valid", Expires: &expires,
		Addresses: []string{"/ip4/192.168.1.20/tcp/4749/p2p/" + memberID(0), "/ip4/192.168.1.20/udp/4749/quic-v1/p2p/" + memberID(0)},
		Limits:    []api.Limit{{Name: "max_connections", Value: 1024}, {Name: "max_memory_bytes", Value: 256 << 20}},
	}
	n.members = []api.Member{{
		ID: memberID(0), Name: self, Self: true, Role: role, Coordinator: true, State: "valid", Joined: &now, Expires: &expires,
		IssuedBy: memberID(0), Version: "0.2.0",
	}}
}

func (n *Network) Network(context.Context) (api.NetworkStatus, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.picture(), nil
}

func (n *Network) Init(_ context.Context, r api.InitRequest) (api.InitResult, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.status.Joined {
		return api.InitResult{}, conflict("this peer is in the network %s already", n.status.Name).WithHint("cairn leave first")
	}
	n.enter(r.Name, r.PeerName, "admin")
	out := api.InitResult{Network: n.picture(), RecoveryFile: r.RecoveryFile}
	if r.RecoveryFile == "" {
		out.RecoveryWords = Words
	}
	return out, nil
}

func (n *Network) Join(_ context.Context, r api.JoinRequest) (api.NetworkStatus, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	text := strings.ToLower(strings.Join(strings.Fields(r.Invite), ""))
	switch {
	case n.status.Joined:
		return api.NetworkStatus{}, conflict("this peer is in the network %s already", n.status.Name).WithHint("cairn leave first")
	case !strings.HasPrefix(text, InviteText):
		return api.NetworkStatus{}, api.Errorf(api.CodeUsage, "this is not an invite").WithHint("an invite begins with cairninvite1")
	case strings.Contains(text, "0ld"):
		return api.NetworkStatus{}, api.Errorf(api.CodeNotPermitted, "the invite has expired").WithHint("ask for a new one: cairn invite")
	}
	n.enter("home", r.Name, "member")
	n.populate()
	return n.picture(), nil
}

func (n *Network) Leave(context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.status.Joined {
		return inNone()
	}
	n.told++
	n.status, n.members, n.invites = api.NetworkStatus{MemberID: memberID(99), SelfName: n.status.SelfName}, nil, nil
	return nil
}

func (n *Network) Recover(_ context.Context, r api.RecoverRequest) (api.RecoverResult, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if r.File == "" && strings.Join(strings.Fields(r.Words), " ") != Words {
		return api.RecoverResult{}, api.Errorf(api.CodeWrongKey, "these are not the recovery words of this network").WithHint("there are 24 of them, in order")
	}
	if !n.status.Joined {
		n.enter(r.Name, "", "admin")
	}
	n.told++
	n.status.Role, n.members[0].Role = "admin", "admin"
	return api.RecoverResult{Network: n.picture(), Did: []string{"this peer is an administrator"}}, nil
}

func (n *Network) Members(context.Context) ([]api.Member, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.status.Joined {
		return nil, inNone()
	}
	var out []api.Member
	for _, m := range n.members {
		out = append(out, n.measured(m))
	}
	return out, nil
}

func (n *Network) Member(_ context.Context, ref string) (api.Member, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	i, err := n.find(ref)
	if err != nil {
		return api.Member{}, err
	}
	return n.measured(n.members[i]), nil
}

func (n *Network) RevokeMember(_ context.Context, ref string, r api.RevokeRequest) (api.RevokeResult, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	i, err := n.find(ref)
	switch {
	case err != nil:
		return api.RevokeResult{}, err
	case n.status.Role != "admin":
		return api.RevokeResult{}, api.Errorf(api.CodeNotPermitted, "only an administrator can revoke a member").WithHint("ask one: cairn members shows who they are")
	case i == 0:
		return api.RevokeResult{}, api.Errorf(api.CodeUsage, "a peer cannot revoke itself").WithHint("cairn leave")
	case n.members[i].State == "revoked":
		return api.RevokeResult{}, conflict("%s is revoked already", n.members[i].Name)
	}
	n.told++
	out := api.RevokeResult{}
	end := func(m *api.Member, state, reason string) {
		m.State, m.Reason, m.Connection, m.RevokedBy = state, reason, nil, n.status.MemberID
	}
	for k := range n.members {
		m := &n.members[k]
		switch {
		case k == i || m.IssuedBy != n.members[i].ID || m.State != "valid":
		case r.Void:
			end(m, "void", "the administrator who issued its certificate was revoked")
			out.Ended = append(out.Ended, *m)
		default:
			m.IssuedBy = n.status.MemberID
			out.Kept = append(out.Kept, n.measured(*m))
		}
	}
	end(&n.members[i], "revoked", r.Reason)
	out.Member, out.Told = n.members[i], n.picture().Connected
	return out, nil
}

func (n *Network) Rename(_ context.Context, ref, name string) (api.Member, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	i, err := n.find(ref)
	if err != nil {
		return api.Member{}, err
	}
	if i > 0 && n.status.Role != "admin" {
		return api.Member{}, api.Errorf(api.CodeNotPermitted, "only an administrator can rename another member").WithHint("ask one: cairn members shows who they are")
	}
	if k := slices.IndexFunc(n.members, func(m api.Member) bool { return m.Name == name }); k >= 0 && k != i {
		return api.Member{}, conflict("another member is called %s already", name).WithHint("names are unique in a network")
	}
	n.told++
	n.members[i].Name = name
	if i == 0 {
		n.status.SelfName = name
	}
	return n.measured(n.members[i]), nil
}

func (n *Network) Invite(_ context.Context, r api.InviteRequest) (api.Invite, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case !n.status.Joined:
		return api.Invite{}, inNone()
	case n.status.Role != "admin":
		return api.Invite{}, api.Errorf(api.CodeNotPermitted, "only an administrator can invite").WithHint("ask one: cairn members shows who they are")
	}
	n.made++
	now := n.now().UTC()
	life := time.Duration(r.ExpireSeconds) * time.Second
	if life == 0 {
		life = 24 * time.Hour
	}
	v := api.Invite{
		ID: fmt.Sprintf("i%d", n.made), Text: inviteText(n.made), Role: r.Role, Coordinator: !r.NoCoordinator, Zone: r.Zone, Classes: r.Classes,
		For: r.For, Uses: max(1, r.Uses), Created: now, Expires: now.Add(life), State: "open",
	}
	if v.Role == "" {
		v.Role = "member"
	}
	n.invites = slices.Insert(n.invites, 0, v)
	n.told++
	return v, nil
}

// inviteText is as long as a real invite gets.
func inviteText(k int) string {
	const digits = "023456789acdefghjklmnpqrstuvwxyz"
	b := []byte(InviteText)
	for i := range 860 {
		b = append(b, digits[(i*i*7+i*13+k*31+i/7)%len(digits)])
	}
	return string(b)
}

func (n *Network) Invites(context.Context) ([]api.Invite, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.status.Joined {
		return nil, inNone()
	}
	return slices.Clone(n.invites), nil
}

func (n *Network) RevokeInvite(_ context.Context, ref string) (api.Invite, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := range n.invites {
		if v := &n.invites[i]; v.ID == ref || v.Text == ref {
			if v.State == "open" {
				v.State = "revoked"
			}
			n.told++
			return *v, nil
		}
	}
	return api.Invite{}, notFound("invite " + ref)
}
