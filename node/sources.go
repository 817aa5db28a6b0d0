package node

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"cairn/swarm/exchange"
	"cairn/swarm/fetch"
	"cairn/swarm/ticket"
	"cairn/web/api"

	"github.com/libp2p/go-libp2p/core/peer"
)

// redials is how often a source that went away is tried again before it is given up, with growing pauses.
const redials = 3

// sources dials the peers of a get's tickets and dials again when one goes away, until the get ends.
type sources struct {
	now     []fetch.Source
	joining chan fetch.Source

	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu       sync.Mutex
	all      []*source
	failed   map[peer.ID]error // why a peer could not be dialled
	dialling int               // tickets whose peer is being dialled, or will be again
	stuck    *time.Timer       // runs while the fetch waits; see waiting
}

// source is one session as package fetch wants it.
type source struct {
	*exchange.Session
	meter *exchange.Meter
	over  chan struct{} // closed when the session failed
	once  sync.Once
	err   error
}

// Leaves adapts the exchange's buffers and errors to those of fetch.
func (s *source) Leaves(ctx context.Context, next func() (int, int, bool), deliver func(int, fetch.Buf) error) error {
	err := s.Session.Leaves(ctx, next, func(i int, b *exchange.Buf) error { return deliver(i, b) })
	var m *exchange.MissingError
	if errors.As(err, &m) && m.Index >= 0 {
		return &fetch.MissingError{Leaf: m.Index, Err: err}
	}
	if err != nil {
		s.once.Do(func() { s.err = err; close(s.over) })
	}
	return err
}

// Done does nothing: fetch calls it when the files are in their place, but a source counts a download only when the
// library has it as well; sources.done tells it then.
func (s *source) Done(context.Context) error { return nil }

// Received implements fetch.Meter, so that a slow line is not taken for a source that stopped.
func (s *source) Received() int64 { return s.meter.Peer(s.Peer()).Down }

// sources begins to dial. For a goal without tickets the peer's own store is the one source.
func (n *Node) sources(ctx context.Context, g goal) (*sources, error) {
	s := &sources{failed: map[peer.ID]error{}}
	if len(g.tickets) == 0 {
		tree, release, err := n.trees.open(ctx, g.root)
		if err != nil {
			return nil, err
		}
		s.now = []fetch.Source{fetch.NewLocalSource(n.host.ID(), n.store, tree)}
		s.cancel = release
		return s, nil
	}
	ctx, s.cancel = context.WithCancel(ctx)
	s.joining = make(chan fetch.Source)
	s.dialling = len(g.tickets)
	for _, t := range g.tickets {
		s.wg.Go(func() { s.keep(ctx, n, t) })
	}
	go func() {
		s.wg.Wait()
		close(s.joining)
	}()
	return s, nil
}

// keep holds one ticket's peer connected.
func (s *sources) keep(ctx context.Context, n *Node, t ticket.Ticket) {
	log := n.log.With("part", "swarm", "peer", t.Peer)
	defer s.dials(-1)
	for attempt := 0; ; attempt++ {
		if attempt > 0 && !pause(ctx, time.Second<<(attempt-1)/2) {
			return
		}
		sess, err := n.dial(ctx, t)
		if err != nil {
			log.Debug("source not reached", "attempt", attempt, "err", err)
			s.mu.Lock()
			first := len(s.failed) == 0 && !s.known(t.Peer)
			s.failed[t.Peer] = err
			s.mu.Unlock()
			if first && attempt == 0 || attempt >= redials || !transient(err) || !s.known(t.Peer) {
				return
			}
			continue
		}
		src := &source{Session: sess, meter: n.meter, over: make(chan struct{})}
		s.mu.Lock()
		delete(s.failed, t.Peer)
		s.all = append(s.all, src)
		s.mu.Unlock()
		began := n.now()
		select {
		case s.joining <- src:
		case <-ctx.Done():
			return
		}
		s.dials(-1)
		select {
		case <-src.over:
		case <-ctx.Done():
		}
		s.dials(+1)
		if ctx.Err() != nil {
			return
		}
		sess.Close()
		log.Info("source lost", "err", src.err)
		if !transient(src.err) {
			return
		}
		if n.now().Sub(began) > 10*time.Second {
			attempt = 0 // it worked for a while: this is a new trouble, not the old one going on
		}
	}
}

func (s *sources) dials(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dialling += n
}

// stuckFor is how long a get waits while every source that can be had is connected and none has what is missing.
const stuckFor = time.Second

// waiting hears whether the fetch waits for a source. When none will come it ends the dialling, which tells the
// fetch that it has all it will get: a connected source whose file has changed is no reason to wait for ever.
func (s *sources) waiting(yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
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
	hopeless := s.dialling == 0
	for _, x := range s.all {
		select {
		case <-x.over: // about to be dialled again, or given up by its own goroutine
			hopeless = hopeless && !transient(x.err)
		default:
		}
	}
	switch {
	case s.stuck == nil:
	case hopeless:
		s.cancel()
	default:
		s.stuck.Reset(stuckFor)
	}
}

// known tells whether a session with the peer was ever made.
func (s *sources) known(p peer.ID) bool {
	for _, x := range s.all {
		if x.Peer() == p {
			return true
		}
	}
	return false
}

// transient errors are worth another try; a lie, a refusal or a full disk is not.
func transient(err error) bool {
	for _, e := range []error{exchange.ErrLost, exchange.ErrStalled, exchange.ErrUnreachable, exchange.ErrBusy, exchange.ErrFailed} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
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

// done tells every source that is still there that the object is complete and safe.
func (s *sources) done(ctx context.Context, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	s.mu.Lock()
	all := append([]*source(nil), s.all...)
	s.mu.Unlock()
	for _, src := range all {
		select {
		case <-src.over:
			continue
		default:
		}
		if err := src.Session.Done(ctx); err != nil {
			log.Debug("source not told of the end", "peer", src.Peer(), "err", err)
		}
	}
}

func (s *sources) close() {
	s.waiting(false)
	s.cancel()
	s.wg.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, src := range s.all {
		src.Close()
	}
}

// blame replaces "no source" by why the sources could not be dialled, when that is the reason.
func (s *sources) blame(err error) error {
	var ns *fetch.NoSourceError
	if !errors.As(err, &ns) {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(ns.Sources) > 0 {
		return err
	}
	for _, e := range s.failed {
		return e // with one ticket the reason; with several any of them: they are all of one kind, unreachable or refused
	}
	return err
}

// view is the sources as the API shows them: those that fetch knows, and those that could not be dialled.
func (s *sources) view(states []fetch.SourceState) []api.TransferSource {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []api.TransferSource{}
	seen := map[peer.ID]int{}
	for _, st := range states {
		v := api.TransferSource{PeerID: st.Peer.String(), Bytes: st.Bytes, State: string(st.State)}
		if st.Err != nil {
			v.Reason = explain(st.Err).Message
		}
		for _, x := range s.all {
			if x.Peer() == st.Peer {
				v.Address, v.Transport = x.Addr(), x.Transport()
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
			out = append(out, api.TransferSource{PeerID: p.String(), State: "dropped", Reason: explain(err).Message})
		}
	}
	return out
}
