package node

import (
	"context"
	"errors"
	"time"

	"cairn/swarm/exchange"
	"cairn/swarm/ticket"

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
)

// defaultWait is how long a ticket's peer that went away is waited for: a machine that restarts needs a minute or two.
const defaultWait = 2 * time.Minute

// patience is how long the contact's peer is waited for.
func (c *contact) patience() time.Duration {
	switch c.origin {
	case fromTicket:
		return c.s.wait
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

	ever     bool         // a session with it was made
	switches int          // to better connections
	only     ma.Multiaddr // the address that the next dial takes; nil: any
	moved    way          // from which the last switch was made; noWay: there was none
}

// hold returns when the peer is given up or ctx ends.
func (c *contact) hold(ctx context.Context) {
	s, n := c.s, c.s.n
	log := n.log.With("part", "swarm", "peer", c.ticket.Peer)
	lost := n.now()
	for attempt := 0; ; attempt++ {
		if attempt > 0 && !pause(ctx, min(250*time.Millisecond<<min(attempt-1, 3), 2*time.Second)) {
			return
		}
		sess, err := c.dial(ctx)
		if err != nil {
			log.Debug("source not reached", "attempt", attempt, "err", err)
			if ctx.Err() != nil || c.hopeless(err, n.now().Sub(lost)) {
				return
			}
			continue
		}
		src := newSource(sess, n.meter, c.ticket)
		src.why, src.peers, src.download = c.why(sess), s.introduced, s.id
		began := n.now()
		c.ever = true
		if c.origin == fromTicket && sess.NoSwarm() {
			s.stayAlone()
		}
		s.mu.Lock()
		delete(s.failed, c.ticket.Peer)
		s.all = append(s.all, src)
		s.mu.Unlock()
		s.join(src)
		select {
		case s.joining <- src:
		case <-ctx.Done():
			return
		}
		s.dials(-1)
		why := c.attend(ctx, src)
		s.dials(+1)
		if ctx.Err() != nil {
			return
		}
		src.Close()
		log.Info("source lost", "err", why)
		if !transient(why) {
			return
		}
		attempt, lost = -1, n.now() // a new trouble; the first dial follows at once
		if lost.Sub(began) < time.Second {
			attempt = 1 // it comes and goes: do not spin
		}
	}
}

// dial makes a session. An introduced peer has been told of us as well: the one with the lower id dials, so that
// they do not meet half way, and the other one waits for it.
func (c *contact) dial(ctx context.Context) (*exchange.Session, error) {
	n := c.s.n
	if c.origin == fromSource && n.host.ID() > c.ticket.Peer {
		for range 15 {
			if n.host.Network().Connectedness(c.ticket.Peer) == network.Connected {
				break
			}
			if !pause(ctx, 100*time.Millisecond) {
				return nil, ctx.Err()
			}
		}
	}
	t := c.ticket
	if c.only != nil {
		t.Addrs, c.only = []ma.Multiaddr{c.only}, nil
	}
	sess, err := n.dial(ctx, t)
	if err != nil && c.origin == fromTicket {
		c.s.mu.Lock()
		c.s.failed[c.ticket.Peer] = err
		c.s.mu.Unlock()
	}
	return sess, err
}

// busyFor is how long a ticket's peer that was never had and is busy is asked again.
const busyFor = 10 * time.Second

// hopeless tells whether a failed dial is the last. A ticket's peer that was never there is tried once, because the
// user may have mistyped or come too late, and as long as another one is there.
func (c *contact) hopeless(err error, since time.Duration) bool {
	if !transient(err) || since > c.patience() || c.origin != fromTicket && c.s.alone() {
		return true
	}
	if errors.Is(err, exchange.ErrBusy) && since < busyFor {
		return false
	}
	if c.origin != fromTicket || c.ever {
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
				n.closePeer(p)
			}
		case now.Sub(better) > betterEvery && c.switches < maxSwitches:
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
	sess, err := exchange.Dial(ctx, c.s.n.host, c.ticket, exchange.ClientConfig{Handshake: probeFor})
	if err != nil {
		return !transient(err) && ctx.Err() == nil || errors.Is(err, exchange.ErrBusy)
	}
	sess.Close()
	return true
}
