package web

import "sync"

// inflight counts requests. Unlike a sync.WaitGroup it may be waited for while new ones begin.
type inflight struct {
	mu   sync.Mutex
	n    int
	idle chan struct{} // made by whoever waits, closed when n falls to 0
}

func (f *inflight) enter() {
	f.mu.Lock()
	f.n++
	f.mu.Unlock()
}

func (f *inflight) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n--
	if f.n == 0 && f.idle != nil {
		close(f.idle)
		f.idle = nil
	}
}

// wait returns a channel that is closed once nothing is under way. One waiter at a time.
func (f *inflight) wait() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := make(chan struct{})
	if f.n == 0 {
		close(c)
	} else {
		f.idle = c
	}
	return c
}
