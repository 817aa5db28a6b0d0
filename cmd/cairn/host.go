package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cairn/web/api"
)

// How long a command waits for what. A peer that does not answer at all is told apart from one that works.
const (
	answerWait   = 5 * time.Second        // for the first answer of a socket
	lockWait     = 10 * time.Second       // for a home whose holder neither answers nor ends
	takeoverWait = 10 * time.Second       // for the peer that took our home over
	lostWait     = time.Second            // for another peer when ours vanished, before becoming it
	retryEvery   = 50 * time.Millisecond  // between two looks at the socket
	goneLooks    = 5                      // looks at the socket before a failure counts as that of a living peer
	idleGrace    = 300 * time.Millisecond // before waiting for others is worth a word
	stopWait     = 10 * time.Second       // for our own peer to end
)

// session is one command's hold on the peer of its home, which may be another process, this process, and, after a
// hand-over, another process again.
//
//	dial --answers--> joined --peer goes away--> dial
//	 |nobody                                      ^
//	 v                                            |
//	become --locked: somebody was quicker---------|
//	 |                                            |
//	 v                                            |
//	hosting --Run returns: handed over------------'
//
// It is used by one goroutine.
type session struct {
	e        *env
	running  bool // only a peer that runs will do
	needHome bool // the command makes no sense without a data directory

	peer   api.Status         // of the peer that attempt worked with
	hosted local              // nil: the peer is another process
	stop   context.CancelFunc // ends hosted
	ended  chan error         // receives what hosted.Run returned
}

// peerNeed says which peer a command wants.
type peerNeed struct {
	running  bool // must be running already
	needHome bool // must have a data directory
	again    bool // the work may be done again when the peer went away in the middle
}

// withPeer runs work with the peer of the home, again with another where that one went away and need allows it,
// and stays until those who joined a peer in this process have ended.
func (e *env) withPeer(ctx context.Context, need peerNeed, work func(ctx context.Context, p remote, st api.Status) error) error {
	if e.elsewhere.given() {
		return e.withElsewhere(ctx, work)
	}
	s := &session{e: e, running: need.running, needHome: need.needHome}
	joined, err := s.attempt(ctx, work)
	for need.again && joined && ctx.Err() == nil && s.gone(ctx, err) {
		if ended := s.lost(ctx); ended != nil {
			err = ended
			break
		}
		joined, err = s.attempt(ctx, work)
	}
	if isGone(err) && ctx.Err() != nil {
		err = context.Cause(ctx) // a cut connection is how an interrupted request looks
	}
	return errors.Join(err, s.leave())
}

// attempt joins a peer and runs work once. joined tells whether work ran, so that err is its error.
func (s *session) attempt(ctx context.Context, work func(context.Context, remote, api.Status) error) (joined bool, err error) {
	p, st, err := s.join(ctx)
	if err != nil {
		return false, err
	}
	defer p.Close()
	s.peer = st
	return true, work(ctx, p, st)
}

// gone tells whether err came from the end of the peer, and not from what was asked of it. A peer that ends drops
// its requests with errors of these two kinds just before it stops to listen.
func (s *session) gone(ctx context.Context, err error) bool {
	if isGone(err) {
		return true
	}
	var x *api.Error
	if !errors.As(err, &x) || x.Code != api.CodeUnavailable && x.Code != api.CodeCancelled {
		return false
	}
	for range goneLooks {
		switch same, err := s.still(ctx); {
		case errors.Is(err, errNobody):
			return true
		case err != nil:
			return false
		case !same:
			return true
		}
		if pause(ctx, retryEvery) != nil {
			return false
		}
	}
	return false
}

// still tells whether the peer that answers is the one that we worked with.
func (s *session) still(ctx context.Context) (bool, error) {
	p, st, err := s.e.greet(ctx)
	if err != nil {
		return false, err
	}
	defer p.Close()
	return st.Started.Equal(s.peer.Started), nil
}

// join finds the peer, or becomes it.
func (s *session) join(ctx context.Context) (remote, api.Status, error) {
	began := time.Now()
	for {
		p, st, err := s.e.greet(ctx)
		switch {
		case errors.Is(err, errNobody):
		case isLocked(err) && s.hosted == nil && !s.running:
			// Either the lock names who does not answer, or it is free by now.
			if err := s.host(ctx); err != nil {
				return nil, st, noAnswer(err)
			}
			continue
		default:
			return p, st, err
		}
		if s.running {
			return nil, st, api.Errorf(api.CodeUnavailable, "no peer is running for %s", s.e.home).
				WithHint("start one with `cairn up`")
		}
		if s.needHome && !s.e.doors.exists(s.e.home) {
			return nil, st, api.Errorf(api.CodeNoHome, "%s: no data directory", s.e.home).
				WithHint("`cairn share`, `cairn get` and `cairn up` make one; --home or CAIRN_HOME names another")
		}
		if s.hosted == nil {
			err = s.host(ctx)
		} else {
			err = s.settle(ctx)
		}
		switch {
		case err == nil:
		case !isLocked(err):
			return nil, st, err
		case time.Since(began) > lockWait:
			return nil, st, noAnswer(err)
		default: // somebody was quicker, and will answer soon
			if err := pause(ctx, retryEvery); err != nil {
				return nil, st, err
			}
		}
	}
}

