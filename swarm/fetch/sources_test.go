package fetch

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cairn/storage/block"

	"github.com/ipfs/go-cid"
)

func TestSourcesShare(t *testing.T) {
	for _, n := range []int{2, 3} {
		obj := randomFile(t, 40*mib, 5)
		var all []*testSource
		job := obj.job(filepath.Join(memDir(t), "out"))
		meet := make(chan struct{})
		arrived := make(chan struct{}, n)
		for k := range n {
			s := source(obj, string(rune('a'+k)))
			once := false
			s.hook = func(ctx context.Context, _ int, data []byte) ([]byte, error) {
				if !once { // nobody runs away before all have begun
					once = true
					arrived <- struct{}{}
					<-meet
				}
				return data, nil
			}
			all = append(all, s)
			job.Sources = append(job.Sources, s)
		}
		go func() {
			for range n {
				<-arrived
			}
			close(meet)
		}()
		res, err := Run(t.Context(), job)
		if err != nil {
			t.Fatal(err)
		}
		same(t, obj.path, res.Path)
		var sum int64
		for k, s := range res.Sources {
			if s.Bytes == 0 || s.State == StateDropped || all[k].dones != 1 {
				t.Errorf("%d sources: %+v, done %d", n, s, all[k].dones)
			}
			sum += s.Bytes
		}
		if sum != 40*mib {
			t.Errorf("kept %d bytes", sum)
		}
	}
}

// Each kind of bad source is dropped with its reason, and a good one beside it delivers the object.
func TestBadSources(t *testing.T) {
	broken := errors.New("connection reset")
	obj := randomFile(t, 20*mib, 6)
	for _, c := range []struct {
		name string
		set  func(*testSource)
		want error // of the source's drop; nil: it stays
	}{
		{"wrong bytes", func(s *testSource) {
			s.hook = func(_ context.Context, _ int, d []byte) ([]byte, error) {
				d = bytes.Clone(d)
				d[len(d)-1] ^= 1
				return d, nil
			}
		}, block.ErrCorrupt},
		{"truncated", func(s *testSource) {
			s.hook = func(_ context.Context, _ int, d []byte) ([]byte, error) { return d[:len(d)-1], nil }
		}, block.ErrCorrupt},
		{"empty", func(s *testSource) {
			s.hook = func(_ context.Context, _ int, d []byte) ([]byte, error) { return []byte{}, nil }
		}, block.ErrCorrupt},
		{"fails half way", func(s *testSource) {
			n := 0
			s.hook = func(_ context.Context, i int, d []byte) ([]byte, error) {
				if n++; n == 3 {
					return nil, broken
				}
				return d, nil
			}
		}, broken},
		{"fails at once", func(s *testSource) {
			s.hook = func(context.Context, int, []byte) ([]byte, error) { return nil, broken }
		}, broken},
	} {
		t.Run(c.name, func(t *testing.T) {
			bad, good := source(obj, "bad"), source(obj, "good")
			c.set(bad)
			begun := make(chan struct{})
			var once bool
			inner := bad.hook
			bad.hook = func(ctx context.Context, i int, d []byte) ([]byte, error) {
				if !once {
					once = true
					close(begun)
				}
				return inner(ctx, i, d)
			}
			good.hook = func(_ context.Context, _ int, d []byte) ([]byte, error) {
				<-begun // so that the bad one gets work
				return d, nil
			}
			res, err := Run(t.Context(), obj.job(filepath.Join(memDir(t), "out"), bad, good))
			if err != nil {
				t.Fatal(err)
			}
			same(t, obj.path, res.Path)
			if d := res.Dropped(); len(d) != 1 || d[0].Peer != "bad" || !errors.Is(d[0].Err, c.want) {
				t.Errorf("dropped %+v", d)
			}
			if bad.dones != 0 || good.dones != 1 || bad.held.Load()+good.held.Load() != 0 {
				t.Errorf("told %d and %d, held %d and %d", bad.dones, good.dones, bad.held.Load(), good.held.Load())
			}

			// Alone it gives an error with its reason, and nothing under the final name.
			alone := source(obj, "bad")
			c.set(alone)
			dir := memDir(t)
			_, err = Run(t.Context(), obj.job(filepath.Join(dir, "out"), alone))
			var none *NoSourceError
			if !errors.As(err, &none) || !errors.Is(err, ErrNoSource) || !errors.Is(err, c.want) || none.Missing == 0 || !strings.Contains(err.Error(), none.Sources[0].Err.Error()) {
				t.Errorf("alone: %v", err)
			}
			if _, err := os.Stat(filepath.Join(dir, "out")); err == nil {
				t.Error("partial file under the final name")
			}
			if alone.held.Load() != 0 {
				t.Errorf("%d buffers held", alone.held.Load())
			}
		})
	}
}

