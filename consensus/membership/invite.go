package membership

import (
	"crypto/rand"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// Contact is where a member can be reached by those who join: its door host.
type Contact struct {
	Door  peer.ID
	Addrs []ma.Multiaddr // at most MaxAddrs, without /p2p
}

// InviteTerms bound an invite.
type InviteTerms struct {
	Terms
	Expires time.Time // at most MaxInvite ahead
	Uses    int       // 1 to MaxUses
	For     peer.ID   // the one peer that may use it; "": any
}

// Invite is the right to join, with all that a peer needs to do so. It holds a secret: it never prints itself.
type Invite struct {
	Charter  Doc
	Chain    []Doc // delegations from the root to the inviter; see Book.Chain
	Doc      Doc   // KindInvite
	Key      crypto.PrivKey
	Contacts []Contact
}

// NewInvite makes an invite. chain is Book.Chain of the signer; it is empty when the root itself invites. Errors wrap
// ErrAuthority when the signer may not invite so, ErrMalformed when the terms are out of limits.
func NewInvite(signer crypto.PrivKey, charter Doc, chain []Doc, t InviteTerms, contacts []Contact, now time.Time) (Invite, error) {
	id, err := signerOf(signer)
	if err != nil {
		return Invite{}, fmt.Errorf("make invite: %w", err)
	}
	if charter.kind != KindCharter {
		return Invite{}, faultf(ErrMalformed, "an invite begins with a charter")
	}
	power, err := followChain(charter, chain)
	switch {
	case err != nil:
		return Invite{}, fmt.Errorf("make invite: %w", err)
	case power.id != id:
		return Invite{}, faultf(ErrAuthority, "only administrators can invite")
	case t.Role == Admin && !power.mayDelegate:
		return Invite{}, faultf(ErrAuthority, "only administrators that the root made can make administrators")
	case !t.Expires.After(now):
		return Invite{}, faultf(ErrMalformed, "the invite would have expired already")
	case t.Expires.Sub(now) > MaxInvite:
		return Invite{}, faultf(ErrMalformed, "an invite lasts at most %d days", MaxInvite/(24*time.Hour))
	case t.Uses < 1 || t.Uses > MaxUses:
		return Invite{}, faultf(ErrMalformed, "an invite has 1 to %d uses, not %d", MaxUses, t.Uses)
	}
	if err := checkContacts(contacts); err != nil {
		return Invite{}, err
	}
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return Invite{}, fmt.Errorf("make invite's key: %w", err)
	}
	return newInvite(signer, key, charter, chain, t, contacts, now)
}

// newInvite is NewInvite after its checks, with a given key.
func newInvite(signer, key crypto.PrivKey, charter Doc, chain []Doc, t InviteTerms, contacts []Contact, now time.Time) (Invite, error) {
	id, err := signerOf(key)
	if err != nil {
		return Invite{}, err
	}
	m, err := about(charter.network, id, now)
	if err != nil {
		return Invite{}, err
	}
	termsOf(m, t.Terms)
	m.Expires, m.Uses = uint64(max(t.Expires.Unix(), 0)), uint32(t.Uses)
	if t.For != "" {
		if m.Bound = keyOf(t.For); m.Bound == nil {
			return Invite{}, faultf(ErrMalformed, "%s is not the id of an Ed25519 key", t.For)
		}
	}
	doc, err := sign(signer, KindInvite, m)
	if err != nil {
		return Invite{}, fmt.Errorf("make invite: %w", err)
	}
	return Invite{Charter: charter, Chain: slices.Clone(chain), Doc: doc, Key: key, Contacts: contacts}, nil
}

// ID names the invite: the peer id of its key.
func (i Invite) ID() peer.ID { return i.Doc.subject }

// Terms returns what the invite grants, and until when.
func (i Invite) Terms() InviteTerms {
	return InviteTerms{Terms: i.Doc.Terms(), Expires: i.Doc.Expires(), Uses: i.Doc.Uses(), For: i.Doc.For()}
}

