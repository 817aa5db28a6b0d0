package membership

import (
	"encoding/hex"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// NetworkID is the SHA-256 of the root's public key in libp2p's protobuf form.
type NetworkID [32]byte

// String returns the id in hexadecimal.
func (n NetworkID) String() string { return hex.EncodeToString(n[:]) }

// Role orders what members may do: a Reader fetches; a Member also offers content and admits those with an invite; an
// Admin also invites, revokes and renews.
type Role uint8

// The roles.
const (
	Reader Role = iota + 1
	Member
	Admin
)

// String returns the role as users write it.
func (r Role) String() string {
	switch r {
	case Reader:
		return "reader"
	case Member:
		return "member"
	case Admin:
		return "admin"
	}
	return fmt.Sprintf("role %d", uint8(r))
}

// Terms are what a certificate or an invite grants besides membership itself.
type Terms struct {
	Role        Role
	Coordinator bool     // may become a Raft voter
	Zone        string   // where it is: "" or a name
	Classes     []string // what it is for, sorted
}

// Kind of a document.
type Kind uint8

// The kinds, and who may sign them.
const (
	KindCharter     Kind = iota + 1 // root: the network's name and beginning
	KindDelegation                  // root or a root-appointed administrator: this peer is an administrator
	KindCertificate                 // an administrator: this peer is a member, for at most CertificateLife
	KindInvite                      // an administrator: whoever has this key may join
	KindJoin                        // the invite's key: this peer takes the invite; it holds the peer's own signature
	KindAdmission                   // a member: this join was the one that was recorded
	KindRevocation                  // root, an administrator, or the subject itself (leaving)
	KindSettlement                  // root: this revocation does not count

	lastKind = KindSettlement
)

// kinds are the names that stand in payload types.
var kinds = [lastKind + 1]string{"", "charter", "delegation", "certificate", "invite", "join", "admission", "revocation", "settlement"}

// String returns the kind's name.
func (k Kind) String() string {
	if k > 0 && k <= lastKind {
		return kinds[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// DocID is the SHA-256 of a document's bytes.
type DocID [32]byte

// String returns the id in hexadecimal.
func (d DocID) String() string { return hex.EncodeToString(d[:]) }

// State of a peer in a network.
type State uint8

// The states. Only a peer whose state is StateValid is a member.
const (
	StateUnknown   State = iota // no certificate
	StateValid                  //
	StateEarly                  // its certificate is from the future: a clock is wrong
	StateExpired                //
	StateVoid                   // nobody in force stands for it: its issuer was revoked since, or its invite was used up before
	StateRevoked                //
	StateSuspended              // it and another administrator revoked each other; the root must settle it
	StateLeft                   // it has left by itself
)

// String returns the state as users read it.
func (s State) String() string {
	names := [...]string{"unknown", "valid", "early", "expired", "void", "revoked", "suspended", "left"}
	if int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// Info is what a book knows of a peer.
type Info struct {
	ID   peer.ID
	Name string
	// Terms of the certificate that counts, or of the newest when none does; but Role is Admin exactly while Admin is
	// true: a certificate alone makes nobody an administrator.
	Terms   Terms
	State   State
	Reason  string    // in plain words, unless State is StateValid
	Admin   bool      // a delegation in force
	Deleg   bool      // and it may make administrators
	Issuer  peer.ID   // of the certificate that counts; of a join certificate: the inviter
	Issued  time.Time // of that certificate
	Expires time.Time
	Invite  peer.ID // the invite that it came by, "" for the first
	Joined  time.Time
	By      peer.ID // who revoked it
}

// InviteInfo is what a book knows of an invite: only those that were redeemed or revoked are in it, or added by their maker.
type InviteInfo struct {
	ID      peer.ID
	Terms   InviteTerms
	By      peer.ID
	Issued  time.Time
	Used    []peer.ID // who joined by it
	Revoked bool
}
