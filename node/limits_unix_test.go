//go:build unix

package node

import (
	"log/slog"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cairn/swarm/shape"
	"cairn/web/api"
)

// TestPipeOfLimits: what can not be read without waiting does not keep the peer from starting.
func TestPipeOfLimits(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "limits.json"), 0o600); err != nil {
		t.Skip(err)
	}
	l := newLimits(dir, shape.New(time.Now), slog.New(slog.DiscardHandler))
	if got := l.get(time.Now()); !strings.Contains(got.Problem, "not a regular file") {
		t.Errorf("%+v", got)
	}
	if _, err := l.set(api.Limits{}, time.Now()); code(t, err) != api.CodeConflict {
		t.Errorf("set: %v", err)
	}
}
