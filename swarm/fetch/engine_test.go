package fetch

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// paced makes a source deliver a leaf at a time, each after a while.
func paced(s *testSource, perLeaf time.Duration) *testSource {
	s.hook = func(ctx context.Context, _ int, d []byte) ([]byte, error) {
		select {
		case <-time.After(perLeaf):
			return d, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return s
}

// A source that stands still loses its work after 3 s, and gets some again when it has shown life.
func TestStalledSourceHandsItsWorkOver(t *testing.T) {
	obj := randomFile(t, 120*mib, 90)
	dir := memDir(t)
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		sleepy, good := source(obj, "sleepy"), paced(source(obj, "good"), 100*time.Millisecond)
		woke := false
		sleepy.hook = func(_ context.Context, _ int, d []byte) ([]byte, error) {
			if !woke {
				woke = true
				time.Sleep(6 * time.Second)
			}
			time.Sleep(100 * time.Millisecond)
			return d, nil
		}
		job := obj.job(filepath.Join(dir, "out"), sleepy, good)
		job.Progress = func(s Snapshot) {
			at, was := time.Since(start), s.Sources[0]
			switch {
			case s.Phase != PhaseFetch:
			case at > time.Second && at < 2900*time.Millisecond && (was.Stalled || was.Asked == 0 || was.State != StateActive):
				t.Errorf("after %v: %+v", at, was)
			case at > 3300*time.Millisecond && at < 6*time.Second && (!was.Stalled || was.Asked > 0 || was.State != StateIdle):
				t.Errorf("after %v: %+v", at, was)
			case at > 6500*time.Millisecond && at < 7*time.Second && was.Stalled:
				t.Errorf("after %v: %+v", at, was)
			}
		}
		res, err := Run(t.Context(), job)
		if err != nil || len(res.Dropped()) != 0 {
			t.Fatalf("%v, dropped %+v", err, res.Dropped())
		}
		if asleep := res.Sources[0]; asleep.Bytes < 10*mib || sleepy.cancelled == 0 {
			t.Errorf("%d leaves taken back from it, then %d bytes given by it", sleepy.cancelled, asleep.Bytes)
		}
		// 60 leaves of the good one in the first 6 s, then both.
		if took := time.Since(start); took > 10500*time.Millisecond {
			t.Errorf("took %v", took)
		}
	})
	same(t, obj.path, filepath.Join(dir, "out"))
}

