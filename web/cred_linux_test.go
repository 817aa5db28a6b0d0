package web_test

import (
	"bufio"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"cairn/web"
)

// TestOtherUser: someone else is turned away even where the file system lets him through.
func TestOtherUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to become someone else")
	}
	b := start(t, nil)
	path, err := web.SocketPath(b.home)
	if err != nil {
		t.Fatal(err)
	}
	for p := path; p != os.TempDir() && p != "/"; p = p[:max(1, strings.LastIndex(p, "/"))] {
		if err := os.Chmod(p, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine, and its user with it
		if _, _, errno := syscall.RawSyscall(unix.SYS_SETRESUID, 65534, 65534, 65534); errno != 0 {
			result <- errno
			return
		}
		c, err := net.Dial("unix", path)
		if err != nil {
			result <- err
			return
		}
		defer c.Close()
		_, _ = c.Write([]byte(b.raw("GET /v1/status", "")))
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err == nil {
			_ = resp.Body.Close()
			t.Errorf("another user was answered with %d", resp.StatusCode)
		}
		result <- nil
	}()
	if err := <-result; err != nil {
		t.Fatalf("the other user did not get as far as the socket: %v", err)
	}
	if log := b.log.String(); !strings.Contains(log, "socket connection refused") {
		t.Errorf("the log says %s", log)
	}
	if a := b.request(t, true, b.raw("GET /v1/status", "")); a.StatusCode != 200 {
		t.Errorf("the right user afterwards: %d", a.StatusCode)
	}
}
