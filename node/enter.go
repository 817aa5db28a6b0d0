package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"cairn/consensus/access"
	"cairn/consensus/admission"
	"cairn/consensus/membership"
	"cairn/storage"
	"cairn/swarm/exchange"
	"cairn/swarm/transport"
	"cairn/web/api"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
)

// DefaultMemberPort is where the member host listens unless configured, TCP and QUIC.
const DefaultMemberPort = 4749

// Notes of the store that belong to the network: all of them are gone when the peer leaves it.
const (
	netNote     = "net/"
	recordNote  = netNote + "record/" // what consensus/admission keeps
	leavingNote = netNote + "leaving" // the network is being left: finish that before anything else
)

// records keeps what consensus/admission must not forget, sealed, as notes of the store. A note's id is in the clear on the
// disk, and those of records name peers: so it is a hash, and the record holds its id itself.
type records struct{ store *storage.Store }

type keptRecord struct {
	ID   string `json:"id"`
	Data []byte `json:"data"`
}

func recordID(id string) string {
	sum := sha256.Sum256([]byte(id))
	return recordNote + hex.EncodeToString(sum[:16])
}

// Put implements admission.Store.
func (r records) Put(ctx context.Context, all []admission.Record) error {
	notes := make([]storage.Note, 0, len(all))
	for _, rec := range all {
		data, err := json.Marshal(keptRecord(rec))
		if err != nil {
			return fmt.Errorf("write membership: %w", err)
		}
		notes = append(notes, storage.Note{ID: recordID(rec.ID), Data: data})
	}
	return r.store.PutNotes(ctx, notes...)
}

// Records implements admission.Store.
func (r records) Records() iter.Seq2[admission.Record, error] {
	return func(yield func(admission.Record, error) bool) {
		for note, err := range r.store.Notes(recordNote) {
			var rec keptRecord
			if err == nil {
				err = json.Unmarshal(note.Data, &rec)
			}
			if !yield(admission.Record(rec), err) {
				return
			}
		}
	}
}

// enter writes what is known of a network, synced, and takes this peer's place in it. It goes on when whoever asked has gone: by
// then others know this peer as a member. After an error nothing of the network is left; the identity is the same, so that an invite
// that was redeemed can be again.
func (n *Node) enter(ctx context.Context, recs []admission.Record) error {
	ctx = context.WithoutCancel(ctx)
	err := n.lib.hideAll() // what an import that went on while the last network was left has shown to it
	if err == nil {
		err = (records{n.store}).Put(ctx, recs)
	}
	var p *seat
	if err == nil {
		p, err = n.newSeat()
	}
	if err != nil {
		return errors.Join(err, n.forget(ctx))
	}
	n.start(p)
	return nil
}

// forget removes what is known of a network that this peer has not entered after all: two of them side by side would be none.
func (n *Node) forget(ctx context.Context) error {
	var ids []string
	for note, err := range n.store.Notes(recordNote) {
		if err != nil && note.ID == "" {
			return err
		}
		ids = append(ids, note.ID)
	}
	return errors.Join(n.store.DeleteNotes(ctx, ids...), n.vault.Delete(secretNetworkCA))
}

// newSeat makes what a member needs, from what is kept; nil when nothing of a network is.
func (n *Node) newSeat() (_ *seat, err error) {
	if err := n.finishLeaving(context.Background()); err != nil {
		return nil, err
	}
	charter, err := admission.Charter(records{n.store})
	if err != nil || charter.IsZero() {
		return nil, err
	}
	p := &seat{identity: n.identity.key(), id: n.identity.id(), n: n, began: n.now(), done: make(chan struct{}), alerts: newAlerts(n.now)}
	defer func() {
		if err != nil {
			p.undo()
		}
	}()
	if p.book, err = membership.NewBook(charter); err != nil {
		return nil, err
	}
	gate := admission.NewGate(n.now)
	c := transport.Config{Key: p.identity, Gater: gate, Limits: n.cfg.Limits}
	if p.host, err = n.listen(c, memberPorts, n.cfg.MemberListen, DefaultMemberPort); err != nil {
		return nil, err
	}
	ups := newUploads(n.lib, n.swarms, n.transfers)
	p.server, err = exchange.NewServer(exchange.ServerConfig{Rights: forMembers{n.swarms}, Content: n.swarms, Events: ups.events(), Pool: n.pool,
		Meter: n.meter, Shape: n.shape, Log: n.log.With("part", "exchange"), Now: n.now})
	if err != nil {
		return nil, err
	}
	ups.drop = p.server.DropSession
	p.svc, err = admission.New(admission.Config{
		Identity: p.identity, Book: p.book, Gate: gate, Door: n.host, Member: p.host, Store: records{n.store},
		DoorAddrs:   func() []ma.Multiaddr { return transport.Dialable(n.host) },
		MemberAddrs: func() []ma.Multiaddr { return transport.Dialable(p.host) },
		Version:     n.cfg.Version, Now: n.now, Log: n.log.With("part", "membership"), Events: p.events(),
	})
	return p, err
}

