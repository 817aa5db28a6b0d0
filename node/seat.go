package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"cairn/consensus/admission"
	"cairn/consensus/membership"
	"cairn/swarm/exchange"
	"cairn/swarm/ticket"
	"cairn/web/api"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	ma "github.com/multiformats/go-multiaddr"
)

// seat is this peer's place in a network while it is in one: the host that admits members only, and what runs on it.
// Its goroutines end with close.
type seat struct {
	identity crypto.PrivKey
	id       peer.ID
	book     *membership.Book
	host     host.Host
	server   *exchange.Server // of what members may fetch without a ticket
	svc      *admission.Service
	alerts   *alerts
	n        *Node
	began    time.Time

	silent sync.Map // peer.ID of who is connected and did not answer the last time, to true

	stop context.CancelFunc
	done chan struct{} // closed when svc has ended
}

// seat is nil while the peer is in no network.
func (n *Node) seat() *seat { return n.current.Load() }

// hosts are those that this peer has at present: the door host, and in a network the one for members.
func (n *Node) hosts() []host.Host {
	if p := n.seat(); p != nil {
		return []host.Host{n.host, p.host}
	}
	return []host.Host{n.host}
}

// hostFor is the host on which members are met, or the one for everybody else. Without a network they are the same:
// whoever asks there for what is for members is refused.
func (n *Node) hostFor(members bool) host.Host {
	if p := n.seat(); p != nil && members {
		return p.host
	}
	return n.host
}

// serverFor is the server of that host.
func (n *Node) serverFor(members bool) *exchange.Server {
	if p := n.seat(); p != nil && members {
		return p.server
	}
	return n.server
}

// isSelf tells whether an id is one of this peer's two.
func (n *Node) isSelf(id peer.ID) bool {
	return slices.ContainsFunc(n.hosts(), func(h host.Host) bool { return h.ID() == id })
}

// memberName is what the network calls a peer, "" if it is no member.
func (n *Node) memberName(id peer.ID) string {
	p := n.seat()
	if p == nil {
		return ""
	}
	return p.book.Peer(id, p.svc.Now()).Name
}

// mayShow tells whether this peer may offer content to its network, and otherwise why not.
func (n *Node) mayShow() (bool, error) {
	p := n.seat()
	if p == nil {
		return false, errNoNetwork()
	}
	if err := p.inForce(); err != nil {
		return false, err
	}
	if p.svc.Self().Terms.Role < membership.Member {
		return false, api.Errorf(api.CodeNotPermitted, "this peer is a reader of its network: it fetches, and shows nothing to the others").
			WithHint("share it with a ticket instead, or ask an administrator for an invite of role member")
	}
	return true, nil
}

// inForce fails while this peer is no member in force.
func (p *seat) inForce() error {
	if me := p.svc.Self(); me.State != membership.StateValid {
		return api.Errorf(api.CodeNotPermitted, "this peer's membership is not in force: %s", me.Reason)
	}
	return nil
}

// holders are the connected members that may have something to give.
func (p *seat) holders() (out []peer.ID) {
	now := p.svc.Now()
	for _, id := range p.host.Network().Peers() {
		if in := p.book.Peer(id, now); in.State == membership.StateValid && in.Terms.Role >= membership.Member {
			out = append(out, id)
		}
	}
	return out
}

// elsewhere tells whether ref is the CID of something that this peer does not hold, as why says, and that members of its
// network may.
func (n *Node) elsewhere(ref string, why error) (cid.Cid, bool) {
	var e *api.Error
	if n.seat() == nil || !errors.As(why, &e) || e.Code != api.CodeNotFound {
		return cid.Undef, false
	}
	c, err := cid.Decode(ref)
	return c, err == nil
}

