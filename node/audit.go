package node

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"time"

	"cairn/web/api"
)

const (
	auditQueue = 1024            // records that wait to be written; more are counted, not kept
	auditFile  = int64(8 << 20)  // of one file at most
	auditLeast = int64(64 << 10) // of one file at least
	auditCount = time.Minute     // after which denials that were left out are told as a number
)

// Bounds of the fields of a record, in characters.
const (
	maxActor, maxFrom, maxAction, maxSubject, maxDetail = 160, 64, 64, 256, 512
)

// audit is the log of administration, membership and denials: who did what, and whether it was allowed. It is a file of
// lines (see auditLog), each written once and chained to the one before.
//
// note never waits for the disk. sync returns when all that was noted before is on it; whatever an administrator did is
// answered only then. Of many denials of one kind from one place the first are kept and the rest counted, so that nobody can push
// the log out by knocking. It holds no secret: callers name things by id, and control characters are escaped.
type audit struct {
	now  func() time.Time
	log  *slog.Logger
	wake chan struct{} // capacity 1

	mu    sync.Mutex // guards what follows; never held over I/O
	queue []api.AuditRecord
	lost  uint64 // records that found the queue full
	damp  *damper

	fileMu sync.Mutex // orders writing; taken before mu
	file   *auditLog
	failed bool // the last write did, which was logged
}

// auditLimits say how much of the log is kept.
type auditLimits struct {
	age  time.Duration // of the newest record of a file that is full; 0: any
	size int64         // bytes of all files together; 0: any
}

// openAudit opens the log in a home and puts right what a crash left. What is wrong with it otherwise is recorded in it.
func openAudit(dir string, seal fileSeal, keep auditLimits, now func() time.Time, log *slog.Logger) (*audit, error) {
	a := &audit{now: now, log: log, wake: make(chan struct{}, 1), damp: newDamper()}
	var notes []string
	var err error
	if a.file, notes, err = openAuditLog(dir, seal, keep, now); err != nil {
		return nil, err
	}
	if err := a.file.finish(); err != nil { // a full disk is no reason not to start; the next one tries again
		a.log.Warn("the audit log is not sealed yet", "err", err)
	}
	for _, n := range notes {
		a.log.Warn("the audit log is not as it was left", "what", n)
		a.note("peer", "", "audit.damaged", "audit.log", "failed", n)
	}
	return a, nil
}

// note records that actor, who came from an address, did action to subject. outcome is done, denied or failed.
func (a *audit) note(actor, from, action, subject, outcome, detail string) {
	a.record(api.AuditRecord{Actor: actor, From: from, Action: action, Subject: subject, Outcome: outcome, Detail: detail})
}

func (a *audit) record(r api.AuditRecord) {
	r.Time = a.now().UTC()
	r.Actor, r.From, r.Action = safe(r.Actor, maxActor), safe(r.From, maxFrom), safe(r.Action, maxAction)
	r.Subject, r.Detail = safe(api.NoSecret(r.Subject), maxSubject), safe(api.NoSecret(r.Detail), maxDetail)
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.Outcome == "denied" && !a.damp.let(r.Time, r.From+" "+r.Action) {
		return
	}
	a.push(r)
}

// push: mu is held.
func (a *audit) push(r api.AuditRecord) {
	if len(a.queue) >= auditQueue {
		a.lost++
		return
	}
	a.queue = append(a.queue, r)
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// safe makes one bounded line of a text that may come from outside.
func safe(s string, most int) string {
	s = api.Printable(s[:min(len(s), 4*most)])
	if r := []rune(s); len(r) > most {
		s = string(r[:most-1]) + "…"
	}
	return s
}

// run writes what is noted, until ctx ends.
func (a *audit) run(ctx context.Context) {
	t := time.NewTicker(auditCount)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			a.tell()
			a.forget()
		case <-a.wake:
		}
		_ = a.sync() // logged there; the records wait for the next try
	}
}

