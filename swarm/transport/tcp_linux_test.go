package transport

import (
	"net"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestTune: what the kernel takes that it can not send is bounded where a connection leaves the machine, and left
// alone within it.
func TestTune(t *testing.T) {
	addrs := map[string]int{"127.0.0.1": 0}
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() {
			addrs[n.IP.String()] = unsent
		}
	}
	if len(addrs) == 1 {
		t.Log("no interface but loopback here: only that was looked at")
	}
	for ip, want := range addrs {
		l, err := net.Listen("tcp4", net.JoinHostPort(ip, "0"))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		c, err := dialer{}.DialContext(t.Context(), "tcp4", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		rc, err := c.(syscall.Conn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var got int
		var gerr error
		if err := rc.Control(func(fd uintptr) { got, gerr = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT) }); err != nil {
			t.Fatal(err)
		}
		if want == 0 {
			want = got // whatever the system says
			if got == unsent {
				t.Errorf("a connection to %s was tuned", ip)
			}
		}
		if gerr != nil || got != want {
			t.Errorf("to %s: %d bytes, want %d (%v)", ip, got, want, gerr)
		}
	}
}
