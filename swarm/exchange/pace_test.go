package exchange

import (
	"errors"
	"testing"
	"time"
)

// TestPace follows the window over lines of different rates.
func TestPace(t *testing.T) {
	at := time.Unix(0, 0)
	run := func(leaf int, perSecond int) (p pace) {
		p.init(int64(leaf)*100, 100)
		p.begin(at)
		now := at
		for range 2000 {
			now = now.Add(time.Duration(leaf) * time.Second / time.Duration(perSecond))
			p.got(now, leaf)
		}
		return p
	}
	onWay := func(p pace) (n int) {
		for !p.full(n) {
			n++
		}
		return n
	}
	for _, tc := range []struct {
		name            string
		leaf, perSecond int
		want            int // leaves on their way
	}{
		{"fast line, large leaves", 1 << 20, 500 << 20, 32},
		{"10 MiB/s", 1 << 20, 10 << 20, 20},
		{"slow line", 1 << 20, 100 << 10, 2},
		{"fast line, small leaves", 4 << 10, 500 << 20, maxOnWay},
		{"slow line, small leaves", 4 << 10, 100 << 10, 512},
		{"empty leaves", 0, 1, maxOnWay},
	} {
		if got := onWay(run(tc.leaf, tc.perSecond)); got != tc.want {
			t.Errorf("%s: %d on their way, want %d", tc.name, got, tc.want)
		}
	}
	var p pace
	for _, leaves := range []int{0, 1, 1 << 31} { // what a source claims
		p.init(1<<63-1, leaves)
		if p.full(0) || !p.low(0) {
			t.Errorf("nothing would ever be asked for with %d leaves", leaves)
		}
	}
}

// line is a stream that takes bytes at a rate by advancing a clock.
type line struct {
	deadliner
	writes []int
	fail   error
}

func (l *line) Write(p []byte) (int, error) {
	l.writes = append(l.writes, len(p))
	return len(p), l.fail
}

func (l *line) SetWriteDeadline(time.Time) error { return nil }

// TestPieces: only a line that has shown its rate gets large frames.
func TestPieces(t *testing.T) {
	l := &line{}
	w := &pacedWriter{s: l, limit: time.Minute, count: func(int) {}, ended: func() error { return nil }}
	frame := make([]byte, 1<<20)
	for range 41 {
		if n, err := w.Write(frame); n != len(frame) || err != nil {
			t.Fatal(n, err)
		}
	}
	if l.writes[0] != smallPiece || l.writes[len(l.writes)-1] != len(frame) {
		t.Errorf("first piece %d, last %d", l.writes[0], l.writes[len(l.writes)-1])
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
	if n, err := w.Write(frame); n != smallPiece || err != l.fail || !w.partial {
		t.Errorf("%d, %v, partial %v", n, err, w.partial)
	}
	w.ended = func() error { return ErrLost }
	if n, err := w.Write(frame); n != 0 || err != ErrLost {
		t.Errorf("%d, %v", n, err)
	}
}
