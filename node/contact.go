package node

import (
	"context"
	"errors"
	"time"

	"cairn/swarm/exchange"
	"cairn/swarm/ticket"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
)

// maxContacts bounds the peers that one get holds, so that neither a source nor the local network can make it dial
// without end.
const maxContacts = 32

// origin is how a get came to know a peer.
type origin int

const (
	fromTicket  origin = iota // a ticket names it: it is waited for
	fromSource                // a source introduced it
	fromNetwork               // it is on the local network, and may know nothing of the ticket
	fromMember                // a member of our network that is connected, and may have the object or not
)

// named tells whether the get was told to ask the peer, by a ticket or because it is a member.
func (o origin) named() bool { return o == fromTicket || o == fromMember }

// defaultWait is how long a ticket's peer that went away is waited for: a machine that restarts needs a minute or two.
const defaultWait = 2 * time.Minute

// patience is how long the contact's peer is waited for.
func (c *contact) patience() time.Duration {
	switch c.origin {
	case fromTicket:
		return c.s.wait
	case fromMember:
		if c.ever {
			return c.s.wait
		}
	case fromSource:
		return min(10*time.Second, c.s.wait)
	}
	return 0
}

// contact holds one peer connected for a get: it dials it, hands the session to the fetch, dials again when that is
// lost, and moves to a better connection when there is one. Its goroutine is owned by sources.
type contact struct {
	s      *sources
	ticket ticket.Ticket // names the peer
	origin origin
	cancel context.CancelFunc // ends hold

	// Of the goroutine alone.
	spare    []ticket.Ticket // of the same peer, for when it does not honour the present one
	ever     bool            // a session with it was made
	switches int             // to better connections
	only     ma.Multiaddr    // the address that the next dial takes; nil: any
	wrong    []ma.Multiaddr  // where something answered, but the peer was not found
	moved    way             // from which the last switch was made; noWay: there was none

	// Guarded by sources.mu.
	counted bool    // sources.held counts it
	src     *source // the present session; nil: it is being dialled
	over    bool    // hold has returned
	why     error   // with what
}

// host is the one on which the peer is met.
func (c *contact) host() host.Host { return c.s.n.hostFor(c.ticket.Open()) }

// leave ends a contact from outside, and its session. sources.mu is held.
func (c *contact) leave() {
	c.cancel()
	if c.src != nil {
		c.src.Close()
	}
}

// How soon a peer is dialled again.
const (
	firstRedial = 250 * time.Millisecond
	lastRedial  = 2 * time.Second
	shortVisit  = time.Second      // a session that ends so soon is trouble, even if it brought something
	longVisit   = 10 * time.Second // a session that lasts is not, even if nothing was wanted of it
)

// hold returns when the peer is given up, and why, or when ctx ends. A peer that comes and goes without bringing
// anything is dialled ever more slowly, and is as good as gone: it is waited for no longer than one that is.
func (c *contact) hold(ctx context.Context) error {
	n := c.s.n
	log := n.log.With("part", "swarm", "peer", c.ticket.Peer)
	lost := n.now()
	for tries := 0; ; tries++ {
		if tries > 0 && !pause(ctx, min(firstRedial<<min(tries-1, 8), lastRedial)) {
			return ctx.Err()
		}
		sess, err := c.dial(ctx)
		useful := false
		if err == nil {
			began := n.now()
			if useful, err = c.visit(ctx, sess); useful {
				lost = n.now()
				if lost.Sub(began) >= shortVisit {
					tries = -1 // a new trouble; the first dial follows at once
				}
			}
			log.Info("source lost", "err", err)
		} else {
			log.Debug("source not reached", "tries", tries, "err", err)
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case refused(err) && c.next(err):
			tries = -1
		case !transient(err), !useful && c.hopeless(err, n.now().Sub(lost)):
			return err
		}
	}
}

