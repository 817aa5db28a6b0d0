package node

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"sync"
	"time"

	"cairn/storage/block"
	"cairn/swarm/exchange"
	"cairn/swarm/fetch"
	"cairn/swarm/ticket"
	"cairn/web/api"

	"github.com/libp2p/go-libp2p/core/peer"
)

// sources finds, dials and holds the peers of one get: those of its tickets, and other downloaders of the same
// tickets, whom a source introduced or who were found on the local network. See contact for how each is held.
type sources struct {
	n       *Node
	wait    time.Duration     // for a ticket's peer that went away
	now     []fetch.Source    // known at the start; nil where all have to be dialled
	joining chan fetch.Source // closed when the last contact is given up
	id      [16]byte          // of this download, so that a source does not count it twice

	ctx    context.Context // ends with the get
	cancel context.CancelFunc
	wg     sync.WaitGroup

	giveUpHope context.CancelFunc // ends the search for more

	mu       sync.Mutex
	contacts map[peer.ID]*contact
	all      []*source
	open     bool                   // more contacts may be added
	held     int                    // contacts that may bring a source, and the set-up
	leaves   int                    // of the object; 0 until its tree is known
	noSwarm  bool                   // the user, or a ticket, wants no other downloaders
	serving  bool                   // others can get from us what we have
	withdraw func()                 // ends that; nil unless serving
	failed   map[peer.ID]error      // why a ticket's peer could not be dialled
	liars    map[peer.ID]bool       // no ticket names them, and they are not wanted again
	nobody   error                  // why no member could be asked
	ousted   error                  // why members will never again be
	void     map[ticket.KeyID]error // what a ticket's peer said when it ended the ticket
	probes   budget                 // of connection attempts that somebody else may have aimed
	stuck    *time.Timer            // runs while the fetch waits; see waiting
	moved    time.Time              // when the fetch last got anything, or a downloader did
	have     int64                  // what that is judged by
}

