package admission

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"cairn/consensus/admission/pb"
	"cairn/consensus/membership"
)

// What a renewal may take and carry.
const (
	renewTime = 15 * time.Second

	renewRate, renewBurst = 1.0 / 60, 10 // per second and at once, of one member: everybody keeps what comes of it
)

// Renew asks the administrators that are connected, one after the other, for a new certificate with the terms of the present one and a name
// ("": as it is), and returns when it is in force and synced. An administrator asks itself. Errors wrap ErrNoAdmin, ErrName, ErrNotMember or say why the last one refused.
func (s *Service) Renew(ctx context.Context, name string) error {
	s.renewing.Lock()
	defer s.renewing.Unlock()
	if name != "" {
		if err := membership.CheckName(name); err != nil {
			return fmt.Errorf("renew: %w: %w", ErrName, err)
		}
	}
	me := s.Self()
	if me.Admin && (me.State == membership.StateValid || me.State == membership.StateExpired) {
		if err := s.certify(ctx, me, name); err != nil {
			return fmt.Errorf("renew: %w", err)
		}
		return nil
	}
	if stateError(me.State) != nil {
		return fmt.Errorf("renew: %w: %s", ErrNotMember, me.Reason)
	}
	err := ErrNoAdmin
	for _, m := range s.cfg.Book.Members(s.time()) {
		if !m.Admin || m.State != membership.StateValid || m.ID == s.self || !s.Connected(m.ID) {
			continue
		}
		if err = s.askRenew(ctx, m.ID, name); err == nil {
			return nil
		}
		s.cfg.Log.Info("certificate not renewed", "by", m.ID.String(), "err", err)
	}
	return fmt.Errorf("renew: %w", err)
}

func (s *Service) askRenew(ctx context.Context, admin peer.ID, name string) error {
	ctx, cancel := context.WithTimeout(ctx, renewTime)
	defer cancel()
	st, err := s.cfg.Member.NewStream(ctx, admin, RenewProtocol)
	if err != nil {
		return err
	}
	defer st.Reset()
	defer context.AfterFunc(ctx, func() { st.Reset() })()
	st.SetDeadline(time.Now().Add(renewTime))
	w := newWire(st)
	if err := w.write(&pb.Frame{Body: &pb.Frame_Renew{Renew: &pb.Renew{Version: version, Name: name}}}); err != nil {
		return err
	}
	m, err := expect(w, (*pb.Frame).GetRenewed)
	if err != nil {
		return s.party().against(err)
	}
	_, fresh, err := s.takeRaw(m.GetDocs(), nil)
	if err != nil {
		return err
	}
	if err := s.keep(ctx, fresh); err != nil {
		return fmt.Errorf("keep certificate: %w", err)
	}
	return nil
}

// serveRenew answers a member. The stream comes from an admitted connection; whether the member is still in force is looked at again.
func (s *Service) serveRenew(ctx context.Context, st network.Stream) {
	st.SetDeadline(time.Now().Add(renewTime))
	id := st.Conn().RemotePeer()
	err := func() error {
		m, err := expect(newWire(st), (*pb.Frame).GetRenew)
		if err != nil {
			return err
		}
		if me := s.Self(); !me.Admin || me.State != membership.StateValid {
			return ErrNoAdmin
		}
		i := s.cfg.Book.Peer(id, s.time())
		if err := stateError(i.State); err != nil {
			return err
		}
		s.mu.Lock()
		rate := s.renewRates[id]
		if rate == nil {
			rate = &bucket{}
			s.renewRates[id] = rate
		}
		ok := rate.take(time.Now(), 1, renewRate, renewBurst)
		s.mu.Unlock()
		if !ok {
			return fmt.Errorf("%w: it has asked too often", ErrBusy)
		}
		if err := s.certify(ctx, i, m.GetName()); err != nil {
			return err
		}
		s.audit(Audit{What: "renewed", Peer: id, Addr: st.Conn().RemoteMultiaddr().String(), Proto: string(RenewProtocol)})
		docs := slices.DeleteFunc(s.cfg.Book.Standing(id), func(d membership.Doc) bool { return d.Kind() == membership.KindCertificate && d.Signer() != s.self })
		return newWire(st).write(&pb.Frame{Body: &pb.Frame_Renewed{Renewed: &pb.Renewed{Docs: raws(docs)}}})
	}()
	if err == nil {
		st.Close()
		return
	}
	s.refused(Audit{Peer: id, Addr: st.Conn().RemoteMultiaddr().String(), Proto: string(RenewProtocol), Why: err.Error()})
	if newWire(st).write(refuse(err, s.cfg.Now(), nil)) != nil {
		st.Reset()
		return
	}
	st.Close()
}

// certify makes a new certificate with the terms of the present one, and returns when it is synced.
func (s *Service) certify(ctx context.Context, i membership.Info, name string) error {
	if name == "" {
		name = i.Name
	} else if err := membership.CheckName(name); err != nil {
		return fmt.Errorf("%w: %w", ErrName, err)
	}
	// The newest counts, in whole seconds: two within one would leave that to chance.
	at := later(s.time(), i.Issued.Add(time.Second))
	cert, err := membership.Certify(s.cfg.Identity, s.network, i.ID, name, i.Terms, at, membership.CertificateLife)
	if err != nil {
		return errors.Join(ErrFailed, err)
	}
	_, fresh := s.take([]membership.Doc{cert}, nil)
	if err := s.keep(ctx, fresh); err != nil {
		return errors.Join(ErrFailed, err)
	}
	return nil
}

// revive gives a member whose certificate has run out a new one, if this peer may: it was away for long, but nobody has revoked it.
func (s *Service) revive(id peer.ID) bool {
	i := s.cfg.Book.Peer(id, s.time())
	if me := s.Self(); i.State != membership.StateExpired || !me.Admin || me.State != membership.StateValid {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), shakeTime)
	defer cancel()
	if err := s.certify(ctx, i, ""); err != nil {
		s.cfg.Log.Warn("certificate not renewed", "peer", id.String(), "err", err)
		return false
	}
	s.audit(Audit{What: "renewed", Peer: id, Why: "its certificate had run out"})
	return s.cfg.Gate.Admits(id)
}

// renewSelf renews this peer's certificate when it is old. The loop calls it again.
func (s *Service) renewSelf(ctx context.Context) {
	me := s.Self()
	if old := s.time().Sub(me.Issued); old < membership.RenewAfter || stateError(me.State) != nil && !(me.Admin && me.State == membership.StateExpired) {
		return
	}
	s.mu.Lock()
	wait := time.Now().Before(s.renewNext)
	s.mu.Unlock()
	if wait {
		return
	}
	err := s.Renew(ctx, "")
	s.mu.Lock()
	if err == nil {
		s.renewTries, s.renewNext = 0, time.Time{}
	} else {
		s.renewNext = time.Now().Add(min(s.t.renew<<min(s.renewTries, 10), time.Hour))
		s.renewTries++
	}
	s.mu.Unlock()
	if err != nil {
		s.cfg.Log.Info("certificate not renewed yet", "expires", me.Expires.Format(time.RFC3339), "err", err)
		return
	}
}
