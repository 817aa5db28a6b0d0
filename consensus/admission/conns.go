package admission

import (
	"context"
	"errors"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multistream"

	"cairn/consensus/admission/pb"
	"cairn/consensus/membership"
)

// protectTag marks connections for the host's connection manager.
const protectTag = "cairn/admission"

// connected makes a link of a new connection of the member host. Who dialled opens the members stream.
func (s *Service) connected(_ network.Network, c network.Conn) {
	l := s.linkOf(c)
	if c.Stat().Direction == network.DirOutbound {
		s.spawn(func(ctx context.Context) {
			if err := s.openMembers(ctx, l); err != nil {
				s.cfg.Log.Debug("members stream not opened", "peer", l.peer.String(), "err", err)
				c.Close()
			}
		})
	}
}

func (s *Service) openMembers(ctx context.Context, l *link) error {
	octx, cancel := context.WithTimeout(ctx, s.t.admission)
	defer cancel()
	st, err := l.conn.NewStream(octx)
	if err != nil {
		return err
	}
	st.SetDeadline(time.Now().Add(s.t.admission))
	if err := multistream.SelectProtoOrFail(MembersProtocol, st); err != nil {
		st.Reset()
		return err
	}
	if err := st.SetProtocol(MembersProtocol); err != nil {
		st.Reset()
		return err
	}
	st.SetDeadline(time.Time{})
	defer context.AfterFunc(ctx, func() { st.Reset() })()
	l.run(ctx, st)
	return nil
}

// serveMembers answers a members stream: the first of a connection that the other side has dialled.
func (s *Service) serveMembers(ctx context.Context, st network.Stream) {
	if st.Conn().Stat().Direction != network.DirInbound {
		st.Reset()
		return
	}
	s.linkOf(st.Conn()).run(ctx, st)
}

// linkOf returns the link of a connection, which is new when nothing was heard of it before.
func (s *Service) linkOf(c network.Conn) *link {
	s.mu.Lock()
	l := s.links[c]
	if l != nil {
		s.mu.Unlock()
		return l
	}
	l = newLink(s, c)
	s.links[c] = l
	s.mu.Unlock()
	s.spawn(func(ctx context.Context) {
		late := time.NewTimer(s.t.admission)
		defer late.Stop()
		select {
		case <-late.C:
			c.Close()
		case <-l.admitted:
		case <-l.gone:
		case <-ctx.Done():
		}
	})
	if c.IsClosed() {
		s.disconnected(nil, c)
	} else if !s.cfg.Gate.Admits(l.peer) { // revoked between the gate's look and now
		s.spawn(func(context.Context) { c.Close() })
	}
	return l
}

func (s *Service) disconnected(_ network.Network, c network.Conn) {
	s.mu.Lock()
	l := s.links[c]
	delete(s.links, c)
	s.mu.Unlock()
	if l == nil {
		return
	}
	l.end()
	l.mu.Lock()
	was := l.open
	l.mu.Unlock()
	if was && !s.Connected(l.peer) {
		s.cfg.Member.ConnManager().Unprotect(l.peer, protectTag)
		if s.cfg.Events.Disconnected != nil {
			s.cfg.Events.Disconnected(l.peer)
		}
	}
	s.look()
}

// allLinks returns the links that are there now.
func (s *Service) allLinks() []*link {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*link, 0, len(s.links))
	for _, l := range s.links {
		out = append(out, l)
	}
	return out
}

// linksWith returns those with one peer.
func (s *Service) linksWith(id peer.ID) (out []*link) {
	for _, l := range s.allLinks() {
		if l.peer == id {
			out = append(out, l)
		}
	}
	return out
}

// Connected tells whether there is an admitted connection with a member.
func (s *Service) Connected(id peer.ID) bool {
	for _, l := range s.linksWith(id) {
		if l.isAdmitted() {
			return true
		}
	}
	return false
}

func (s *Service) admittedLink(l *link) {
	first := true
	for _, o := range s.linksWith(l.peer) {
		first = first && (o == l || !o.isAdmitted())
	}
	s.mu.Lock()
	s.lastSeen[l.peer] = s.cfg.Now()
	s.mu.Unlock()
	if l.conn.Stat().Direction == network.DirOutbound { // one that this peer wants is not closed to make room
		s.cfg.Member.ConnManager().Protect(l.peer, protectTag)
	}
	if first && s.cfg.Events.Connected != nil {
		s.cfg.Events.Connected(l.peer)
	}
}