// rogue delivers what nobody asked for.
type rogue struct {
	*testSource
	index func(start int) int
}

func (r rogue) Run(ctx context.Context, sink Sink) error {
	i, _, err := r.todo.next(ctx)
	if err != nil {
		return err
	}
	data, err := r.leaf(ctx, i)
	if err != nil {
		return err
	}
	if err := r.deliver(i, bytes.Clone(data), sink); err != nil {
		return err
	}
	return r.deliver(r.index(i), bytes.Clone(data), sink)
}

func TestUnrequestedLeaves(t *testing.T) {
	obj := randomFile(t, 32*mib, 7)
	for name, index := range map[string]func(int) int{
		"duplicate": func(i int) int { return i },
		"other":     func(int) int { return 31 },
		"beyond":    func(int) int { return 1 << 40 },
		"negative":  func(int) int { return -1 },
	} {
		src := rogue{source(obj, "rogue"), index}
		res, err := Run(t.Context(), obj.job(filepath.Join(memDir(t), "out"), src))
		if !errors.Is(err, ErrMisbehaved) || len(res.Dropped()) != 1 {
			t.Errorf("%s: %v", name, err)
		}
		if src.held.Load() != 0 {
			t.Errorf("%s: %d buffers held", name, src.held.Load())
		}
	}
}

// lazy ends without a word.
type lazy struct{ *testSource }

func (lazy) Run(context.Context, Sink) error { return nil }

func TestSourceThatEnds(t *testing.T) {
	obj := randomFile(t, 2*mib, 7)
	if _, err := Run(t.Context(), obj.job(filepath.Join(memDir(t), "out"), lazy{source(obj, "lazy")})); !errors.Is(err, ErrMisbehaved) {
		t.Error(err)
	}
}

func TestMissingLeaves(t *testing.T) {
	obj := randomFile(t, 40*mib, 8)
	a, b := source(obj, "a"), source(obj, "b")
	lack := func(from, to int) func(context.Context, int, []byte) ([]byte, error) {
		return func(_ context.Context, i int, d []byte) ([]byte, error) {
			if from <= i && i < to {
				return nil, &MissingError{Leaf: i}
			}
			return d, nil
		}
	}
	a.hook, b.hook = lack(0, 20), lack(20, 40)
	res, err := Run(t.Context(), obj.job(filepath.Join(memDir(t), "out"), a, b))
	if err != nil || len(res.Dropped()) != 0 {
		t.Fatalf("%v, dropped %+v", err, res.Dropped())
	}
	same(t, obj.path, res.Path)
	for _, s := range []*testSource{a, b} {
		for i, n := range s.asked {
			if n > 1 {
				t.Errorf("%s asked %d times for %d", s.name, n, i)
			}
		}
	}

	// A leaf that nobody has: all the rest is fetched and kept, the error says how many.
	target := filepath.Join(memDir(t), "out")
	a, b = source(obj, "a"), source(obj, "b")
	a.hook, b.hook = lack(5, 7), lack(6, 9)
	res, err = Run(t.Context(), obj.job(target, a, b))
	var none *NoSourceError
	if !errors.As(err, &none) || none.Missing != 1 || res.Fetched != 39*mib {
		t.Fatalf("%v, %d fetched", err, res.Fetched)
	}
	c := source(obj, "c")
	if _, err = Run(t.Context(), obj.job(target, c)); err != nil || len(c.asked) != 1 {
		t.Fatalf("%v, asked %v", err, c.asked)
	}
}

