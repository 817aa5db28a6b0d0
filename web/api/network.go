package api

import (
	"context"
	"time"
)

// Network is what the API needs of a peer's membership in a network. Errors are as those of [Peer]. A method that needs a
// network fails with CodeNotFound while the peer is in none; one that needs an administrator with CodeNotPermitted.
type Network interface {
	// Network says which network the peer is in; Joined is false while it is in none.
	Network(ctx context.Context) (NetworkStatus, error)
	// Init makes a network with this peer as its first administrator.
	Init(ctx context.Context, r InitRequest) (InitResult, error)
	// Join takes an invite and returns when the peer is a member that can be used.
	Join(ctx context.Context, r JoinRequest) (NetworkStatus, error)
	// Leave tells the others and forgets the network. The peer's id is not used again.
	Leave(ctx context.Context) error
	// Recover uses the root key: it makes this peer an administrator, and settles revocations.
	Recover(ctx context.Context, r RecoverRequest) (RecoverResult, error)

	// Members lists everybody who is or was in the network, this peer first.
	Members(ctx context.Context) ([]Member, error)
	// Member finds one by id, the beginning of it, or name.
	Member(ctx context.Context, ref string) (Member, error)
	// RevokeMember ends a membership for good. What an administrator issued is taken over by this peer unless Void is set.
	RevokeMember(ctx context.Context, ref string, r RevokeRequest) (RevokeResult, error)
	// Rename changes the name of a member; of this peer itself without being an administrator, while one is up.
	Rename(ctx context.Context, ref, name string) (Member, error)

	// Invite makes an invite.
	Invite(ctx context.Context, r InviteRequest) (Invite, error)
	// Invites lists those that this peer made, newest first.
	Invites(ctx context.Context) ([]Invite, error)
	// RevokeInvite ends one, by id or text.
	RevokeInvite(ctx context.Context, ref string) (Invite, error)
}

// NetworkStatus is the network as this peer sees it.
type NetworkStatus struct {
	Joined         bool       `json:"joined"`
	ID             string     `json:"id,omitempty" doc:"Fingerprint of the root key"`
	Name           string     `json:"name,omitempty"`
	Created        *time.Time `json:"created,omitempty"`
	MemberID       string     `json:"member_id" doc:"Peer id of this peer's identity, which certificates and invites name; there before it joins"`
	SelfName       string     `json:"self_name" doc:"Name of this peer in the network"`
	Role           string     `json:"role,omitempty" enum:"reader,member,admin"`
	State          string     `json:"state,omitempty" enum:"valid,early,expired,void,revoked,suspended,left" doc:"Of this peer's own membership"`
	Reason         string     `json:"reason,omitempty" doc:"Why it is not valid, in words"`
	Expires        *time.Time `json:"expires,omitempty" doc:"Of this peer's certificate; renewed daily while an administrator can be reached"`
	Addresses      []string   `json:"addresses" doc:"Where other members reach this peer"`
	Members        int        `json:"members" doc:"In force"`
	Administrators int        `json:"administrators" doc:"In force"`
	Connected      int        `json:"connected"`
	Alerts         []Alert    `json:"alerts"`
	Limits         []Limit    `json:"limits" doc:"Resource limits of the member host"`
}

// Alert is something about the network that somebody should look at.
type Alert struct {
	Kind     string    `json:"kind" enum:"clone,clock,renewal,revoked,suspended,recovery"`
	MemberID string    `json:"member_id,omitempty"`
	Message  string    `json:"message"`
	Hint     string    `json:"hint,omitempty"`
	Since    time.Time `json:"since"`
}

// Member is one peer that is or was in the network.
type Member struct {
	ID          string      `json:"id"`
	Name        string      `json:"name"`
	Self        bool        `json:"self"`
	Role        string      `json:"role" enum:"reader,member,admin"`
	Zone        string      `json:"zone,omitempty"`
	Classes     []string    `json:"classes"`
	Coordinator bool        `json:"coordinator" doc:"May become a coordinator"`
	State       string      `json:"state" enum:"valid,early,expired,void,revoked,suspended,left"`
	Reason      string      `json:"reason,omitempty"`
	Joined      *time.Time  `json:"joined,omitempty"`
	Expires     *time.Time  `json:"expires,omitempty" doc:"Of the certificate"`
	IssuedBy    string      `json:"issued_by,omitempty" doc:"Peer id of the administrator behind the certificate"`
	RevokedBy   string      `json:"revoked_by,omitempty"`
	Version     string      `json:"version,omitempty" doc:"Of the binary that it runs"`
	LastSeen    *time.Time  `json:"last_seen,omitempty"`
	Connection  *Connection `json:"connection,omitempty" doc:"None: it is not connected now"`
	Cloned      bool        `json:"cloned" doc:"Two machines run with its identity"`
}

