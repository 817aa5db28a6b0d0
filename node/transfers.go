package node

import (
	"context"
	"slices"
	"sync"
	"time"

	"cairn/swarm/fetch"
	"cairn/web/api"
)

// keptTransfers is how many ended transfers stay listed.
const keptTransfers = 200

// meter turns a running total into a rate: bytes over the last few ticks, so that a short pause does not show as 0
// and an old burst does not linger.
type meter struct {
	at    [4]time.Time
	total [4]int64
	n     int
}

// tick records the total at now and returns bytes per second over the window.
func (m *meter) tick(now time.Time, total int64) int64 {
	i := m.n % len(m.at)
	old := 0
	if m.n >= len(m.at) {
		old = i
	}
	at, was := m.at[old], m.total[old]
	if m.n == 0 {
		at, was = now, total
	}
	m.at[i], m.total[i] = now, total
	m.n++
	d := now.Sub(at).Seconds()
	if d <= 0 {
		return 0
	}
	return int64(float64(total-was) / d)
}

// transfer is one row of the transfers page. Its fields are guarded by the registry's lock.
type transfer struct {
	api.Transfer
	cancel  context.CancelFunc
	rate    meter
	sources map[string]*meter
	history history
	dirty   bool
	part    *fetch.Partial // of a download whose tree is known
	last    *fetch.Pieces  // of one that has ended
}

// transfers knows every transfer under way and the last ended ones, and tells the hub of changes: at once when one
// starts or ends, with the tick in between.
type transfers struct {
	hub *hub
	now func() time.Time

	mu   sync.Mutex
	all  []*transfer // oldest first
	next func() string
}

func newTransfers(h *hub, now func() time.Time, id func() string) *transfers {
	return &transfers{hub: h, now: now, next: id}
}

// start adds a transfer; cancel is what Cancel calls, nil if it can not be cancelled.
func (ts *transfers) start(t api.Transfer, cancel context.CancelFunc) *transfer {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t.ID, t.Started = ts.next(), ts.now().UTC()
	if t.Sources == nil {
		t.Sources = []api.TransferSource{}
	}
	if t.State == "" {
		t.State = "active"
	}
	row := &transfer{Transfer: t, cancel: cancel, sources: map[string]*meter{}}
	row.history.sample(t.Started, t.Direction, t.Sources)
	ts.all = append(ts.all, row)
	ts.trim()
	ts.announce(row)
	return row
}

// trim drops the oldest ended rows. Callers hold mu.
func (ts *transfers) trim() {
	ended := 0
	for _, t := range ts.all {
		if t.Ended != nil {
			ended++
		}
	}
	ts.all = slices.DeleteFunc(ts.all, func(t *transfer) bool {
		if t.Ended != nil && ended > keptTransfers {
			ended--
			return true
		}
		return false
	})
}

func (ts *transfers) announce(t *transfer) {
	snap := t.snapshot()
	snap.Path = "" // the stream also goes to browsers
	ts.hub.send(api.Event{Type: "transfer", Transfer: &snap})
	t.dirty = false
}

func (t *transfer) snapshot() api.Transfer {
	s := t.Transfer
	s.Sources = slices.Clone(t.Sources)
	return s
}

// update changes a row under the lock; the change is announced with the next tick.
func (ts *transfers) update(t *transfer, f func(*api.Transfer)) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if t.Ended == nil {
		f(&t.Transfer)
		t.dirty = true
	}
}

// end closes a row with a final state; err decides it.
func (ts *transfers) end(t *transfer, err error) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if t.Ended != nil {
		return
	}
	now := ts.now().UTC()
	t.history.sample(now, t.Direction, t.Sources)
	t.Ended, t.BPS, t.ETAMillis = &now, 0, 0
	if t.part != nil {
		last := t.part.Pieces(shownCells)
		t.part, t.last = nil, &last
	}
	switch e := explain(err); {
	case err == nil:
		t.State, t.Reason = "done", ""
	case e.Code == api.CodeCancelled:
		t.State, t.Reason = "cancelled", e.Message
	default:
		t.State, t.Reason, t.Hint = "failed", e.Message, e.Hint
	}
	for i := range t.Sources {
		t.Sources[i].BPS = 0
		if t.Sources[i].State == "active" || t.Sources[i].State == "connecting" {
			t.Sources[i].State = "idle"
		}
	}
	ts.announce(t)
}

// tick computes rates and announces what changed. Called about once a second.
func (ts *transfers) tick(now time.Time) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for _, t := range ts.all {
		if t.Ended != nil {
			continue
		}
		bps := t.rate.tick(now, t.Done)
		if bps != t.BPS {
			t.BPS, t.dirty = bps, true
		}
		t.ETAMillis = 0
		if bps > 0 && t.Total > t.Done {
			t.ETAMillis = (t.Total - t.Done) * 1000 / bps
		}
		for i := range t.Sources {
			s := &t.Sources[i]
			m := t.sources[s.PeerID]
			if m == nil {
				m = &meter{}
				t.sources[s.PeerID] = m
			}
			s.BPS = m.tick(now, s.Bytes)
		}
		t.history.sample(now, t.Direction, t.Sources)
		if t.dirty {
			ts.announce(t)
		}
	}
}

// list returns all rows, newest first.
func (ts *transfers) list() []api.Transfer {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	out := make([]api.Transfer, 0, len(ts.all))
	for _, t := range slices.Backward(ts.all) {
		out = append(out, t.snapshot())
	}
	return out
}

func (ts *transfers) get(id string) (*transfer, api.Transfer, error) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for _, t := range ts.all {
		if t.ID == id {
			return t, t.snapshot(), nil
		}
	}
	return nil, api.Transfer{}, api.Errorf(api.CodeNotFound, "no transfer %q", id)
}

func (ts *transfers) active() (n int) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for _, t := range ts.all {
		if t.Ended == nil {
			n++
		}
	}
	return n
}

// stop asks a transfer to end.
func (ts *transfers) stop(id string) (api.Transfer, error) {
	t, snap, err := ts.get(id)
	if err != nil {
		return snap, err
	}
	if snap.Ended != nil {
		return snap, api.Errorf(api.CodeConflict, "transfer %s has already ended", id)
	}
	if t.cancel == nil {
		return snap, api.Errorf(api.CodeConflict, "transfer %s can not be cancelled", id)
	}
	t.cancel()
	return snap, nil
}

// shownCells is how many cells of a piece map are told apart at most.
const shownCells = 4096

// watch lets a download's pieces be looked at.
func (ts *transfers) watch(t *transfer, part *fetch.Partial) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t.part = part
}

// pieces returns the pieces of a download; false while there are none to show.
func (ts *transfers) pieces(t *transfer) (fetch.Pieces, bool) {
	ts.mu.Lock()
	part, last := t.part, t.last
	ts.mu.Unlock()
	switch {
	case part != nil:
		return part.Pieces(shownCells), true
	case last != nil:
		return *last, true
	}
	return fetch.Pieces{}, false
}