func TestStalledSourceIsDropped(t *testing.T) {
	obj := randomFile(t, 20*mib, 10)
	dir := memDir(t)
	synctest.Test(t, func(t *testing.T) {
		stuck, good := source(obj, "stuck"), source(obj, "good")
		stuck.hook = func(ctx context.Context, _ int, _ []byte) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		start := time.Now()
		res, err := Run(t.Context(), obj.job(filepath.Join(dir, "both"), stuck, good))
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("the stalled source held the end up for %v", took)
		}
		if d := res.Dropped(); len(d) != 1 || d[0].Peer != "stuck" || !errors.Is(d[0].Err, ErrStalled) {
			t.Errorf("dropped %+v", d)
		}

		alone := source(obj, "stuck")
		alone.hook = stuck.hook
		start = time.Now()
		_, err = Run(t.Context(), obj.job(filepath.Join(dir, "alone"), alone))
		if took := time.Since(start); !errors.Is(err, ErrStalled) || took < 15*time.Second || took > 17*time.Second {
			t.Errorf("%v after %v", err, took)
		}

		// In the walk as well.
		walk := source(obj, "stuck")
		walk.nodes = func(ctx context.Context, _ []cid.Cid) iter.Seq2[block.Block, error] {
			return func(yield func(block.Block, error) bool) {
				<-ctx.Done()
				yield(block.Block{}, ctx.Err())
			}
		}
		res, err = Run(t.Context(), obj.job(filepath.Join(dir, "walk"), walk, source(obj, "good")))
		if d := res.Dropped(); err != nil || len(d) != 1 || !errors.Is(d[0].Err, ErrStalled) {
			t.Errorf("%v, dropped %+v", err, d)
		}
	})
}

// A source that waits for work, or lacks leaves, owes nothing.
func TestIdleSourceIsNotStalled(t *testing.T) {
	obj := randomFile(t, 20*mib, 10)
	dir := memDir(t)
	synctest.Test(t, func(t *testing.T) {
		slow, lacking := source(obj, "slow"), source(obj, "lacking")
		slow.hook = func(_ context.Context, _ int, d []byte) ([]byte, error) {
			time.Sleep(5 * time.Second)
			return d, nil
		}
		lacking.hook = func(_ context.Context, i int, d []byte) ([]byte, error) { return nil, &MissingError{Leaf: i} }
		res, err := Run(t.Context(), obj.job(filepath.Join(dir, "out"), slow, lacking))
		if err != nil || len(res.Dropped()) != 0 {
			t.Errorf("%v, dropped %+v", err, res.Dropped())
		}
	})
}

// metered is slow, but not dead.
type metered struct {
	*testSource
	bytes func() int64
}

func (m metered) Received() int64 { return m.bytes() }

func TestSlowLinkIsNotStalled(t *testing.T) {
	obj := randomFile(t, 3*mib, 11)
	dir := memDir(t)
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		slow := func(_ context.Context, _ int, d []byte) ([]byte, error) {
			time.Sleep(32 * time.Second) // 256 kbit/s
			return d, nil
		}
		src := metered{source(obj, "slow"), func() int64 { return int64(time.Since(start).Seconds() * 32768) }}
		src.hook = slow
		if _, err := Run(t.Context(), obj.job(filepath.Join(dir, "a"), src)); err != nil {
			t.Error(err)
		}
		drip := metered{source(obj, "drip"), func() int64 { return int64(time.Since(start).Seconds()) }}
		drip.hook = slow
		if _, err := Run(t.Context(), obj.job(filepath.Join(dir, "b"), drip)); !errors.Is(err, ErrStalled) {
			t.Errorf("one byte a second: %v", err)
		}
	})
}