// sources begins to dial. For a goal without tickets the peer's own store is the one source.
func (n *Node) sources(ctx context.Context, g goal, r api.GetRequest) (*sources, error) {
	s := &sources{n: n, noSwarm: r.NoSwarm, wait: defaultWait, contacts: map[peer.ID]*contact{}, failed: map[peer.ID]error{},
		liars: map[peer.ID]bool{}, void: map[ticket.KeyID]error{}, moved: n.now()}
	rand.Read(s.id[:])
	if r.WaitSeconds > 0 {
		s.wait = time.Duration(r.WaitSeconds) * time.Second
	}
	release := func() {}
	if g.here() || g.held {
		tree, done, err := n.trees.open(ctx, g.root)
		switch {
		case err == nil:
			s.now, release = []fetch.Source{fetch.NewLocalSource(n.host.ID(), n.store, tree)}, done
		case g.here():
			return nil, err
		}
	}
	if g.here() {
		s.cancel = release
		return s, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	s.ctx, s.cancel = ctx, sync.OnceFunc(func() { cancel(); release() })
	hope, giveUp := context.WithCancel(s.ctx)
	s.joining, s.giveUpHope = make(chan fetch.Source), giveUp
	s.open, s.held = true, 1 // until all are there
	for _, c := range s.named(g.tickets) {
		s.add(c)
	}
	switch {
	case g.members:
		s.held++ // until those who are there have been asked
		s.wg.Go(func() { s.askMembers(hope, g) })
	case !r.NoSwarm && n.cfg.MDNS:
		s.wg.Go(func() { s.lookAround(hope, g) })
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = !s.noSwarm || g.members
	s.release()
	return s, nil
}

// named makes a contact for every peer that tickets name.
func (s *sources) named(ts []ticket.Ticket) (out []*contact) {
	of := map[peer.ID]*contact{}
	for _, t := range ts {
		switch c := of[t.Peer]; {
		case s.n.isSelf(t.Peer):
			s.failed[t.Peer] = &exchange.UnreachableError{Peer: t.Peer, Err: errors.New("it is this peer itself")}
		case c != nil:
			c.spare = append(c.spare, t)
		default:
			of[t.Peer] = &contact{ticket: t, origin: fromTicket}
			out = append(out, of[t.Peer])
		}
	}
	return out
}

// release lets go of what keeps more sources possible. mu is held.
func (s *sources) release() {
	if s.held--; s.held == 0 {
		s.open = false
		close(s.joining) // nobody is left who could send on it
		s.giveUpHope()
	}
}

// add holds one more peer, unless it is held already or nothing more is wanted. A peer of the local network is nothing
// to wait for until it has proved that it knows the ticket: anyone there can claim to be any number of peers.
func (s *sources) add(c *contact) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := c.ticket.Peer
	if !s.open || s.contacts[p] != nil || s.n.isSelf(p) || s.ctx.Err() != nil {
		return false
	}
	if !c.origin.named() && (s.noSwarm || len(s.contacts) >= maxContacts || s.liars[p] || s.void[keyID(c.ticket)] != nil) {
		return false
	}
	c.s, c.moved = s, noWay
	ctx, cancel := context.WithCancel(s.ctx)
	c.cancel = cancel
	s.contacts[p] = c
	if c.origin != fromNetwork {
		c.counted = true
		s.held++
	}
	s.wg.Go(func() {
		defer cancel()
		s.forget(c, c.hold(ctx))
	})
	return true
}

// forget ends a contact because of why. Another downloader may be introduced again; a ticket's peer is tried no more.
// With the last contact all hope of another ends.
func (s *sources) forget(c *contact, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.over, c.why = true, why
	if !c.origin.named() {
		delete(s.contacts, c.ticket.Peer)
		s.liars[c.ticket.Peer] = lied(why)
	} else {
		s.settle()
	}
	if c.counted {
		s.release()
	}
}

// connected notes a contact's session; false says that nobody wants it any more.
func (s *sources) connected(c *contact, src *source) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !c.counted {
		if !s.open {
			return false
		}
		c.counted = true
		s.held++
	}
	delete(s.failed, c.ticket.Peer)
	c.src = src
	s.all = append(s.all, src)
	return true
}

func (s *sources) disconnected(c *contact) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.src = nil
}

// ended hears from a ticket's own peer that the ticket is good no more. What others with that ticket have would
// still come, and go on to be served; but the ticket is its issuer's to end. So downloaders met with it are left, and
// nobody is served under it.
func (s *sources) ended(t ticket.Ticket, why error) {
	id := keyID(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.void[id] = why
	for _, c := range s.contacts {
		if c.origin != fromTicket && keyID(c.ticket) == id {
			c.leave()
		}
	}
}

// settle ends the search when all tickets were ended by their peers. mu is held.
func (s *sources) settle() {
	if s.verdict() == nil {
		return
	}
	s.cancel()
	for _, c := range s.contacts {
		c.leave()
	}
}

// verdict is why all of the tickets are good no more; nil as long as one may be. mu is held.
func (s *sources) verdict() (why error) {
	for _, c := range s.contacts {
		switch {
		case !c.origin.named():
		case !c.over || !refused(c.why):
			return nil
		default:
			why = c.why
		}
	}
	return why
}

// voided tells why a ticket is good no more, as far as we were told.
func (s *sources) voided(id ticket.KeyID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.void[id]
}

func keyID(t ticket.Ticket) ticket.KeyID {
	k := t.Key()
	return k.ID()
}

// known hears that the object's tree is there.
func (s *sources) known(leaves int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaves = leaves
}

// alone tells whether this get has nothing to do with other downloaders.
func (s *sources) alone() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.noSwarm
}

