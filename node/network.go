package node

import (
	"cmp"
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	"cairn/consensus/admission"
	"cairn/consensus/membership"
	"cairn/web/api"

	"github.com/libp2p/go-libp2p/core/peer"
)

// joinFor bounds an attempt to join: every contact of the invite is dialled in that time.
const joinFor = 30 * time.Second

// Network says which network the peer is in.
func (n *Node) Network(context.Context) (api.NetworkStatus, error) { return n.networkStatus(), nil }

func (n *Node) networkStatus() api.NetworkStatus {
	st := api.NetworkStatus{MemberID: n.identity.id().String(), SelfName: n.settings.name(), Addresses: []string{}, Alerts: []api.Alert{}, Limits: []api.Limit{}}
	p := n.seat()
	if p == nil {
		return st
	}
	now := p.svc.Now()
	id, name, charter := p.book.Network()
	me := p.book.Peer(p.id, now)
	created := charter.Issued().UTC()
	st.Joined, st.ID, st.Name, st.Created, st.MemberID = true, id.String(), name, &created, p.id.String()
	st.SelfName, st.Role, st.State, st.Reason = cmp.Or(me.Name, n.settings.name()), roleName(me.Terms.Role), stateName(me.State), me.Reason
	if !me.Expires.IsZero() {
		t := me.Expires.UTC()
		st.Expires = &t
	}
	for _, in := range p.book.Members(now) {
		if in.State != membership.StateValid {
			continue
		}
		st.Members++
		if in.Admin {
			st.Administrators++
		}
	}
	st.Connected = p.connected()
	st.Addresses = addressesOf(p.host)
	st.Alerts = p.alerts.list(me, p.known(), now)
	for _, l := range n.cfg.Limits.List() {
		st.Limits = append(st.Limits, api.Limit{Name: l.Name, Value: l.Value})
	}
	return st
}

// need returns the place in the network, or says that there is none.
func (n *Node) need() (*seat, error) {
	if p := n.seat(); p != nil {
		return p, nil
	}
	return nil, errNoNetwork()
}

// needAdmin is need for what only an administrator can do.
func (n *Node) needAdmin(what string) (*seat, error) {
	p, err := n.need()
	if err != nil {
		return nil, err
	}
	if err := p.inForce(); err != nil {
		return nil, err
	}
	if me := p.svc.Self(); !me.Admin {
		return nil, api.Errorf(api.CodeNotPermitted, "only an administrator can %s, and this peer is a %s", what, roleName(me.Terms.Role)).
			WithHint("%s", whoCan(p))
	}
	return p, nil
}

// whoCan names the administrators.
func whoCan(p *seat) string {
	var names []string
	for _, in := range p.book.Members(p.svc.Now()) {
		if in.Admin && in.State == membership.StateValid {
			names = append(names, in.Name)
		}
	}
	if len(names) == 0 {
		return "no administrator is left: `cairn network recover` appoints one with the root key"
	}
	return "run this on " + strings.Join(names[:min(len(names), 5)], ", ")
}

// Init makes a network. The recovery file is there, synced, before anything else is.
func (n *Node) Init(ctx context.Context, r api.InitRequest) (api.InitResult, error) {
	n.changing.Lock()
	defer n.changing.Unlock()
	res, err := n.init(ctx, r)
	api.About(ctx, res.Network.ID)
	return res, explained(err)
}

