package node

import (
	"context"
	"errors"
	"iter"
	"sync"
	"time"

	"cairn/storage/block"
	"cairn/swarm/exchange"
	"cairn/swarm/fetch"
	"cairn/swarm/ticket"
	"cairn/web/api"

	"github.com/ipfs/go-cid"
)

// source is one session as package fetch wants it.
type source struct {
	*exchange.Session
	ticket   ticket.Ticket
	meter    *exchange.Meter
	why      string                                           // why it came to this connection
	peers    func(by *source, who []exchange.Introduction)    // may be nil
	download [16]byte                                         // for Done
	second   func(context.Context) (*exchange.Session, error) // makes a session for news; nil: this one carries them too
	meet     chan struct{}                                    // closed when others may be introduced to us
	joined   bool                                             // it was told that we take part in the swarm; guarded by sources.mu

	over chan struct{} // closed when the session can not be used any more
	err  error         // why, once over is closed; nil: it left in good order

	mu       sync.Mutex
	stop     context.CancelFunc // ends Run; nil before it
	asked    int                // leaves asked for and not answered
	leaving  bool               // nothing more is asked for
	answered chan struct{}      // closed when leaving and nothing is on its way
}

func newSource(sess *exchange.Session, m *exchange.Meter, t ticket.Ticket) *source {
	return &source{Session: sess, ticket: t, meter: m, over: make(chan struct{}), answered: make(chan struct{}), meet: make(chan struct{})}
}

// Rank implements fetch.Source.
func (s *source) Rank() int { return s.Others() }

// Done implements fetch.Source: it tells the source to count the download. A downloader counts nothing.
func (s *source) Done(ctx context.Context) error {
	if s.Partial() {
		return nil
	}
	return s.Session.Done(ctx, s.download)
}

// Received implements fetch.Meter, so that a slow line is not taken for a source that stopped.
func (s *source) Received() int64 { return s.meter.Peer(s.Peer()).Down }

// Run implements fetch.Source. It is called once, and the session ends with it.
func (s *source) Run(ctx context.Context, sink fetch.Sink) error {
	ctx, stop := context.WithCancel(ctx)
	s.mu.Lock()
	s.stop = stop
	s.mu.Unlock()
	var news sync.WaitGroup
	defer news.Wait()
	defer stop()
	news.Go(func() { s.hear(ctx, sink) })
	err := s.Session.Run(ctx, exchange.Handler{
		Leaf: func(i int, b *exchange.Buf) error {
			defer s.answer(1)
			return sink.Leaf(i, b)
		},
		Missing: func(i int, r exchange.Reason) {
			defer s.answer(1)
			sink.Missing(i, &exchange.MissingError{Index: i, Reason: r, Count: 1})
		},
		Skipped: func(start, count int) {
			defer s.answer(count)
			sink.Skipped(start, count)
		},
		Have:  sink.Have,
		Peers: s.introduced,
	})
	return s.finish(err)
}

// Nodes implements fetch.Source. A source that fails here is dropped and not run any more.
func (s *source) Nodes(ctx context.Context, cs []cid.Cid) iter.Seq2[block.Block, error] {
	return func(yield func(block.Block, error) bool) {
		for b, err := range s.Session.Nodes(ctx, cs) {
			var missing *exchange.MissingError
			if err != nil && !errors.As(err, &missing) {
				s.finish(err)
			}
			if !yield(b, err) {
				return
			}
		}
	}
}

// finish notes that the session is over, for the first reason told, and returns what the fetch is to know of it.
func (s *source) finish(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.over:
		if s.err != nil && !s.leaving {
			return s.err
		}
		return err
	default:
	}
	s.err = err
	if s.leaving {
		s.err, err = nil, errMoved
	}
	close(s.over)
	return err
}

// hear takes the news from a session of its own, so that they do not wait behind leaves. Without one they come over the
// session that carries those.
func (s *source) hear(ctx context.Context, sink fetch.Sink) {
	on := s.Session
	if s.second != nil {
		if sess, err := s.second(ctx); err == nil {
			defer sess.Close()
			on = sess
		}
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	wg.Go(func() {
		select {
		case <-s.meet:
			_ = on.Swarm() // if that fails the session has, and says so itself
		case <-ctx.Done():
		}
	})
	if on == s.Session {
		<-ctx.Done()
		return
	}
	err := on.Run(ctx, exchange.Handler{Have: sink.Have, Peers: s.introduced})
	if errors.Is(err, exchange.ErrProtocol) { // what is wrong here is wrong there; of anything else the other session knows
		s.finish(err)
		s.Close()
	}
}

func (s *source) introduced(who []exchange.Introduction) {
	if s.peers != nil {
		s.peers(s, who)
	}
}

// errMoved tells the fetch that a source left in good order; it joins again in a moment.
var errMoved = api.Errorf(api.CodeUnavailable, "it is being dialled in a better way")

// isOver tells whether the session can not be used any more.
func (s *source) isOver() bool {
	select {
	case <-s.over:
		return true
	default:
		return false
	}
}

// Request implements fetch.Source. A source that is leaving is asked for nothing: what is wanted of it goes back when
// it has left.
func (s *source) Request(start, count int) error {
	s.mu.Lock()
	if s.leaving {
		s.mu.Unlock()
		<-s.over
		return errMoved
	}
	s.asked += count
	s.mu.Unlock()
	return s.Session.Request(start, count)
}

// answer counts leaves that came, or will not.
func (s *source) answer(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked -= n
	if s.leaving && s.asked == 0 {
		close(s.answered)
	}
}

// owes tells whether something was asked for that has not come.
func (s *source) owes() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked > 0
}

// leaveAfter is how long leaves that are on their way may take before a connection is given up for a better one.
const leaveAfter = 5 * time.Second

// leave asks for nothing more, waits until what was asked for has come, and ends the session.
func (s *source) leave(ctx context.Context) {
	s.mu.Lock()
	if s.leaving || s.stop == nil {
		s.mu.Unlock()
		return
	}
	s.leaving = true
	if s.asked == 0 {
		close(s.answered)
	}
	s.mu.Unlock()
	t := time.NewTimer(leaveAfter)
	defer t.Stop()
	select {
	case <-s.answered:
	case <-s.over:
	case <-t.C:
	case <-ctx.Done():
	}
	s.stop()
	<-s.over
}