// stayAlone hears that one of the tickets forbids that downloaders serve each other. That holds for the whole get,
// because what came with one ticket can not be told from what came with another.
func (s *sources) stayAlone() {
	s.mu.Lock()
	withdraw := s.withdraw
	s.noSwarm, s.serving, s.withdraw = true, false, nil
	s.mu.Unlock()
	if withdraw != nil {
		withdraw()
	}
}

// serve says that others can now be served until withdraw is called, and tells the sources so that they introduce us.
func (s *sources) serve(withdraw func()) {
	s.mu.Lock()
	if s.noSwarm {
		s.mu.Unlock()
		withdraw()
		return
	}
	s.serving, s.withdraw = true, withdraw
	all := append([]*source(nil), s.all...)
	s.mu.Unlock()
	for _, src := range all {
		s.join(src)
	}
}

// join takes part in the swarm of a source's downloaders. Both serve and the contact call it, in either order.
func (s *sources) join(src *source) {
	s.mu.Lock()
	yes := s.serving && !src.joined && src.peers != nil // a downloader could name addresses that it made up
	src.joined = src.joined || yes
	s.mu.Unlock()
	if yes {
		close(src.meet)
	}
}

// introduced adds the downloaders that a source names. What it says is a hint: they must prove the ticket.
func (s *sources) introduced(by *source, who []exchange.Introduction) {
	for _, i := range who {
		t := by.ticket
		t.Peer, t.Addrs = i.ID, i.Addrs
		s.add(&contact{ticket: t, origin: fromSource})
	}
}

// How often the peers of the local network are asked whether they have what is wanted: eight of them at a time, and
// each one once in a while.
const (
	lookEvery = 10 * time.Second
	askAgain  = time.Minute
	askAtOnce = 8
)

// lookAround asks peers that mDNS found. Who does not know the ticket refuses, and learns nothing of it.
func (s *sources) lookAround(ctx context.Context, g goal) {
	for ready := false; !ready; {
		if !pause(ctx, time.Second) {
			return
		}
		s.mu.Lock()
		ready = s.serving
		s.mu.Unlock()
	}
	asked := map[peer.ID]time.Time{}
	for {
		s.askAround(g.tickets[0], asked)
		if !pause(ctx, lookEvery) {
			return
		}
	}
}

// askAround dials some peers of the local network that were not asked lately.
func (s *sources) askAround(t ticket.Ticket, asked map[peer.ID]time.Time) {
	now := s.n.now()
	maps.DeleteFunc(asked, func(_ peer.ID, at time.Time) bool { return now.Sub(at) >= askAgain })
	left := askAtOnce
	for p, as := range s.n.finder.everybody() {
		if left == 0 {
			return
		}
		if _, yes := asked[p]; yes {
			continue
		}
		t.Peer, t.Addrs = p, as
		if s.add(&contact{ticket: t, origin: fromNetwork}) {
			asked[p] = now
			left--
		}
	}
}

// How long a get waits before it gives up when everybody who can be had is connected: while there are sources
// that have everything, and when there are only downloaders, who may yet get what is missing.
const (
	stuckFor      = time.Second
	stuckForSwarm = 10 * time.Second
)

// waiting hears whether the fetch waits for a source, and what there is by now: bytes done and leaves that others
// have. When none will come it ends the dialling, which tells the fetch that it has all it will get: a connected
// source whose file has changed is no reason to wait for ever.
func (s *sources) waiting(yes bool, have int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.joining == nil {
		return // the peer's own store does not come and go
	}
	if have != s.have {
		s.have, s.moved = have, s.n.now()
	}
	switch {
	case !yes && s.stuck != nil:
		s.stuck.Stop()
		s.stuck = nil
	case yes && s.stuck == nil:
		s.stuck = time.AfterFunc(stuckFor, s.giveUp)
	}
}

func (s *sources) giveUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stuck == nil {
		return
	}
	if s.hopeless() {
		s.cancel()
	} else {
		s.stuck.Reset(stuckFor)
	}
}

