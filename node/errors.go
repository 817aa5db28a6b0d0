package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"cairn/storage"
	"cairn/storage/block"
	"cairn/storage/dag"
	"cairn/swarm/exchange"
	"cairn/swarm/fetch"
	"cairn/swarm/ticket"
	"cairn/web/api"
)

// explain turns any error of the parts into words for a user. It is the only place that does. nil stays nil; what
// nobody foresaw becomes CodeFailed without its text, which is a chain of internals: that is its cause, for the log.
// The web server logs the causes of what it answers with; who shows an error in another way calls Node.note.
func explain(err error) *api.Error {
	if err == nil {
		return nil
	}
	var e *api.Error
	if errors.As(err, &e) {
		return e
	}
	for _, f := range []func(error) *api.Error{explainTicket, explainMembership, explainAdmission, explainFetch, explainExchange, explainData, explainFile} {
		if e := f(err); e != nil {
			return e
		}
	}
	switch {
	case errors.Is(err, context.Canceled):
		return api.Errorf(api.CodeCancelled, "stopped")
	case errors.Is(err, context.DeadlineExceeded):
		return api.Errorf(api.CodeUnavailable, "it took too long").WithHint("try again")
	}
	return api.Errorf(api.CodeFailed, "the peer failed to do this").WithHint("the peer's log says why").Because(err)
}

// note logs what explain keeps from the user.
func (n *Node) note(what string, err error) {
	var e *api.Error
	if errors.As(err, &e) && e.Unwrap() != nil {
		n.log.Error(what, "err", e.Unwrap())
	}
}

func explainTicket(err error) *api.Error {
	var pe *ticket.ParseError
	if !errors.As(err, &pe) {
		return nil
	}
	e := api.Errorf(api.CodeUsage, "%s", pe.Reason)
	if pe.Pos > 0 {
		e = api.Errorf(api.CodeUsage, "%s, at character %d", pe.Reason, pe.Pos)
	}
	if errors.Is(err, ticket.ErrNewer) {
		e.Code = api.CodeUnavailable
		return e.WithHint("install a newer version of cairn")
	}
	return e.WithHint("copy the whole ticket again, from `cairn1` to its end")
}

func explainFetch(err error) *api.Error {
	var ns *fetch.NoSourceError
	switch {
	case errors.As(err, &ns):
		return explainNoSource(ns)
	case errors.Is(err, fetch.ErrExists):
		return api.Errorf(api.CodeConflict, "%s", plain(err)).WithHint("use --force to replace it, or -o to choose another place")
	case errors.Is(err, fetch.ErrBusy):
		return api.Errorf(api.CodeConflict, "%s", plain(err)).WithHint("wait for the other get, or use -o to choose another place")
	case errors.Is(err, fetch.ErrTarget):
		return api.Errorf(api.CodeNotPermitted, "%s", plain(err)).WithHint("use -o to choose another place")
	case errors.Is(err, fetch.ErrNames):
		return api.Errorf(api.CodeFailed, "%s", plain(err)).WithHint("get it on a file system that keeps such names apart")
	}
	return nil
}

// explainNoSource names every source and why it is of no use. What the sources said decides the code.
func explainNoSource(ns *fetch.NoSourceError) *api.Error {
	text := ""
	for _, s := range ns.Sources {
		why := "does not have what is missing"
		if s.Err != nil {
			why = explain(s.Err).Message
		}
		text += fmt.Sprintf("; peer %s: %s", s.Peer, why)
	}
	code, hint := api.CodeUnavailable, "what has arrived is kept: run the same command again when the source is back"
	for _, s := range ns.Sources {
		if errors.Is(s.Err, block.ErrCorrupt) || errors.Is(s.Err, fetch.ErrMisbehaved) || errors.Is(s.Err, exchange.ErrProtocol) {
			code, hint = api.CodeIntegrity, "do not trust that peer; ask for a ticket from another one"
		}
	}
	var miss *exchange.MissingError
	var gone *fetch.MissingError
	if errors.As(ns, &miss) || errors.As(ns, &gone) {
		hint = "the sender's file was changed, moved or made unreadable: ask the sender to share it again"
	}
	if len(ns.Sources) == 1 && ns.Sources[0].Err != nil {
		if e := explain(ns.Sources[0].Err); e.Code == api.CodeNotPermitted {
			return e
		}
	}
	return api.Errorf(code, "no source can give what is missing%s", text).WithHint("%s", hint)
}

