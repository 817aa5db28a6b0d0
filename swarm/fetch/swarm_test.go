package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cairn/storage/block"
	"cairn/storage/dag"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
)

// partSource serves what another get has, as it comes.
type partSource struct {
	name peer.ID
	obj  *object
	part *Partial
	line *line
	todo *requests
}

// line is an uplink: it carries one leaf at a time and takes a while for it.
type line struct {
	turn    chan struct{}
	perLeaf time.Duration
	mu      sync.Mutex
	carried int
}

func newLine(perLeaf time.Duration) *line {
	return &line{turn: make(chan struct{}, 1), perLeaf: perLeaf}
}

func (l *line) carry(ctx context.Context) error {
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-l.turn }()
	l.mu.Lock()
	l.carried++
	l.mu.Unlock()
	select {
	case <-time.After(l.perLeaf):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *partSource) Peer() peer.ID              { return s.name }
func (s *partSource) Partial() bool              { return true }
func (s *partSource) Rank() int                  { return 0 }
func (s *partSource) Done(context.Context) error { return nil }

func (s *partSource) Nodes(ctx context.Context, cs []cid.Cid) iter.Seq2[block.Block, error] {
	return dag.FromGetter(s.obj.store).Nodes(ctx, cs)
}

func (s *partSource) Request(start, count int) error {
	s.todo.add(start, count)
	return nil
}

func (s *partSource) Cancel(start, count int) error {
	s.todo.cancel(start, count)
	return nil
}

