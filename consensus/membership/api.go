package membership

import (
	"errors"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// Durations of the rules.
const (
	CertificateLife = 7 * 24 * time.Hour // of a certificate, and of a join certificate
	RenewAfter      = 24 * time.Hour     // a certificate older than this is renewed when an administrator is up
	MaxSkew         = 24 * time.Hour     // a document issued further ahead of the present time is refused as from the future
	DefaultInvite   = 24 * time.Hour
	MaxInvite       = 30 * 24 * time.Hour
)

// Limits of documents and books.
const (
	MaxDoc      = 8 << 10 // bytes of one document
	MaxName     = 64      // bytes of the name of a peer or a network
	MaxZone     = 64
	MaxClasses  = 16
	MaxUses     = 1000
	MaxContacts = 8     // in an invite
	MaxMembers  = 4096  // subjects in a book
	MaxDocs     = 32768 // documents in a book
)

// Conditions that callers branch on. Errors of this package wrap one of them and say in plain words what is wrong.
var (
	ErrMalformed = errors.New("malformed")                    // bytes that are no document or invite
	ErrNewer     = errors.New("of a newer version")           // a form that this version does not know
	ErrAltered   = errors.New("altered")                      // checksum or signature is wrong
	ErrForeign   = errors.New("of another network")           // another root
	ErrAuthority = errors.New("not backed by the network")    // no chain up to the root, or more rights than its signer has
	ErrExpired   = errors.New("expired")                      //
	ErrEarly     = errors.New("from the future")              // issued more than MaxSkew ahead of now: a clock is wrong
	ErrRevoked   = errors.New("revoked")                      //
	ErrUsed      = errors.New("used up")                      // an invite redeemed as often as it allows
	ErrNotFor    = errors.New("made for another peer")        // an invite bound to another peer id
	ErrUnknown   = errors.New("not a member")                 // no certificate of this peer
	ErrFull      = errors.New("the network has no more room") // MaxMembers or MaxDocs
)

// NetworkID is the SHA-256 of the root's public key in libp2p's protobuf form.
type NetworkID [32]byte

// Role orders what members may do: a Reader fetches; a Member also offers content and admits those with an invite; an Admin also invites, revokes
// and renews.
type Role uint8

const (
	Reader Role = iota + 1
	Member
	Admin
)

// Terms are what a certificate or an invite grants besides membership itself.
type Terms struct {
	Role        Role
	Coordinator bool     // may become a Raft voter
	Zone        string   // where it is: "" or a name
	Classes     []string // what it is for, sorted
}

// Kind of a document.
type Kind uint8

const (
	KindCharter     Kind = iota + 1 // root: the network's name and beginning
	KindDelegation                  // root or a root-appointed administrator: this peer is an administrator
	KindCertificate                 // an administrator: this peer is a member, for at most CertificateLife
	KindInvite                      // an administrator: whoever has this key may join
	KindJoin                        // the invite's key: this peer takes the invite; it holds the peer's own signature
	KindAdmission                   // a member: this join was the one that was recorded
	KindRevocation                  // root, an administrator, or the subject itself (leaving)
	KindSettlement                  // root: this revocation does not count
)

// DocID is the SHA-256 of a document's bytes.
type DocID [32]byte

// Doc is one signed document. The zero value is none. Its methods never fail: ParseDoc has checked form and signature.
type Doc struct {
	raw     []byte
	kind    Kind
	network NetworkID
	signer  peer.ID   // whose key signed it; of a join: the id of the invite's key
	subject peer.ID   // whom it is about; "" where that is an invite or nobody
	issued  time.Time // in whole seconds
	body    any       // the message, by kind
}

// Found makes a network: its root key and charter.
func Found(name string, now time.Time) (root crypto.PrivKey, charter Doc, err error) {
	panic("to be written")
}

// Charter signs the charter of a network whose root key is there already.
func Charter(root crypto.PrivKey, name string, now time.Time) (Doc, error) { panic("to be written") }

// Delegate makes admin an administrator. Only the root may let it make further ones (mayDelegate).
func Delegate(signer crypto.PrivKey, network NetworkID, admin peer.ID, mayDelegate bool, now time.Time) (Doc, error) {
	panic("to be written")
}

// Certify makes the certificate of a member. life is cut to CertificateLife.
func Certify(signer crypto.PrivKey, network NetworkID, subject peer.ID, name string, t Terms, now time.Time, life time.Duration) (Doc, error) {
	panic("to be written")
}

// Revoke ends a membership for good. Signed with the subject's own key it says that the peer has left.
func Revoke(signer crypto.PrivKey, network NetworkID, subject peer.ID, reason string, now time.Time) (Doc, error) {
	panic("to be written")
}

// RevokeInvite ends an invite.
func RevokeInvite(signer crypto.PrivKey, network NetworkID, invite peer.ID, now time.Time) (Doc, error) {
	panic("to be written")
}

// Settle is the root's word that a revocation does not count.
func Settle(root crypto.PrivKey, network NetworkID, revocation DocID, now time.Time) (Doc, error) {
	panic("to be written")
}

// Contact is where a member can be reached by those who join: its door host.
type Contact struct {
	Door  peer.ID
	Addrs []ma.Multiaddr // at most 8, without /p2p
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
	Chain    []Doc // delegations from the root to the inviter
	Doc      Doc   // KindInvite
	Key      crypto.PrivKey
	Contacts []Contact
}

// NewInvite makes an invite. chain is Book.Chain of the signer.
func NewInvite(signer crypto.PrivKey, charter Doc, chain []Doc, t InviteTerms, contacts []Contact, now time.Time) (Invite, error) {
	panic("to be written")
}

// Encode returns the invite's text: "cairninvite1" and base32 in lower case with a checksum.
func (i Invite) Encode() (string, error) { panic("to be written") }

// ParseInvite reads an invite's text: white space and line breaks anywhere are forgiven, case does not matter. The error is a *ParseError that wraps
// ErrMalformed, ErrAltered or ErrNewer. Signatures and chain are checked; expiry is not.
func ParseInvite(text string) (Invite, error) { panic("to be written") }

// ParseError says what is wrong with an invite's text, and where.
type ParseError struct {
	Reason string
	Pos    int // of the character, from 1; 0: none in particular
	Err    error
}

// ID names the invite: the peer id of its key.
func (i Invite) ID() peer.ID { panic("to be written") }

// Join signs the identity's peer id with the invite's key, and the whole with the identity.
func (i Invite) Join(identity crypto.PrivKey, name string, now time.Time) (Doc, error) {
	panic("to be written")
}

// Admit records that a join was the one that took (a use of) its invite.
func Admit(signer crypto.PrivKey, network NetworkID, join Doc, now time.Time) (Doc, error) {
	panic("to be written")
}

// ParseDoc reads a document. Errors wrap ErrMalformed, ErrNewer or ErrAltered.
func ParseDoc(b []byte) (Doc, error) { panic("to be written") }

// State of a peer in a network.
type State uint8

const (
	StateUnknown   State = iota // no certificate
	StateValid                  //
	StateEarly                  // its certificate is from the future: a clock is wrong
	StateExpired                //
	StateVoid                   // its certificate was issued by an administrator that was revoked since
	StateRevoked                //
	StateSuspended              // it and another administrator revoked each other; the root must settle it
	StateLeft                   // it has left by itself
)

// Info is what a book knows of a peer.
type Info struct {
	ID      peer.ID
	Name    string
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

// Book is the set of documents of one network. Safe for concurrent use.
type Book struct{ _ struct{} }

// NewBook begins with a charter.
func NewBook(charter Doc) (*Book, error) { panic("to be written") }

// Merge adds documents, in any order, and returns those that were new and count now or may later. One that has no authority is
// left out and its error joined; the others are added all the same.
func (b *Book) Merge(docs ...Doc) (added []Doc, err error) { panic("to be written") }

// Docs returns what another book needs to give the same verdicts: charter and delegations, then revocations, then the rest. Certificates that newer
// ones of the same issuer replace are left out.
func (b *Book) Docs() []Doc { panic("to be written") }

// Revocations are those and what proves the right of who signed them: what goes first in every hello.
func (b *Book) Revocations() []Doc { panic("to be written") }

// Digest is equal for books with equal Docs.
func (b *Book) Digest() [32]byte { panic("to be written") }

// Network returns the id, name and charter.
func (b *Book) Network() (id NetworkID, name string, charter Doc) { panic("to be written") }

// Peer judges one peer at a time.
func (b *Book) Peer(id peer.ID, now time.Time) Info { panic("to be written") }

// Members are all peers that were ever in the network, by name, then id.
func (b *Book) Members(now time.Time) []Info { panic("to be written") }

// Invites are all that are known, newest first.
func (b *Book) Invites(now time.Time) []InviteInfo { panic("to be written") }

// Chain are the charter's delegations that give an administrator his power, root's first; nil when it has none.
func (b *Book) Chain(admin peer.ID) []Doc { panic("to be written") }

// Standing are the documents that prove a peer's own membership to one who knows only the charter: chains, certificates, invite, join, admission.
func (b *Book) Standing(id peer.ID) []Doc { panic("to be written") }

// CheckJoin judges a join before it is recorded: nil, or an error that wraps ErrExpired, ErrUsed, ErrRevoked, ErrForeign,
// ErrAuthority, ErrNotFor or ErrEarly. The invite's document and chain must be in docs or in the book. A join of a peer that was admitted by
// the same invite before is right.
func (b *Book) CheckJoin(join Doc, docs []Doc, now time.Time) error { panic("to be written") }

// DependsOn are the members whose membership or power would end with that of an administrator, because nobody else stands for them, and
// whom it revoked alone.
func (b *Book) DependsOn(admin peer.ID, now time.Time) []Info { panic("to be written") }

// Countersign makes the documents by which signer takes over what another administrator issued: certificates with the terms and rest of life
// of those in force, invites' redemptions, revocations; delegations where signer may delegate.
func (b *Book) Countersign(signer crypto.PrivKey, admin peer.ID, now time.Time) ([]Doc, error) {
	panic("to be written")
}

// Floor is the latest time at which any document that counts was issued: it is not earlier than that.
func (b *Book) Floor() time.Time { panic("to be written") }