// greet dials the peer of the home and checks that it speaks our language.
func (e *env) greet(ctx context.Context) (remote, api.Status, error) {
	p, err := e.doors.dial(ctx, e.home)
	if err != nil {
		return nil, api.Status{}, err
	}
	keep := false
	defer func() {
		if !keep {
			p.Close()
		}
	}()
	hello, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	st, err := p.Status(hello)
	switch {
	case ctx.Err() != nil:
		return nil, st, context.Cause(ctx)
	case hello.Err() != nil:
		return nil, st, errLocked
	case isGone(err):
		return nil, st, errNobody // it ended between the two
	case err != nil:
		return nil, st, err
	case st.APIVersion != api.Version:
		return nil, st, api.Errorf(api.CodeUnavailable,
			"the running peer is cairn %s (API %s), this command is cairn %s (API %s)",
			orUnknown(st.Version), orUnknown(st.APIVersion), buildVersion(), api.Version).
			WithHint("restart the peer with this version, or use the command of that version")
	}
	keep = true
	return p, st, nil
}

// host makes this process the peer and returns when its socket answers.
func (s *session) host(ctx context.Context) error {
	n, err := s.e.doors.become(ctx, settings{home: s.e.home, mode: "command", flags: s.e.configFlags(nil), logger: s.e.quietLogger, warn: s.e.warn, passphrase: s.e.unlock(ctx)})
	if err != nil {
		return err
	}
	// The peer outlives an interrupt of this command: those who joined decide about its end (leave).
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.hosted, s.stop, s.ended = n, stop, make(chan error, 1)
	go func() { s.ended <- n.Run(run) }()
	select {
	case <-n.Ready():
		return nil
	case err := <-s.ended:
		return s.over(err)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// settle is for our own peer not answering: it is about to end, or was handed over this moment.
func (s *session) settle(ctx context.Context) error {
	select {
	case err := <-s.ended:
		return s.over(err)
	case <-time.After(retryEvery):
		return errLocked
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// over forgets our own peer, which has ended with err.
func (s *session) over(err error) error {
	s.stop()
	s.hosted, s.stop, s.ended = nil, nil, nil
	if err != nil {
		return fmt.Errorf("run the peer: %w", err)
	}
	return nil
}

// lost is called when the peer went away: it gives the process that took over time to answer, so that we do not
// snatch the home from it.
func (s *session) lost(ctx context.Context) error {
	patience := lostWait
	if s.hosted != nil {
		select {
		case err := <-s.ended:
			if err := s.over(err); err != nil {
				return err
			}
			patience = takeoverWait
		case <-time.After(stopWait):
			return api.Errorf(api.CodeUnavailable, "the peer of this command does not answer")
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	for began := time.Now(); time.Since(began) < patience; {
		p, err := s.e.doors.dial(ctx, s.e.home)
		if err == nil {
			p.Close()
		}
		if !errors.Is(err, errNobody) {
			return nil // join deals with every other outcome
		}
		if err := pause(ctx, retryEvery); err != nil {
			return err
		}
	}
	return nil
}

// leave ends our own peer, if we are one, once nobody uses it any more.
func (s *session) leave() error {
	if s.hosted == nil {
		return nil
	}
	next := s.e.sig.next()
	idle := s.hosted.Idle()
	grace := time.After(idleGrace)
	for waiting := true; waiting; {
		select {
		case <-idle:
			waiting = false
		case <-next:
			waiting = false
		case err := <-s.ended:
			return s.over(err)
		case <-grace:
			again := ""
			if s.e.sig.interrupted() {
				again = " again"
			}
			fmt.Fprintf(s.e.stderr, "still serving %s; Ctrl-C%s to stop\n",
				count(int64(s.hosted.InFlight()), "other command"), again)
		}
	}
	s.stop()
	select {
	case err := <-s.ended:
		return s.over(err)
	case <-time.After(stopWait):
		return api.Errorf(api.CodeFailed, "the peer of this command did not end in %s", stopWait)
	}
}

// noAnswer completes the failure to get the lock of a home whose holder can not be talked to.
func noAnswer(err error) error {
	if !isLocked(err) {
		return err
	}
	return api.Errorf(api.CodeLocked, "%s, which does not answer", explain(err).Message).
		WithHint("wait or end that process, or choose another directory with --home")
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