func (n *Node) init(ctx context.Context, r api.InitRequest) (_ api.InitResult, err error) {
	if err := n.none(ctx); err != nil {
		return api.InitResult{}, err
	}
	peerName := cmp.Or(r.PeerName, n.settings.name())
	if err := errors.Join(named("network", r.Name), named("peer", peerName)); err != nil {
		return api.InitResult{}, err
	}
	now := n.now()
	root, charter, err := membership.Found(r.Name, now)
	if err != nil {
		return api.InitResult{}, err
	}
	res := api.InitResult{RecoveryFile: r.RecoveryFile}
	if r.RecoveryFile != "" {
		if err := n.writeRecovery(r, root, charter); err != nil {
			return api.InitResult{}, err
		}
		defer func() {
			if err != nil { // it is of a network that is not there
				err = errors.Join(err, os.Remove(r.RecoveryFile))
			}
		}()
	} else if res.RecoveryWords, err = rootWords(root); err != nil {
		return api.InitResult{}, err
	}
	key, self := n.identity.key(), n.identity.id()
	docs := []membership.Doc{charter}
	d, err := membership.Delegate(root, charter.Network(), self, true, now)
	if err == nil {
		docs = append(docs, d)
		d, err = membership.Certify(key, charter.Network(), self, peerName, membership.Terms{Role: membership.Admin, Coordinator: true}, now, membership.CertificateLife)
	}
	if err != nil {
		return api.InitResult{}, err
	}
	if err := n.newNetworkCA(r.Name); err != nil {
		return api.InitResult{}, err
	}
	if err := n.enter(ctx, admission.Records(append(docs, d)...)); err != nil {
		return api.InitResult{}, err
	}
	res.Network = n.networkStatus()
	return res, nil
}

// none fails while the peer is in a network. What an error left of the last one is removed: it would take the next one with it.
func (n *Node) none(ctx context.Context) error {
	p := n.seat()
	if p == nil {
		return n.finishLeaving(context.WithoutCancel(ctx))
	}
	_, name, _ := p.book.Network()
	return api.Errorf(api.CodeConflict, "this peer is in the network %q already", name).
		WithHint("a peer is in one network at a time: `cairn leave` first, or use another data directory with --home")
}

// named checks a name that becomes part of a document.
func named(what, name string) error {
	if err := membership.CheckName(name); err != nil {
		return api.Errorf(api.CodeUsage, "%q can not be the name of a %s: %v", name, what, err).
			WithHint("at most %d bytes, without control characters", membership.MaxName)
	}
	return nil
}

// Join takes an invite.
func (n *Node) Join(ctx context.Context, r api.JoinRequest) (api.NetworkStatus, error) {
	n.changing.Lock()
	defer n.changing.Unlock()
	st, err := n.join(ctx, r)
	if errors.Is(err, context.Canceled) && n.leaving() {
		err = errHandover // whoever asked can ask the next peer of this home, and gets the same answer
	}
	api.About(ctx, st.ID)
	return st, explained(err)
}

func (n *Node) join(ctx context.Context, r api.JoinRequest) (api.NetworkStatus, error) {
	inv, err := membership.ParseInvite(r.Invite)
	if err != nil {
		return api.NetworkStatus{}, err
	}
	if p := n.seat(); p != nil {
		if id, _, _ := p.book.Network(); id == inv.Charter.Network() && p.book.Peer(p.id, p.svc.Now()).Invite == inv.ID() {
			return n.networkStatus(), nil // asked again after a lost answer
		}
	}
	if err := n.none(ctx); err != nil {
		return api.NetworkStatus{}, err
	}
	name := cmp.Or(r.Name, n.settings.name())
	if err := named("peer", name); err != nil {
		return api.NetworkStatus{}, err
	}
	ctx, end := n.bound(ctx)
	defer end()
	ctx, cancel := context.WithTimeout(ctx, joinFor)
	defer cancel()
	joined, err := admission.Join(ctx, admission.JoinConfig{Door: n.host, Identity: n.identity.key(), Invite: inv, Name: name, Now: n.now})
	if err != nil {
		return api.NetworkStatus{}, err
	}
	if err := n.enter(ctx, joined.Records()); err != nil {
		return api.NetworkStatus{}, err
	}
	n.meetAny(ctx) // usable means that somebody is there
	return n.networkStatus(), nil
}

// Leave tells the others and forgets the network.
func (n *Node) Leave(ctx context.Context) error {
	n.changing.Lock()
	defer n.changing.Unlock()
	p, err := n.need()
	if err != nil {
		return err
	}
	id, _, _ := p.book.Network()
	api.About(ctx, id.String())
	return explained(n.leave(ctx, p))
}

