// Package fetch carries out one get: it walks an object's tree, fetches its leaves from one or more sources at
// once, and makes a file or a directory of them at a place the user named.
//
// It promises: every leaf is hashed against the tree before it is written; nothing appears under the final name
// before all of it is there and synced; nothing is ever written outside the destination; an interrupted get is
// continued by the next one of the same object to the same place, which fetches only what is missing; a source
// that errs, lies or stands still is dropped and named, and the others take over its work.
//
// It does not find or dial sources, does not decide who may read, and stores no blocks: inner nodes are handed to
// the caller (Job.OnNode), files are listed in Result.Written so that the caller can reference them.
//
// What a get has already can be served to others while it runs: see [Partial].
//
// [Run] owns all its goroutines: they are gone when it returns. A [Reader] owns its own until Close. A [Partial] has
// none.
package fetch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"cairn/storage/block"
	"cairn/storage/dag"
	"cairn/swarm/schedule"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Conditions that callers branch on. A full disk is block.ErrNoSpace, a hostile tree dag.ErrBadDAG.
var (
	// ErrExists: there is something at the target, and Target.Force was not set (or cannot apply).
	ErrExists = errors.New("target exists")
	// ErrBusy: another get of the same object to the same target is under way.
	ErrBusy = errors.New("another get is writing there")
	// ErrTarget: the target cannot be used: its folder is missing or read-only, or its name is not a file name.
	ErrTarget = errors.New("target cannot be used")
	// ErrNames: the tree holds names that this system or the target's file system cannot tell apart or keep.
	ErrNames = errors.New("names do not fit this file system")
	// ErrNoSource: nobody is left who could give what is missing; see NoSourceError.
	ErrNoSource = errors.New("no source left")
	// ErrStalled: a source delivered nothing for Job.StallAfter.
	ErrStalled = schedule.ErrStalled
	// ErrMisbehaved: a source sent what was not asked for, or ended without sending what was.
	ErrMisbehaved = errors.New("source broke the rules")
	// ErrNoSpace is block.ErrNoSpace: the disk is full, or would be.
	ErrNoSpace = block.ErrNoSpace
)

// Buf is the payload of one leaf in a pooled buffer. Bytes is valid until Release, which is called exactly once.
type Buf interface {
	Bytes() []byte
	Release()
}

// Source is one peer (or store) that can give the object, or part of it. Its methods return soon after their context
// ends, and Peer, Partial and Rank at once.
type Source interface {
	// NodeSource is used before Run only.
	dag.NodeSource
	Peer() peer.ID
	// Partial tells whether the source may lack leaves: it says by Sink.Have which it has.
	Partial() bool
	// Rank is the number of downloaders that this source served before us; 0 for the first one.
	Rank() int
	// Run delivers what Request asks for, in that order, until ctx ends or the source fails. It is called once.
	Run(ctx context.Context, s Sink) error
	// Request asks for count leaves from start on. It and Cancel come from a goroutine of their own, one call at a
	// time, while Run is about to be called or under way, and may block for seconds. An error ends the use of the
	// source.
	Request(start, count int) error
	// Cancel says that leaves asked for need not come. Those that do not come all the same are told by Sink.Skipped.
	Cancel(start, count int) error
	// Done tells the source that the object is complete and safe. Run is under way still.
	Done(ctx context.Context) error
}

// Sink takes what a source has to say. Its methods are called from within Run, by one goroutine at a time.
type Sink interface {
	// Leaf hands over leaf i. It takes over b and blocks while we are busy. After an error, which Run returns, the
	// source is of no more use.
	Leaf(i int, b Buf) error
	// Missing: the source does not have, or cannot read, leaf i. err may be nil.
	Missing(i int, err error)
	// Skipped: these leaves were cancelled and will not come.
	Skipped(start, count int)
	// Have: a partial source has more leaves: bit k of bits, the lowest of a byte first, stands for leaf start+k. bits
	// is not kept.
	Have(start int, bits []byte)
}

// Meter may be implemented by a Source that knows how many bytes have come in, parts of leaves included. A
// source with a Meter counts as alive while at least 1 KiB/s arrives, so that slow links are not taken for stalled.
type Meter interface {
	Received() int64
}

// MissingError: the source does not have, or cannot read, a leaf that it was asked for.
type MissingError struct {
	Leaf int
	Err  error // may be nil
}

func (e *MissingError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("leaf %d is missing", e.Leaf)
	}
	return fmt.Sprintf("leaf %d is missing: %v", e.Leaf, e.Err)
}

func (e *MissingError) Unwrap() error { return e.Err }

// Target is where the object goes.
type Target struct {
	Path string // absolute; the final name, not a folder to put it into
	// Force replaces what is there, after the new is complete and synced. A directory is never replaced by a file.
	Force bool
}