// start lets a place work until close. A nil one does nothing.
func (n *Node) start(p *seat) {
	if p == nil {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	p.serve(exchange.Protocol, p.server.Handle)
	p.serve(caProtocol, n.serveCA(p))
	go func() {
		defer close(p.done)
		var attending sync.WaitGroup
		defer attending.Wait()
		attending.Go(func() { p.attend(ctx) })
		n.warn("run membership", p.svc.Run(ctx))
	}()
	n.current.Store(p)
	n.changed.Store(true)
	if n.leaving() && n.current.CompareAndSwap(p, nil) { // the node has closed what there was before this
		n.warn("leave the members", p.close())
	}
}

// serve answers a protocol on the member host to those who have the right to it by the table of package access.
func (p *seat) serve(proto protocol.ID, h network.StreamHandler) {
	p.svc.Handle(proto, func(st network.Stream) {
		c := st.Conn()
		v := access.Decide(access.Subject{Kind: access.Peer, Role: p.role(c.RemotePeer())}, access.Action{Door: access.MemberHost, Name: string(proto)})
		if !v.Allowed {
			p.n.audit.note(c.RemotePeer().String(), c.RemoteMultiaddr().String(), "door.denied", string(proto), "denied", v.Reason)
			_ = st.Reset()
			return
		}
		h(st)
	})
}

// role is what a peer's certificate makes of it.
func (p *seat) role(id peer.ID) access.Role {
	in := p.book.Peer(id, p.svc.Now())
	switch {
	case in.State != membership.StateValid:
		return access.Stranger
	case in.Terms.Role == membership.Admin:
		return access.Administrator
	case in.Terms.Role == membership.Member:
		return access.Member
	}
	return access.Reader
}

// undo closes what a place that was not started has.
func (p *seat) undo() {
	if p.server != nil {
		p.server.Close()
	}
	if p.host != nil {
		p.host.Close()
	}
}

// exit ends this peer's place in its network and forgets that. It goes on when whoever asked has gone.
func (n *Node) exit(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	if err := n.store.PutNotes(ctx, storage.Note{ID: leavingNote, Data: json.RawMessage(`{}`)}); err != nil {
		return err
	}
	p := n.current.Swap(nil)
	n.warn("leave the network", p.close())
	n.swarms.leave(cid.Undef) // those of the next network must not see it
	n.changed.Store(true)
	return n.finishLeaving(ctx)
}

// finishLeaving does the rest of exit, again after a crash: a new identity first, because the old one must not be used
// again, then the key of the network's authority, then what is known of the network.
func (n *Node) finishLeaving(ctx context.Context) error {
	leaving := false
	var ids []string
	for note, err := range n.store.Notes(netNote) {
		if err != nil && note.ID == "" {
			return err
		}
		leaving = leaving || note.ID == leavingNote
		ids = append(ids, note.ID)
	}
	if !leaving {
		return nil
	}
	if err := n.identity.renew(); err != nil {
		return err
	}
	if err := n.vault.Delete(secretNetworkCA); err != nil {
		return err
	}
	// The mark goes last.
	ids = append(slices.DeleteFunc(ids, func(id string) bool { return id == leavingNote }), leavingNote)
	return n.store.DeleteNotes(ctx, ids...)
}

// events tell the node what happens in the network.
func (p *seat) events() admission.Events {
	changed := func() { p.n.changed.Store(true) }
	return admission.Events{
		Changed:      changed,
		Connected:    func(peer.ID) { changed() },
		Disconnected: func(peer.ID) { changed() },
		Cloned: func(id peer.ID, where []string) {
			p.alerts.clone(id, p.nameOf(id), id == p.id, where)
			p.n.log.Warn("two machines run with one identity", "part", "membership", "peer", id, "where", where)
			changed()
		},
		Skew: func(id peer.ID, d time.Duration) {
			p.alerts.skew(id, p.nameOf(id), d)
			changed()
		},
		Audit: func(a admission.Audit) {
			outcome := "done"
			if a.What == "refused" {
				outcome = "denied"
			}
			p.n.audit.note(a.Peer.String(), a.Addr, "member."+strings.ReplaceAll(a.What, " ", "_"), p.nameOf(a.Peer), outcome, a.Why)
		},
	}
}

func (p *seat) nameOf(id peer.ID) string { return p.book.Peer(id, p.svc.Now()).Name }

// memberSight is what is known of a member besides its documents.
type memberSight struct {
	version string
	last    time.Time
	cloned  bool
}

func (p *seat) known() map[peer.ID]memberSight {
	out := map[peer.ID]memberSight{}
	for _, s := range p.svc.Peers() {
		out[s.ID] = memberSight{version: s.Software, last: s.LastSeen, cloned: s.Cloned}
	}
	return out
}

// settleFor is how long a peer that has just started is given to be connected with all whom it knows.
const settleFor = 2 * time.Second

// settled tells whether everybody who is expected is there, or has had time to come.
func (p *seat) settled() bool {
	if p.n.now().Sub(p.began) > settleFor {
		return true
	}
	return len(p.host.Network().Peers()) >= p.others()
}

// others counts the other members in force.
func (p *seat) others() (sum int) {
	for _, in := range p.book.Members(p.svc.Now()) {
		if in.State == membership.StateValid && in.ID != p.id {
			sum++
		}
	}
	return sum
}

// addressesOf are the multiaddrs under which others reach a host, its id included.
func addressesOf(h host.Host) []string {
	out := []string{}
	for _, a := range transport.Dialable(h) {
		out = append(out, fmt.Sprintf("%s/p2p/%s", a, h.ID()))
	}
	return out
}

// alerts are what is wrong with members and somebody should look at.
type alerts struct {
	now func() time.Time

	mu     sync.Mutex
	clones map[peer.ID]api.Alert
	skews  map[peer.ID]api.Alert
}

func newAlerts(now func() time.Time) *alerts {
	return &alerts{now: now, clones: map[peer.ID]api.Alert{}, skews: map[peer.ID]api.Alert{}}
}

func (a *alerts) clone(id peer.ID, name string, self bool, where []string) {
	text := fmt.Sprintf("two machines run as %s", name)
	if self {
		text = "another machine runs with this peer's identity"
	}
	if len(where) > 0 {
		text += ": " + strings.Join(where, " and ")
	}
	hint := "its data directory was copied: stop one of them; if you do not know the other, revoke " + name + " and join anew"
	a.mu.Lock()
	defer a.mu.Unlock()
	since := a.now().UTC()
	if old, ok := a.clones[id]; ok {
		since = old.Since
	}
	a.clones[id] = api.Alert{Kind: "clone", MemberID: id.String(), Message: text, Hint: hint, Since: since}
}

// skewTold is from which difference of clocks on a member is named.
const skewTold = admission.SkewTold

func (a *alerts) skew(id peer.ID, name string, d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if d.Abs() < skewTold {
		delete(a.skews, id)
		return
	}
	how := "ahead of"
	if d < 0 {
		how = "behind"
	}
	since := a.now().UTC()
	if old, ok := a.skews[id]; ok {
		since = old.Since
	}
	a.skews[id] = api.Alert{Kind: "clock", MemberID: id.String(), Since: since,
		Message: fmt.Sprintf("the clock of %s is %s ours by %s", name, how, roughly(d.Abs())),
		Hint:    "set the clock of the machine that is wrong: certificates depend on it"}
}

// renewalTold is how long before the end of this peer's certificate it is worth a word.
const renewalTold = 3 * 24 * time.Hour

// list is all that is wrong, what concerns this peer itself first. known says who is still cloned.
func (a *alerts) list(me membership.Info, known map[peer.ID]memberSight, now time.Time) []api.Alert {
	out := []api.Alert{}
	add := func(kind, hint, format string, args ...any) {
		out = append(out, api.Alert{Kind: kind, MemberID: me.ID.String(), Message: fmt.Sprintf(format, args...), Hint: hint, Since: now.UTC()})
	}
	switch me.State {
	case membership.StateValid:
		if left := me.Expires.Sub(now); left < renewalTold {
			add("renewal", "let an administrator of the network be up at the same time as this peer",
				"this peer's certificate ends in %s and no administrator has renewed it", left.Round(time.Hour))
		}
	case membership.StateSuspended:
		add("suspended", "settle it with the root key: `cairn network recover --keep NAME`", "%s", me.Reason)
	case membership.StateEarly:
		add("clock", "set the clock of this machine", "this peer's certificate is from the future: a clock is wrong")
	default:
		add("revoked", "`cairn leave` forgets the network; to come back this peer needs a new invite", "this peer is out of the network: %s", me.Reason)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	maps.DeleteFunc(a.clones, func(id peer.ID, _ api.Alert) bool { return !known[id].cloned })
	for _, m := range []map[peer.ID]api.Alert{a.clones, a.skews} {
		for _, id := range slices.Sorted(maps.Keys(m)) {
			out = append(out, m[id])
		}
	}
	return out
}

// renew asks an administrator that is connected for a certificate with another name.
func (n *Node) renew(ctx context.Context, p *seat, name string) error {
	err := p.svc.Renew(ctx, name)
	if errors.Is(err, admission.ErrNoAdmin) {
		return api.Errorf(api.CodeUnavailable, "no administrator can be reached, and a name is part of the certificate that they give").
			WithHint("%s", whoCan(p))
	}
	return err
}
