package fetch

import (
	"fmt"
	"math/bits"
	"time"

	"cairn/swarm/schedule"
)

// order is something that the scheduler wants of a source.
type order struct {
	span   schedule.Span
	cancel bool
}

// tell leaves an order for the goroutine that asks the source. members.mu is held.
func (s *member) tell(o order) {
	s.orders = append(s.orders, o)
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

// ask passes orders on to a source, in order, until the source's context ends. A Request may block for seconds, so
// nobody else makes these calls.
func (e *engine) ask(s *member) {
	var batch []order
	for {
		select {
		case <-s.ready:
		case <-s.ctx.Done():
			return
		}
		e.mu.Lock()
		batch, s.orders = s.orders, batch[:0]
		e.mu.Unlock()
		for _, o := range batch {
			if s.ctx.Err() != nil {
				return
			}
			call := s.src.Request
			if o.cancel {
				call = s.src.Cancel
			}
			if err := call(o.span.Lo, o.span.Len()); err != nil {
				e.ended(s, err)
				return
			}
		}
	}
}

// serve runs one source until it is dropped or all is over.
func (e *engine) serve(s *member) {
	err := s.src.Run(s.ctx, feed{e, s})
	if err == nil {
		err = fmt.Errorf("%w: ended before its time", ErrMisbehaved)
	}
	e.ended(s, err)
}

// ended drops a source that failed by itself.
func (e *engine) ended(s *member, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.finished || s.ctx.Err() != nil {
		return // the job is over, or the source was dropped before: no fault of the source
	}
	e.dropLocked(s, err)
}

// feed is the Sink of one source.
type feed struct {
	e *engine
	s *member
}

// Leaf implements Sink.
func (f feed) Leaf(i int, b Buf) error {
	e, s := f.e, f.s
	e.mu.Lock()
	keep := false
	switch {
	case !s.joined: // dropped before
	case i < 0 || i >= e.leaves:
		e.dropLocked(s, fmt.Errorf("%w: sent leaf %d of %d", ErrMisbehaved, i, e.leaves))
	default:
		s.owing--
		keep = e.step(schedule.Arrived{ID: s.id, Leaf: i, Bytes: len(b.Bytes())})
		e.drained()
	}
	err := s.err
	if keep {
		e.flying++
	}
	e.mu.Unlock()
	if !keep {
		b.Release()
		return err
	}
	a := arrival{s, i, b}
	select {
	case e.work <- a:
		return nil
	default:
	}
	e.hold(s, true)
	// Blocking here even when the source has been dropped is fine: workers run until all sources have ended.
	e.work <- a
	e.hold(s, false)
	return nil
}

// hold notes whether a source is held up by us.
func (e *engine) hold(s *member, held bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s.held = held
}

// drained wakes whoever waits for the last leaves on their way. mu is held.
func (e *engine) drained() {
	if e.draining {
		e.wake()
	}
}

// Missing implements Sink.
func (f feed) Missing(i int, err error) {
	e, s := f.e, f.s
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case !s.joined:
		return
	case i < 0 || i >= e.leaves:
		e.dropLocked(s, fmt.Errorf("%w: lacks leaf %d of %d", ErrMisbehaved, i, e.leaves))
		return
	}
	if s.lacks == nil {
		s.lacks = &MissingError{Leaf: i, Err: err}
		e.log.Info("source lacks leaves", "peer", s.src.Peer(), "reason", s.lacks)
	}
	s.owing--
	e.step(schedule.Missing{ID: s.id, Leaf: i})
	e.wake()
}

// Skipped implements Sink.
func (f feed) Skipped(start, count int) {
	e, s := f.e, f.s
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case !s.joined:
	case start < 0 || count < 1 || count > e.leaves-start:
		e.dropLocked(s, fmt.Errorf("%w: skipped %d leaves from %d of %d", ErrMisbehaved, count, start, e.leaves))
	default:
		s.owing -= count
		e.step(schedule.Skipped{ID: s.id, Span: schedule.Span{Lo: start, Hi: start + count}})
		e.drained()
	}
}

// Have implements Sink.
func (f feed) Have(start int, held []byte) {
	e, s := f.e, f.s
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case !s.joined || len(held) == 0:
	case !s.src.Partial() || start < 0 || start > e.leaves || lastBit(held) >= e.leaves-start:
		e.dropLocked(s, fmt.Errorf("%w: says that it has what is not there", ErrMisbehaved))
	default:
		e.news = time.Now()
		e.step(schedule.Has{ID: s.id, Start: start, Bits: held})
	}
}

// lastBit returns the position of the last bit that is set, -1 if none is.
func lastBit(b []byte) int {
	for k := len(b) - 1; k >= 0; k-- {
		if b[k] != 0 {
			return 8*k + bits.Len8(b[k]) - 1
		}
	}
	return -1
}
