package admission

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/libp2p/go-libp2p/core/network"

	"cairn/consensus/membership"
)

// serveJoin lets a peer with an invite in. Nothing is answered before the redemption and the documents are synced.
func (s *Service) serveJoin(ctx context.Context, st network.Stream) {
	s.atDoor(st, JoinProtocol, func(t *talk) error {
		join, err := joinIn(t)
		if err != nil {
			return err
		}
		if err := s.admitJoin(ctx, join, t); err != nil {
			return err
		}
		if err := t.accept(st); err != nil {
			return err
		}
		s.audit(Audit{What: "joined", Peer: t.other, Addr: st.Conn().RemoteMultiaddr().String(), Proto: string(JoinProtocol)})
		return t.w.writeAll(append(documentFrames(raws(s.cfg.Book.Docs()), 0), presenceFrames(s.presenceBytes())...))
	})
}

// maxJoinDocs is how many documents come with a join: charter, delegations, invite, join.
const maxJoinDocs = 8

// joinIn picks the join of the peer that has proved who it is.
func joinIn(t *talk) (join membership.Doc, err error) {
	found := 0
	for _, d := range t.docs {
		if d.Kind() == membership.KindJoin && d.Subject() == t.other { // the chain may hold those of administrators
			join = d
			found++
		}
	}
	if found != 1 || len(t.docs) > maxJoinDocs {
		return join, fmt.Errorf("%w: not one join of the peer itself", ErrProtocol)
	}
	// They are about to be recorded: nothing that has no part in it.
	t.docs = slices.DeleteFunc(t.docs, func(d membership.Doc) bool {
		k := d.Kind()
		return k != membership.KindDelegation && k != membership.KindInvite && k != membership.KindJoin
	})
	return join, nil
}

// admitJoin records who has taken the invite and makes the winner a member.
func (s *Service) admitJoin(ctx context.Context, join membership.Doc, t *talk) error {
	s.redeem.Lock()
	docs, err := s.redeems.Redeem(ctx, join, func() ([]membership.Doc, error) {
		now := s.time()
		if err := s.cfg.Book.CheckJoin(join, t.docs, now); err != nil {
			return nil, err
		}
		if me := s.Self(); me.State != membership.StateValid || me.Terms.Role < membership.Member {
			return nil, ErrFailed
		}
		admission, err := membership.Admit(s.cfg.Identity, s.network, join, now)
		if err != nil {
			return nil, err
		}
		return append(t.docs, admission), nil
	})
	var fresh []Record
	if err == nil {
		_, fresh = s.take(docs, nil)
	}
	s.redeem.Unlock()
	if err != nil {
		return err
	}
	now := s.time()
	i := s.cfg.Book.Peer(join.Subject(), now)
	if err := stateError(i.State); err != nil {
		s.keeper.keep(fresh, nil)
		return err
	}
	if me := s.Self(); me.Admin && i.Issuer != s.self {
		cert, err := membership.Certify(s.cfg.Identity, s.network, i.ID, i.Name, i.Terms, now, membership.CertificateLife)
		if err != nil {
			return errors.Join(ErrFailed, err)
		}
		_, more := s.take([]membership.Doc{cert}, nil)
		fresh = append(fresh, more...)
	}
	if err := s.keep(ctx, fresh); err != nil {
		return errors.Join(ErrFailed, err)
	}
	return nil
}
