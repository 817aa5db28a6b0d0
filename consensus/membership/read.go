package membership

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"cairn/consensus/membership/pb"
)

// read takes a statement over, field by field, as its kind has them; what a kind does not have is ignored. The error
// says which field is wrong.
func (d *Doc) read(m *pb.Statement) error {
	if len(m.Network) != len(d.network) {
		return errors.New("its network can not be read")
	}
	d.network = NetworkID(m.Network)
	var err error
	if d.issued, err = readTime(m.Issued); err != nil {
		return fmt.Errorf("its time %w", err)
	}
	if d.kind != KindCharter && d.kind != KindSettlement {
		if d.subject, err = readKey(m.Subject); err != nil {
			return fmt.Errorf("its subject %w", err)
		}
	}
	s := d.said
	switch d.kind {
	case KindCharter:
		if networkOf(d.signer) != d.network {
			return errors.New("it is not signed by the root of its network")
		}
		s.name = m.Name
		return CheckName(s.name)
	case KindDelegation:
		s.mayDelegate = m.MayDelegate
		return nil
	case KindCertificate:
		s.name = m.Name
		if err := CheckName(s.name); err != nil {
			return err
		}
		if err := s.readTerms(m); err != nil {
			return err
		}
		return s.readExpiry(m, d.issued, CertificateLife)
	case KindInvite:
		return d.readInvite(m)
	case KindJoin:
		s.name = m.Name
		if err := CheckName(s.name); err != nil {
			return err
		}
		if err := s.readDoc(m); err != nil {
			return err
		}
		if !verifyProof(d, m.Proof) {
			return errors.New("the joiner has not signed it")
		}
		return nil
	case KindAdmission:
		return s.readDoc(m)
	case KindRevocation:
		s.reason, s.ofInvite = m.Reason, m.OfInvite
		if len(s.reason) > MaxReason {
			return errors.New("its reason is too long")
		}
		return checkText("its reason", s.reason)
	case KindSettlement:
		return s.readDoc(m)
	}
	return errors.New("its kind is unknown")
}

func (d *Doc) readInvite(m *pb.Statement) error {
	s := d.said
	if err := s.readTerms(m); err != nil {
		return err
	}
	if m.Uses < 1 || m.Uses > MaxUses {
		return fmt.Errorf("it allows %d uses, 1 to %d are possible", m.Uses, MaxUses)
	}
	s.uses = int(m.Uses)
	if len(m.Bound) > 0 {
		var err error
		if s.bound, err = readKey(m.Bound); err != nil {
			return fmt.Errorf("the peer that it is for %w", err)
		}
	}
	return s.readExpiry(m, d.issued, MaxInvite)
}

func (s *statement) readTerms(m *pb.Statement) error {
	s.terms = Terms{Role: Role(m.Role), Coordinator: m.Coordinator, Zone: m.Zone, Classes: m.Classes}
	if m.Role < uint32(Reader) || m.Role > uint32(Admin) {
		return fmt.Errorf("its role %d is unknown", m.Role)
	}
	if s.terms.Zone != "" {
		if err := CheckLabel(s.terms.Zone); err != nil {
			return err
		}
	}
	if len(m.Classes) > MaxClasses {
		return fmt.Errorf("it has %d classes, at most %d are possible", len(m.Classes), MaxClasses)
	}
	for i, c := range m.Classes {
		if err := CheckLabel(c); err != nil {
			return err
		}
		if i > 0 && m.Classes[i-1] >= c {
			return errors.New("its classes are not sorted")
		}
	}
	return nil
}

func (s *statement) readExpiry(m *pb.Statement, issued time.Time, most time.Duration) (err error) {
	if s.expires, err = readTime(m.Expires); err != nil {
		return fmt.Errorf("its expiry %w", err)
	}
	if life := s.expires.Sub(issued); life < 0 || life > most {
		return fmt.Errorf("it would last %s, at most %s are possible", life, most)
	}
	return nil
}

func (s *statement) readDoc(m *pb.Statement) error {
	if len(m.Doc) != len(s.doc) {
		return errors.New("the document that it is about can not be read")
	}
	s.doc = DocID(m.Doc)
	return nil
}

func readTime(seconds uint64) (time.Time, error) {
	if seconds == 0 || seconds > maxTime {
		return time.Time{}, errors.New("is out of range")
	}
	return time.Unix(int64(seconds), 0).UTC(), nil
}

func readKey(b []byte) (peer.ID, error) {
	if len(b) != keySize {
		return "", errors.New("can not be read")
	}
	return idOf(b), nil
}

// termsOf fills a statement in with terms, classes sorted and each once.
func termsOf(m *pb.Statement, t Terms) {
	m.Role, m.Coordinator, m.Zone = uint32(t.Role), t.Coordinator, t.Zone
	m.Classes = slices.Compact(slices.Sorted(slices.Values(t.Classes)))
}