// nobodyHas is the end of a search for an object.
func (n *Node) nobodyHas(root cid.Cid) error {
	p := n.seat()
	if p == nil {
		return errNoNetwork()
	}
	if err := p.inForce(); err != nil {
		return err
	}
	asked := len(p.holders())
	if asked == 0 {
		return api.Errorf(api.CodeUnavailable, "this peer does not hold %s, and no other member is connected", root).
			WithHint("`cairn members` shows who is there; or use a ticket")
	}
	return api.Errorf(api.CodeNotFound, "neither this peer nor any of %d connected members has %s", asked, root).
		WithHint("`cairn members` shows who is there; whoever has it may not show it to the network; or use a ticket")
}

// meetFor is how long a search waits for a first member to be connected: a peer that has just started needs a moment.
const meetFor = 5 * time.Second

// meet waits until a member is connected that may have something, and the others have had a moment, or for meetFor.
func (n *Node) meet(ctx context.Context) (*seat, []peer.ID) { return n.meetUntil(ctx, (*seat).settled) }

// meetAny waits until a first one is, or for meetFor: the others may be off.
func (n *Node) meetAny(ctx context.Context) { n.meetUntil(ctx, func(*seat) bool { return true }) }

func (n *Node) meetUntil(ctx context.Context, enough func(*seat) bool) (p *seat, who []peer.ID) {
	for end := n.now().Add(meetFor); ; {
		if p = n.seat(); p == nil {
			return nil, nil
		}
		if who = p.holders(); len(who) > 0 && enough(p) || n.now().After(end) || !pause(ctx, 50*time.Millisecond) {
			return p, who
		}
	}
}

// How often members that have connected since are asked for what a get wants, and how many a get asks.
const (
	membersEvery = time.Second
	membersMost  = maxContacts
)

// askMembers asks the connected members for an object, and those that connect later. The caller has counted it as
// somebody who may bring a source.
func (s *sources) askMembers(ctx context.Context, g goal) {
	_, who := s.n.meet(ctx)
	ask := func(ids []peer.ID) {
		for _, id := range ids[:min(len(ids), membersMost)] {
			s.add(&contact{ticket: ticket.ForMembers(g.root, id), origin: fromMember})
		}
	}
	ask(who)
	s.mu.Lock()
	if len(s.contacts) == 0 {
		s.nobody = s.n.nobodyHas(g.root)
	}
	s.release()
	s.mu.Unlock()
	for pause(ctx, membersEvery) {
		if why := s.n.ousted(g.in); why != nil { // it would wait for ever, or ask the members of the next network
			s.mu.Lock()
			s.ousted = why
			s.mu.Unlock()
			s.cancel()
			return
		}
		ask(g.in.holders())
	}
}

// ousted tells why this peer will not again be a member of the network of a place that it had; nil: it may.
func (n *Node) ousted(p *seat) error {
	if p == nil || n.seat() != p {
		return api.Errorf(api.CodeNotPermitted, "this peer is not in the network any more in which it was fetching")
	}
	if st := p.svc.Self().State; st != membership.StateRevoked && st != membership.StateLeft {
		return nil
	}
	return p.inForce()
}

// askFor finds a connected member that has an object, for reading it in place.
func (n *Node) askFor(ctx context.Context, root cid.Cid) (ticket.Ticket, error) {
	_, who := n.meet(ctx)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	found := make(chan ticket.Ticket, len(who))
	var asked sync.WaitGroup
	for _, id := range who[:min(len(who), membersMost)] {
		asked.Go(func() {
			t := ticket.ForMembers(root, id)
			sess, err := exchange.Dial(ctx, n.hostFor(true), t, exchange.ClientConfig{Meter: n.meter, News: true})
			if err != nil {
				return
			}
			defer sess.Close()
			if !sess.Partial() {
				t.Size = sess.Size()
				found <- t
			}
		})
	}
	go func() { asked.Wait(); close(found) }()
	if t, ok := <-found; ok {
		return t, nil
	}
	if ctx.Err() != nil {
		return ticket.Ticket{}, ctx.Err()
	}
	return ticket.Ticket{}, n.nobodyHas(root)
}

// close ends everything on the member host, the work of others first.
func (p *seat) close() error {
	if p == nil {
		return nil
	}
	if p.stop == nil { // it was not started: what came after it could not be made
		p.undo()
		return nil
	}
	p.host.RemoveStreamHandler(exchange.Protocol)
	err := p.server.Close()
	p.stop()
	<-p.done
	if err := errors.Join(err, p.host.Close()); err != nil {
		return fmt.Errorf("close member host: %w", err)
	}
	return nil
}

