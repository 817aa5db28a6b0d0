package web

import (
	"io"
	"net/http"
	"time"
)

// Limits bound what one entrance does at a time. Zero values take the defaults.
type Limits struct {
	Quick   int // requests with small bodies and answers; 64
	Bulk    int // uploads and downloads; 64
	Streams int // event streams and long work; 128
	Conns   int // connections kept open between requests; 512

	BodyTime  time.Duration // for a whole small body; 10 s
	StallTime time.Duration // without StallBytes of a large body, or without taking an answer; 30 s
}

const (
	stallBytes     = 16 << 10
	maxHeaderBytes = 32 << 10
	headerTime     = 10 * time.Second
	idleTime       = 2 * time.Minute
)

func (l Limits) withDefaults() Limits {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&l.Quick, 64)
	def(&l.Bulk, 64)
	def(&l.Streams, 128)
	def(&l.Conns, 512)
	if l.BodyTime == 0 {
		l.BodyTime = 10 * time.Second
	}
	if l.StallTime == 0 {
		l.StallTime = 30 * time.Second
	}
	return l
}

// limiter counts what runs. There is one per entrance, so that a busy browser never locks the commands out.
type limiter struct {
	slots map[class]chan struct{}
}

func newLimiter(l Limits) *limiter {
	return &limiter{slots: map[class]chan struct{}{
		classQuick:  make(chan struct{}, l.Quick),
		classBulk:   make(chan struct{}, l.Bulk),
		classStream: make(chan struct{}, l.Streams),
	}}
}

// take never waits: a queue would only hide the load.
func (l *limiter) take(c class) (release func(), ok bool) {
	slots := l.slots[c]
	if slots == nil {
		return func() {}, true
	}
	select {
	case slots <- struct{}{}:
		return func() { <-slots }, true
	default:
		return nil, false
	}
}

// timedBody gives the client a deadline: for the whole of a small body, for every 16 KiB of a large one. The
// deadline is lifted when the body ends, because net/http goes on reading to notice a client that leaves.
type timedBody struct {
	io.ReadCloser
	rc    *http.ResponseController
	time  time.Duration
	renew bool

	set   bool
	since int // bytes since the deadline was set
}

func (s *Server) limitBody(w http.ResponseWriter, body io.ReadCloser, c class) io.ReadCloser {
	b := &timedBody{ReadCloser: body, rc: http.NewResponseController(w), time: s.cfg.Limits.BodyTime}
	if c == classBulk {
		b.time, b.renew = s.cfg.Limits.StallTime, true
	}
	return b
}

func (b *timedBody) Read(p []byte) (int, error) {
	if !b.set || b.renew && b.since >= stallBytes {
		b.set, b.since = true, 0
		_ = b.rc.SetReadDeadline(time.Now().Add(b.time)) // fails on a dead connection only, which Read tells
	}
	n, err := b.ReadCloser.Read(p)
	b.since += n
	if err != nil {
		_ = b.rc.SetReadDeadline(time.Time{})
	}
	return n, err
}

// writer notes what was answered and gives the client a deadline for taking each piece of it.
type writer struct {
	http.ResponseWriter
	rc     *http.ResponseController
	stall  time.Duration
	caller *caller
	begun  bool
	bytes  int64
}

func (s *Server) newWriter(w http.ResponseWriter, c *caller) *writer {
	out := &writer{ResponseWriter: w, rc: http.NewResponseController(w), stall: s.cfg.Limits.StallTime, caller: c}
	_ = out.rc.SetWriteDeadline(time.Time{}) // what the request before on this connection left
	return out
}

// Unwrap lets http.ResponseController through.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *writer) deadline() { _ = w.rc.SetWriteDeadline(time.Now().Add(w.stall)) }

func (w *writer) WriteHeader(status int) {
	w.deadline()
	if status >= 200 {
		w.begun = true
		w.caller.status = status
		if w.caller.settle != nil && w.Header().Get("Content-Type") != "text/event-stream" {
			w.caller.settle(status)
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *writer) Write(p []byte) (int, error) {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	w.deadline()
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}