// Docs are the documents that prove the invite to a member: what CheckJoin wants besides the join.
func (i Invite) Docs() []Doc {
	return append(append([]Doc{i.Charter}, i.Chain...), i.Doc)
}

// Join signs the identity's peer id with the invite's key, and the same with the identity.
func (i Invite) Join(identity crypto.PrivKey, name string, now time.Time) (Doc, error) {
	id, err := signerOf(identity)
	if err != nil {
		return Doc{}, fmt.Errorf("join: %w", err)
	}
	if f := i.Doc.For(); f != "" && f != id {
		return Doc{}, faultf(ErrNotFor, "the invite was made for another peer: %s", f)
	}
	m, err := about(i.Doc.network, id, now)
	if err != nil {
		return Doc{}, fmt.Errorf("join: %w", err)
	}
	m.Name, m.Doc = strings.TrimSpace(name), i.Doc.id[:]
	m.Proof, err = identity.Sign(proofText(i.Doc.network, i.Doc.id, m.Subject, m.Issued, m.Name))
	if err != nil {
		return Doc{}, fmt.Errorf("join: %w", err)
	}
	return sign(i.Key, KindJoin, m)
}

// Format keeps the secret out of logs, whatever the verb.
func (i Invite) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, i.String()) }

// String names the invite without its secret.
func (i Invite) String() string {
	if i.Doc.IsZero() {
		return "no invite"
	}
	return "invite " + i.ID().String()
}

// MarshalText refuses: whoever wants the secret out says Encode.
func (i Invite) MarshalText() ([]byte, error) { return nil, errNotMarshalled }

// MarshalBinary refuses like MarshalText.
func (i Invite) MarshalBinary() ([]byte, error) { return nil, errNotMarshalled }

// linkPower is what a chain gives the peer at its end.
type linkPower struct {
	id          peer.ID
	mayDelegate bool
}

// followChain goes from the root to the peer at the chain's end. A link is a delegation, or an invite of role Admin and
// the join that took it; whether that join was admitted only a book can tell.
func followChain(charter Doc, chain []Doc) (linkPower, error) {
	at := linkPower{charter.signer, true}
	for n := 0; n < len(chain); n++ {
		d := chain[n]
		switch {
		case d.network != charter.network:
			return at, faultf(ErrForeign, "the inviter's documents are of another network")
		case d.signer != at.id || !at.mayDelegate:
			return at, faultf(ErrAuthority, "the inviter's documents do not lead back to the root of the network")
		case d.kind == KindDelegation:
			if d.said.mayDelegate && n > 0 {
				return at, faultf(ErrAuthority, "the inviter's documents give more rights than their signer has")
			}
			at = linkPower{d.subject, d.said.mayDelegate}
		case d.kind == KindInvite && d.said.terms.Role == Admin && n+1 < len(chain) &&
			chain[n+1].kind == KindJoin && chain[n+1].said.doc == d.id && chain[n+1].signer == d.subject:
			at = linkPower{chain[n+1].subject, false}
			n++
		default:
			return at, faultf(ErrAuthority, "the inviter's documents do not lead back to the root of the network")
		}
	}
	return at, nil
}

func checkContacts(contacts []Contact) error {
	if len(contacts) > MaxContacts {
		return faultf(ErrMalformed, "an invite names at most %d contacts, not %d", MaxContacts, len(contacts))
	}
	for _, c := range contacts {
		if keyOf(c.Door) == nil {
			return faultf(ErrMalformed, "the contact %s has no Ed25519 key", c.Door)
		}
		if len(c.Addrs) > MaxAddrs {
			return faultf(ErrMalformed, "a contact has at most %d addresses, not %d", MaxAddrs, len(c.Addrs))
		}
		for _, a := range c.Addrs {
			if n := len(a.Bytes()); n == 0 || n > maxAddrLen {
				return faultf(ErrMalformed, "the address %s is too long", a)
			}
		}
	}
	return nil
}
