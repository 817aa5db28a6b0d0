package fetch

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"cairn/swarm/schedule"
)

// engine fetches the leaves that a scheduler wants from the members of a job. It tells the scheduler what happens
// and carries out what that says. A delivered leaf is passed to one of a few workers, which check and keep it; so
// hashing and writing go on beside the network, and a slow disk slows the sources down instead of filling memory.
type engine struct {
	*members
	sched  *schedule.Scheduler // guarded by members.mu
	leaves int

	// check verifies the bytes of leaf i; keep puts them in their place.
	check func(i int, data []byte) error
	keep  func(i int, data []byte) error
	// kept hears of a leaf that is in its place, with mu held. True means that it has taken over the buffer.
	kept func(a arrival) bool

	work     chan arrival
	flying   int       // arrivals that were neither kept nor refused; guarded by mu
	fatal    error     // of keep; guarded by mu
	finished bool      // no more leaves will be wanted; guarded by mu
	draining bool      // somebody waits for the last leaves on their way; guarded by mu
	news     time.Time // when a source joined or a leaf was offered or kept the last time; guarded by mu
	tasks    sync.WaitGroup
	sources  sync.WaitGroup
}

// arrival is a leaf on its way to a worker.
type arrival struct {
	from *member
	i    int
	b    Buf
}

// workers is the number of goroutines that hash and write.
func workers() int { return min(max(runtime.GOMAXPROCS(0), 2), 8) }

// start begins to fetch. What it starts ends with shut.
func (e *engine) start() {
	n := workers()
	e.work = make(chan arrival, n)
	for range n {
		e.tasks.Go(e.worker)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.live() {
		e.begin(s)
	}
	e.onJoin, e.onDrop, e.onTick = e.begin, e.leave, e.tick
	e.status = e.sched.Source
}

// begin lets a source take part. mu is held.
func (e *engine) begin(s *member) {
	s.joined = true
	e.beat(s, false)
	e.news = time.Now()
	e.sources.Go(func() { e.serve(s) })
	e.sources.Go(func() { e.ask(s) })
	e.step(schedule.Joined{ID: s.id, Peer: string(s.src.Peer()), Partial: s.src.Partial(), Rank: s.src.Rank()})
}

// leave tells the scheduler that a source is gone. mu is held.
func (e *engine) leave(s *member) {
	if s.joined {
		s.joined = false
		e.step(schedule.Left{ID: s.id})
	}
}

// step tells the scheduler of an event and carries out what it answers, but for Keep, which is for the caller. mu
// is held.
func (e *engine) step(ev schedule.Event) (keep bool) {
	var drops []schedule.Drop
	for _, a := range e.sched.Step(time.Now(), ev) {
		switch a := a.(type) {
		case schedule.Request:
			e.all[a.ID].owing += a.Len()
			e.all[a.ID].tell(order{span: a.Span})
		case schedule.Cancel:
			e.all[a.ID].tell(order{span: a.Span, cancel: true})
		case schedule.Keep:
			keep = true
		case schedule.Drop:
			drops = append(drops, a) // after the loop: dropping may lead to another step
		}
	}
	for _, d := range drops {
		s := e.all[d.ID]
		s.joined = false // the scheduler has forgotten it
		err := d.Err
		if errors.Is(err, schedule.ErrUnasked) {
			err = fmt.Errorf("%w: %w", ErrMisbehaved, err)
		}
		e.dropLocked(s, err)
	}
	return keep
}

// tick lets the scheduler see that time has passed, and which sources are not to blame for bringing nothing: those
// that wait for us, and those that are in the middle of a large leaf. mu is held.
func (e *engine) tick(now time.Time) {
	for _, s := range e.all {
		switch {
		case !s.joined:
		case s.owing == 0:
			e.beat(s, false)
		case s.held || s.trickles(now):
			e.step(schedule.Progress{ID: s.id})
		}
	}
	e.step(schedule.Tick{})
}

// drain waits until all that was asked of complete sources has come or been cancelled. Those that need longer than until the
// deadline are dropped. Downloaders are not waited for: that we are done is of no importance to them.
func (e *engine) drain(ctx context.Context, deadline time.Time) {
	cut := time.NewTimer(time.Until(deadline))
	defer cut.Stop()
	for {
		e.mu.Lock()
		e.draining = true
		var owing []*member
		for _, s := range e.live() {
			if s.owing > 0 && !s.src.Partial() {
				owing = append(owing, s)
			}
		}
		changed := e.changed
		e.mu.Unlock()
		if len(owing) == 0 {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		case <-cut.C:
			for _, s := range owing {
				e.drop(s, fmt.Errorf("%w: others were done long before", ErrStalled))
			}
			return
		}
	}
}

// shut ends all that sources are doing, without blame, and waits for all goroutines. Leaves that have arrived are
// still kept.
func (e *engine) shut() {
	e.mu.Lock()
	e.finished = true
	e.onJoin, e.onDrop, e.onTick = nil, nil, nil
	for _, s := range e.all {
		s.cancel(nil)
	}
	e.wake()
	e.mu.Unlock()
	e.sources.Wait()
	close(e.work)
	e.tasks.Wait()
}

// wait blocks until every wanted leaf is kept. It fails with *NoSourceError when nobody can give the rest,
// with what keep failed with, or with the cause of ctx's end.
func (e *engine) wait(ctx context.Context) error {
	for {
		e.mu.Lock()
		err, changed := e.fatal, e.changed
		pending := e.sched.Pending()
		complete := pending == 0 && e.flying == 0
		if err == nil && !complete && e.stuck() {
			err = &NoSourceError{Missing: pending, Sources: e.states()}
		}
		e.mu.Unlock()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return err
		case complete:
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// stuck tells whether nothing is under way and nobody can take what is wanted. A source that has only part of the
// object may yet get what is missing; it is given some time for that. mu is held.
func (e *engine) stuck() bool {
	if e.open || e.flying > 0 || !e.sched.Stuck() {
		return false
	}
	for _, s := range e.live() {
		if s.src.Partial() && time.Since(e.news) < e.stall {
			return false
		}
	}
	return true
}

// worker checks and keeps what arrives. After a fatal error it only releases.
func (e *engine) worker() {
	for a := range e.work {
		data := a.b.Bytes()
		var fatal error
		lie := e.check(a.i, data)
		if lie == nil && !e.hopeless() {
			fatal = e.keep(a.i, data)
		}
		if !e.settle(a, int64(len(data)), lie, fatal) {
			a.b.Release()
		}
	}
}

func (e *engine) hopeless() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.fatal != nil
}

// settle records what became of an arrival: kept, refused (lie), or kept in vain (fatal). It returns whether the
// buffer has been taken over.
func (e *engine) settle(a arrival, size int64, lie, fatal error) (taken bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.flying--
	if e.fatal == nil {
		e.fatal = fatal
	}
	switch {
	case lie != nil:
		e.dropLocked(a.from, lie) // first, so that the leaf is not asked of the liar again
		e.step(schedule.Bad{Leaf: a.i})
	case e.fatal != nil:
	default:
		e.step(schedule.Kept{Leaf: a.i})
		a.from.kept += size
		e.news = time.Now()
		if e.kept != nil {
			taken = e.kept(a)
		}
	}
	// Waking everybody for every small leaf would cost more than writing it; watch wakes now and then anyway.
	if e.fatal != nil || lie != nil || (e.flying == 0 && e.sched.Pending() == 0) {
		e.wake()
	}
	return taken
}
