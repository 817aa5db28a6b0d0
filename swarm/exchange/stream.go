package exchange

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// deadliner is the part of a stream that the pacing needs.
type deadliner interface {
	io.ReadWriter
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// minProgress is what must move within one stall time, in bytes: what the lowest limit that can be set lets through
// in a second, because several downloaders may share it.
const minProgress = 1 << 10

// pacedReader reads from a stream and fails with a timeout when what is owed does not come: an answer, or
// minProgress of its payload, within the time that expect was given. While nothing is owed it waits for ever.
type pacedReader struct {
	s     deadliner
	count func(int)

	payload bool // what is read belongs to an answer: it counts as progress; of the reading goroutine
	most    int  // bytes to take from the stream at a time, 0: any; of the reading goroutine
	since   int  // bytes of payload since the last progress; of the reading goroutine

	mu    sync.Mutex
	limit time.Duration // 0: nothing is owed
	armed time.Time
}

// expect begins a new time in which something must come; 0 ends it. Setting a deadline has its cost, so one that
// began a moment ago stays.
func (r *pacedReader) expect(limit time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.arm(limit)
}

func (r *pacedReader) arm(limit time.Duration) {
	if limit == 0 {
		if r.limit != 0 {
			r.s.SetReadDeadline(time.Time{})
		}
		r.limit = 0
		return
	}
	now := time.Now()
	if r.limit == limit && now.Sub(r.armed) < limit/8 {
		return
	}
	r.limit, r.armed = limit, now
	r.s.SetReadDeadline(now.Add(limit))
}

// paused adds time that this side has spent otherwise to the time that the other side has.
func (r *pacedReader) paused(took time.Duration) {
	if took < time.Millisecond {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.limit != 0 {
		r.armed = r.armed.Add(took)
		r.s.SetReadDeadline(r.armed.Add(r.limit))
	}
}

func (r *pacedReader) Read(p []byte) (int, error) {
	if r.most > 0 {
		p = p[:min(len(p), r.most)]
	}
	n, err := r.s.Read(p)
	r.count(n)
	if r.payload {
		if r.since += n; r.since >= minProgress {
			r.since = 0
			r.mu.Lock()
			r.arm(r.limit)
			r.mu.Unlock()
		}
	}
	return n, err
}

// Large writes are what makes a fast line fast, but one that a slow line can not carry within the muxer's time
// for a frame kills the connection. So they are used only once the line has shown its rate, over more bytes than
// windows and socket buffers swallow.
//
// The muxer queues 64 frames, and what stands in its queue delays all that goes over the connection: bitfields,
// introductions, the other direction. So on a line that is not fast a frame is what leaves in a few milliseconds, and the
// queue an eighth of a second.
const (
	firstPiece  = 2 << 10
	leastPiece  = 2 << 10
	pieceTime   = 2 * time.Millisecond
	pieceIdle   = 100 * time.Millisecond // after which the queue is taken for empty
	muxerQueue  = 64                     // frames
	smallPiece  = 64 << 10
	largePiece  = 2 << 20
	probe       = 8 << 20 // bytes over which the rate is taken
	swallowed   = 16 << 20
	fastEnough  = 4 << 20 // bytes per second
	writeBuffer = 256 << 10
	directWrite = 64 << 10 // frames from this size are not copied together
)

// Under a limit bytes move little by little, so that both sides see that they move: whatever a bucket lets through at
// once, and then nothing for as long as that was worth, would look like a stall.
const (
	leastRation = 1 << 10 // bytes: a second of the lowest limit
	mostRation  = 4 << 10 // what a burst can cost: seconds of the lowest limit
	atOnce      = 10 * time.Millisecond
	gatherFor   = 250 * time.Millisecond // in which rations are put together in one write
)

// ration is how many bytes to ask a shaper for next.
type ration int

// next returns it, at most left.
func (r *ration) next(left int) int { return min(max(int(*r), leastRation), left) }

// took notes how long the last one took: those that come at once may be larger.
func (r *ration) took(d time.Duration) {
	if d > atOnce {
		*r = leastRation
	} else {
		*r = min(max(*r, leastRation)*2, mostRation)
	}
}

// What is read ahead of a line: on a slow one about as much as leaves in a second, so that a cancel finds leaves
// that it can still stop.
const (
	leastAhead  = 64 << 10
	slowAhead   = 1 << 20 // at the begin, and at most until the line is fast
	aheadSample = 500 * time.Millisecond
)

// pacedWriter writes to a stream in pieces, each of which must leave within limit.
type pacedWriter struct {
	s     deadliner
	ctx   context.Context // of the session; asked before each write, its end stops it
	limit time.Duration
	count func(int)
	shape Shaper
	peer  peer.ID

	ration  ration
	armed   time.Time
	sent    int64
	fast    bool
	since   int64 // bytes since probed
	probed  time.Time
	partial bool // a write failed, so the stream may be in the middle of a frame

	unit       int           // bytes that leave in pieceTime, at most smallPiece
	pieces     int           // written since the last change, or the last pause
	pieceBusy  time.Duration // spent in writing those that count
	pieceMoved int           // bytes of them
	wrote      time.Time     // the last one

	busy  time.Duration // spent in writes since the last sample
	moved int64         // bytes written in that time
	ahead atomic.Int64  // what is worth reading ahead, in bytes; 0: not known
}

func newPacedWriter(s deadliner, limit time.Duration, shape Shaper, p peer.ID, count func(int)) *pacedWriter {
	w := &pacedWriter{s: s, ctx: context.Background(), limit: limit, count: count, shape: shape, peer: p, unit: firstPiece}
	w.ahead.Store(slowAhead)
	return w
}

// Write sends whole frames of which content bytes are payload: for as many the shaper is asked.
func (w *pacedWriter) Write(p []byte, content int) error {
	for total := 0; total < len(p); {
		began := time.Now()
		size, charged, err := w.piece(len(p)-total, content)
		if err != nil {
			w.partial = w.partial || total > 0
			return err
		}
		content -= charged
		now := began
		if charged > 0 { // the time for writing begins after the wait
			now = time.Now()
		}
		if now.Sub(w.armed) >= w.limit/8 {
			w.armed = now
			w.s.SetWriteDeadline(now.Add(w.limit))
			if w.ctx.Err() != nil { // this may have replaced the short deadline that drop has set
				w.partial = w.partial || total > 0
				return context.Cause(w.ctx)
			}
		}
		w.rate(now)
		n, err := w.s.Write(p[total : total+size])
		w.count(n)
		w.sent += int64(n)
		w.since += int64(n)
		total += n
		took := time.Since(began)
		w.sample(took, n)
		w.judge(began.Add(took), took, n)
		if err != nil {
			w.partial = true
			return err
		}
	}
	return nil
}

// piece returns how many of left bytes may be written now, and for how many of content the shaper was asked.
func (w *pacedWriter) piece(left, content int) (size, charged int, err error) {
	if !w.shape.Limited(w.peer) {
		if size = w.unit; w.fast {
			size = largePiece
		}
		size = min(size, left)
		charged = min(size, content)
		return size, charged, w.ask(charged)
	}
	left = min(left, smallPiece)
	for began := time.Now(); size < left; {
		n := w.ration.next(left - size)
		charge := min(n, content-charged)
		asked := time.Now()
		if err := w.ask(charge); err != nil {
			return 0, 0, err
		}
		w.ration.took(time.Since(asked))
		size, charged = size+n, charged+charge
		if time.Since(began) >= gatherFor {
			break
		}
	}
	return size, charged, nil
}

// ask waits until n bytes of content may be sent. Its error is the cause of the session's end, if it has ended.
func (w *pacedWriter) ask(n int) (err error) {
	if w.ctx.Err() == nil && n > 0 {
		err = w.shape.Up(w.ctx, w.peer, n)
	}
	if w.ctx.Err() != nil {
		return context.Cause(w.ctx)
	}
	return err
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

// judge sets the size of a piece. The muxer's queue takes 64 of them at once, on any line, so as many do not count
// after each change and after each pause; what follows leaves at the rate of the line.
func (w *pacedWriter) judge(now time.Time, took time.Duration, n int) {
	if now.Sub(w.wrote) > pieceIdle {
		w.pieces, w.pieceMoved, w.pieceBusy = 0, 0, 0
	}
	w.wrote = now
	if w.pieces++; w.pieces <= muxerQueue {
		return
	}
	w.pieceBusy += took
	w.pieceMoved += n
	if w.pieces < 3*muxerQueue {
		return
	}
	perSecond := float64(w.pieceMoved) / max(w.pieceBusy, time.Microsecond).Seconds()
	unit := min(int(perSecond*pieceTime.Seconds()), 4*w.unit)
	w.unit = min(max(unit, leastPiece), smallPiece)
	w.pieces, w.pieceMoved, w.pieceBusy = 0, 0, 0
}

// sample decides how much to read ahead. Only time spent in writes counts, waiting for the shaper included, so a
// session that is asked for little does not look slow.
func (w *pacedWriter) sample(took time.Duration, n int) {
	w.busy += took
	w.moved += int64(n)
	switch {
	case w.fast:
		w.ahead.Store(0)
	case w.busy >= aheadSample:
		perSecond := float64(w.moved) / w.busy.Seconds()
		w.ahead.Store(int64(min(max(perSecond, leastAhead), slowAhead)))
	case w.ahead.Load() == 0:
		w.ahead.Store(slowAhead)
	}
	if w.busy >= aheadSample {
		w.busy, w.moved = 0, 0
	}
}

// readAhead returns how many bytes may be read ahead, given what is allowed at most. Safe for concurrent use.
func (w *pacedWriter) readAhead(most int64) int64 {
	if a := w.ahead.Load(); a > 0 {
		return min(a, most)
	}
	return most
}

// isTimeout tells whether a deadline passed.
func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