// hopeless tells whether neither those who are connected nor those who are dialled will bring anything. What became of
// sessions that are over is of no importance. mu is held.
func (s *sources) hopeless() bool {
	for _, c := range s.contacts {
		switch {
		case c.over:
		case c.src == nil:
			if c.origin != fromNetwork {
				return false
			}
		case c.src.isOver(): // its goroutine decides in a moment what comes next
			return false
		case c.src.Partial() && s.n.now().Sub(s.moved) <= stuckForSwarm:
			return false
		}
	}
	return true
}

// transient errors are worth another try; a lie, a refusal or a full disk is not.
func transient(err error) bool {
	for _, e := range []error{exchange.ErrLost, exchange.ErrStalled, exchange.ErrUnreachable, exchange.ErrBusy, exchange.ErrFailed,
		fetch.ErrStalled} {
		if errors.Is(err, e) {
			return true
		}
	}
	return err == nil
}

// refused tells whether a peer said that a ticket is good no more, or never was.
func refused(err error) bool {
	for _, e := range []error{exchange.ErrRefused, exchange.ErrRevoked, exchange.ErrExpired, exchange.ErrUsedUp} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// lied tells whether a peer did what none does by accident.
func lied(err error) bool {
	return errors.Is(err, block.ErrCorrupt) || errors.Is(err, fetch.ErrMisbehaved) || errors.Is(err, exchange.ErrProtocol)
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *sources) close() {
	s.waiting(false, 0)
	s.cancel()
	s.wg.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, src := range s.all {
		src.Close()
	}
}

// blame gives "no source" its reason: what the sources said of the tickets, why none could be dialled, or what became of
// each, the last time that it was connected.
func (s *sources) blame(err error) error {
	var ns *fetch.NoSourceError
	if !errors.As(err, &ns) {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ousted != nil {
		return s.ousted
	}
	if why := s.verdict(); why != nil {
		return why
	}
	if len(ns.Sources) == 0 {
		if s.nobody != nil {
			return s.nobody
		}
		for _, e := range s.failed {
			return e // with one ticket the reason; with several any of them: they are all of one kind, unreachable or refused
		}
		return err
	}
	last := map[peer.ID]int{}
	short := &fetch.NoSourceError{Missing: ns.Missing}
	for _, x := range ns.Sources {
		if i, ok := last[x.Peer]; ok {
			short.Sources[i] = x
			continue
		}
		last[x.Peer] = len(short.Sources)
		short.Sources = append(short.Sources, x)
	}
	return short
}

// view is the sources as the API shows them: those that fetch knows, and those that could not be dialled.
func (s *sources) view(states []fetch.SourceState) []api.TransferSource {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []api.TransferSource{}
	seen := map[peer.ID]int{}
	for _, st := range states {
		v := api.TransferSource{PeerID: st.Peer.String(), Bytes: st.Bytes, State: string(st.State), Role: "source", Partial: st.Partial}
		switch {
		case st.Err != nil:
			v.Reason = explain(st.Err).Message
		case st.Stalled:
			v.Reason = "sends nothing at the moment"
		case st.Asked > 0:
			v.BPS = int64(st.Rate)
		}
		switch {
		case !st.Partial:
			v.Have = 1
		case s.leaves > 0:
			v.Have = float64(st.Have) / float64(s.leaves)
		}
		for _, x := range s.all {
			if x.Peer() == st.Peer {
				v.Address, v.Transport, v.Why = x.Addr(), x.Transport(), x.why
			}
		}
		if i, ok := seen[st.Peer]; ok { // dialled again: one row, the newest state, all bytes
			v.Bytes += out[i].Bytes
			out[i] = v
			continue
		}
		seen[st.Peer] = len(out)
		out = append(out, v)
	}
	for p, err := range s.failed {
		if _, ok := seen[p]; !ok {
			out = append(out, api.TransferSource{PeerID: p.String(), State: "dropped", Reason: explain(err).Message, Role: "source"})
		}
	}
	return out
}
