package node

import (
	"context"
	"iter"
	"sync"
	"time"

	"cairn/web/api"
)

// keptEvents is how far back a reader can resume. Readers that lag further start over with a status event.
const keptEvents = 512

// hub numbers events and hands them to any number of readers. It keeps the last keptEvents in a ring; a slow
// reader delays nobody.
type hub struct {
	now func() time.Time

	mu   sync.Mutex
	ring [keptEvents]api.Event
	last uint64
	wake chan struct{} // closed and replaced at every event
}

func newHub(now func() time.Time) *hub { return &hub{now: now, wake: make(chan struct{})} }

func (h *hub) send(e api.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last++
	e.ID, e.Time = h.last, h.now().UTC()
	h.ring[h.last%keptEvents] = e
	close(h.wake)
	h.wake = make(chan struct{})
}

// next returns the events after id, whether some in between are gone, and what to wait for when there are none.
func (h *hub) next(id uint64) (es []api.Event, lost bool, wake <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if id > h.last { // from an earlier run of the peer
		id, lost = h.last, true
	}
	if h.last-id > keptEvents-1 {
		id, lost = h.last, true
	}
	for i := id + 1; i <= h.last; i++ {
		es = append(es, h.ring[i%keptEvents])
	}
	return es, lost, h.wake
}

// follow yields events after id until ctx ends. picture makes the event that begins a fresh stream.
func (h *hub) follow(ctx context.Context, id uint64, picture func() api.Event) iter.Seq2[api.Event, error] {
	return func(yield func(api.Event, error) bool) {
		fresh := id == 0
		for {
			if fresh {
				h.mu.Lock()
				id = h.last
				h.mu.Unlock()
				e := picture()
				e.ID, e.Time = id, h.now().UTC()
				if !yield(e, nil) {
					return
				}
				fresh = false
			}
			es, lost, wake := h.next(id)
			if lost {
				fresh = true
				continue
			}
			for _, e := range es {
				if id = e.ID; !yield(e, nil) {
					return
				}
			}
			if len(es) > 0 {
				continue
			}
			select {
			case <-wake:
			case <-ctx.Done():
				return
			}
		}
	}
}