// lanKept is how long the address of a member's door that the local network names is tried.
const lanKept = 2 * time.Minute

// sighted hears that the local network names addresses of a door. If it is a member's, its door is tried there too: that
// is how members find each other again when all have got new addresses. The hello proves who it is.
func (n *Node) sighted(id peer.ID, addrs []ma.Multiaddr) {
	p := n.seat()
	if p == nil {
		return
	}
	if slices.ContainsFunc(p.svc.Peers(), func(m admission.Peer) bool { return m.Door == id && m.State == membership.StateValid }) {
		n.host.Peerstore().AddAddrs(id, addrs, lanKept)
	}
}

// How often the round trip to each connected member is measured, and how long an answer may take.
const (
	measureEvery = 20 * time.Second
	measureFor   = 3 * time.Second
)

// certificateEvery is how often a certificate of the network is asked for while the dashboard has a makeshift one.
const certificateEvery = 5 * time.Second

// authorityEvery is how often the others are asked for the network's authority as they know it.
const authorityEvery = time.Minute

// attend keeps the round trips to connected members, which libp2p remembers as averages, a new one's at once, notes who
// does not answer, so that one that lost power is shown as gone long before its connection ends, and has the dashboard's certificate
// exchanged when an administrator has come.
func (p *seat) attend(ctx context.Context) {
	asked, synced := time.Time{}, p.n.now()
	last := map[peer.ID]time.Time{}
	for pause(ctx, time.Second) {
		now := p.n.now()
		var wg sync.WaitGroup
		there := map[peer.ID]time.Time{}
		for _, id := range p.host.Network().Peers() {
			if there[id] = last[id]; now.Sub(last[id]) < measureEvery {
				continue
			}
			there[id] = now
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(ctx, measureFor)
				defer cancel()
				r, ok := <-ping.Ping(network.WithNoDial(ctx, "measure"), p.host, id) // what it found is in the peerstore
				if ok && r.Error == nil {
					p.heard(id, true)
				} else if errors.Is(ctx.Err(), context.DeadlineExceeded) { // any other error ends the connection, or this peer ends
					p.heard(id, false)
				}
			})
		}
		if now.Sub(synced) >= authorityEvery {
			synced = now
			wg.Go(func() { p.n.syncAuthority(ctx, p) })
		}
		if now.Sub(asked) >= certificateEvery {
			asked = now
			wg.Go(func() { p.n.settleCertificate(ctx) })
		}
		wg.Wait()
		for id := range last {
			if _, ok := there[id]; !ok {
				p.silent.Delete(id)
			}
		}
		last = there
	}
}

// heard notes whether a connected member answers.
func (p *seat) heard(id peer.ID, ok bool) {
	was := p.isSilent(id)
	if ok {
		p.silent.Delete(id)
	} else {
		p.silent.Store(id, true)
	}
	if was == ok {
		p.n.changed.Store(true)
	}
}

func (p *seat) isSilent(id peer.ID) bool {
	_, ok := p.silent.Load(id)
	return ok
}

// connected counts the members that are connected and answer.
func (p *seat) connected() (sum int) {
	for _, id := range p.host.Network().Peers() {
		if !p.isSilent(id) {
			sum++
		}
	}
	return sum
}

// countPeers is how many peers are connected, on either host.
func (n *Node) countPeers() (sum int) {
	for _, h := range n.hosts() {
		sum += len(h.Network().Peers())
	}
	return sum
}

// tellNetwork announces what has changed of the network since it was last called.
func (n *Node) tellNetwork() {
	if !n.changed.Swap(false) {
		return
	}
	st := n.networkStatus()
	n.hub.send(api.Event{Type: "network", Network: &st})
	if ms, err := n.Members(context.Background()); err == nil {
		n.hub.send(api.Event{Type: "members", Members: ms})
	}
}