func explainExchange(err error) *api.Error {
	ask := "ask the sender for a new one"
	switch {
	case errors.Is(err, exchange.ErrExpired):
		return api.Errorf(api.CodeNotPermitted, "the ticket has expired").WithHint("%s", ask)
	case errors.Is(err, exchange.ErrUsedUp):
		return api.Errorf(api.CodeNotPermitted, "the ticket has been used as often as it allows").WithHint("%s", ask)
	case errors.Is(err, exchange.ErrRevoked):
		return api.Errorf(api.CodeNotPermitted, "the sender has ended this ticket").WithHint("%s", ask)
	case errors.Is(err, exchange.ErrRefused):
		return api.Errorf(api.CodeNotPermitted, "the sender does not know this ticket: it no longer shares this, or the ticket was altered").WithHint("%s", ask)
	case errors.Is(err, exchange.ErrGone):
		return api.Errorf(api.CodeUnavailable, "the sender can no longer read what it shared").WithHint("ask the sender to share it again")
	case errors.Is(err, exchange.ErrBusy):
		return api.Errorf(api.CodeUnavailable, "the sender is busy").WithHint("try again in a while")
	case errors.Is(err, exchange.ErrUnreachable):
		return api.Errorf(api.CodeUnavailable, "%s", plain(err)).WithHint("check that the sender still runs, and that both machines are on one network")
	case errors.Is(err, exchange.ErrStalled), errors.Is(err, fetch.ErrStalled):
		return api.Errorf(api.CodeUnavailable, "the sender stopped sending").WithHint("run the same command again to go on")
	case errors.Is(err, exchange.ErrLost), errors.Is(err, exchange.ErrClosed):
		return api.Errorf(api.CodeUnavailable, "the connection to the sender was lost").WithHint("run the same command again to go on")
	case errors.Is(err, exchange.ErrProtocol), errors.Is(err, fetch.ErrMisbehaved):
		return api.Errorf(api.CodeIntegrity, "the sender sent what was not asked for").WithHint("do not trust that peer")
	case errors.Is(err, exchange.ErrFailed):
		return api.Errorf(api.CodeUnavailable, "the sender had an error of its own").WithHint("ask the sender to look at its log")
	}
	var m *exchange.MissingError
	if errors.As(err, &m) {
		return api.Errorf(api.CodeUnavailable, "%s", m.Error()).WithHint("ask the sender to share it again")
	}
	return nil
}