// visit lends a session to the fetch until it is over. It returns why it is, and whether it was of use: something
// came, or a long time passed in which nothing was due.
func (c *contact) visit(ctx context.Context, sess *exchange.Session) (useful bool, why error) {
	s, n := c.s, c.s.n
	src := newSource(sess, n.meter, c.ticket)
	src.why, src.download = c.whyThis(sess), s.id
	src.second = func(ctx context.Context) (*exchange.Session, error) {
		if s.alone() {
			return nil, exchange.ErrClosed
		}
		return c.news(ctx)
	}
	if c.origin.named() {
		src.peers = s.introduced
	}
	began, down := n.now(), n.meter.Peer(c.ticket.Peer).Down
	c.ever = true
	if c.origin.named() && sess.NoSwarm() {
		s.stayAlone()
	}
	if !s.connected(c, src) {
		src.Close()
		return false, exchange.ErrClosed
	}
	defer s.disconnected(c)
	s.join(src)
	select {
	case s.joining <- src:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	why = c.attend(ctx, src)
	if ctx.Err() == nil {
		src.Close()
	}
	came := n.meter.Peer(c.ticket.Peer).Down > down
	return came || why == nil || n.now().Sub(began) >= longVisit && !src.owes(), why
}

// news makes a session that asks for no content, which the peer does not count as a downloader.
func (c *contact) news(ctx context.Context) (*exchange.Session, error) {
	return exchange.Dial(ctx, c.host(), c.ticket, exchange.ClientConfig{Meter: c.s.n.meter, News: true})
}

// next takes another ticket of the same peer, which does not honour this one any more.
func (c *contact) next(why error) bool {
	if c.origin == fromTicket {
		c.s.ended(c.ticket, why)
	}
	if len(c.spare) == 0 {
		return false
	}
	c.ticket, c.spare = c.spare[0], c.spare[1:]
	return true
}

// dial makes a session. An introduced peer has been told of us as well: the one with the lower id dials, so that
// they do not meet half way, and the other one waits for it.
func (c *contact) dial(ctx context.Context) (*exchange.Session, error) {
	n := c.s.n
	if a := c.only; a != nil {
		c.only = nil
		t := c.ticket
		t.Addrs = []ma.Multiaddr{a}
		sess, err := n.dialAt(ctx, t)
		if err != nil && ctx.Err() == nil && c.host().Network().Connectedness(t.Peer) != network.Connected {
			c.wrong = append(c.wrong, a)
		}
		return sess, err
	}
	if c.origin == fromSource && c.host().ID() > c.ticket.Peer {
		for range 15 {
			if c.host().Network().Connectedness(c.ticket.Peer) == network.Connected {
				break
			}
			if !pause(ctx, 100*time.Millisecond) {
				return nil, ctx.Err()
			}
		}
	}
	sess, err := n.dial(ctx, c.ticket)
	if err != nil && c.origin.named() {
		c.s.mu.Lock()
		c.s.failed[c.ticket.Peer] = err
		c.s.mu.Unlock()
	}
	return sess, err
}

// busyFor is how long a ticket's peer that was never had and is busy is asked again.
const busyFor = 10 * time.Second

// hopeless tells whether a peer that has been of no use for some time, of late because of why, is dialled no more. A
// ticket's peer that was never there is tried once, because the user may have mistyped or come too late, and as long
// as another one is there.
func (c *contact) hopeless(why error, since time.Duration) bool {
	if since > c.patience() || !c.origin.named() && c.s.alone() {
		return true
	}
	if errors.Is(why, exchange.ErrBusy) && since < busyFor {
		return false
	}
	if !c.origin.named() || c.ever {
		return false
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return len(c.s.all) == 0
}

// How a connection is found to be dead long before TCP would say so.
const (
	lookEach   = time.Second
	quietFor   = 3 * time.Second // without a byte although something was asked for
	probeFor   = 4 * time.Second // for another session on the same connection to be proved
	probePause = 10 * time.Second
)

// attend watches a session until it is over, and ends it in good order when a better connection can be had.
func (c *contact) attend(ctx context.Context, src *source) error {
	n, p := c.s.n, c.ticket.Peer
	look := time.NewTicker(lookEach)
	defer look.Stop()
	var bytes int64
	moved, probed, better := n.now(), time.Time{}, n.now()
	for {
		select {
		case <-src.over:
			return src.err
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
		}
		now := n.now()
		if t := n.meter.Peer(p); t.Up+t.Down != bytes || !src.owes() {
			bytes, moved = t.Up+t.Down, now
		}
		switch {
		case now.Sub(moved) > quietFor && now.Sub(probed) > probePause:
			if probed = now; !c.alive(ctx) && ctx.Err() == nil {
				n.log.Info("connection is dead, closing it", "part", "swarm", "peer", p)
				n.closePeer(c.host(), p)
			}
		case c.origin != fromMember && now.Sub(better) > betterEvery && c.switches < maxSwitches:
			better = now
			if c.improve(ctx, src) {
				c.switches++
				return nil
			}
		}
	}
}

// alive tells whether the connection still carries anything: another session over it can be proved.
func (c *contact) alive(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, probeFor)
	defer cancel()
	sess, err := c.news(ctx)
	if err != nil {
		return !transient(err) && ctx.Err() == nil || errors.Is(err, exchange.ErrBusy)
	}
	sess.Close()
	return true
}
