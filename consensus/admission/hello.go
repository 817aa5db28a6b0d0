package admission

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"cairn/consensus/membership"
)

// credentials are the documents that prove this peer's membership, and as many revocations as strangers take.
func (s *Service) credentials() []membership.Doc {
	docs := s.cfg.Book.Standing(s.self)
	size, have := 0, map[membership.DocID]bool{}
	for _, d := range docs {
		size += len(d.Bytes())
		have[d.ID()] = true
	}
	for _, d := range s.cfg.Book.Revocations() {
		if size += len(d.Bytes()); size > strangerDocs.bytes || len(docs) >= strangerDocs.items {
			break
		}
		if !have[d.ID()] {
			docs = append(docs, d)
		}
	}
	return docs
}

// proves judges documents that a peer brings for itself, without what this peer knows, so that a stranger puts nothing into the book.
func (s *Service) proves(id peer.ID, docs []membership.Doc) (membership.State, error) {
	_, _, charter := s.cfg.Book.Network()
	b, err := membership.NewBook(charter)
	if err != nil {
		return membership.StateUnknown, err
	}
	_, _ = b.Merge(docs...) // what has no authority proves nothing
	return b.Peer(id, s.time()).State, nil
}

// introduce takes the credentials of a peer that has proved who it is; nil: it is a member in force.
func (s *Service) introduce(t *talk) error {
	proved, err := s.proves(t.other, t.docs)
	if err != nil {
		return err
	}
	if proved == membership.StateUnknown && s.cfg.Book.Peer(t.other, s.time()).State == membership.StateUnknown {
		return ErrRefused
	}
	if proved != membership.StateUnknown {
		if _, fresh := s.take(t.docs, nil); len(fresh) > 0 {
			s.keeper.keep(fresh, nil)
		}
	}
	s.measured(t.other, t.skew)
	if err := stateError(s.cfg.Book.Peer(t.other, s.time()).State); err != nil && !s.revive(t.other) {
		return err
	}
	for _, b := range t.presences {
		p, err := parsePresence(b, s.network)
		if err != nil {
			return err
		}
		if p.id == t.other {
			s.takePresence(p, nil)
		}
	}
	return nil
}

// hello proves this peer's membership at the door of a member that does not know it yet, and takes that member's proof.
func (s *Service) hello(ctx context.Context, p *presence) error {
	if len(p.doors) == 0 {
		return errors.New("say hello: no address of its door is known")
	}
	ctx, cancel := context.WithTimeout(ctx, shakeTime)
	defer cancel()
	st, err := dialDoor(ctx, s.cfg.Door, peer.AddrInfo{ID: p.door, Addrs: p.doors}, func() (network.Stream, error) {
		return s.cfg.Door.NewStream(ctx, p.door, HelloProtocol)
	})
	if err != nil {
		return fmt.Errorf("say hello: %w", err)
	}
	defer st.Reset()
	defer context.AfterFunc(ctx, func() { st.Reset() })()
	t, err := s.party().call(st, HelloProtocol, s.credentials(), s.own())
	if err != nil {
		var r *RefusedError
		if errors.As(err, &r) {
			if clock(r.Err) && r.Skew.Abs() > SkewTold {
				s.measured(p.id, r.Skew)
			}
			s.hearWhy(r)
		}
		return fmt.Errorf("say hello: %w", err)
	}
	raw, err := t.w.readDocuments(strangerDocs)
	if err != nil {
		return fmt.Errorf("say hello: %w", err)
	}
	if t.docs, err = parseDocs(raw); err != nil {
		return fmt.Errorf("say hello: %w", err)
	}
	if t.presences, err = t.w.readPresences(strangerPresences); err != nil {
		return fmt.Errorf("say hello: %w", err)
	}
	if t.other != p.id {
		return fmt.Errorf("say hello: %w: another member's door", ErrProtocol)
	}
	return s.introduce(t)
}

// serveHello answers a hello.
func (s *Service) serveHello(_ context.Context, st network.Stream) {
	s.atDoor(st, HelloProtocol, func(t *talk) error {
		if err := s.introduce(t); err != nil {
			return err
		}
		// One whose certificate has run out answers too: the dialler judges, and may renew it.
		if st := s.Self().State; st != membership.StateValid && st != membership.StateExpired {
			return ErrFailed
		}
		if err := t.accept(st); err != nil {
			return err
		}
		docs := s.credentials()
		if i := s.cfg.Book.Peer(t.other, s.time()); i.Issuer == s.self { // it may have been renewed just now
			docs = append(s.cfg.Book.Standing(t.other), docs...)
		}
		return t.w.writeAll(append(documentFrames(raws(docs[:min(len(docs), strangerDocs.items)]), 0), presenceFrames(s.own())...))
	})
}

// atDoor does what join and hello have in common: a place, the proof, and a refusal that tells no more than it should.
func (s *Service) atDoor(st network.Stream, proto protocol.ID, f func(*talk) error) {
	leave, ok := s.shakes.enter(st.Conn().RemoteMultiaddr(), func() { st.SetDeadline(time.Now()) }) // a reset may wait for the line
	if !ok {
		s.refused(Audit{Addr: st.Conn().RemoteMultiaddr().String(), Proto: string(proto), Why: "too many handshakes at a time"})
		st.Reset()
		return
	}
	defer leave()
	t, err := s.party().answer(st, proto)
	var id peer.ID
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrRefused, err) // whatever it was: nothing is proved
	} else {
		id = t.other
		err = f(t)
	}
	if err == nil {
		st.Close()
		return
	}
	s.refused(Audit{Peer: id, Addr: st.Conn().RemoteMultiaddr().String(), Proto: string(proto), Why: err.Error()})
	var docs [][]byte
	if errors.Is(err, membership.ErrRevoked) {
		docs = s.evidence(id)
	}
	if newWire(st).write(refuse(err, s.cfg.Now(), docs)) != nil {
		st.Reset()
		return
	}
	st.Close()
}
