// Package schedule decides, for one download, which source is asked for which leaves and when.
//
// It is pure: [Scheduler.Step] takes an event and the time and returns actions. It has no goroutines, reads no
// clock and does no I/O; its user holds a lock around it, tells it what happens and carries out what it says.
//
// It promises that no leaf is asked of two sources at a time, unless the first was told to cancel it or nothing
// else is left to ask for (end-game); that no wanted leaf is forgotten; that a source that brings nothing for a
// while loses its work to others and gets it back after it has shown life; and that its work per step does not
// grow with the number of sources times leaves. See DESIGN.md for the order in which leaves are asked for.
package schedule

import (
	"errors"
	"time"
)

// Conditions under which a source is dropped.
var (
	// ErrStalled: it brought nothing for Config.Patience while something was asked of it.
	ErrStalled = errors.New("delivered nothing for too long")
	// ErrUnasked: it sent what it had not been asked for.
	ErrUnasked = errors.New("sent what was not asked for")
)

// Span is the half-open range of leaf indexes [Lo, Hi).
type Span struct{ Lo, Hi int }

// Len returns the number of leaves in s.
func (s Span) Len() int { return s.Hi - s.Lo }

// Order in which leaves are asked for.
type Order int

// Orders.
const (
	Rarest  Order = iota // those that the fewest downloaders have first; front to back while there is one source
	InOrder              // front to back, for reading while it comes
)

// Config of a Scheduler.
type Config struct {
	Leaves int
	Size   func(i int) int // bytes of leaf i; 0 if not known. The answer may change only after the leaf arrived
	Order  Order
	// Self is this downloader's peer id in binary. With those of the other downloaders it decides whose share of
	// the leaves that only the source has is whose.
	Self     string
	Patience time.Duration // until a source that brings nothing is dropped; 0: 15 s
}

// Event is something that happened. The types below are all there are.
type Event interface{ event() }

// Events about sources. ID is given by the user and never used twice.
type (
	// Joined: a source is there. A partial one has no leaves until Has says so.
	Joined struct {
		ID      int
		Peer    string // its peer id in binary
		Partial bool   // a downloader
		Rank    int    // how many downloaders the source served when we came; meaningful when not Partial
	}
	// Left: a source is gone; what it was asked for goes back.
	Left struct{ ID int }
	// Has: a partial source has more leaves: bit k of Bits, the lowest of a byte first, stands for leaf Start+k.
	Has struct {
		ID, Start int
		Bits      []byte
	}
	// Arrived: a source delivered a leaf. The answer is Keep, Discard or Drop. Bytes is its size, 0 to go by Config.Size.
	Arrived struct{ ID, Leaf, Bytes int }
	// Missing: a source can not give a leaf that it was asked for.
	Missing struct{ ID, Leaf int }
	// Skipped: a source will not send these leaves because they were cancelled.
	Skipped struct {
		ID int
		Span
	}
	// Progress: bytes came from a source, parts of leaves included, or it waits for us rather than we for it.
	Progress struct{ ID int }
)

// Events about leaves, and time.
type (
	// Want adds leaves to what is wanted. Those that are wanted or kept already stay as they are.
	Want struct{ Span }
	// Unwant forgets all wanted leaves that have not arrived; those on their way are cancelled.
	Unwant struct{}
	// Kept: a leaf that arrived is verified and in its place.
	Kept struct{ Leaf int }
	// Bad: a leaf that arrived was not what it should be. The user lets the source leave.
	Bad struct{ Leaf int }
	// Forget: a leaf that was kept is here no more, and may be wanted again.
	Forget struct{ Leaf int }
	// Tick: time has passed; send one every 100 to 250 ms.
	Tick struct{}
)

func (Joined) event()   {}
func (Left) event()     {}
func (Has) event()      {}
func (Arrived) event()  {}
func (Missing) event()  {}
func (Skipped) event()  {}
func (Progress) event() {}
func (Want) event()     {}
func (Unwant) event()   {}
func (Kept) event()     {}
func (Bad) event()      {}
func (Forget) event()   {}
func (Tick) event()     {}

// Action is what the user has to do, in order. The types below are all there are.
type Action interface{ action() }

type (
	// Request: ask a source for leaves.
	Request struct {
		ID int
		Span
	}
	// Cancel: tell a source that these leaves need not come. They may all the same.
	Cancel struct {
		ID int
		Span
	}
	// Keep answers Arrived: verify the leaf, put it in its place, then say Kept or Bad.
	Keep struct{ ID, Leaf int }
	// Discard answers Arrived: another source was faster.
	Discard struct{ ID, Leaf int }
	// Drop: end the use of a source. The scheduler has forgotten it already; Left need not be said.
	Drop struct {
		ID  int
		Err error // ErrStalled, ErrUnasked
	}
)

func (Request) action() {}
func (Cancel) action()  {}
func (Keep) action()    {}
func (Discard) action() {}
func (Drop) action()    {}

// Source is the state of a source, for people to look at.
type Source struct {
	Partial bool
	Have    int     // leaves that it has
	Asked   int     // leaves on their way
	Bytes   int64   // of leaves that arrived
	Rate    float64 // bytes per second of late, 0 while not known
	Stalled bool
}
