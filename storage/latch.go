package storage

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
)

// latch remembers the first reason why the store must accept nothing more. It never opens again: only a new
// Open, which reads everything again, does.
type latch struct {
	mu  sync.Mutex
	err atomic.Pointer[error]
}

// fail latches err; the first one stays.
func (l *latch) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err.Load() == nil {
		l.err.Store(&err)
	}
}

// Err is nil while all is well, else wraps ErrDamaged.
func (l *latch) Err() error {
	if p := l.err.Load(); p != nil {
		return *p
	}
	return nil
}

// badgerLog passes Badger's messages on and reads those by which alone it tells of failed I/O.
type badgerLog struct {
	log   *slog.Logger
	latch *latch
	index *latch // damage to the index: what is not found may have existed
}

func (b badgerLog) Errorf(f string, v ...any) {
	msg := strings.TrimSpace(fmt.Sprintf(f, v...))
	switch {
	// value.go: a failed msync of the value log is logged, not returned (and says done to the caller).
	case strings.Contains(f, "Error while") && strings.Contains(f, "sync"),
		strings.HasPrefix(f, "writeRequests"),
		strings.HasPrefix(f, "error flushing memtable"),
		strings.HasPrefix(f, "While trying to flush memtable"):
		b.latch.fail(fmt.Errorf("%w: %s", ErrDamaged, msg))
		b.log.Error("store: write failed, nothing more is accepted", "reason", msg)
	// levels.go: a table of the index that fails its checksum is left out at open, silently.
	case strings.HasPrefix(f, "Ignoring table"):
		err := fmt.Errorf("%w: a part of the index is unreadable: %s", ErrDamaged, msg)
		b.index.fail(err)
		b.latch.fail(err)
		b.log.Error("store: index damaged, nothing more is accepted", "reason", msg)
	// iterator.go dumps every version of a key whose value it cannot read; the reader reports the damage.
	case strings.HasPrefix(f, "Unable to read"), strings.HasPrefix(f, "Key: "):
		b.log.Debug("store: value unreadable", "detail", msg)
	default:
		b.log.Warn("store: badger", "message", msg)
	}
}

func (b badgerLog) Warningf(f string, v ...any) { b.at(slog.LevelDebug, f, v...) }
func (b badgerLog) Infof(f string, v ...any)    { b.at(slog.LevelDebug, f, v...) }
func (b badgerLog) Debugf(string, ...any)       {} // formatting these costs on every write

func (b badgerLog) at(l slog.Level, f string, v ...any) {
	if b.log.Enabled(context.Background(), l) {
		b.log.Log(context.Background(), l, "store: badger", "message", strings.TrimSpace(fmt.Sprintf(f, v...)))
	}
}