func explainData(err error) *api.Error {
	switch {
	case errors.Is(err, storage.ErrOldKeys):
		return api.Errorf(api.CodeWrongKey, "the keys are older than the store: it has been sealed under newer ones since").
			WithHint("use a backup made after the last `cairn key rotate`; nothing was written")
	case errors.Is(err, storage.ErrWrongKey):
		return api.Errorf(api.CodeWrongKey, "the key file does not belong to this store").WithHint("bring the right one back with `cairn key restore FILE`; nothing was written")
	case errors.Is(err, storage.ErrStoreLost):
		return api.Errorf(api.CodeNoHome, "%s", plain(err)).WithHint("bring the store back from where it was moved; cairn does not put an empty one in its place")
	case errors.Is(err, block.ErrNoSpace), errors.Is(err, syscall.ENOSPC):
		return api.Errorf(api.CodeNoSpace, "%s", plain(err)).WithHint("free some space, or run `cairn gc`")
	case errors.Is(err, block.ErrCorrupt):
		return api.Errorf(api.CodeIntegrity, "%s", plain(err)).WithHint("run `cairn verify` to see what is damaged")
	case errors.Is(err, storage.ErrReference):
		return api.Errorf(api.CodeUnavailable, "%s", plain(err)).WithHint("put the file back as it was, or add it again")
	case errors.Is(err, storage.ErrDamaged):
		return api.Errorf(api.CodeFailed, "%s", plain(err)).WithHint("run `cairn verify` to see what is left; the peer's log says more")
	case errors.Is(err, storage.ErrFormat):
		return api.Errorf(api.CodeFailed, "%s", plain(err)).WithHint("it was written by a newer version of cairn: use that one")
	case errors.Is(err, storage.ErrLocked):
		return api.Errorf(api.CodeLocked, "%s", plain(err)).WithHint("use that one, or stop it first")
	case errors.Is(err, storage.ErrBusy):
		return api.Errorf(api.CodeConflict, "%s", plain(storage.ErrBusy)).WithHint("wait until that is done")
	case errors.Is(err, storage.ErrClosed):
		return api.Errorf(api.CodeHandover, "the peer is stopping").WithHint("try again when it runs")
	case errors.Is(err, storage.ErrNoEntry):
		return api.Errorf(api.CodeNotFound, "no such entry")
	case errors.Is(err, block.ErrNotFound):
		return api.Errorf(api.CodeNotFound, "this peer does not hold all of it").WithHint("use a ticket to get it from a peer that does")
	case errors.Is(err, dag.ErrChanged):
		return api.Errorf(api.CodeFailed, "%s", plain(err)).WithHint("try again when nothing writes to it")
	case errors.Is(err, dag.ErrDuplicate):
		return api.Errorf(api.CodeUsage, "%s", plain(err)).WithHint("share them one by one, or put them into one directory")
	case errors.Is(err, dag.ErrSpecial):
		return api.Errorf(api.CodeUsage, "%s", plain(err))
	case errors.Is(err, dag.ErrBadDAG):
		return api.Errorf(api.CodeIntegrity, "%s", plain(err)).WithHint("the object is malformed; nothing of it was kept")
	case errors.Is(err, dag.ErrUnsupported), errors.Is(err, block.ErrUnsupported), errors.Is(err, block.ErrTooLarge):
		return api.Errorf(api.CodeUsage, "%s", plain(err))
	}
	return nil
}

func explainFile(err error) *api.Error {
	var pe *fs.PathError
	var le *os.LinkError
	path := ""
	switch {
	case errors.As(err, &pe):
		path = pe.Path
	case errors.As(err, &le):
		path = le.New
	default:
		return nil
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return api.Errorf(api.CodeNotFound, "%s: no such file or directory", path)
	case errors.Is(err, fs.ErrPermission):
		return api.Errorf(api.CodeNotPermitted, "%s: permission denied", path).WithHint("the peer reads and writes files as the user who runs it")
	}
	return api.Errorf(api.CodeFailed, "%s: %s", path, reason(err))
}

// plain is the text of an error of ours without Go's way of writing I/O errors.
func plain(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Path + ": " + reason(err)
	}
	return err.Error()
}

// explainCAR is explain for what a CAR file brings along: there a missing block or an early end is the file's fault.
func explainCAR(err error) error {
	hint := "get the file again, or export it again"
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.ErrUnexpectedEOF):
		return api.Errorf(api.CodeIntegrity, "this is not a whole CAR file: it ends too early").WithHint("%s", hint)
	case errors.Is(err, block.ErrNotFound):
		return api.Errorf(api.CodeIntegrity, "the CAR file lacks blocks of its object; nothing of it was kept").WithHint("%s", hint)
	case errors.Is(err, block.ErrCorrupt):
		return api.Errorf(api.CodeIntegrity, "the CAR file holds bytes that do not match their CID; nothing of it was kept").WithHint("%s", hint)
	}
	return explain(err)
}
