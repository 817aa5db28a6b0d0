package main

import (
	"bytes"
	"context"
	"iter"
	"strings"
	"sync"
	"time"

	"cairn/web/api"
	"cairn/web/client"
)

// world is one data directory as several processes see it, in memory and on the clock of a synctest bubble: who
// holds its lock, who listens on its socket. It stands for the kernel and package node; what the commands do with
// those is what is tested.
type world struct {
	mu     sync.Mutex
	holder *fakeNode
	became int // peers so far

	start, end time.Duration // how long a peer takes to listen and to let go
	mute       bool          // the socket takes connections and never answers
	deaf       bool          // the lock is held, nobody listens
	version    string        // API version of the peer, "" for ours
	getTakes   time.Duration
	farewell   error // of requests that a peer drops when it ends
	limits     api.Limits
	settings   []api.Setting
	transfers  []api.Transfer // of a download half of the pieces are there
	cancelled  []string       // ids
}

func (w *world) doors() doors {
	return doors{
		exists: func(string) bool { return true },
		dial: func(context.Context, string) (remote, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.mute || w.holder != nil && w.holder.listening {
				return &fakeRemote{n: w.holder, w: w}, nil
			}
			return nil, errNobody
		},
		become: func(_ context.Context, s settings) (local, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.deaf || w.holder != nil {
				return nil, api.Errorf(api.CodeLocked, "in use by process 7")
			}
			w.became++
			w.holder = &fakeNode{w: w, mode: s.mode, began: time.Now(), ready: make(chan struct{}), cut: make(chan struct{}),
				handed: make(chan struct{}), idle: make(chan struct{})}
			close(w.holder.idle)
			return w.holder, nil
		},
	}
}

// process makes the env of one more process that uses the directory.
func (w *world) process(json bool) (context.Context, *env, *bytes.Buffer, *bytes.Buffer) {
	out, errOut := new(bytes.Buffer), new(bytes.Buffer)
	ctx, sig := newSignals(func(int) { panic("ended at once") })
	e := newEnv(strings.NewReader(""), out, errOut, sig)
	e.doors, e.home, e.json = w.doors(), "/home", json
	return ctx, e, out, errOut
}

// fakeNode is a peer of the world.
type fakeNode struct {
	w      *world
	mode   string
	began  time.Time
	ready  chan struct{}
	cut    chan struct{} // closed when its connections end
	handed chan struct{} // closed when it was asked to hand over

	// under w.mu
	listening bool
	flying    int
	idle      chan struct{} // closed while flying is 0
}

func (n *fakeNode) Run(ctx context.Context) error {
	time.Sleep(n.w.start)
	n.w.mu.Lock()
	n.listening = true
	n.w.mu.Unlock()
	close(n.ready)
	select {
	case <-ctx.Done():
	case <-n.handed:
	}
	n.w.mu.Lock()
	n.listening = false
	n.w.mu.Unlock()
	close(n.cut)
	time.Sleep(n.w.end)
	n.w.mu.Lock()
	n.w.holder = nil
	n.w.mu.Unlock()
	return nil
}

func (n *fakeNode) Ready() <-chan struct{} { return n.ready }

func (n *fakeNode) Idle() <-chan struct{} {
	n.w.mu.Lock()
	defer n.w.mu.Unlock()
	return n.idle
}

func (n *fakeNode) InFlight() int {
	n.w.mu.Lock()
	defer n.w.mu.Unlock()
	return n.flying
}

// fly counts a request until the returned function is called.
func (n *fakeNode) fly() func() {
	n.w.mu.Lock()
	defer n.w.mu.Unlock()
	if n.flying++; n.flying == 1 {
		n.idle = make(chan struct{})
	}
	return func() {
		n.w.mu.Lock()
		defer n.w.mu.Unlock()
		if n.flying--; n.flying == 0 {
			close(n.idle)
		}
	}
}

