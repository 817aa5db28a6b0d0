// Package access says who may do what: one table of every door of a peer (each route of its HTTP API, each protocol
// of its two libp2p hosts) with the right that it needs, and one function that decides.
//
// It is pure: it reads no clock and no file, keeps nothing and starts no goroutine. It judges what others have found out: that a
// token is a live one of this scope, that a peer's certificate gives it this role, is for the caller to know.
//
// It promises that what has no row is denied to everybody, that a subject whose kind does not fit the door is denied, and that
// every denial says why in plain words that are safe to show to whoever was denied.
package access

// Door is where somebody asks.
type Door string

// The doors. A protocol may be on both hosts with different rights.
const (
	HTTP       Door = "http"   // rows are patterns of net/http: "GET /v1/status"
	DoorHost   Door = "door"   // the libp2p host for strangers: rows are protocol ids
	MemberHost Door = "member" // the libp2p host for members: rows are protocol ids
)

// Right is what a row asks for.
type Right string

// Rights of HTTP. Read, Write and Admin each hold those before them; a session of a browser has all three.
const (
	Public  Right = "public"  // nothing
	Nearby  Right = "nearby"  // nothing where the entrance is for this machine only, Read where others reach it
	Cookie  Right = "cookie"  // a session's cookie: for requests to which a page can not add a header. Never a token
	Session Right = "session" // the cookie and a secret of that session. Never a token
	Read    Right = "read"
	Write   Right = "write"
	Admin   Right = "admin"
	Local   Right = "local" // the socket: it is what takes and tells paths and keys of this machine
)

// Rights of protocols: the least role of whoever opens a stream.
const (
	OfStranger Right = "stranger"
	OfReader   Right = "reader"
	OfMember   Right = "member"
	OfAdmin    Right = "administrator"
)

// Kind is how a subject was told from others.
type Kind uint8

// The kinds.
const (
	Anonymous Kind = iota // by nothing
	Browser               // by a session's cookie
	Token                 // by a token
	Socket                // by the local socket
	Peer                  // by a libp2p identity
)

// Role of a peer, as its certificate has it. Each holds those before it.
type Role uint8

// The roles.
const (
	Stranger Role = iota // no certificate that holds
	Reader
	Member
	Administrator
)

// Subject is who asks.
type Subject struct {
	Kind  Kind
	Full  bool  // of a Browser: it sent a secret of its session too
	Scope Right // of a Token: Read, Write or Admin
	Role  Role  // of a Peer
	Near  bool  // the entrance that it came through is for this machine only
}

// Action is what is asked for: a row of the table.
type Action struct {
	Door Door
	Name string
}

// Verdict is the answer. The zero value denies.
type Verdict struct {
	Allowed bool
	// Unknown: denied because it is not known who asks, so that saying it again with a login or token may help.
	Unknown bool
	Reason  string // of a denial, in plain words; it names no secret
	Hint    string // what to do
}

// Decide answers whether s may do a. What has no row is denied.
func Decide(s Subject, a Action) Verdict {
	need, ok := Needs(a)
	if !ok {
		return Verdict{Reason: "nobody has a right to this: it is in no table"}
	}
	return Grant(s, need)
}

// Grant answers whether s has a right.
func Grant(s Subject, need Right) Verdict {
	if role, ok := leastRole(need); ok {
		return grantPeer(s, role)
	}
	if s.Kind == Peer {
		return Verdict{Reason: "this is a right of the HTTP API, and peers do not ask there"}
	}
	switch need {
	case Public, Nearby, Cookie, Session, Read, Write, Admin, Local:
	default:
		return Verdict{Reason: "nobody has this right"}
	}
	if s.Kind == Socket || need == Public || need == Nearby && s.Near {
		return Verdict{Allowed: true}
	}
	switch need {
	case Cookie, Session:
		if s.Kind == Browser && (need == Cookie || s.Full) {
			return Verdict{Allowed: true}
		}
		if s.Kind == Token {
			return Verdict{Reason: "this is for browsers that logged in, not for tokens"}
		}
	case Nearby, Read, Write, Admin:
		if s.Kind == Browser && s.Full {
			return Verdict{Allowed: true}
		}
		if s.Kind == Token {
			return grantToken(s.Scope, need)
		}
	case Local:
		return Verdict{Reason: "this is possible on the peer's own machine only, through its socket", Hint: "use the cairn command there"}
	}
	if s.Kind == Browser {
		return Verdict{Unknown: true, Reason: "the secret of the session is missing, wrong or has expired",
			Hint: "reload the page, or log in again with the code that cairn login prints"}
	}
	return Verdict{Unknown: true, Reason: "this needs a session or a token",
		Hint: "log in with the code that cairn login prints, or send a token of cairn token create"}
}

// rank orders the scopes of tokens; 0: none.
func rank(r Right) int {
	switch r {
	case Nearby, Read:
		return 1
	case Write:
		return 2
	case Admin:
		return 3
	}
	return 0
}

func grantToken(scope, need Right) Verdict {
	if scope == Nearby || rank(scope) < rank(need) {
		return Verdict{Reason: "the token has the scope " + string(scope) + ", and this needs " + string(need),
			Hint: "make another with cairn token create --scope " + string(need)}
	}
	return Verdict{Allowed: true}
}

func leastRole(r Right) (Role, bool) {
	switch r {
	case OfStranger:
		return Stranger, true
	case OfReader:
		return Reader, true
	case OfMember:
		return Member, true
	case OfAdmin:
		return Administrator, true
	}
	return 0, false
}

func grantPeer(s Subject, least Role) Verdict {
	switch {
	case s.Kind != Peer:
		return Verdict{Reason: "this is a right of peers, and no peer asks"}
	case s.Role >= least:
		return Verdict{Allowed: true}
	case s.Role == Stranger:
		return Verdict{Unknown: true, Reason: "only members of the network may do this", Hint: "join it with an invite"}
	case least == Administrator:
		return Verdict{Reason: "only administrators of the network may do this", Hint: "ask one of them"}
	}
	return Verdict{Reason: "readers may not do this", Hint: "an administrator can invite this peer again as a member"}
}
