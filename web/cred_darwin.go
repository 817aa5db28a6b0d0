package web

import (
	"net"

	"golang.org/x/sys/unix"
)

// peerUID returns the user of the process at the other end, as it was when it connected.
func peerUID(c net.Conn) (uid int, known bool, err error) {
	err = control(c, func(fd uintptr) error {
		cred, err := unix.GetsockoptXucred(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
		if err == nil {
			uid = int(cred.Uid)
		}
		return err
	})
	return uid, true, err
}