// leave hides what was shown, tells the others, and then makes a new identity: the old id is never a member again. Each
// step can be repeated after a crash.
func (n *Node) leave(ctx context.Context, p *seat) error {
	if err := n.lib.hideAll(); err != nil {
		return err
	}
	if p.inForce() == nil {
		if p.others() > 0 {
			n.meetAny(ctx) // a peer that has just started is connected in a moment, and nobody can tell the others later
		}
		if _, err := p.svc.Leave(ctx, ""); err != nil {
			return err
		}
	}
	return n.exit(ctx)
}

// Members lists everybody, this peer first.
func (n *Node) Members(context.Context) ([]api.Member, error) {
	p, err := n.need()
	if err != nil {
		return nil, err
	}
	now := p.svc.Now()
	known := p.known()
	out := []api.Member{}
	for _, in := range p.book.Members(now) {
		out = append(out, n.member(p, in, known))
	}
	slices.SortStableFunc(out, func(a, b api.Member) int {
		switch {
		case a.Self != b.Self && a.Self:
			return -1
		case a.Self != b.Self:
			return 1
		}
		return 0
	})
	return out, nil
}

// Member finds one.
func (n *Node) Member(_ context.Context, ref string) (api.Member, error) {
	p, err := n.need()
	if err != nil {
		return api.Member{}, err
	}
	in, err := p.find(ref)
	if err != nil {
		return api.Member{}, err
	}
	return n.member(p, in, p.known()), nil
}

// find returns the one member that ref names: by id, the beginning or end of one (6 characters), or name, where those in
// force come first.
func (p *seat) find(ref string) (membership.Info, error) {
	ref = strings.TrimPrefix(strings.TrimSpace(ref), "…")
	var hits, valid []membership.Info
	for _, in := range p.book.Members(p.svc.Now()) {
		id := in.ID.String()
		if id == ref {
			return in, nil
		}
		if in.Name == ref || len(ref) >= 6 && (strings.HasPrefix(id, ref) || strings.HasSuffix(id, ref)) {
			hits = append(hits, in)
			if in.State == membership.StateValid {
				valid = append(valid, in)
			}
		}
	}
	if len(valid) > 0 {
		hits = valid
	}
	switch {
	case len(hits) == 1:
		return hits[0], nil
	case len(hits) > 1:
		return membership.Info{}, api.Errorf(api.CodeUsage, "%q fits %d members", ref, len(hits)).WithHint("give the id, or its last characters; `cairn members --all` lists them")
	}
	return membership.Info{}, api.Errorf(api.CodeNotFound, "no member is called %q", ref).WithHint("`cairn members --all` lists them")
}

// member is one of them as the API shows it.
func (n *Node) member(p *seat, in membership.Info, known map[peer.ID]memberSight) api.Member {
	at := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		t = t.UTC()
		return &t
	}
	m := api.Member{ID: in.ID.String(), Name: in.Name, Self: in.ID == p.id, Role: roleName(in.Terms.Role), Zone: in.Terms.Zone,
		Classes: append([]string{}, in.Terms.Classes...), Coordinator: in.Terms.Coordinator, State: stateName(in.State), Reason: in.Reason,
		Joined: at(in.Joined), Expires: at(in.Expires)}
	if in.Issuer != "" {
		m.IssuedBy = in.Issuer.String()
	}
	if in.By != "" {
		m.RevokedBy = in.By.String()
	}
	seen := known[in.ID]
	m.Version, m.LastSeen, m.Cloned = seen.version, at(seen.last), seen.cloned
	if m.Self {
		m.Version, m.LastSeen = n.cfg.Version, at(n.now())
	} else if in.State == membership.StateValid && !p.isSilent(in.ID) { // one that was cut off has a moment to read why
		m.Connection = n.connection(p.host, in.ID)
	}
	return m
}

// RevokeMember ends a membership.
func (n *Node) RevokeMember(ctx context.Context, ref string, r api.RevokeRequest) (api.RevokeResult, error) {
	res, err := n.revokeMember(ctx, ref, r)
	return res, explained(err)
}

