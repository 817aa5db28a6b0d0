package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync"
)

// errInterrupted is the cause of a context that the user ended.
var errInterrupted = errors.New("interrupted")

// signals turns Ctrl-C into an orderly end: the first cancels the command's context, the second ends the process
// at once. A command that only waits for others (host.go) takes one signal for itself.
type signals struct {
	exit func(int)
	more func() // asks the system for hang-ups even where they were ignored; nil: in tests

	mu     sync.Mutex
	cancel context.CancelCauseFunc
	seen   int           // signals so far, those taken included
	taker  chan struct{} // who waits for the next signal, nil: nobody
	hung   chan struct{} // who takes hang-ups that are not the end of the terminal, nil: nobody
}

// catchSignals listens to the signals that end a process; the goroutine lives as long as the process.
func catchSignals(exit func(int)) (context.Context, *signals) {
	ctx, s := newSignals(exit)
	keepBrokenPipes()
	terminalGone := terminalWatch()
	ch := make(chan os.Signal, 2)
	signal.Notify(ch, endSignals()...)
	go func() {
		for got := range ch {
			if !isHangup(got) || !s.hangup(terminalGone) {
				s.deliver()
			}
		}
	}()
	s.more = func() { notifyHangups(ch) }
	return ctx, s
}

// newSignals makes the part that is told of signals by deliver.
func newSignals(exit func(int)) (context.Context, *signals) {
	ctx, cancel := context.WithCancelCause(context.Background())
	return ctx, &signals{exit: exit, cancel: cancel}
}

// deliver handles one signal.
func (s *signals) deliver() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen++
	s.cancel(errInterrupted)
	switch {
	case s.taker != nil:
		close(s.taker)
		s.taker = nil
	case s.seen > 1:
		s.exit(1)
	}
}

// hangups returns a channel that gets a value when a hang-up asks for the configuration to be read again, as daemons have
// it. The end of the terminal, which comes as the same signal, still ends the process.
func (s *signals) hangups() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hung = make(chan struct{}, 1)
	if s.more != nil {
		s.more()
	}
	return s.hung
}

// hangup passes a hang-up on to who takes them and tells whether it did.
func (s *signals) hangup(gone func() bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hung == nil || gone() {
		return false
	}
	select {
	case s.hung <- struct{}{}:
	default: // the one before has not been seen yet, and will see the newest file
	}
	return true
}

// next returns a channel that closes with the next signal, which then does nothing else.
func (s *signals) next() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taker = make(chan struct{})
	return s.taker
}

// interrupted tells whether a signal has come.
func (s *signals) interrupted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen > 0
}