func (s *partSource) Run(ctx context.Context, sink Sink) error {
	for pos := 0; ; {
		leaves, more := s.part.Since(pos)
		pos += len(leaves)
		for _, i := range leaves {
			sink.Have(int(i), []byte{1})
		}
		i, skipped, ok := s.todo.take()
		switch {
		case skipped > 0:
			sink.Skipped(i, skipped)
			continue
		case ok:
			if err := s.line.carry(ctx); err != nil {
				return err
			}
			data, err := s.part.ReadLeaf(ctx, i, nil)
			if err != nil {
				sink.Missing(i, err)
			} else if err := sink.Leaf(i, flatBuf(data)); err != nil {
				return err
			}
			continue
		}
		select {
		case <-more:
		case <-s.todo.ready:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Three gets at once from one source serve each other: it sends little more than one copy, and may leave after that.
func TestGetsServeEachOther(t *testing.T) {
	for _, leaves := range []bool{false, true} {
		t.Run(fmt.Sprint("source leaves ", leaves), func(t *testing.T) { getsServeEachOther(t, leaves) })
	}
}

func getsServeEachOther(t *testing.T, leave bool) {
	const leaves, gets = 64, 3
	obj := randomFile(t, leaves*mib-9, 70)
	dir := memDir(t)
	synctest.Test(t, func(t *testing.T) {
		up := newLine(20 * time.Millisecond)
		out := map[int]bool{} // leaves that the source sent; guarded by mu
		send := func(i int, d []byte) ([]byte, error) {
			if leave && len(out) == leaves {
				return nil, errors.New("gone")
			}
			out[i] = true
			return d, nil
		}
		var joining [gets]chan Source
		for k := range joining {
			joining[k] = make(chan Source, gets)
		}
		var all sync.WaitGroup
		var mu sync.Mutex
		var parts []*Partial
		for k := range gets {
			full := source(obj, "full")
			full.rank = k
			full.hook = func(ctx context.Context, i int, d []byte) ([]byte, error) {
				if err := up.carry(ctx); err != nil {
					return nil, err
				}
				mu.Lock()
				defer mu.Unlock()
				return send(i, d)
			}
			self := fmt.Sprint("get", k)
			mine := newLine(20 * time.Millisecond)
			job := obj.job(filepath.Join(dir, self), full)
			job.Self, job.Joining = self, joining[k]
			job.OnPartial = func(p *Partial) {
				mu.Lock()
				defer mu.Unlock()
				parts = append(parts, p)
				for j := range gets {
					if j != k {
						joining[j] <- &partSource{name: peer.ID(self), obj: obj, part: p, line: mine, todo: newRequests()}
					}
				}
			}
			all.Go(func() {
				res, err := Run(t.Context(), job)
				if err != nil {
					t.Errorf("%s: %v", self, err)
				}
				given := map[bool]int64{}
				for _, s := range res.Sources {
					given[s.Partial] += s.Bytes
					if s.Err != nil && (s.Partial || !leave) {
						t.Errorf("%s: dropped %+v", self, s)
					}
				}
				if given[true] < given[false] {
					t.Errorf("%s: %d bytes from the source, %d from other gets", self, given[false], given[true])
				}
			})
		}
		all.Wait()
		if up.carried > leaves*5/4 {
			t.Errorf("the source sent %d leaves of an object of %d", up.carried, leaves)
		}
		for _, p := range parts {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	for k := range gets {
		same(t, obj.path, filepath.Join(dir, fmt.Sprint("get", k)))
	}
}

// claims is a downloader as far as it says itself.
type claims struct {
	Source
	have func(Sink)
}

func (claims) Partial() bool { return true }

func (c claims) Run(ctx context.Context, s Sink) error {
	c.have(s)
	return c.Source.Run(ctx, s)
}

func all(n int) []byte {
	b := bytes.Repeat([]byte{0xff}, (n+7)/8)
	if n%8 != 0 {
		b[n/8] = 1<<(n%8) - 1
	}
	return b
}

// Downloaders that lie are dropped and named as sources are, and others go on.
func TestBadDownloaders(t *testing.T) {
	const leaves = 20
	obj := randomFile(t, leaves*mib, 71)
	has := func(s Sink) { s.Have(0, all(leaves)) }
	rogueAt := func(index func(int) int) func() Source {
		return func() Source { return rogue{source(obj, "bad"), index} }
	}
	plain := func() Source { return source(obj, "bad") }
	for name, c := range map[string]struct {
		bad  func() Source // made in the bubble of its test
		says func(Sink)
		want error
	}{
		"wrong bytes": {func() Source {
			wrong := source(obj, "bad")
			wrong.hook = func(_ context.Context, _ int, d []byte) ([]byte, error) {
				d[7] ^= 1
				return d, nil
			}
			return wrong
		}, has, block.ErrCorrupt},
		"the same twice":       {rogueAt(func(i int) int { return i }), has, ErrMisbehaved},
		"unasked":              {rogueAt(func(i int) int { return (i + leaves/2) % leaves }), func(s Sink) { s.Have(3, []byte{1}) }, ErrMisbehaved},
		"out of range":         {rogueAt(func(int) int { return leaves }), has, ErrMisbehaved},
		"has too much":         {plain, func(s Sink) { s.Have(0, all(leaves+1)) }, ErrMisbehaved},
		"has below":            {plain, func(s Sink) { s.Have(-8, all(8)) }, ErrMisbehaved},
		"has far away":         {plain, func(s Sink) { s.Have(1<<62, []byte{1}) }, ErrMisbehaved},
		"lacks what is not":    {plain, func(s Sink) { s.Missing(leaves, nil) }, ErrMisbehaved},
		"lacks unasked":        {plain, func(s Sink) { s.Missing(1, nil) }, ErrMisbehaved},
		"skips unasked":        {plain, func(s Sink) { s.Skipped(1, 2) }, ErrMisbehaved},
		"skips what is not":    {plain, func(s Sink) { s.Skipped(leaves-1, 2) }, ErrMisbehaved},
		"skips less than none": {plain, func(s Sink) { s.Skipped(1, -1) }, ErrMisbehaved},
	} {
		t.Run(name, func(t *testing.T) {
			dir := memDir(t)
			synctest.Test(t, func(t *testing.T) {
				good := source(obj, "good")
				good.hook = func(_ context.Context, _ int, d []byte) ([]byte, error) {
					time.Sleep(10 * time.Millisecond)
					return d, nil
				}
				res, err := Run(t.Context(), obj.job(filepath.Join(dir, "out"), claims{c.bad(), c.says}, good))
				if d := res.Dropped(); err != nil || len(d) != 1 || d[0].Peer != "bad" || !errors.Is(d[0].Err, c.want) {
					t.Errorf("%v, dropped %+v", err, d)
				}
			})
			same(t, obj.path, filepath.Join(dir, "out"))
		})
	}
	whole := claims{source(obj, "bad"), has}
	res, err := Run(t.Context(), obj.job(filepath.Join(memDir(t), "out"), notPartial{whole}))
	if len(res.Dropped()) != 1 || !errors.Is(err, ErrMisbehaved) {
		t.Errorf("a complete source that says what it has: %v", err)
	}
}

type notPartial struct{ claims }

func (notPartial) Partial() bool { return false }

// A downloader may get yet what is missing; that is waited for, but not for ever.
func TestDownloaderGetsMore(t *testing.T) {
	const leaves = 8
	obj := randomFile(t, leaves*mib, 72)
	dir := memDir(t)
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		res, err := Run(t.Context(), obj.job(filepath.Join(dir, "some"), slowly(obj, 3)))
		if took := time.Since(start); took < 45*time.Second || took > 50*time.Second {
			t.Errorf("gave up after %v", took)
		}
		var none *NoSourceError
		if !errors.As(err, &none) || none.Missing != leaves-3 || res.Fetched != 3*mib {
			t.Errorf("%v, %d bytes fetched", err, res.Fetched)
		}
		if _, err := Run(t.Context(), obj.job(filepath.Join(dir, "all"), slowly(obj, leaves))); err != nil {
			t.Error(err)
		}
	})
	same(t, obj.path, filepath.Join(dir, "all"))
}

// slow is a downloader that gets a leaf every 10 s, up to a number of them.
type slow struct {
	*testSource
	leaves int
}

func slowly(obj *object, leaves int) Source { return slow{source(obj, "part"), leaves} }

func (slow) Partial() bool { return true }

func (s slow) Run(ctx context.Context, sink Sink) error {
	for i := range s.leaves {
		time.Sleep(10 * time.Second)
		sink.Have(i, []byte{1})
		k, _, err := s.todo.next(ctx)
		if err != nil {
			return err
		}
		if err := s.send(ctx, k, sink); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

// Sources come, go, lack leaves and are slow, at random: whatever happens the object is complete at the end, if one
// of them is good.
func TestAnythingGoes(t *testing.T) {
	const leaves = 24
	obj := randomFile(t, leaves*mib, 73)
	for seed := range uint64(12) {
		dir := memDir(t)
		rnd := rand.New(rand.NewPCG(seed, 1))
		synctest.Test(t, func(t *testing.T) {
			var made []*testSource
			random := func(name string, good bool) Source {
				s := source(obj, name)
				made = append(made, s)
				own := rand.New(rand.NewPCG(seed, uint64(len(made))))
				pace := time.Duration(own.IntN(300)) * time.Millisecond
				s.hook = func(ctx context.Context, i int, d []byte) ([]byte, error) {
					if pace > 0 {
						time.Sleep(time.Duration(own.Int64N(int64(pace))))
					}
					switch roll := own.IntN(60); {
					case good:
					case roll == 0:
						return nil, errors.New("gone")
					case roll == 1:
						d[0] ^= 1
					case roll < 6:
						return nil, &MissingError{Leaf: i}
					case roll == 6:
						time.Sleep(4 * time.Second)
					}
					return d, ctx.Err()
				}
				if own.IntN(2) == 0 && !good {
					return claims{s, func(sink Sink) { sink.Have(0, all(leaves)) }}
				}
				return s
			}
			joining := make(chan Source)
			job := obj.job(filepath.Join(dir, "out"), random("a", false), random("b", seed%2 == 0))
			job.Joining = joining
			var later []Source
			for k := range 4 {
				later = append(later, random(fmt.Sprint("late", k), k == 3))
			}
			again := random("again", true)
			go func() {
				for _, s := range later {
					time.Sleep(time.Duration(rnd.IntN(1000)) * time.Millisecond)
					select {
					case joining <- s:
					case <-t.Context().Done():
						return
					}
				}
				close(joining)
			}()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if seed%3 == 0 { // the first try is interrupted
				time.AfterFunc(700*time.Millisecond, cancel)
				if _, err := Run(ctx, job); err != nil && !errors.Is(err, context.Canceled) {
					t.Errorf("seed %d: %v", seed, err)
				} else if err != nil {
					if _, err = Run(t.Context(), obj.job(job.Target.Path, again)); err != nil {
						t.Errorf("seed %d: %v", seed, err)
					}
				}
			} else if _, err := Run(ctx, job); err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
			for range joining { // those that came too late
			}
			for _, s := range made {
				if n := s.held.Load(); n != 0 {
					t.Errorf("seed %d: %s has %d buffers out", seed, s.name, n)
				}
			}
		})
		same(t, obj.path, filepath.Join(dir, "out"))
	}
}
