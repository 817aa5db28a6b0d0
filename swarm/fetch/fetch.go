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
// [Run] owns all its goroutines: they are gone when it returns. A [Reader] owns its own until Close.
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
	ErrStalled = errors.New("delivered nothing for too long")
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

// Source is one peer (or store) that can give the object. Its methods return soon after their context ends.
type Source interface {
	dag.NodeSource
	Peer() peer.ID
	// Leaves asks next for ranges of leaf indexes until it answers !ok, keeps some of them in flight, and hands
	// every leaf that arrives to deliver, which takes over b and may block. It returns nil when all that was asked
	// has been delivered; Run may then call it again. An error that wraps *MissingError means that the source is
	// well, but cannot give what was asked for in this call and not delivered; any other error ends the use of
	// the source, as does an error from deliver, which Leaves returns.
	Leaves(ctx context.Context, next func() (start, count int, ok bool), deliver func(i int, b Buf) error) error
	// Done tells the source that the object is complete and safe.
	Done(ctx context.Context) error
}

// Meter may be implemented by a Source that knows how many bytes have come in, parts of leaves included. A
// source with a Meter counts as alive while at least 1 KiB/s arrives, so that slow links are not taken for stalled.
type Meter interface {
	Received() int64
}

// MissingError: the source does not have, or cannot read, some of the leaves that it was asked for.
type MissingError struct {
	Leaf int   // the first of them
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
	Warn     func(string)            // one line each: what was skipped and why; may be nil

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
// whatever the sources failed with, so that errors.Is(err, block.ErrCorrupt) tells lies from absence.
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
		if s.Err != nil {
			reason = s.Err.Error()
		}
		fmt.Fprintf(&b, "%s%s: %s", sep, s.Peer, reason)
	}
	return b.String()
}

// Unwrap returns ErrNoSource and the reasons.
func (e *NoSourceError) Unwrap() []error {
	errs := []error{ErrNoSource}
	for _, s := range e.Sources {
		if s.Err != nil {
			errs = append(errs, s.Err)
		}
	}
	return errs
}