// Job is one get.
type Job struct {
	Root   cid.Cid
	Self   string // this peer's id in binary, by which downloaders divide work; may be empty
	Size   int64  // bytes as the ticket claims; -1: not known
	Name   string // as the ticket claims; for the log, never for a path
	Target Target

	Sources []Source      // those known at the start
	Joining <-chan Source // sources that come later; while it is open Run waits rather than fails. nil: none

	// Preserve says that the user wants modes and times. They are applied whenever the tree records them (without
	// setuid, setgid and sticky); with Preserve a tree that records none is worth a warning.
	Preserve bool
	Budget   dag.Budget // zero: dag.DefaultBudget()

	Progress func(Snapshot)          // at most about 10 times a second and once at the end, from one goroutine; may be nil
	OnNode   func(block.Block) error // gets every inner node once, verified; may be nil
	// OnPartial gets what is here of the object, once the tree is known and what an earlier run left was checked. The
	// caller closes it, at any time. May be nil.
	OnPartial func(*Partial)
	// Commit is called when the object is under its final name and before the sources are told so; its error is Run's.
	// May be nil.
	Commit func(context.Context, Result) error
	Warn   func(string) // one line each: what was skipped and why; may be nil

	// FreeSpace returns the bytes that may still be written below dir. nil: what the file system says. A caller
	// that keeps a reserve subtracts it.
	FreeSpace func(dir string) (int64, error)

	StallAfter time.Duration // 0: 15 s
	Log        *slog.Logger  // nil: none
}

// SourceState is what is known of one source of a job.
type SourceState struct {
	Peer  peer.ID
	Bytes int64 // of leaves that were verified and kept
	State State
	Err   error // why it was dropped; nil otherwise
	Lacks error // a *MissingError: the first leaf that it could not give; nil: none

	Partial bool    // it may lack leaves
	Have    int     // leaves that it has
	Asked   int     // leaves on their way from it
	Rate    float64 // bytes per second of late; 0 while not known
	Stalled bool    // it has brought nothing for a while and others have its work
}

// State of a source.
type State string

// States of a source.
const (
	StateActive  State = "active"  // has work
	StateIdle    State = "idle"    // waits for work
	StateDropped State = "dropped" // failed or lied; see Err
)

// Phase of a job, in this order.
type Phase string

// Phases of a job.
const (
	PhaseTree    Phase = "tree"    // walking the inner nodes
	PhaseCheck   Phase = "check"   // hashing what an earlier run left
	PhaseFetch   Phase = "fetch"   // fetching leaves
	PhaseWaiting Phase = "waiting" // as fetch, but no source is connected
	PhaseFinish  Phase = "finish"  // syncing and renaming
	PhaseDone    Phase = "done"
)

// Snapshot is the progress of a job. Bytes are bytes of file data.
type Snapshot struct {
	Phase   Phase
	Done    int64 // in place and verified, Resumed included
	Total   int64 // -1 until known
	Resumed int64 // found from an earlier run, or zeros that need no fetching
	Files   int64
	Sources []SourceState
}

// Written is one file of the result.
type Written struct {
	Path  string // absolute, final
	Size  int64
	MTime time.Time // as the file system tells it
	Item  int       // index into Tree.Items()
}

// Result of a get. When Run fails it is filled as far as it got; Tree may be nil.
type Result struct {
	Path    string
	Size    int64 // bytes of file data
	Files   int64
	Fetched int64 // bytes that came from sources and were kept
	Resumed int64 // bytes that were there from an earlier run, or are holes
	Sources []SourceState
	Written []Written
	Tree    *dag.Tree
	Sums    []uint32 // CRC-32C of each leaf; nil unless all are in place
}

// Dropped lists the sources that were dropped, with the reasons.
func (r Result) Dropped() []SourceState { return dropped(r.Sources) }

func dropped(all []SourceState) []SourceState {
	var out []SourceState
	for _, s := range all {
		if s.State == StateDropped {
			out = append(out, s)
		}
	}
	return out
}

// NoSourceError says which leaves nobody could give and what became of each source. It is ErrNoSource and also
// whatever the sources failed with, so that errors.As and errors.Is tell lies from absence.
type NoSourceError struct {
	Missing int           // leaves; 0 when the tree itself could not be had
	Sources []SourceState // all of them
}

func (e *NoSourceError) Error() string {
	var b strings.Builder
	b.WriteString(ErrNoSource.Error())
	if e.Missing > 0 {
		fmt.Fprintf(&b, " for %d leaves", e.Missing)
	}
	for i, s := range e.Sources {
		sep := "; "
		if i == 0 {
			sep = ": "
		}
		reason := "does not have them"
		switch {
		case s.Err != nil:
			reason = s.Err.Error()
		case s.Lacks != nil:
			reason = s.Lacks.Error()
		}
		fmt.Fprintf(&b, "%s%s: %s", sep, s.Peer, reason)
	}
	return b.String()
}

// Unwrap returns ErrNoSource and the reasons.
func (e *NoSourceError) Unwrap() []error {
	errs := []error{ErrNoSource}
	for _, s := range e.Sources {
		for _, err := range []error{s.Err, s.Lacks} {
			if err != nil {
				errs = append(errs, err)
			}
		}
	}
	return errs
}
