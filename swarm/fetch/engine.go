package fetch

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"
)

// engine fetches the leaves that a queue wants from the members of a job. A delivered leaf is passed to one
// of a few workers, which check and keep it; so hashing and writing go on beside the network, and a slow
// disk slows the sources down instead of filling memory.
type engine struct {
	*members
	q *queue // guarded by members.mu

	// check verifies the bytes of leaf i; keep puts them in their place and takes over b.
	check func(i int, data []byte) error
	keep  func(i int, b Buf) error

	work     chan arrival
	flying   int   // arrivals that were neither kept nor refused; guarded by mu
	fatal    error // of keep; guarded by mu
	finished bool  // no more leaves will be wanted; guarded by mu
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

// start begins to fetch. What it starts ends after stop, or when ctx ends.
func (e *engine) start(ctx context.Context) {
	n := workers()
	e.work = make(chan arrival, n)
	for range n {
		e.tasks.Go(e.worker)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	begin := func(s *member) {
		e.q.join(s.id)
		e.sources.Go(func() { e.serve(s) })
	}
	for _, s := range e.live() {
		begin(s)
	}
	e.onJoin = begin
	e.onDrop = func(s *member) { e.q.leave(s.id, time.Now()) }
}

// stop lets the sources finish what they were asked for, cuts off those that need longer than grace, and waits
// for all goroutines.
func (e *engine) stop(grace time.Duration) {
	cut := time.AfterFunc(grace, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		for _, s := range e.live() {
			if s.asking {
				e.dropLocked(s, fmt.Errorf("%w: others were done long before", ErrStalled))
			}
		}
	})
	e.end()
	cut.Stop()
}

// abort ends all that sources are doing, without blame, and waits for all goroutines. Leaves that have
// arrived are still kept.
func (e *engine) abort() {
	e.mu.Lock()
	for _, s := range e.all {
		s.cancel(nil)
	}
	e.mu.Unlock()
	e.end()
}

func (e *engine) end() {
	e.mu.Lock()
	e.finished = true
	e.onJoin = nil
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
		complete := e.q.pending == 0 && e.flying == 0
		if err == nil && !complete && e.stuck() {
			err = &NoSourceError{Missing: e.q.pending, Sources: e.states()}
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

// stuck tells whether nothing is under way and nobody can take what is wanted. mu is held.
func (e *engine) stuck() bool {
	if e.open || e.flying > 0 || e.q.pending == 0 {
		return false
	}
	for _, s := range e.live() {
		if s.asking || s.owes || e.q.can(s.id, time.Now()) {
			return false
		}
	}
	return true
}

// serve keeps one source busy until all is done or it is dropped.
func (e *engine) serve(s *member) {
	for e.await(s) {
		asked := false
		err := s.src.Leaves(s.ctx,
			func() (int, int, bool) {
				asked = true
				r, ok := e.next(s)
				return r.lo, r.len(), ok
			},
			func(i int, b Buf) error { return e.deliver(s, i, b) })
		e.ended(s, asked, err)
	}
}

// await blocks until there is work for s; false when there never will be.
func (e *engine) await(s *member) bool {
	for {
		e.mu.Lock()
		over := e.finished || s.err != nil || e.fatal != nil
		can := !over && e.q.can(s.id, time.Now())
		if can {
			s.asking = true
		}
		changed := e.changed
		e.mu.Unlock()
		if over || s.ctx.Err() != nil {
			return false
		}
		if can {
			return true
		}
		select {
		case <-changed:
		case <-s.ctx.Done():
			return false
		}
	}
}

// next is what a source calls for a range.
func (e *engine) next(s *member) (span, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.finished || s.err != nil || e.fatal != nil {
		return span{}, false
	}
	r, ok := e.q.take(s.id, time.Now())
	if ok && !s.owes {
		e.beat(s, true)
	}
	return r, ok
}

// deliver is what a source calls with a leaf.
func (e *engine) deliver(s *member, i int, b Buf) error {
	e.mu.Lock()
	if s.err != nil {
		e.mu.Unlock()
		b.Release()
		return s.err
	}
	v := e.q.got(s.id, i, time.Now())
	a := e.q.sources[s.id]
	e.beat(s, a != nil && len(a.out) > 0)
	if v == fresh {
		e.flying++
		s.held++
	}
	e.mu.Unlock()
	switch v {
	case unasked:
		b.Release()
		return fmt.Errorf("%w: sent leaf %d, which was not asked for", ErrMisbehaved, i)
	case surplus:
		b.Release()
		return nil
	}
	// Blocking here even when the source has been dropped is fine: workers run until all sources have ended.
	e.work <- arrival{s, i, b}
	e.mu.Lock()
	s.held--
	e.beat(s, s.owes)
	e.mu.Unlock()
	return nil
}

// ended judges how a call of Leaves came out.
func (e *engine) ended(s *member, asked bool, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s.asking, s.owes = false, false
	defer e.wake()
	if s.err != nil {
		return
	}
	if e.fatal != nil || s.ctx.Err() != nil {
		e.q.giveBack(s.id, time.Now()) // the job is over; no fault of the source
		return
	}
	var miss *MissingError
	switch {
	case errors.As(err, &miss):
		if e.q.missing(s.id, time.Now()) == 0 {
			e.dropLocked(s, fmt.Errorf("%w: %w, which was not asked for", ErrMisbehaved, err))
		}
		e.log.Info("source lacks leaves", "peer", s.src.Peer(), "reason", err)
	case err != nil:
		e.dropLocked(s, err)
	case len(e.q.sources[s.id].out) > 0:
		e.dropLocked(s, fmt.Errorf("%w: ended with leaves outstanding", ErrMisbehaved))
	case !asked:
		e.dropLocked(s, fmt.Errorf("%w: does not take work", ErrMisbehaved))
	}
}

// worker checks and keeps what arrives. After a fatal error it only releases.
func (e *engine) worker() {
	for a := range e.work {
		data := a.b.Bytes()
		size := int64(len(data))
		e.mu.Lock()
		over := e.fatal != nil
		e.mu.Unlock()
		if over {
			a.b.Release()
			e.settle(a, 0, nil, nil)
			continue
		}
		if err := e.check(a.i, data); err != nil {
			a.b.Release()
			e.settle(a, 0, err, nil)
			continue
		}
		err := e.keep(a.i, a.b)
		e.settle(a, size, nil, err)
	}
}

// settle records what became of an arrival: kept, refused (lie), or kept in vain (fatal).
func (e *engine) settle(a arrival, size int64, lie, fatal error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.flying--
	switch {
	case lie != nil:
		e.q.bad(a.i)
		e.dropLocked(a.from, lie)
	case fatal != nil || e.fatal != nil:
		if e.fatal == nil {
			e.fatal = fatal
		}
		e.q.bad(a.i)
	default:
		e.q.done(a.i)
		a.from.kept += size
	}
	// Waking everybody for every small leaf would cost more than writing it; watch wakes now and then anyway.
	if e.fatal != nil || lie != nil || e.q.pending == 0 {
		e.wake()
	}
}