// A slow source's work is taken back rather than done twice.
func TestWorkIsTakenFromASlowSource(t *testing.T) {
	const leaves = 64
	obj := randomFile(t, leaves*mib, 91)
	dir := memDir(t)
	synctest.Test(t, func(t *testing.T) {
		fast, slow := paced(source(obj, "fast"), 10*time.Millisecond), paced(source(obj, "slow"), 200*time.Millisecond)
		start := time.Now()
		if _, err := Run(t.Context(), obj.job(filepath.Join(dir, "out"), fast, slow)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 1200*time.Millisecond {
			t.Errorf("took %v", took)
		}
		_, a := fast.counts()
		_, b := slow.counts()
		if a+b > leaves+2 || b == 0 {
			t.Errorf("%d and %d leaves sent of %d", a, b, leaves)
		}
	})
	same(t, obj.path, filepath.Join(dir, "out"))
}

// mute takes no requests.
type mute struct {
	*testSource
	err error
}

func (m mute) Request(int, int) error { return m.err }

func TestRequestFails(t *testing.T) {
	obj := randomFile(t, 20*mib, 92)
	lost := errors.New("connection lost")
	good := source(obj, "good")
	res, err := Run(t.Context(), obj.job(filepath.Join(memDir(t), "out"), mute{source(obj, "mute"), lost}, good))
	if d := res.Dropped(); err != nil || len(d) != 1 || !errors.Is(d[0].Err, lost) {
		t.Errorf("%v, dropped %+v", err, d)
	}
	same(t, obj.path, res.Path)
}

// blocks takes its time for each request, as a session over a full line does.
type blocks struct {
	*testSource
	calls atomic.Int32
	most  atomic.Int32
}

func (b *blocks) Request(start, count int) error {
	b.most.Store(max(b.most.Load(), b.calls.Add(1)))
	defer b.calls.Add(-1)
	time.Sleep(2 * time.Second)
	return b.testSource.Request(start, count)
}

// Requests that block hold up nobody else, and come one at a time.
func TestRequestBlocks(t *testing.T) {
	obj := randomFile(t, 60*mib, 93)
	dir := memDir(t)
	synctest.Test(t, func(t *testing.T) {
		slow := &blocks{testSource: source(obj, "slow")}
		start := time.Now()
		if _, err := Run(t.Context(), obj.job(filepath.Join(dir, "out"), slow, paced(source(obj, "good"), 20*time.Millisecond))); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 5*time.Second || slow.most.Load() != 1 {
			t.Errorf("took %v, %d requests at a time", took, slow.most.Load())
		}
	})
	same(t, obj.path, filepath.Join(dir, "out"))
}

// A source that leaves a leaf out without a word is found out when nothing else is left to come from it.
func TestLeftOut(t *testing.T) {
	obj := randomFile(t, 5*mib, 94)
	dir := memDir(t)
	synctest.Test(t, func(t *testing.T) {
		alone := source(obj, "a")
		alone.hook = func(_ context.Context, i int, d []byte) ([]byte, error) {
			if i == 2 {
				return nil, nil
			}
			return d, nil
		}
		var none *NoSourceError
		if _, err := Run(t.Context(), obj.job(filepath.Join(dir, "out"), alone)); !errors.As(err, &none) || none.Missing != 1 || !errors.Is(err, ErrStalled) {
			t.Error(err)
		}
	})
}

// While we are slow ourselves no source is taken for stalled.
func TestSlowDiskIsNobodysFault(t *testing.T) {
	obj := randomFile(t, 12*mib, 95)
	dir := memDir(t)
	synctest.Test(t, func(t *testing.T) {
		r, err := NewReader(t.Context(), obj.tree, 0, Feed{Sources: []Source{source(obj, "a"), source(obj, "b")}})
		if err != nil {
			t.Fatal(err)
		}
		r.e.mu.Lock()
		r.e.check = func(i int, data []byte) error {
			time.Sleep(20 * time.Second)
			return r.p.check(i, data)
		}
		r.e.mu.Unlock()
		buf := make([]byte, mib)
		for range 12 {
			if _, err := r.Read(buf); err != nil {
				t.Fatal(err)
			}
		}
		for _, s := range r.Sources() {
			if s.Err != nil || s.Stalled {
				t.Errorf("%+v", s)
			}
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	only(t, dir)
}

// At the end a complete source gets a moment to say what was cancelled; a downloader is not waited for, nor blamed.
func TestEndWaitsForCompleteSourcesOnly(t *testing.T) {
	const leaves = 16
	obj := randomFile(t, leaves*mib, 96)
	dir := memDir(t)
	synctest.Test(t, func(t *testing.T) {
		for _, partial := range []bool{true, false} {
			late := paced(source(obj, "late"), 50*time.Second)
			src := Source(late)
			if partial {
				src = claims{late, func(s Sink) { s.Have(0, all(leaves)) }}
			}
			job := obj.job(filepath.Join(dir, late.name.String()), src, paced(source(obj, "good"), 10*time.Millisecond))
			job.Target.Force = true
			var done time.Time
			job.Commit = func(context.Context, Result) error {
				done = time.Now()
				return nil
			}
			res, err := Run(t.Context(), job)
			if err != nil || late.dones != 0 {
				t.Errorf("%v, told %d times", err, late.dones)
			}
			waited := time.Since(done)
			if partial && (waited > 0 || len(res.Dropped()) != 0) {
				t.Errorf("waited %v for a downloader, dropped %+v", waited, res.Dropped())
			}
			if !partial && (waited < time.Second || waited > drainAfter || len(res.Dropped()) != 1) {
				t.Errorf("waited %v for a source, dropped %+v", waited, res.Dropped())
			}
		}
	})
}

// What a source was asked for is answered once, as a leaf or as skipped, in the order of asking.
func TestRequests(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		q := newRequests()
		var want []int // leaves in order; negative: skipped
		for range 30 {
			switch rnd.IntN(3) {
			case 0:
				start, n := 1+rnd.IntN(50), 1+rnd.IntN(9)
				q.add(start, n)
				for i := start; i < start+n; i++ {
					want = append(want, i)
				}
			case 1:
				start, n := 1+rnd.IntN(50), 1+rnd.IntN(20)
				q.cancel(start, n)
				for k, i := range want {
					if i >= start && i < start+n {
						want[k] = -i
					}
				}
			case 2:
				i, skipped, ok := q.take()
				if ok != (len(want) > 0) {
					t.Fatalf("seed %d: takes %v of %v", seed, ok, want)
				}
				for k := range max(skipped, 1) {
					if ok && want[k] != i+k && want[k] != -i-k || skipped > 0 && want[k] > 0 || skipped == 0 && ok && want[k] < 0 {
						t.Fatalf("seed %d: %d, %d skipped of %v", seed, i, skipped, want)
					}
				}
				if ok {
					want = want[max(skipped, 1):]
				}
			}
		}
	}
}
