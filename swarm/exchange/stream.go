package exchange

import (
	"errors"
	"io"
	"net"
	"time"
)

// deadliner is the part of a stream that the pacing needs.
type deadliner interface {
	io.ReadWriter
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// minProgress is what must move within one stall time, in bytes: about 1 KiB/s with the default of 15 s.
const minProgress = 16 << 10

// pacedReader reads from a stream and fails with a timeout when less than minProgress arrives within stall. It
// is armed at the begin of every frame, so that the time the caller spends between frames does not count.
type pacedReader struct {
	s     deadliner
	stall time.Duration
	count func(int)

	armed time.Time
	since int // bytes since armed
}

// arm starts a new stall time, unless the last began a moment ago: setting a deadline has its cost.
func (r *pacedReader) arm() {
	now := time.Now()
	if now.Sub(r.armed) < r.stall/8 {
		return
	}
	r.armed, r.since = now, 0
	r.s.SetReadDeadline(now.Add(r.stall))
}

func (r *pacedReader) Read(p []byte) (int, error) {
	n, err := r.s.Read(p)
	r.count(n)
	if r.since += n; r.since >= minProgress {
		r.arm()
	}
	return n, err
}

// Large writes are what makes a fast line fast, but one that a slow line can not carry within the muxer's time
// for a frame kills the connection. So they are used only once the line has shown its rate, over more bytes than
// windows and socket buffers swallow.
const (
	smallPiece  = 64 << 10
	largePiece  = 2 << 20
	probe       = 8 << 20 // bytes over which the rate is taken
	swallowed   = 16 << 20
	fastEnough  = 4 << 20 // bytes per second
	writeBuffer = 256 << 10
	directWrite = 64 << 10 // frames from this size are not copied together
)

// pacedWriter writes to a stream in pieces, each of which must leave within limit.
type pacedWriter struct {
	s     deadliner
	ended func() error // asked before each write; an error stops it
	limit time.Duration
	count func(int)

	armed   time.Time
	sent    int64
	fast    bool
	since   int64 // bytes since probed
	probed  time.Time
	partial bool // a write failed, so the stream may be in the middle of a frame
}

func (w *pacedWriter) Write(p []byte) (int, error) {
	total := 0
	for total < len(p) {
		if err := w.ended(); err != nil {
			w.partial = w.partial || total > 0
			return total, err
		}
		now := time.Now()
		if now.Sub(w.armed) >= w.limit/8 {
			w.armed = now
			w.s.SetWriteDeadline(now.Add(w.limit))
		}
		w.rate(now)
		size := smallPiece
		if w.fast {
			size = largePiece
		}
		n, err := w.s.Write(p[total:min(len(p), total+size)])
		w.count(n)
		w.sent += int64(n)
		w.since += int64(n)
		total += n
		if err != nil {
			w.partial = true
			return total, err
		}
	}
	return total, nil
}

func (w *pacedWriter) rate(now time.Time) {
	if w.probed.IsZero() {
		w.probed = now
	}
	if w.since < probe {
		return
	}
	took := now.Sub(w.probed)
	w.fast = w.sent >= swallowed && float64(w.since) >= fastEnough*took.Seconds()
	w.probed, w.since = now, 0
}

// isTimeout tells whether a deadline passed.
func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
