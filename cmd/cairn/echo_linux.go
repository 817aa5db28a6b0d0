package main

import "golang.org/x/sys/unix"

// hush stops a terminal from showing what is typed, before anybody is asked to: who types at once would be seen
// otherwise. restore puts it back.
func hush(fd int) (restore func()) {
	was, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return func() {}
	}
	now := *was
	now.Lflag &^= unix.ECHO
	if unix.IoctlSetTermios(fd, unix.TCSETS, &now) != nil {
		return func() {}
	}
	return func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, was) } // a terminal that is gone shows nothing
}
