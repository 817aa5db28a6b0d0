package fetch

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"cairn/swarm/schedule"
)

// member is one source of a running job.
//
//	idle <--> active (inside Source.Nodes, or leaves are asked of it) --> dropped
type member struct {
	id     int
	src    Source
	ctx    context.Context // of everything asked of this source; lives as long as the member
	cancel context.CancelCauseFunc

	// Guarded by members.mu.
	err    error         // why it was dropped
	kept   int64         // bytes of its leaves that were kept
	lacks  error         // the first *MissingError
	joined bool          // the scheduler knows of it
	held   bool          // a leaf of it waits for us
	owing  int           // leaves asked for and not answered, cancelled ones included
	asking bool          // Nodes is under way
	owes   bool          // nodes were asked for and have not come
	last   time.Time     // when its meter was read, it delivered nodes or began to owe them
	meter  int64         // what its Meter showed then
	orders []order       // not passed on yet
	ready  chan struct{} // has room for one: there are orders
}

// members is the set of sources of a job. It drops those that stand still.
type members struct {
	log   *slog.Logger
	stall time.Duration

	mu      sync.Mutex
	all     []*member
	open    bool          // more may join
	changed chan struct{} // closed and replaced whenever something changed that somebody may wait for

	// Hooks of an engine, called with mu held; nil: none.
	onJoin func(*member)
	onDrop func(*member)
	onTick func(now time.Time)
	// status is what the scheduler knows of a source.
	status func(id int) (schedule.Source, bool)
}

func newMembers(stall time.Duration, log *slog.Logger) *members {
	if stall <= 0 {
		stall = 15 * time.Second
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &members{log: log, stall: stall, changed: make(chan struct{}),
		status: func(int) (schedule.Source, bool) { return schedule.Source{}, false }}
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
	s := &member{id: len(m.all), src: src, ctx: ctx, cancel: cancel, ready: make(chan struct{}, 1)}
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

// watch sees to what depends on the time, until ctx ends: sources that owe nodes and bring nothing are dropped, the
// scheduler is told that time has passed, and those who wait are woken now and then.
func (m *members) watch(ctx context.Context) {
	tick := time.NewTicker(max(min(m.stall/10, 200*time.Millisecond), time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			m.mu.Lock()
			now := time.Now()
			for _, s := range m.all {
				if s.err == nil && s.owes && !s.trickles(now) && now.Sub(s.last) >= m.stall {
					m.dropLocked(s, ErrStalled)
				}
			}
			if m.onTick != nil {
				m.onTick(now)
			}
			m.wake()
			m.mu.Unlock()
		}
	}
}

// trickles tells whether at least 1 KiB/s came from s since the last time it was said to trickle, delivered nodes or
// began to owe them. mu is held.
func (s *member) trickles(now time.Time) bool {
	meter, ok := s.src.(Meter)
	if !ok {
		return false
	}
	received := meter.Received()
	if float64(received-s.meter) < 1024*max(now.Sub(s.last).Seconds(), 1) {
		return false
	}
	s.meter, s.last = received, now
	return true
}

// states lists all sources. mu is held.
func (m *members) states() []SourceState {
	out := make([]SourceState, len(m.all))
	for i, s := range m.all {
		st, _ := m.status(s.id)
		out[i] = SourceState{Peer: s.src.Peer(), Bytes: s.kept, State: StateIdle, Err: s.err, Lacks: s.lacks,
			Partial: s.src.Partial(), Have: st.Have, Asked: st.Asked, Rate: st.Rate, Stalled: st.Stalled}
		switch {
		case s.err != nil:
			out[i].State = StateDropped
		case s.asking || st.Asked > 0:
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

// pick waits for a source that was not dropped, and prefers one that has all of the object. It fails with
// *NoSourceError when there can be none.
func (m *members) pick(ctx context.Context) (*member, error) {
	for {
		m.mu.Lock()
		live, open, changed := m.live(), m.open, m.changed
		states := m.states()
		m.mu.Unlock()
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		for _, s := range live {
			if !s.src.Partial() {
				return s, nil
			}
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
