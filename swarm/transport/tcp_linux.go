package transport

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// unsent is how many bytes the kernel takes that it can not send yet. By default it takes megabytes, which stand for
// seconds on a slow line: what is said after them waits behind them, and a cancel comes too late.
const unsent = 128 << 10

// tune sets what the kernel would not choose by itself, where the connection leaves this machine: a short queue, and
// on a long line a congestion control that does not take every lost packet for a full one (BBR, if there is one and
// this process may choose it). A failure leaves the connection as good as it was.
func tune(c net.Conn) {
	raw, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	if a, ok := c.RemoteAddr().(*net.TCPAddr); !ok || a.IP.IsLoopback() {
		return
	}
	rc, err := raw.SyscallConn()
	if err != nil {
		return
	}
	_ = rc.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsent)
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err == nil && time.Duration(info.Rtt)*time.Microsecond >= far {
			_ = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, "bbr")
		}
	})
}
