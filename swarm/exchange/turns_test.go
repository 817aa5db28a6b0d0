package exchange

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"cairn/swarm/exchange/pb"
)

// having tells which of some have their turn.
func (t *turns) having(all []*turn) (yes []bool) {
	for _, x := range all {
		ok, _ := t.has(x)
		yes = append(yes, ok)
	}
	return yes
}

func someTurns(n int) (all []*turn) {
	for range n {
		all = append(all, newTurn())
	}
	return all
}

// TestTurns: two have their turn at a time, whoever was given least is next, and a newcomer does not make up for what
// he did not want earlier.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all turns
		who := someTurns(4)
		who[0].given, who[1].given, who[2].given = 300, 200, 100
		check := func(step string, want ...bool) {
			t.Helper()
			if got := all.having(who); !slices.Equal(got, want) {
				t.Errorf("%s: %v, want %v", step, got, want)
			}
		}
		for _, x := range who[:3] {
			all.want(x)
		}
		check("the first two", true, true, false, false)
		all.want(who[3])
		if who[3].given != all.least || all.least == 0 {
			t.Errorf("it begins at %d, want %d", who[3].given, all.least)
		}
		all.give(who[0], 50) // 350
		check("the third, who was given least", false, true, true, false)
		all.want(who[0])
		all.give(who[2], 1000)
		check("the fourth", false, true, false, true)
		if len(who[3].ready) != 1 {
			t.Error("it was not woken")
		}
		all.give(who[1], 50)
		check("the first again", true, false, false, true)
		all.give(who[0], 0)
		all.give(who[3], 0)
		check("nobody", false, false, false, false)
		if len(all.holders)+len(all.waiting) != 0 {
			t.Error("somebody is left")
		}
	})
}

// TestLongTurns: who takes long keeps others waiting for a while only, and keeps his turn.
func TestLongTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all turns
		who := someTurns(4)
		for _, x := range who {
			all.want(x)
		}
		time.Sleep(turnTime - time.Millisecond)
		if ok, look := all.has(who[2]); ok || look != time.Millisecond {
			t.Errorf("%v, %v", ok, look)
		}
		time.Sleep(time.Millisecond)
		if got := all.having(who); slices.Contains(got, false) {
			t.Errorf("%v", got)
		}
	})
}

// sending is the writing end of a session that has nothing to read; what it sends is in out.
type sending struct {
	*pipeline
	out  bytes.Buffer
	ctx  context.Context
	stop context.CancelCauseFunc
}

func (s *sending) Read([]byte) (int, error)         { return 0, errors.New("nothing to read") }
func (s *sending) Write(p []byte) (int, error)      { return s.out.Write(p) }
func (s *sending) SetReadDeadline(time.Time) error  { return nil }
func (s *sending) SetWriteDeadline(time.Time) error { return nil }
func (s *sending) leaf(ctx context.Context) chan error {
	done := make(chan error, 1)
	j := &job{kind: kindLeaf, index: 7, frame: make([]byte, directWrite), payload: directWrite}
	if err := s.ss.todo.push(request{kind: kindGetLeaves, start: 7, count: 1}); err != nil {
		done <- err
	}
	s.ss.todo.first()
	go func() {
		out := &collector{w: s.ss.w, pool: s.ss.srv.cfg.Pool}
		defer out.free()
		err := s.send(ctx, out, j)
		if err == nil {
			err = out.flush()
		}
		done <- err
	}()
	return done
}

func newSending(t *testing.T, srv *Server) *sending {
	s := &sending{}
	s.ctx, s.stop = context.WithCancelCause(t.Context())
	ss := &session{srv: srv, todo: newTodo(srv.cfg.Limits)}
	ss.w = newPacedWriter(s, time.Minute, free{}, "", func(int) {})
	s.pipeline = newPipeline(ss)
	return s
}

// TestWaitingForTurns: while a leaf waits for its turn, what is no answer goes out, and a cancel is heeded.
func TestWaitingForTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &Server{cfg: ServerConfig{Pool: &Pool{}, Limits: Limits{}.withDefaults()}}
		busy := someTurns(turnsAtOnce)
		for _, x := range busy {
			srv.turns.want(x)
		}
		s := newSending(t, srv)
		done := s.leaf(s.ctx)
		synctest.Wait()
		if s.out.Len() > 0 {
			t.Fatal("it did not wait")
		}
		news := message(kindHave, &pb.Have{Bits: []byte{1}})
		if !s.aside(s.ctx, news) {
			t.Fatal("not taken")
		}
		synctest.Wait()
		if !bytes.Equal(s.out.Bytes(), news) {
			t.Errorf("sent %x, want %x", s.out.Bytes(), news)
		}
		if _, err := s.ss.todo.cancel(5, 10); err != nil {
			t.Fatal(err)
		}
		srv.turns.give(busy[0], 1)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if want := append(news, message(kindSkipped, &pb.Skipped{Start: 7, Count: 1})...); !bytes.Equal(s.out.Bytes(), want) {
			t.Errorf("sent %x, want %x", s.out.Bytes(), want)
		}
		if s.mine.given != srv.turns.least || len(srv.turns.holders) != 1 {
			t.Errorf("what was cancelled counts: %d, or holds a turn: %d", s.mine.given, len(srv.turns.holders))
		}
		done = s.leaf(s.ctx) // there is a turn
		if err := <-done; err != nil || s.mine.given != directWrite {
			t.Errorf("%v; %d bytes count", err, s.mine.given)
		}
	})
}

// TestEndsWhileWaiting: who ends while he waits leaves the queue, and nobody waits for him.
func TestEndsWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &Server{cfg: ServerConfig{Pool: &Pool{}, Limits: Limits{}.withDefaults()}}
		busy := someTurns(turnsAtOnce)
		for _, x := range busy {
			srv.turns.want(x)
		}
		first, second := newSending(t, srv), newSending(t, srv)
		ended, served := first.leaf(first.ctx), second.leaf(second.ctx)
		synctest.Wait()
		gone := errors.New("gone")
		first.stop(gone)
		if err := <-ended; !errors.Is(err, gone) {
			t.Errorf("%v", err)
		}
		if n := len(srv.turns.waiting); n != 1 {
			t.Errorf("%d wait", n)
		}
		srv.turns.give(busy[0], 1)
		if err := <-served; err != nil || second.out.Len() != directWrite {
			t.Errorf("%v, %d bytes", err, second.out.Len())
		}
	})
}
