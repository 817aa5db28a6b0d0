package main

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/windows"
)

// terminalName is the console of the process, whatever its streams are.
const terminalName = "CONIN$"

// endSignals are the signals that ask the process to end; closing the console window arrives as SIGTERM.
func endSignals() []os.Signal { return []os.Signal{os.Interrupt, syscall.SIGTERM} }

func notifyHangups(chan<- os.Signal) {}

func isHangup(os.Signal) bool { return false }

func terminalWatch() (gone func() bool) { return func() bool { return false } }

func keepBrokenPipes() {}

func isBrokenPipe(err error) bool {
	return errors.Is(err, windows.ERROR_BROKEN_PIPE) || errors.Is(err, windows.ERROR_NO_DATA)
}

func isDiskFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}