// tell records how many denials were left out.
func (a *audit) tell() {
	now := a.now().UTC()
	a.mu.Lock()
	defer a.mu.Unlock()
	for what, n := range a.damp.rest(now) {
		a.push(api.AuditRecord{Time: now, Actor: "peer", Action: "denials.counted", Subject: what, Outcome: "denied",
			Detail: fmt.Sprintf("%d more like those before", n)})
	}
}

// forget removes files that are full and older than what is kept.
func (a *audit) forget() {
	a.fileMu.Lock()
	defer a.fileMu.Unlock()
	if err := a.file.prune(); err != nil {
		a.log.Warn("old audit logs could not be removed", "err", err)
	}
}

// sync writes and syncs what was noted. After an error the records are kept and written with the next.
func (a *audit) sync() error {
	a.fileMu.Lock()
	defer a.fileMu.Unlock()
	a.mu.Lock()
	group, lost := a.queue, a.lost
	a.queue, a.lost = nil, 0
	a.mu.Unlock()
	if lost > 0 {
		group = append(group, api.AuditRecord{Time: a.now().UTC(), Actor: "peer", Action: "audit.lost", Outcome: "failed",
			Detail: fmt.Sprintf("%d records came faster than they could be written", lost)})
	}
	if len(group) == 0 {
		return nil
	}
	err := a.file.append(group)
	if err != nil {
		if !a.failed {
			a.log.Error("the audit log can not be written", "err", err)
		}
		a.mu.Lock()
		a.queue = append(group, a.queue...)
		if over := len(a.queue) - auditQueue; over > 0 {
			a.queue, a.lost = a.queue[:auditQueue], a.lost+uint64(over)
		}
		a.mu.Unlock()
	}
	a.failed = err != nil
	return err
}

// limit says from now on how much is kept.
func (a *audit) limit(keep auditLimits) {
	a.fileMu.Lock()
	defer a.fileMu.Unlock()
	a.file.limit(keep)
}

// close writes what is left and closes the file.
func (a *audit) close() error {
	a.tell()
	err := a.sync()
	a.fileMu.Lock()
	defer a.fileMu.Unlock()
	return errors.Join(err, a.file.close())
}

// records yields those before an id, newest first; 0: from the newest.
func (a *audit) records(before uint64) iter.Seq2[api.AuditRecord, error] {
	return func(yield func(api.AuditRecord, error) bool) {
		_ = a.sync() // so that what was done a moment ago is there
		a.fileMu.Lock()
		files, err := a.file.open() // a rotation later takes none of them away
		a.fileMu.Unlock()
		defer func() {
			for _, f := range files {
				_ = f.Close() // read only
			}
		}()
		if err != nil {
			yield(api.AuditRecord{}, err)
			return
		}
		for _, f := range files {
			for line, err := range backwards(f) {
				if err != nil {
					yield(api.AuditRecord{}, err)
					return
				}
				var r api.AuditRecord
				if a.file.decode(line, &r) != nil || before > 0 && r.ID >= before {
					continue // what is no record was told of when the log was opened
				}
				if !yield(r, nil) {
					return
				}
			}
		}
	}
}

// Audit lists the audit log.
func (n *Node) Audit(_ context.Context, before uint64) iter.Seq2[api.AuditRecord, error] {
	return func(yield func(api.AuditRecord, error) bool) {
		for r, err := range n.audit.records(before) {
			if !yield(r, explained(err)) {
				return
			}
		}
	}
}

// audited takes the records of the web server. What was done is synced before this returns.
func (n *Node) audited(r api.AuditRecord) {
	n.audit.record(r)
	if r.Outcome == "done" {
		_ = n.audit.sync() // logged there; what was done is done
	}
}

// rewrite writes the log again, sealed if the keys are under a passphrase now.
func (a *audit) rewrite() error {
	a.fileMu.Lock()
	defer a.fileMu.Unlock()
	return a.file.rewrite()
}
