package node

import (
	"context"
	"strings"
	"sync"
	"time"

	"cairn/storage"
	"cairn/swarm/exchange"
	"cairn/swarm/fetch"
	"cairn/web/api"
)

// partShare serves what one get has to others with its tickets, from the moment it knows the object's tree.
type partShare struct {
	n      *Node
	src    *sources
	row    *transfer
	goal   goal
	writer *storage.Writer

	mu   sync.Mutex
	part *fetch.Partial
	stop func(complete bool)
}

// ofGet begins the ref of every session about a get; the rest is the id of its transfer.
const ofGet = "get:"

func (p *partShare) ref() string { return ofGet + p.row.ID }

// server is the one whose sessions are about the get.
func (p *partShare) server() *exchange.Server { return p.n.serverFor(p.goal.members) }

// begin is told what the get has. The inner nodes must be readable before anyone asks for them, so they are synced
// first; until the object has an entry, the writer keeps them from GC.
func (p *partShare) begin(ctx context.Context, part *fetch.Partial) {
	p.n.transfers.watch(p.row, part)
	p.src.known(part.NumLeaves())
	p.mu.Lock()
	p.part = part
	p.mu.Unlock()
	if p.src.alone() || p.goal.here() || p.goal.held {
		return
	}
	if err := p.writer.Commit(ctx); err != nil {
		p.n.log.Warn("what is fetched is not served to others yet", "part", "swarm", "err", err)
		return
	}
	p.mu.Lock()
	p.stop = p.n.swarms.begin(p.ref(), p.goal, part, p.src.voided)
	if p.goal.members && p.goal.in != p.n.seat() { // it has left since, and may be in another network
		p.stop(false)
		p.stop = nil
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	p.src.serve(p.withdraw)
}

// withdraw stops serving while the get goes on.
func (p *partShare) withdraw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stop != nil {
		p.stop(false)
		p.stop = nil
		p.server().Drop(p.ref(), exchange.ErrGone)
	}
}

// How long a get that is complete goes on for others who are fetching from it at this moment.
const (
	lingerFor  = 3 * time.Second
	lingerIdle = 500 * time.Millisecond // without a byte sent there is no reason to
	lingerLook = 50 * time.Millisecond
)

// linger waits a moment for downloaders that this one serves: a command ends with its get, and others would have
// to ask the source again for what was under way. A peer that stays has no need of it.
func (p *partShare) linger(ctx context.Context) {
	p.mu.Lock()
	serving := p.stop != nil
	p.mu.Unlock()
	if !serving || p.n.cfg.Mode != ModeCommand {
		return
	}
	end, idle, before := p.n.now().Add(lingerFor), p.n.now().Add(lingerIdle), int64(-1)
	for {
		now := p.n.now()
		others, sent := p.served()
		if sent != before {
			before, idle = sent, now.Add(lingerIdle)
		}
		if others == 0 || now.After(end) || now.After(idle) || !pause(ctx, lingerLook) {
			return
		}
	}
}

// served counts the downloaders that have this object from us by one of our gets, whichever, and the bytes that those
// who are there were sent.
func (p *partShare) served() (downloaders int, sent int64) {
	for _, s := range p.server().Sessions() {
		if s.Root == p.goal.root && strings.HasPrefix(s.Ref, ofGet) && !s.News {
			downloaders, sent = downloaders+1, sent+s.Sent
		}
	}
	return downloaders, sent
}

// end stops serving, or goes on for a while with what is complete.
func (p *partShare) end(complete bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.stop != nil:
		p.stop(complete)
		if !complete {
			p.server().Drop(p.ref(), exchange.ErrGone)
		}
	case p.part != nil:
		p.part.Close()
	}
}

// Pieces tells which leaves of a download are here and where they came from; of a transfer without a map, that it has
// no leaves.
func (n *Node) Pieces(_ context.Context, id string) (api.Pieces, error) {
	row, _, err := n.transfers.get(id)
	if err != nil {
		return api.Pieces{}, err
	}
	p, ok := n.transfers.pieces(row)
	if !ok {
		return api.Pieces{Done: []byte{}, Source: []byte{}, Asked: []byte{}, Peers: []string{}}, nil
	}
	out := api.Pieces{Leaves: p.Leaves, PerCell: p.PerCell, Done: p.Done, Source: p.Source, Asked: p.Asked, Peers: []string{}}
	for _, m := range p.Members {
		out.Peers = append(out.Peers, m.String())
	}
	return out, nil
}
