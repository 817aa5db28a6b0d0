package transport

import (
	"io"
	"time"

	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	goyamux "github.com/libp2p/go-yamux/v5"
)

// Sizes in bytes. A frame of 1 MiB in the place of 64 KiB is worth half of the rate between two processes on one
// machine; the window bounds what a receiver that does not read has to hold per stream, and the rate over a long
// line (16 MiB at 100 ms: 160 MB/s).
const (
	maxFrame    = 1 << 20
	firstWindow = 4 << 20
	maxWindow   = 16 << 20
	// frameDeadline is what one frame may take to leave. Whoever sends large frames must know that the line is
	// faster than this allows for: 100 kB/s.
	frameDeadline = 10 * time.Second
)

func muxer() *yamux.Transport {
	c := goyamux.DefaultConfig()
	c.MaxMessageSize = maxFrame
	c.InitialStreamWindowSize = firstWindow
	c.MaxStreamWindowSize = maxWindow
	c.MaxIncomingStreams = 1 << 20 // the resource manager is the limit
	c.ReadBufSize = 0              // the security layer below buffers
	c.ConnectionWriteTimeout = frameDeadline
	c.LogOutput = io.Discard
	return (*yamux.Transport)(c)
}