func TestSlowSourceDoesNotHoldTheEndUp(t *testing.T) {
	obj := randomFile(t, 64*mib, 12)
	dir := memDir(t)
	synctest.Test(t, func(t *testing.T) {
		at := func(s *testSource, perLeaf time.Duration) *testSource {
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
		fast, slow := at(source(obj, "fast"), 10*time.Millisecond), at(source(obj, "slow"), 5*time.Second)
		start := time.Now()
		if _, err := Run(t.Context(), obj.job(filepath.Join(dir, "out"), fast, slow)); err != nil {
			t.Fatal(err)
		}
		// 64 leaves at 10 ms, and at most the grace for what the slow one still sends.
		if took := time.Since(start); took > 4*time.Second {
			t.Errorf("took %v", took)
		}
		asked, _ := fast.counts()
		if asked > 64 {
			t.Errorf("the fast one was asked for %d leaves", asked)
		}
	})
	same(t, obj.path, filepath.Join(dir, "out"))
}

func TestSourceJoinsLater(t *testing.T) {
	obj := randomFile(t, 20*mib, 13)
	broken := errors.New("connection reset")
	first, second := source(obj, "first"), source(obj, "second")
	joining := make(chan Source)
	n := 0
	first.hook = func(_ context.Context, _ int, d []byte) ([]byte, error) {
		if n++; n == 5 {
			return nil, broken
		}
		return d, nil
	}
	job := obj.job(filepath.Join(memDir(t), "out"), first)
	job.Joining = joining
	waiting := make(chan struct{})
	seen := false
	job.Progress = func(s Snapshot) {
		if s.Phase == PhaseWaiting && !seen {
			seen = true
			close(waiting)
		}
	}
	go func() {
		<-waiting
		joining <- second
		close(joining)
	}()
	res, err := Run(t.Context(), job)
	if err != nil || len(res.Sources) != 2 || res.Sources[1].Bytes != 16*mib {
		t.Fatalf("%v, %+v", err, res.Sources)
	}
	same(t, obj.path, res.Path)

	// None at the start, and none ever.
	job = obj.job(filepath.Join(memDir(t), "out"))
	none := make(chan Source)
	job.Joining = none
	go close(none)
	if _, err := Run(t.Context(), job); !errors.Is(err, ErrNoSource) {
		t.Error(err)
	}
	if _, err := Run(t.Context(), obj.job(filepath.Join(memDir(t), "out"))); !errors.Is(err, ErrNoSource) {
		t.Error(err)
	}
}

func TestWalkTriesTheNextSource(t *testing.T) {
	obj := randomFile(t, 3*mib, 14)
	broken := errors.New("no")
	yielding := func(f func(c cid.Cid) (block.Block, error)) func(context.Context, []cid.Cid) iter.Seq2[block.Block, error] {
		return func(_ context.Context, cs []cid.Cid) iter.Seq2[block.Block, error] {
			return func(yield func(block.Block, error) bool) {
				for _, c := range cs {
					if !yield(f(c)) {
						return
					}
				}
			}
		}
	}
	wrong := source(obj, "wrong")
	wrong.nodes = yielding(func(c cid.Cid) (block.Block, error) { return block.Block{CID: c, Data: []byte("x")}, nil })
	other := source(obj, "other")
	other.nodes = yielding(func(c cid.Cid) (block.Block, error) {
		return block.Block{CID: block.Sum(cid.Raw, []byte("y")), Data: []byte("y")}, nil
	})
	fails := source(obj, "fails")
	fails.nodes = yielding(func(c cid.Cid) (block.Block, error) { return block.Block{}, broken })
	silent := source(obj, "silent")
	silent.nodes = func(context.Context, []cid.Cid) iter.Seq2[block.Block, error] {
		return func(func(block.Block, error) bool) {}
	}
	bad := []Source{wrong, other, fails, silent}
	res, err := Run(t.Context(), obj.job(filepath.Join(memDir(t), "out"), append(bad, source(obj, "good"))...))
	if err != nil || len(res.Dropped()) != 4 {
		t.Fatalf("%v, dropped %+v", err, res.Dropped())
	}
	for k, want := range []error{block.ErrCorrupt, ErrMisbehaved, broken, ErrMisbehaved} {
		if !errors.Is(res.Sources[k].Err, want) {
			t.Errorf("%s: %v", res.Sources[k].Peer, res.Sources[k].Err)
		}
	}
	if _, err := Run(t.Context(), obj.job(filepath.Join(memDir(t), "out"), bad...)); !errors.Is(err, ErrNoSource) || !errors.Is(err, broken) {
		t.Error(err)
	}
}
