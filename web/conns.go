package web

import (
	"net"
	"net/http"
	"sync"
)

// conns follows the connections of one entrance.
type conns struct {
	mu    sync.Mutex
	n     int
	fresh map[net.Conn]struct{} // have sent nothing yet, as browsers keep some in store
	ended bool                  // fresh ones are closed at once
}

// state is told by net/http of every change.
func (c *conns) state(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		c.n++
		c.fresh[conn] = struct{}{}
		if c.ended {
			_ = conn.Close() // accepted just before the listener closed
		}
	case http.StateClosed, http.StateHijacked:
		c.n--
		delete(c.fresh, conn)
	default:
		delete(c.fresh, conn)
	}
}

func (c *conns) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// closeFresh closes connections without a request: Shutdown would wait five seconds for one.
func (c *conns) closeFresh() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	for conn := range c.fresh {
		_ = conn.Close()
	}
}
