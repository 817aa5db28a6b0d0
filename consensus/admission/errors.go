package admission

import (
	"errors"
	"fmt"
	"time"

	"cairn/consensus/admission/pb"
	"cairn/consensus/membership"
)

// Conditions that callers branch on, besides those of package membership.
var (
	ErrProtocol    = errors.New("does not keep to the protocol")
	ErrRefused     = errors.New("refused")       // by a peer that tells no reason
	ErrBusy        = errors.New("busy")          // too many handshakes at a time: worth trying again
	ErrFailed      = errors.New("failed there")  // the other peer could not do it
	ErrUnreachable = errors.New("not reachable") // no contact answered
	ErrNoAdmin     = errors.New("no administrator is connected")
	ErrName        = errors.New("that name is not possible")
	ErrNotMember   = errors.New("this peer is not a member in force")
)

// clockTold is how far clocks must differ before that is told as a reason.
const clockTold = time.Minute

// RefusedError says why a peer refused a join, a hello or a renewal. It unwraps to ErrRefused, ErrBusy, ErrFailed, ErrNoAdmin, ErrName
// or one of package membership.
type RefusedError struct {
	Err  error
	Skew time.Duration // by how much the other's clock is ahead of this one; 0 if it was not told
	Docs [][]byte      // of a refusal for revocation: the documents that say so

	theirs time.Time // the other's clock, zero if it was not told
}

// against works out by how much the clocks differ.
func (e *RefusedError) against(now time.Time) *RefusedError {
	if !e.theirs.IsZero() {
		e.Skew = e.theirs.Sub(now)
	}
	return e
}

func (e *RefusedError) Error() string {
	text := e.Err.Error()
	if clock(e.Err) && e.Skew.Abs() >= clockTold {
		way := "behind"
		if e.Skew < 0 {
			way = "ahead of"
		}
		text = fmt.Sprintf("%s: this clock is %s %s that of the other peer", text, e.Skew.Abs().Round(time.Second), way)
	}
	return text
}

func (e *RefusedError) Unwrap() error { return e.Err }

// clock tells whether an error may come of a wrong clock.
func clock(err error) bool {
	return errors.Is(err, membership.ErrExpired) || errors.Is(err, membership.ErrEarly)
}

// refusals is the table between conditions and the wire. What is not in it is told as FAILED.
var refusals = []struct {
	code pb.Refused_Code
	err  error
}{
	{pb.Refused_DENIED, ErrRefused},
	{pb.Refused_BUSY, ErrBusy},
	{pb.Refused_EXPIRED, membership.ErrExpired},
	{pb.Refused_EARLY, membership.ErrEarly},
	{pb.Refused_REVOKED, membership.ErrRevoked},
	{pb.Refused_USED, membership.ErrUsed},
	{pb.Refused_NOT_FOR, membership.ErrNotFor},
	{pb.Refused_FULL, membership.ErrFull},
	{pb.Refused_NOT_ADMIN, ErrNoAdmin},
	{pb.Refused_UNKNOWN, membership.ErrUnknown},
	{pb.Refused_NAME, ErrName},
	{pb.Refused_NEWER, membership.ErrNewer},
	{pb.Refused_FAILED, ErrFailed},
}

// denied are the conditions whose reason is not told: who meets them has proved nothing.
var denied = []error{membership.ErrForeign, membership.ErrAuthority, membership.ErrMalformed, membership.ErrAltered, ErrProtocol}

func codeOf(err error) pb.Refused_Code {
	for _, d := range denied {
		if errors.Is(err, d) {
			return pb.Refused_DENIED
		}
	}
	for _, r := range refusals {
		if errors.Is(err, r.err) {
			return r.code
		}
	}
	return pb.Refused_FAILED
}

// refuse is the frame for an error. A refusal without a reason tells nothing else either.
func refuse(err error, now time.Time, docs [][]byte) *pb.Frame {
	r := &pb.Refused{Code: codeOf(err)}
	if r.Code != pb.Refused_DENIED && r.Code != pb.Refused_BUSY {
		r.Time = now.UnixMilli()
	}
	if r.Code == pb.Refused_REVOKED {
		size := 0
		for _, d := range docs {
			if size += len(d) + 8; size > chunkSize {
				break
			}
			r.Docs = append(r.Docs, d)
		}
	}
	return &pb.Frame{Body: &pb.Frame_Refused{Refused: r}}
}

func refusedBy(r *pb.Refused) *RefusedError {
	e := &RefusedError{Err: ErrFailed, Docs: r.GetDocs()}
	for _, k := range refusals {
		if k.code == r.GetCode() {
			e.Err = k.err
		}
	}
	if t := r.GetTime(); t != 0 {
		e.theirs = time.UnixMilli(t)
	}
	return e
}
