package membership

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"cairn/consensus/membership/pb"
)

// Found makes a network: its root key and charter.
func Found(name string, now time.Time) (root crypto.PrivKey, charter Doc, err error) {
	root, _, err = crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, Doc{}, fmt.Errorf("make root key: %w", err)
	}
	charter, err = Charter(root, name, now)
	if err != nil {
		return nil, Doc{}, err
	}
	return root, charter, nil
}

// Charter signs the charter of a network whose root key is there already. The newest charter gives the network's name.
func Charter(root crypto.PrivKey, name string, now time.Time) (Doc, error) {
	id, err := signerOf(root)
	if err != nil {
		return Doc{}, fmt.Errorf("sign charter: %w", err)
	}
	m := begin(networkOf(id), now)
	m.Name = strings.TrimSpace(name)
	return sign(root, KindCharter, m)
}

// Delegate makes admin an administrator. Only the root may let it make further ones (mayDelegate).
func Delegate(signer crypto.PrivKey, network NetworkID, admin peer.ID, mayDelegate bool, now time.Time) (Doc, error) {
	m, err := about(network, admin, now)
	if err != nil {
		return Doc{}, fmt.Errorf("sign delegation: %w", err)
	}
	if id, err := signerOf(signer); err == nil && mayDelegate && networkOf(id) != network {
		return Doc{}, faultf(ErrAuthority, "only the root key can make an administrator that makes others")
	}
	m.MayDelegate = mayDelegate
	return sign(signer, KindDelegation, m)
}

// Certify makes the certificate of a member. life is cut to CertificateLife.
func Certify(signer crypto.PrivKey, network NetworkID, subject peer.ID, name string, t Terms, now time.Time, life time.Duration) (Doc, error) {
	m, err := about(network, subject, now)
	if err != nil {
		return Doc{}, fmt.Errorf("sign certificate: %w", err)
	}
	m.Name = strings.TrimSpace(name)
	termsOf(m, t)
	m.Expires = m.Issued + uint64(max(min(life, CertificateLife), 0)/time.Second)
	return sign(signer, KindCertificate, m)
}

// Revoke ends a membership for good. Signed with the subject's own key it says that the peer has left. The reason is
// cleaned and cut to MaxReason.
func Revoke(signer crypto.PrivKey, network NetworkID, subject peer.ID, reason string, now time.Time) (Doc, error) {
	m, err := about(network, subject, now)
	if err != nil {
		return Doc{}, fmt.Errorf("sign revocation: %w", err)
	}
	m.Reason = cleanReason(reason)
	return sign(signer, KindRevocation, m)
}

// RevokeInvite ends an invite.
func RevokeInvite(signer crypto.PrivKey, network NetworkID, invite peer.ID, now time.Time) (Doc, error) {
	m, err := about(network, invite, now)
	if err != nil {
		return Doc{}, fmt.Errorf("sign revocation: %w", err)
	}
	m.OfInvite = true
	return sign(signer, KindRevocation, m)
}

// Settle is the root's word that a revocation does not count.
func Settle(root crypto.PrivKey, network NetworkID, revocation DocID, now time.Time) (Doc, error) {
	m := begin(network, now)
	m.Doc = revocation[:]
	return sign(root, KindSettlement, m)
}

// Admit records that a join was the one that took (a use of) its invite.
func Admit(signer crypto.PrivKey, network NetworkID, join Doc, now time.Time) (Doc, error) {
	if join.kind != KindJoin {
		return Doc{}, faultf(ErrMalformed, "only a join can be admitted, this is a %s", join.kind)
	}
	if join.network != network {
		return Doc{}, faultf(ErrForeign, "the join is of another network")
	}
	m, err := about(network, join.subject, now)
	if err != nil {
		return Doc{}, fmt.Errorf("sign admission: %w", err)
	}
	m.Doc = join.id[:]
	return sign(signer, KindAdmission, m)
}

// begin has what all kinds say.
func begin(network NetworkID, now time.Time) *pb.Statement {
	return &pb.Statement{Network: network[:], Issued: uint64(max(now.Unix(), 0))}
}

func about(network NetworkID, subject peer.ID, now time.Time) (*pb.Statement, error) {
	key := keyOf(subject)
	if key == nil {
		return nil, faultf(ErrMalformed, "%s is not the id of an Ed25519 key", subject)
	}
	m := begin(network, now)
	m.Subject = key
	return m, nil
}

// proofText is what a joiner signs with its own key, so that nobody else can bind it to an invite: a label, the
// network, the invite's document, the joiner's key, the time (8 bytes, big endian) and the name.
func proofText(network NetworkID, invite DocID, key []byte, issued uint64, name string) []byte {
	b := append([]byte("cairn-membership-join/1"), network[:]...)
	b = append(b, invite[:]...)
	b = append(b, key...)
	b = binary.BigEndian.AppendUint64(b, issued)
	return append(b, name...)
}

func verifyProof(d *Doc, proof []byte) bool {
	key := keyOf(d.subject)
	pub, err := crypto.UnmarshalEd25519PublicKey(key)
	if err != nil {
		return false
	}
	ok, err := pub.Verify(proofText(d.network, d.said.doc, key, uint64(d.issued.Unix()), d.said.name), proof)
	return ok && err == nil
}
