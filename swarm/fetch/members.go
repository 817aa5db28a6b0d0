package fetch

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// member is one source of a running job.
//
//	joined --> idle <--> active (inside Source.Leaves or Source.Nodes) --> dropped
type member struct {
	id     int
	src    Source
	ctx    context.Context // of everything asked of this source; lives as long as the member
	cancel context.CancelCauseFunc

	// Guarded by members.mu.
	err    error     // why it was dropped
	kept   int64     // bytes of its leaves that were kept
	asking bool      // a call of the source is under way
	owes   bool      // something was asked for and has not come
	held   int       // deliveries waiting for us rather than for the source
	last   time.Time // when it last delivered, or when it began to owe
	meter  int64     // what its Meter showed then
}

// members is the set of sources of a job. It drops those that stand still.
type members struct {
	log   *slog.Logger
	stall time.Duration

	mu      sync.Mutex
	all     []*member
	open    bool          // more may join
	changed chan struct{} // closed and replaced whenever something changed that somebody may wait for
	onJoin  func(*member) // called with mu held
	onDrop  func(*member) // called with mu held
}

func newMembers(stall time.Duration, log *slog.Logger) *members {
	if stall <= 0 {
		stall = 15 * time.Second
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &members{log: log, stall: stall, changed: make(chan struct{})}
}

// wake tells all who wait. mu is held.
func (m *members) wake() {
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *members) join(ctx context.Context, src Source) {
	ctx, cancel := context.WithCancelCause(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &member{id: len(m.all), src: src, ctx: ctx, cancel: cancel}
	m.all = append(m.all, s)
	if m.onJoin != nil {
		m.onJoin(s)
	}
	m.wake()
}

// listen lets sources join until the channel is closed or ctx ends.
func (m *members) listen(ctx context.Context, joining <-chan Source) {
	for {
		select {
		case <-ctx.Done():
			return
		case src, ok := <-joining:
			if !ok {
				m.mu.Lock()
				m.open = false
				m.wake()
				m.mu.Unlock()
				return
			}
			m.join(ctx, src)
		}
	}
}

// drop ends the use of a source; only the first reason counts.
func (m *members) drop(s *member, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dropLocked(s, err)
}

func (m *members) dropLocked(s *member, err error) {
	if s.err != nil {
		return
	}
	s.err = err
	s.cancel(err)
	if m.onDrop != nil {
		m.onDrop(s)
	}
	m.log.Info("source dropped", "peer", s.src.Peer(), "reason", err)
	m.wake()
}

// beat notes that a source delivered, or began to owe. mu is held.
func (m *members) beat(s *member, owes bool) {
	s.owes = owes
	s.last = time.Now()
	if meter, ok := s.src.(Meter); ok {
		s.meter = meter.Received()
	}
}

// watch drops sources that owe something and bring nothing, until ctx ends. It also wakes those who wait now and
// then, because whether it is worth to take over a slow source's work depends on the time.
func (m *members) watch(ctx context.Context) {
	tick := time.NewTicker(max(min(m.stall/10, 200*time.Millisecond), time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			m.mu.Lock()
			for _, s := range m.all {
				m.judge(s)
			}
			m.wake()
			m.mu.Unlock()
		}
	}
}

// judge drops s if it has stood still for too long. mu is held.
func (m *members) judge(s *member) {
	if s.err != nil || !s.owes || s.held > 0 || time.Since(s.last) < m.stall {
		return
	}
	if meter, ok := s.src.(Meter); ok {
		if now := meter.Received(); now-s.meter >= int64(m.stall.Seconds()*1024) {
			s.meter, s.last = now, time.Now()
			return
		}
	}
	m.dropLocked(s, ErrStalled)
}

// states lists all sources. mu is held.
func (m *members) states() []SourceState {
	out := make([]SourceState, len(m.all))
	for i, s := range m.all {
		out[i] = SourceState{Peer: s.src.Peer(), Bytes: s.kept, State: StateIdle, Err: s.err}
		switch {
		case s.err != nil:
			out[i].State = StateDropped
		case s.asking:
			out[i].State = StateActive
		}
	}
	return out
}

// live returns the sources that were not dropped. mu is held.
func (m *members) live() []*member {
	var out []*member
	for _, s := range m.all {
		if s.err == nil {
			out = append(out, s)
		}
	}
	return out
}

// pick waits for a source that was not dropped. It fails with *NoSourceError when there can be none.
func (m *members) pick(ctx context.Context) (*member, error) {
	for {
		m.mu.Lock()
		live, open, changed := m.live(), m.open, m.changed
		states := m.states()
		m.mu.Unlock()
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		if len(live) > 0 {
			return live[0], nil
		}
		if !open {
			return nil, &NoSourceError{Sources: states}
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// reason returns why a call of s failed: the cause of its context's end if that was what ended it.
func (s *member) reason(err error) error {
	if s.ctx.Err() != nil {
		if cause := context.Cause(s.ctx); !errors.Is(cause, context.Canceled) {
			return cause
		}
	}
	return err
}