// Connection is how a member is connected.
type Connection struct {
	Address   string    `json:"address"`
	Direction string    `json:"direction" enum:"inbound,outbound"`
	Transport string    `json:"transport" enum:"tcp,quic-v1,other"`
	Since     time.Time `json:"since"`
	RTTMillis float64   `json:"rtt_ms"`
	UpBPS     int64     `json:"up_bps"`
	DownBPS   int64     `json:"down_bps"`
}

// InitRequest makes a network. With RecoveryFile and Passphrase the root key goes into that file, encrypted; otherwise it comes
// back as words.
type InitRequest struct {
	Name         string `json:"name" minLength:"1" maxLength:"64" doc:"Of the network"`
	PeerName     string `json:"peer_name,omitempty" maxLength:"64" doc:"Of this peer in it; empty: its configured name"`
	RecoveryFile string `json:"recovery_file,omitempty" maxLength:"4096" doc:"Absolute path of the file to make; on the socket only"`
	Passphrase   string `json:"passphrase,omitempty" maxLength:"1024" doc:"Of the recovery file"`
}

// InitResult is told once: the words are kept nowhere.
type InitResult struct {
	Network       NetworkStatus `json:"network"`
	RecoveryWords string        `json:"recovery_words,omitempty" doc:"The root key. Whoever has it owns the network"`
	RecoveryFile  string        `json:"recovery_file,omitempty"`
}

// JoinRequest takes an invite.
type JoinRequest struct {
	Invite string `json:"invite" minLength:"1" maxLength:"8192"`
	Name   string `json:"name,omitempty" maxLength:"64" doc:"Of this peer in the network; empty: its configured name"`
}

// RecoverRequest brings the root key: words, or a file and its passphrase. On the socket only.
type RecoverRequest struct {
	Words      string   `json:"words,omitempty" maxLength:"1024"`
	File       string   `json:"file,omitempty" maxLength:"4096" doc:"Absolute path"`
	Passphrase string   `json:"passphrase,omitempty" maxLength:"1024"`
	Name       string   `json:"name,omitempty" maxLength:"64" doc:"Of the network, when the peer knows nothing of it and there is no file"`
	Keep       []string `json:"keep,omitempty" maxItems:"64" doc:"Members whose revocations do not count: id or name"`
	Revoke     []string `json:"revoke,omitempty" maxItems:"64" doc:"Members that the root revokes: id or name"`
}

// RecoverResult says what the root key did.
type RecoverResult struct {
	Network NetworkStatus `json:"network"`
	Did     []string      `json:"did" doc:"In words"`
}

// RevokeRequest says how far a revocation goes.
type RevokeRequest struct {
	Void   bool   `json:"void,omitempty" doc:"Of an administrator: what it issued ends too. Otherwise this peer takes it over"`
	Reason string `json:"reason,omitempty" maxLength:"200"`
}

// RevokeResult says what ended.
type RevokeResult struct {
	Member Member   `json:"member"`
	Ended  []Member `json:"ended" doc:"Others that ended with it"`
	Kept   []Member `json:"kept" doc:"Others that it had issued, which this peer has taken over"`
	Told   int      `json:"told" doc:"Connected members that have it now"`
}

// RenameRequest changes the name of a member.
type RenameRequest struct {
	Name string `json:"name" minLength:"1" maxLength:"64"`
}

// InviteRequest makes an invite.
type InviteRequest struct {
	Role          string   `json:"role,omitempty" enum:"reader,member,admin" doc:"Default: member"`
	NoCoordinator bool     `json:"no_coordinator,omitempty"`
	ExpireSeconds int64    `json:"expire_seconds,omitempty" minimum:"0" maximum:"2592000" doc:"0: 24 h; at most 30 days"`
	Uses          int      `json:"uses,omitempty" minimum:"0" maximum:"1000" doc:"0: 1"`
	Zone          string   `json:"zone,omitempty" maxLength:"64"`
	Classes       []string `json:"classes,omitempty" maxItems:"16"`
	For           string   `json:"for,omitempty" maxLength:"128" doc:"Peer id of the one machine that may use it (cairn id prints it)"`
}

// Invite is an invite that this peer made.
type Invite struct {
	ID          string    `json:"id"`
	Text        string    `json:"text" doc:"The invite itself; who has it can join. Empty once nobody can"`
	Role        string    `json:"role" enum:"reader,member,admin"`
	Coordinator bool      `json:"coordinator"`
	Zone        string    `json:"zone,omitempty"`
	Classes     []string  `json:"classes"`
	For         string    `json:"for,omitempty"`
	Uses        int       `json:"uses"`
	Used        []string  `json:"used" doc:"Peer ids that joined by it"`
	Created     time.Time `json:"created"`
	Expires     time.Time `json:"expires"`
	State       string    `json:"state" enum:"open,used,expired,revoked"`
}
