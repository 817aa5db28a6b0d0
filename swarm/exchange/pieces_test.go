package exchange

import (
	"context"
	"errors"
	"testing"
	"time"
)

// line is a stream that takes bytes at a rate by advancing a clock.
type line struct {
	deadliner
	writes []int
	fail   error
	armed  func()
}

func (l *line) Write(p []byte) (int, error) {
	l.writes = append(l.writes, len(p))
	return len(p), l.fail
}

func (l *line) SetWriteDeadline(time.Time) error {
	if l.armed != nil {
		l.armed()
	}
	return nil
}

// TestPieces: only a line that has shown its rate gets large frames.
func TestPieces(t *testing.T) {
	l := &line{}
	w := newPacedWriter(l, time.Minute, free{}, "", func(int) {})
	frame := make([]byte, 1<<20)
	for range 41 {
		if err := w.Write(frame, len(frame)); err != nil {
			t.Fatal(err)
		}
	}
	if l.writes[0] != firstPiece || l.writes[3*muxerQueue] != 4*firstPiece || l.writes[10*muxerQueue] != smallPiece || l.writes[len(l.writes)-1] != len(frame) {
		t.Errorf("first piece %d, last %d", l.writes[0], l.writes[len(l.writes)-1])
	}
	now := w.wrote.Add(time.Hour)
	for i := range 3 * muxerQueue { // the queue takes the first at once
		took := time.Duration(0)
		if i >= muxerQueue {
			took = 10 * time.Millisecond
		}
		w.judge(now, took, smallPiece)
	}
	if want := int(float64(smallPiece) / 0.01 * pieceTime.Seconds()); w.unit != want {
		t.Errorf("at 6.25 MiB/s a piece has %d bytes, want %d", w.unit, want)
	}
	w.rate(w.probed.Add(time.Hour)) // nothing new was sent, so nothing is learned
	if !w.fast {
		t.Error("slow without a measurement")
	}
	w.since = probe
	w.rate(w.probed.Add(10 * time.Second))
	if w.fast {
		t.Error("a line of 0.8 MiB/s is called fast")
	}
	l.fail = errors.New("x")
	if err := w.Write(frame, len(frame)); err != l.fail || !w.partial {
		t.Errorf("%v, partial %v", err, w.partial)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	w.ctx, w.armed = ctx, time.Time{}
	l.writes, l.fail = nil, nil
	l.armed = func() { cancel(ErrLost) } // the session is dropped between the look at it and the deadline
	for range 2 {
		if err := w.Write(frame, len(frame)); err != ErrLost || len(l.writes) > 0 {
			t.Errorf("%v, %d writes", err, len(l.writes))
		}
	}
}
