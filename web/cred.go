package web

import (
	"log/slog"
	"net"
	"os"
)

// checkedListener lets in connections of the same user, and of root, who could read everything anyway.
type checkedListener struct {
	net.Listener
	log *slog.Logger
}

func (l *checkedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		uid, known, err := peerUID(c)
		if err == nil && (!known || uid == 0 || uid == os.Getuid()) {
			return c, nil
		}
		l.log.Warn("socket connection refused", "uid", uid, "err", err)
		_ = c.Close()
	}
}

// control runs f with the file descriptor of a unix connection.
func control(c net.Conn, f func(fd uintptr) error) error {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return net.ErrClosed
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = f(fd) }); err != nil {
		return err
	}
	return inner
}
