package node

import (
	"context"
	"slices"
	"time"

	"cairn/web/api"
)

// Of every transfer the rates are kept in three steps, each for a window that a page shows.
var windows = [...]struct {
	name string
	step time.Duration
	keep int
}{
	{"1m", time.Second, 60},
	{"1h", time.Minute, 60},
	{"1d", 15 * time.Minute, 96},
}

// keptSeries is of how many other sides of one transfer a history is kept; those that come later have none. With all
// of them kept for a day a transfer has 64 x 216 numbers.
const keptSeries = 64

// history is how the bytes of one transfer moved, for each other side and direction. Its zero value is empty. It has
// no lock: that of the registry guards it. Time only comes in as an argument and does not go back.
type history struct {
	began, last time.Time // of the first sample and the newest
	series      []*series
}

// series is one direction between this peer and another.
type series struct {
	peer, direction string
	total           int64 // as of the newest sample
	rings           [len(windows)]ring
}

// ring holds the bytes of steps. Step k of a transfer is from its begin plus k steps to the next. Invariant: bytes holds
// the steps from first on without a gap, at most as many as are kept, and has grown only as long as the series has lived.
type ring struct {
	first int64
	bytes []float64
}

// sample notes how many bytes each side has given or taken until now. Between two samples bytes are taken to have
// moved evenly. A total that is smaller than before began anew.
func (h *history) sample(now time.Time, direction string, sides []api.TransferSource) {
	if h.began.IsZero() {
		h.began, h.last = now, now
	}
	if now.Before(h.last) {
		return
	}
	for _, s := range sides {
		if x := h.of(s.PeerID, flow(direction, s.Role)); x != nil {
			x.add(h.began, h.last, now, max(0, s.Bytes-x.total))
			x.total = s.Bytes
		}
	}
	h.last = now
}

// flow is which way bytes go between this peer and another side of a transfer.
func flow(direction, role string) string {
	if role == "downloader" || role == "" && direction == "upload" {
		return "up"
	}
	return "down"
}

func (h *history) of(peer, direction string) *series {
	for _, s := range h.series {
		if s.peer == peer && s.direction == direction {
			return s
		}
	}
	if len(h.series) == keptSeries {
		return nil
	}
	s := &series{peer: peer, direction: direction}
	h.series = append(h.series, s)
	return s
}

// add spreads n bytes over the steps between two moments.
func (s *series) add(began, from, to time.Time, n int64) {
	for i, w := range windows {
		r := &s.rings[i]
		a, b := from.Sub(began), to.Sub(began)
		// What is too old to be kept need not be written first; after a long sleep that would be much.
		oldest := max(0, int64(b/w.step)-int64(w.keep)+1)
		for k := max(int64(a/w.step), oldest); k <= int64(b/w.step); k++ {
			lo, hi := max(a, time.Duration(k)*w.step), min(b, time.Duration(k+1)*w.step)
			part := float64(n)
			if b > a {
				part *= float64(hi-lo) / float64(b-a)
			}
			r.put(k, part, w.keep)
		}
	}
}

// put adds bytes to step k, which is not before the newest one.
func (r *ring) put(k int64, bytes float64, keep int) {
	if len(r.bytes) == 0 || k >= r.first+int64(len(r.bytes)+keep) {
		r.first, r.bytes = k, r.bytes[:0]
	}
	for r.first+int64(len(r.bytes)) <= k {
		if len(r.bytes) == keep {
			r.bytes = slices.Delete(r.bytes, 0, 1)
			r.first++
		}
		r.bytes = append(r.bytes, 0)
	}
	r.bytes[k-r.first] += bytes
}

// rates returns what is kept for a window; false: there is no such window.
func (h *history) rates(window string) (api.RateHistory, bool) {
	for i, w := range windows {
		if w.name != window {
			continue
		}
		out := api.RateHistory{StepMillis: w.step.Milliseconds(), End: h.last.UTC()}
		for _, s := range h.series {
			out.Series = append(out.Series, api.RateSeries{PeerID: s.peer, Direction: s.direction, BPS: s.rings[i].rates(h.last.Sub(h.began), w.step, w.keep)})
		}
		return out, true
	}
	return api.RateHistory{}, false
}

// rates returns bytes per second for the steps up to the age of the transfer. The newest step is not over: what moved
// in it counts for the time that it has had. If that is none yet, the step is left out.
func (r *ring) rates(age, step time.Duration, keep int) []int64 {
	newest := int64(age / step)
	var out []int64
	for k := max(r.first, newest-int64(keep)+1); k <= newest && len(r.bytes) > 0; k++ {
		length, bytes := step, 0.0
		if i := k - r.first; i < int64(len(r.bytes)) {
			bytes = r.bytes[i]
		}
		if k == newest {
			length = age - time.Duration(k)*step
		}
		if length > 0 {
			out = append(out, int64(bytes/length.Seconds()))
		}
	}
	return out
}

// Rates returns how fast the bytes of a transfer moved, for each other side.
func (n *Node) Rates(_ context.Context, id, window string) (api.RateHistory, error) {
	t, _, err := n.transfers.get(id)
	if err != nil {
		return api.RateHistory{}, err
	}
	n.transfers.mu.Lock()
	defer n.transfers.mu.Unlock()
	h, ok := t.history.rates(window)
	if !ok {
		return h, api.Errorf(api.CodeUsage, "the window %q is none of 1m, 1h and 1d", window)
	}
	return h, nil
}
