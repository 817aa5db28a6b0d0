//go:build !linux

package transport

import "net"

// tune does nothing: what it sets elsewhere has no counterpart here, or a good default.
func tune(net.Conn) {}