// cutOff ends the connections of everybody who is no member in force any more; all of them if that is this peer itself. A door is ended once: the
// machine may come back there with a new identity, or as anybody with a ticket.
func (s *Service) cutOff() {
	now := s.time()
	out := s.cfg.Book.Peer(s.self, now).State
	if out == membership.StateExpired || out == membership.StateEarly || s.leaving.Load() {
		out = membership.StateValid // the others judge by their clocks
	}
	for _, l := range s.allLinks() {
		if st := s.cfg.Book.Peer(l.peer, now).State; st != membership.StateValid {
			l.cut(stateError(st))
		} else if out != membership.StateValid {
			l.cut(stateError(out))
		}
	}
	var doors []peer.ID
	s.mu.Lock()
	for id, p := range s.presences {
		if s.cfg.Book.Peer(id, now).State == membership.StateValid {
			delete(s.doorsCut, id)
		} else if !s.doorsCut[id] {
			s.doorsCut[id] = true
			doors = append(doors, p.door)
		}
	}
	s.mu.Unlock()
	for _, d := range doors {
		if s.cfg.Door.Network().Connectedness(d) == network.Connected {
			s.spawn(func(context.Context) { s.cfg.Door.Network().ClosePeer(d) })
		}
	}
}

// evidence are the documents that say why a peer is no member any more: revocations, and if its invite was taken by others before it, what
// proves that.
func (s *Service) evidence(id peer.ID) [][]byte {
	docs := s.cfg.Book.Revocations()
	if s.cfg.Book.Peer(id, s.time()).State != membership.StateVoid {
		return raws(docs)
	}
	taken := map[peer.ID]bool{}
	for _, d := range s.cfg.Book.Standing(id) {
		if d.Kind() == membership.KindJoin {
			taken[d.Signer()] = true
		}
	}
	for _, inv := range s.cfg.Book.Invites(s.time()) {
		if !taken[inv.ID] {
			continue
		}
		for _, other := range inv.Used {
			docs = append(docs, s.cfg.Book.Standing(other)...)
		}
	}
	return raws(docs)
}

// cut ends a connection: its streams at once, but for the last words on the members stream, by which the peer learns why.
func (l *link) cut(why error) {
	s := l.s
	l.mu.Lock()
	if l.leaving || l.over {
		l.mu.Unlock()
		return
	}
	own := l.st
	if own != nil {
		docs := s.evidence(l.peer)
		last := refuse(why, s.cfg.Now(), nil)
		if errors.Is(why, membership.ErrRevoked) {
			l.queue = append(documentFrames(docs, 0), last)
		} else {
			l.queue = []*pb.Frame{last}
		}
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
	l.leaving = true
	l.mu.Unlock()
	s.audit(Audit{What: "cut off", Peer: l.peer, Addr: l.conn.RemoteMultiaddr().String(), Why: why.Error()})
	for _, st := range l.conn.GetStreams() {
		if own == nil || st.ID() != own.ID() {
			s.spawn(func(context.Context) { st.Reset() }) // may wait for the line
		}
	}
	s.spawn(func(ctx context.Context) {
		defer l.conn.Close()
		if own == nil {
			return
		}
		late := time.NewTimer(s.t.goodbye)
		defer late.Stop()
		select {
		case <-late.C:
		case <-l.gone:
		case <-ctx.Done():
		}
	})
}

// hearWhy takes what a member says that turns this peer away.
func (s *Service) hearWhy(r *RefusedError) {
	if _, fresh, err := s.takeRaw(r.Docs, nil); err == nil && len(fresh) > 0 {
		s.keeper.keep(fresh, nil)
	}
	s.cfg.Log.Warn("a member turns this peer away", "why", r.Error())
}

// closeLinks closes every connection of the member host that has a link.
func (s *Service) closeLinks() {
	for _, l := range s.allLinks() {
		l.end()
		s.spawn(func(context.Context) { l.conn.Close() })
	}
}

// measured takes the difference of a member's clock.
func (s *Service) measured(id peer.ID, d time.Duration) {
	s.mu.Lock()
	s.skews[id] = d
	s.mu.Unlock()
	if d.Abs() > SkewTold {
		s.cfg.Log.Warn("clocks differ", "peer", id.String(), "by", d.Round(time.Second).String())
		if s.cfg.Events.Skew != nil {
			s.cfg.Events.Skew(id, d)
		}
	}
}