func (n *Node) revokeMember(ctx context.Context, ref string, r api.RevokeRequest) (api.RevokeResult, error) {
	p, err := n.needAdmin("revoke a member")
	if err != nil {
		return api.RevokeResult{}, err
	}
	who, err := p.find(ref)
	if err != nil {
		return api.RevokeResult{}, err
	}
	api.About(ctx, who.ID.String())
	if who.ID == p.id {
		return api.RevokeResult{}, api.Errorf(api.CodeUsage, "a peer does not revoke itself").WithHint("`cairn leave` leaves the network")
	}
	if who.State == membership.StateRevoked || who.State == membership.StateLeft {
		return api.RevokeResult{}, api.Errorf(api.CodeConflict, "%s is out of the network already: %s", who.Name, who.Reason)
	}
	if len(r.Reason) > membership.MaxReason {
		return api.RevokeResult{}, api.Errorf(api.CodeUsage, "the reason has %d bytes", len(r.Reason)).WithHint("at most %d", membership.MaxReason)
	}
	now := p.svc.Now()
	net, _, _ := p.book.Network()
	depend := p.book.DependsOn(who.ID, now)
	var docs []membership.Doc
	if who.Admin && !r.Void {
		if docs, err = p.book.Countersign(p.identity, who.ID, now); err != nil {
			return api.RevokeResult{}, err
		}
	}
	d, err := membership.Revoke(p.identity, net, who.ID, r.Reason, now)
	if err != nil {
		return api.RevokeResult{}, err
	}
	res := api.RevokeResult{Ended: []api.Member{}, Kept: []api.Member{}}
	if res.Told, err = p.svc.Publish(ctx, append(docs, d)...); err != nil {
		return api.RevokeResult{}, err
	}
	if who.Admin { // it has the key of the dashboards' authority
		_, name, _ := p.book.Network()
		if err := n.newNetworkCA(name); err != nil {
			return api.RevokeResult{}, err
		}
	}
	known := p.known()
	for _, in := range depend {
		after := p.book.Peer(in.ID, now)
		if after.State == membership.StateValid {
			res.Kept = append(res.Kept, n.member(p, after, known))
		} else {
			res.Ended = append(res.Ended, n.member(p, after, known))
		}
	}
	res.Member = n.member(p, p.book.Peer(who.ID, now), known)
	return res, nil
}

// Rename changes the name of a member, or of this peer.
func (n *Node) Rename(ctx context.Context, ref, name string) (api.Member, error) {
	m, err := n.rename(ctx, ref, name)
	return m, explained(err)
}

func (n *Node) rename(ctx context.Context, ref, name string) (api.Member, error) {
	p, err := n.need()
	if err != nil {
		return api.Member{}, err
	}
	if err := named("peer", name); err != nil {
		return api.Member{}, err
	}
	who, err := p.find(ref)
	if err != nil {
		return api.Member{}, err
	}
	api.About(ctx, who.ID.String())
	if who.State != membership.StateValid {
		return api.Member{}, api.Errorf(api.CodeConflict, "%s is not a member in force: %s", who.Name, who.Reason)
	}
	now := p.svc.Now()
	if p.book.Peer(p.id, now).Admin {
		net, _, _ := p.book.Network()
		d, err := membership.Certify(p.identity, net, who.ID, name, who.Terms, now, membership.CertificateLife)
		if err != nil {
			return api.Member{}, err
		}
		if _, err := p.svc.Publish(ctx, d); err != nil {
			return api.Member{}, err
		}
	} else if who.ID != p.id {
		_, err := n.needAdmin("rename another member")
		return api.Member{}, err
	} else if err := n.renew(ctx, p, name); err != nil {
		return api.Member{}, err
	}
	return n.member(p, p.book.Peer(who.ID, p.svc.Now()), p.known()), nil
}

func roleName(r membership.Role) string {
	switch r {
	case membership.Reader:
		return "reader"
	case membership.Admin:
		return "admin"
	}
	return "member"
}

func stateName(s membership.State) string {
	switch s {
	case membership.StateValid:
		return "valid"
	case membership.StateEarly:
		return "early"
	case membership.StateExpired:
		return "expired"
	case membership.StateVoid:
		return "void"
	case membership.StateRevoked:
		return "revoked"
	case membership.StateSuspended:
		return "suspended"
	case membership.StateLeft:
		return "left"
	}
	return "void"
}
