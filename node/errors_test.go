package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"syscall"
	"testing"

	"cairn/storage"
	"cairn/storage/block"
	"cairn/swarm/exchange"
	"cairn/swarm/fetch"
	"cairn/web/api"
)

// TestExplain: what is known keeps its words, what is not is told in plain ones and logged.
func TestExplain(t *testing.T) {
	for _, x := range []struct {
		err  error
		code api.Code
		text string
	}{
		{errors.New("yamux: keepalive 0xdead"), api.CodeFailed, "the peer failed to do this"},
		{fmt.Errorf("walk: %w", context.Canceled), api.CodeCancelled, "stopped"},
		{fmt.Errorf("write: %w: short", storage.ErrDamaged), api.CodeFailed, "write: the store is damaged: short"},
		{storage.ErrClosed, api.CodeHandover, "the peer is stopping"},
		{fmt.Errorf("x: %w", block.ErrNoSpace), api.CodeNoSpace, "x: " + block.ErrNoSpace.Error()},
		{fmt.Errorf("x: %w", exchange.ErrExpired), api.CodeNotPermitted, "the ticket has expired"},
		{fmt.Errorf("%w: /a", fetch.ErrExists), api.CodeConflict, "target exists: /a"},
		{&fs.PathError{Op: "open", Path: "/a", Err: syscall.EACCES}, api.CodeNotPermitted, "/a: permission denied"},
		{&fs.PathError{Op: "open", Path: "/a", Err: syscall.EIO}, api.CodeFailed, "/a: input/output error"},
		{fmt.Errorf("x: %w", api.Errorf(api.CodeUsage, "no")), api.CodeUsage, "no"},
	} {
		e := explain(x.err)
		if e.Code != x.code || e.Message != x.text {
			t.Errorf("%v: %s %q, want %s %q", x.err, e.Code, e.Message, x.code, x.text)
		}
	}
	var log bytes.Buffer
	n := &Node{log: slog.New(slog.NewTextHandler(&log, nil))}
	e := explain(errors.New("yamux: keepalive 0xdead"))
	n.note("get", e)
	n.note("get", explain(storage.ErrClosed))
	if strings.Contains(e.Error()+e.Hint, "yamux") || strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), "yamux") {
		t.Errorf("%q, log %q", e, log.String())
	}
}
