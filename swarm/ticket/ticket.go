// Package ticket is the capability to fetch one object: its form as text, and the proofs made with its secret.
//
// A ticket names an object (root CID, name, size), one holder (peer id and addresses), a 128-bit secret and an
// expiry. Whoever has the text may fetch the object; the secret itself never crosses the wire: both ends prove
// that they know it ([Key.Proof]).
//
// The package promises that [Parse] never panics, that it accepts no text whose checksum is wrong, that a parsed
// ticket is within the limits below, and that printing a [Ticket] by accident does not reveal the secret. It does
// not decide whether a ticket is expired, used up or revoked: its issuer's records do. It reads no clock, does
// no I/O and starts no goroutines. The binary form is described in DESIGN.md.
package ticket

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// Limits of a ticket.
const (
	MaxName    = 64   // bytes of a name
	MaxAddrs   = 16   // addresses
	MaxAddrLen = 128  // bytes of one address in binary form
	MaxText    = 4096 // characters of a ticket's text without white space; a usual one has 200 to 400
)

// Ticket is the right to fetch the object Root from Peer.
type Ticket struct {
	Root    cid.Cid               // CIDv1, sha2-256, raw or dag-pb
	Name    string                // what to call the object; "" if it has none; see CleanName
	Size    int64                 // bytes of content, not negative
	Peer    peer.ID               // the holder
	Addrs   []multiaddr.Multiaddr // where the holder may be dialled, at most MaxAddrs, without /p2p
	Secret  [16]byte              // never printed, never sent
	Expires time.Time             // zero: never; in whole seconds after 1970
}

// NewSecret returns a fresh secret from the system's random source.
func NewSecret() (s [16]byte) {
	rand.Read(s[:]) // never fails: see crypto/rand
	return s
}

// Expired tells whether the ticket has ended at now.
func (t Ticket) Expired(now time.Time) bool {
	return !t.Expires.IsZero() && !now.Before(t.Expires)
}

// AddrInfo returns the holder in the form in which libp2p dials it.
func (t Ticket) AddrInfo() peer.AddrInfo {
	return peer.AddrInfo{ID: t.Peer, Addrs: t.Addrs}
}

// String describes the ticket for people and logs. It leaves the secret out; [Ticket.Encode] makes the text.
func (t Ticket) String() string {
	return fmt.Sprintf("ticket for %q (%s, %d bytes) at %s", t.Name, t.Root, t.Size, t.Peer)
}

// GoString keeps the secret out of %#v.
func (t Ticket) GoString() string { return t.String() }

// Format keeps the secret out of every verb, %x and %d among them.
func (t Ticket) Format(f fmt.State, _ rune) { fmt.Fprint(f, t.String()) }

// LogValue keeps the secret out of logs.
func (t Ticket) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalText keeps the secret out of JSON written by accident: it fails. Text is made by [Ticket.Encode] alone.
func (t Ticket) MarshalText() ([]byte, error) {
	return nil, fmt.Errorf("marshal ticket: %w", errNotMarshalled)
}
