// Package exchange is the block protocol: it serves objects to peers that hold a ticket, and fetches them.
//
// A session is one libp2p stream. It proves the right to one root in both directions, then carries the root's
// inner nodes by CID and its leaves by index ranges, in the order asked ([Server], [Dial], [Session]). A server may
// hold only part of an object ([Partial]) and introduces the downloaders of a ticket to each other.
//
// It promises that nothing is served outside the root that a session has a right to; that an unknown ticket, a
// wrong proof and an altered expiry get the same answer; that every read has a size cap and a deadline; and that
// the memory of a session is bounded whatever the other side does. Nodes that it hands out hash to their CID.
// Leaves it hands out unverified, in the right order and within the size cap: the caller knows their CIDs. It
// does not decide rights (see [Rights]), does not store, and does not choose what to fetch from whom.
//
// Goroutines: a server's session runs inside the call of [Server.Handle] and all its goroutines have ended when
// that returns. A client's session has none of its own: it reads inside [Session.Run]. The protocol is described in DESIGN.md.
package exchange

import (
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// Protocol is the libp2p protocol id; its last part is the major version.
const Protocol protocol.ID = "/cairn/blocks/1"

// version within the major version, told in Hello and Challenge.
const version = 1

// Conditions that callers branch on.
var (
	// ErrRefused: the peer does not accept the ticket: it knows no such ticket, or something in it was altered.
	ErrRefused = errors.New("the peer does not accept this ticket")
	// ErrExpired, ErrUsedUp, ErrRevoked: the ticket was right, but it is over. Also the states that [Rights] reports.
	ErrExpired = errors.New("the ticket has expired")
	ErrUsedUp  = errors.New("the ticket has been used up")
	ErrRevoked = errors.New("the ticket has been revoked")
	// ErrBusy: the peer serves as many sessions, or has as many handshakes in flight, as it is willing to.
	ErrBusy = errors.New("the peer is busy")
	// ErrGone: the peer can not read the object any more.
	ErrGone = errors.New("the peer no longer has the object")
	// ErrFailed: the peer had an error of its own.
	ErrFailed = errors.New("the peer failed")

	// ErrUnreachable: no connection could be made. See [UnreachableError].
	ErrUnreachable = errors.New("the peer can not be reached")
	// ErrProtocol: the other side broke the protocol; nothing it says is worth more attempts.
	ErrProtocol = errors.New("the peer broke the protocol")
	// ErrStalled: the other side sent too little for too long.
	ErrStalled = errors.New("the peer stalled")
	// ErrLost: the connection ended in the middle of something.
	ErrLost = errors.New("the connection was lost")
	// ErrClosed: the session has been closed, by Close or by an earlier error.
	ErrClosed = errors.New("the session is closed")
)

// Reason says why a leaf or node can not be sent.
type Reason int

// The reasons of a MissingError.
const (
	Unknown    Reason = iota
	NotFound          // the bytes are not there any more
	Changed           // the bytes are not those of the CID any more
	Unreadable        // reading failed
)

func (r Reason) String() string {
	switch r {
	case NotFound:
		return "it is not there any more"
	case Changed:
		return "it has changed since it was shared"
	case Unreadable:
		return "it can not be read"
	}
	return "unknown reason"
}

// MissingError says that the source could not read something that it has a ticket for. The session goes on.
type MissingError struct {
	Index  int     // of the leaf; -1 for a node
	CID    cid.Cid // of the node; undefined for a leaf
	Reason Reason
	Count  int // how many leaves are missing; Index and Reason are those of the first
}

func (e *MissingError) Error() string {
	switch {
	case e.Index < 0:
		return fmt.Sprintf("the peer can not send node %s: %s", e.CID, e.Reason)
	case e.Count > 1:
		return fmt.Sprintf("the peer can not send leaf %d and %d more: %s", e.Index, e.Count-1, e.Reason)
	}
	return fmt.Sprintf("the peer can not send leaf %d: %s", e.Index, e.Reason)
}
