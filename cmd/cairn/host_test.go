package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cairn/web/api"
)

// task is a command that runs in a goroutine of a bubble, as another process would.
type task struct {
	e        *env
	out, err *bytes.Buffer
	done     chan error
}

func start(w *world, run func(context.Context, *env) error) *task {
	ctx, e, out, errOut := w.process(true)
	t := &task{e: e, out: out, err: errOut, done: make(chan error, 1)}
	go func() { t.done <- run(ctx, e) }()
	return t
}

func (k *task) running() bool {
	synctest.Wait()
	return len(k.done) == 0
}

func share(ctx context.Context, e *env) error {
	return runShare(ctx, e, shareOptions{paths: []string{"/f"}})
}

func fetch(ctx context.Context, e *env) error {
	return runGet(ctx, e, getOptions{args: []string{"abcd"}})
}

func up(ctx context.Context, e *env) error { return runUp(ctx, e, nil) }

func newWorld() *world {
	return &world{farewell: api.Errorf(api.CodeUnavailable, "the connection broke"), start: 100 * time.Millisecond, end: 300 * time.Millisecond, getTakes: time.Minute}
}

func code(err error) api.Code {
	if err == nil {
		return ""
	}
	return explain(err).Code
}

// Two commands at once: one becomes the peer, both do their work, the peer stays for the other one.
func TestTwoAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a, b := start(w, fetch), start(w, fetch)
		if err := errors.Join(<-a.done, <-b.done); err != nil {
			t.Fatal(err)
		}
		if w.became != 1 {
			t.Errorf("%d processes became the peer", w.became)
		}
		if w.holder != nil {
			t.Error("the peer did not end")
		}
	})
}

func TestHostStaysForTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		host := start(w, fetch)
		time.Sleep(30 * time.Second)
		guest := start(w, fetch)
		time.Sleep(40 * time.Second) // the host's own work is done
		if !host.running() {
			t.Fatal("the host left its guest alone")
		}
		if got, want := host.err.String(), "still serving 1 other command; Ctrl-C to stop\n"; got != want {
			t.Errorf("note %q, want %q", got, want)
		}
		if err := errors.Join(<-guest.done, <-host.done); err != nil {
			t.Fatal(err)
		}
	})
}

func TestCtrlCWithGuests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		host := start(w, fetch)
		time.Sleep(time.Second)
		guest := start(w, fetch)
		time.Sleep(time.Second)
		host.e.sig.deliver()
		time.Sleep(time.Second)
		if !host.running() {
			t.Fatal("the host ended at the first Ctrl-C though it has a guest")
		}
		if got := host.err.String(); !strings.Contains(got, "still serving 1 other command; Ctrl-C again to stop") {
			t.Errorf("note %q", got)
		}
		host.e.sig.deliver()
		err := <-host.done
		if code(err) != api.CodeCancelled || explain(err).Hint == "" {
			t.Errorf("host ended with %v", err)
		}
		// The guest is the peer now and its work begins again, which resumes.
		if err := <-guest.done; err != nil {
			t.Fatal(err)
		}
		if w.became != 2 {
			t.Errorf("%d peers, want the host and then the guest", w.became)
		}
	})
}

func TestUpTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		host, guest := start(w, share), (*task)(nil)
		time.Sleep(time.Second)
		guest = start(w, fetch)
		time.Sleep(time.Second)
		peer := start(w, up)
		time.Sleep(5 * time.Second)
		if !host.running() || !guest.running() || !peer.running() {
			t.Fatalf("running: share %v, get %v, up %v", host.running(), guest.running(), peer.running())
		}
		if w.became != 2 || w.holder.mode != "up" {
			t.Fatalf("%d peers, now in mode %q", w.became, w.holder.mode)
		}
		if !strings.Contains(peer.out.String(), `"event":"ready"`) {
			t.Errorf("up printed %q", peer.out)
		}
		if err := <-guest.done; err != nil {
			t.Error(err)
		}
		second := start(w, up)
		if err := <-second.done; code(err) != api.CodeLocked {
			t.Errorf("a second up ended with %v", err)
		}
		host.e.sig.deliver()
		if err := <-host.done; err != nil {
			t.Errorf("Ctrl-C of a share: %v", err)
		}
		if n := strings.Count(host.out.String(), `"event":"shared"`); n != 1 {
			t.Errorf("the share printed its ticket %d times", n)
		}
		if !peer.running() {
			t.Error("the share took the peer with it")
		}
		peer.e.sig.deliver()
		if err := <-peer.done; err != nil {
			t.Error(err)
		}
		if w.holder != nil {
			t.Error("the lock is still held")
		}
	})
}

func TestShareAtAPeerThatStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		peer := start(w, up)
		time.Sleep(time.Second)
		if err := <-start(w, share).done; err != nil {
			t.Error(err)
		}
		peer.e.sig.deliver()
		if err := <-peer.done; err != nil {
			t.Error(err)
		}
	})
}

// A peer that does not answer is told after 5 s, a lock without a socket after 10 s; never earlier.
func TestNoAnswer(t *testing.T) {
	for _, c := range []struct {
		name string
		w    *world
		run  func(context.Context, *env) error
		want time.Duration
		code api.Code
	}{
		{"mute peer", &world{mute: true, deaf: true}, fetch, answerWait, api.CodeLocked},
		{"mute peer, up", &world{mute: true, deaf: true}, up, answerWait, api.CodeLocked},
		{"lock without socket", &world{deaf: true}, fetch, lockWait, api.CodeLocked},
		{"lock without socket, up", &world{deaf: true}, up, lockWait, api.CodeLocked},
		{"login without a peer", &world{}, func(ctx context.Context, e *env) error { return runLogin(ctx, e, loginOptions{}) }, 0, api.CodeUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				err := <-start(c.w, c.run).done
				if took := time.Since(began); took < c.want || took > c.want+200*time.Millisecond {
					t.Errorf("gave up after %s, want %s", took, c.want)
				}
				if code(err) != c.code {
					t.Errorf("ended with %v", err)
				}
			})
		})
	}
}

func TestOtherVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.version = "99"
		err := <-start(w, fetch).done
		x := explain(err)
		if exitCode(x.Code) != 6 || !strings.Contains(x.Message, "API 99") || !strings.Contains(x.Message, "API "+api.Version) {
			t.Errorf("ended with %v", err)
		}
	})
}