// fakeRemote is a connection to a fakeNode. Methods that no test calls are missing.
type fakeRemote struct {
	remote
	n *fakeNode
	w *world
}

func (r *fakeRemote) Status(ctx context.Context) (api.Status, error) {
	if r.w.mute {
		<-ctx.Done()
		return api.Status{}, ctx.Err()
	}
	return api.Status{Mode: r.n.mode, Started: r.n.began, Version: "v0", APIVersion: firstOf(r.w.version, api.Version)}, nil
}

func (r *fakeRemote) Close() {}

func (r *fakeRemote) Handover(context.Context) error {
	if r.n.mode == "up" {
		return api.Errorf(api.CodeLocked, "this peer stays")
	}
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	select {
	case <-r.n.handed:
	default:
		close(r.n.handed)
	}
	return nil
}

// wait is work at the peer that takes d; it ends early with the connection or ctx.
func (r *fakeRemote) wait(ctx context.Context, d time.Duration) error {
	defer r.n.fly()()
	select {
	case <-time.After(d):
		return nil
	case <-r.n.cut:
		return r.w.farewell
	case <-ctx.Done():
		return api.Errorf(api.CodeCancelled, "cancelled")
	}
}

func (r *fakeRemote) Share(ctx context.Context, _ api.ShareRequest, _ client.OnProgress, _ client.OnWarning) (api.ShareResult, error) {
	return api.ShareResult{Ticket: api.Ticket{ID: "t1", Text: "cairn1text", State: "open"}}, r.wait(ctx, 0)
}

func (r *fakeRemote) Watch(ctx context.Context, id string) iter.Seq2[api.ShareUpdate, error] {
	return func(yield func(api.ShareUpdate, error) bool) {
		if !yield(api.ShareUpdate{Ticket: api.Ticket{ID: id, Text: "cairn1text", State: "open"}}, nil) {
			return
		}
		if err := r.wait(ctx, 1000*time.Hour); err != nil {
			yield(api.ShareUpdate{}, err)
		}
	}
}

func (r *fakeRemote) Get(ctx context.Context, q api.GetRequest, _ client.OnProgress, _ client.OnWarning) (api.GetResult, error) {
	return api.GetResult{Path: "/out"}, r.wait(ctx, r.w.getTakes)
}

func (r *fakeRemote) Limits(context.Context) (api.Limits, error) {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	return r.w.limits, nil
}

func (r *fakeRemote) SetLimits(_ context.Context, l api.Limits) (api.Limits, error) {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	r.w.limits = l
	return l, nil
}

func (r *fakeRemote) Settings(context.Context) ([]api.Setting, error) { return r.w.settings, nil }

func (r *fakeRemote) SetSetting(_ context.Context, key, value string) (api.Setting, error) {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	for _, x := range r.w.settings {
		if x.Key == key {
			x.Value = value
			return x, nil
		}
	}
	return api.Setting{}, api.Errorf(api.CodeNotFound, "unknown key %q", key)
}

func (r *fakeRemote) Reload(ctx context.Context) ([]api.Setting, error) { return r.Settings(ctx) }

func (r *fakeRemote) Transfers(context.Context) ([]api.Transfer, error) { return r.w.transfers, nil }

func (r *fakeRemote) Pieces(_ context.Context, id string) (api.Pieces, error) {
	for _, x := range r.w.transfers {
		if x.ID == id && x.Direction == "upload" {
			return api.Pieces{}, nil
		}
	}
	return api.Pieces{Leaves: 4, PerCell: 1, Done: []byte{100, 100, 0, 0}}, nil
}

func (r *fakeRemote) Cancel(_ context.Context, id string) (api.Transfer, error) {
	for _, x := range r.w.transfers {
		if x.ID == id && x.Ended == nil {
			r.w.cancelled = append(r.w.cancelled, id)
			return x, nil
		}
	}
	return api.Transfer{}, api.Errorf(api.CodeConflict, "transfer %s has already ended", id)
}
