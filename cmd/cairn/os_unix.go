//go:build unix

package main

import (
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// terminalName is the terminal of the process, whatever its streams are.
const terminalName = "/dev/tty"

// endSignals are the signals that ask the process to end. SIGHUP is one only where the user did not ask for it to
// be ignored (nohup).
func endSignals() []os.Signal {
	s := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		s = append(s, syscall.SIGHUP)
	}
	return s
}

// notifyHangups delivers hang-ups even where they were ignored.
func notifyHangups(ch chan<- os.Signal) { signal.Notify(ch, syscall.SIGHUP) }

func isHangup(s os.Signal) bool { return s == syscall.SIGHUP }

// terminalWatch makes a function that tells whether the terminal that the process has now is gone by then. A process that
// was started to survive its terminal (nohup), or without one, loses none.
func terminalWatch() (gone func() bool) {
	if signal.Ignored(syscall.SIGHUP) || !hasTerminal() {
		return func() bool { return false }
	}
	return func() bool { return !hasTerminal() }
}

func hasTerminal() bool {
	fd, err := syscall.Open("/dev/tty", syscall.O_RDWR|syscall.O_NOCTTY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	_ = syscall.Close(fd)
	return true
}

// keepBrokenPipes turns the signal that kills a process whose reader went away into an error of its write, so
// that a peer living in this process ends in order. The channel is never read: the signal is dropped.
func keepBrokenPipes() {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
}

func isBrokenPipe(err error) bool { return errors.Is(err, syscall.EPIPE) }

func isDiskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
