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

// keepBrokenPipes turns the signal that kills a process whose reader went away into an error of its write, so
// that a peer living in this process ends in order. The channel is never read: the signal is dropped.
func keepBrokenPipes() {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
}

func isBrokenPipe(err error) bool { return errors.Is(err, syscall.EPIPE) }

func isDiskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
