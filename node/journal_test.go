package node

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cairn/storage"
	"cairn/storage/dag"
	"cairn/web/api"
)

// recorded is what is on record in a peer's store.
func recorded(t *testing.T, n *Node) (ids []string) {
	t.Helper()
	for note, err := range n.store.Notes(getNote) {
		if err != nil {
			t.Error(err)
		}
		ids = append(ids, note.ID)
	}
	return ids
}

// interrupted starts a get in b and stops b in the middle of it, as SIGTERM does.
func interrupted(t *testing.T, b *Node, stop func(), r api.GetRequest) {
	t.Helper()
	var once sync.Once
	begun := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		_, err := b.Get(context.Background(), r, hear(func(p api.Progress) {
			if p.Done > 0 {
				once.Do(func() { close(begun) })
			}
		}))
		done <- err
	}()
	select {
	case <-begun:
	case err := <-done:
		t.Fatalf("the get was too fast, or failed: %v", err)
	}
	if n := len(recorded(t, b)); n != 1 {
		t.Errorf("%d gets are on record during a get", n)
	}
	stop()
	if err := <-done; code(t, err) != api.CodeHandover {
		t.Fatalf("an interrupted get: %v", err)
	}
}

// hear is a sink for progress.
type hear func(api.Progress)

func (h hear) Progress(p api.Progress) { h(p) }
func (hear) Warn(api.Warning)          {}

// ended waits until n has nothing on record and no get is under way.
func ended(t *testing.T, n *Node) {
	t.Helper()
	for n.transfers.active() > 0 || len(recorded(t, n)) > 0 {
		select {
		case <-time.After(10 * time.Millisecond): // the end of a get that nobody waits for is seen by looking
		case <-t.Context().Done():
			t.Fatal("the get did not end")
		}
	}
}

// TestGetGoesOn: a get that the end of its peer cut off is finished by the next one.
func TestGetGoesOn(t *testing.T) {
	a, _ := start(t, t.TempDir())
	home := t.TempDir()
	b, stop := start(t, home)
	src := filepath.Join(t.TempDir(), "f")
	want := write(t, src, 128<<20)
	r := share(t, a, api.TicketOptions{}, src)
	dst := filepath.Join(t.TempDir(), "copy")
	interrupted(t, b, stop, api.GetRequest{Tickets: []string{r.Ticket.Text}, Output: dst})

	b, _ = start(t, home)
	ended(t, b)
	if got, err := os.ReadFile(dst); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the copy differs (%v)", err)
	}
	ts, err := b.Transfers(t.Context())
	if err != nil || len(ts) != 1 || ts[0].State != "done" || ts[0].Resumed == 0 {
		t.Errorf("transfers %+v, %v", ts, err)
	}
	if e, err := a.Entry(t.Context(), r.Entry.ID); err != nil || e.Tickets[0].Downloads != 1 {
		t.Errorf("counted %+v, %v", e.Tickets, err)
	}
}

// TestGetIsFollowed: who asks for what the peer is resuming waits for that.
func TestGetIsFollowed(t *testing.T) {
	a, _ := start(t, t.TempDir())
	home := t.TempDir()
	b, stop := start(t, home)
	src := filepath.Join(t.TempDir(), "f")
	write(t, src, 128<<20)
	r := api.GetRequest{Tickets: []string{share(t, a, api.TicketOptions{}, src).Ticket.Text}, Output: filepath.Join(t.TempDir(), "copy")}
	interrupted(t, b, stop, r)
	b, _ = start(t, home)
	res, err := b.Get(t.Context(), r, sink{t})
	if err != nil || res.Path != r.Output || res.Size != 128<<20 {
		t.Errorf("%+v, %v", res, err)
	}
	if n := len(recorded(t, b)); n != 0 {
		t.Errorf("%d gets are on record", n)
	}
}

// leave puts a get on record as a process does that is killed then.
func leave(t *testing.T, home string, r api.GetRequest, path string) {
	t.Helper()
	n, stop := start(t, home)
	g, err := n.goal(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.journal.record(t.Context(), getKey{g.root, path}, r); err != nil {
		t.Fatal(err)
	}
	stop()
}

// TestGetWasComplete: the process died after the last rename, in the case of a directory too, where the same request
// would put another one into it.
func TestGetWasComplete(t *testing.T) {
	a, _ := start(t, t.TempDir())
	for _, again := range []bool{false, true} {
		for _, kind := range []string{"file", "directory"} {
			home, dir := t.TempDir(), t.TempDir()
			src, dst := filepath.Join(dir, "from"), filepath.Join(dir, "to")
			write(t, filepath.Join(src, "x"), 3<<20)
			if kind == "file" {
				src = filepath.Join(src, "x")
			}
			shared := share(t, a, api.TicketOptions{}, src)
			r := api.GetRequest{Tickets: []string{shared.Ticket.Text}, Output: dst}
			leave(t, home, r, dst)
			if err := os.Rename(src, dst); err != nil {
				t.Fatal(err)
			}
			var b *Node
			if again { // by a command, which asks for it itself
				var err error
				if b, err = New(t.Context(), Config{Home: home, Mode: ModeCommand, Listen: []string{"/ip4/127.0.0.1/tcp/0"}}); err != nil {
					t.Fatal(err)
				}
				res, err := b.Get(t.Context(), r, sink{t})
				if err != nil || res.Path != dst || res.Fetched != 0 {
					t.Errorf("%s: %+v, %v", kind, res, err)
				}
			} else {
				b, _ = start(t, home)
				ended(t, b)
			}
			if e, err := b.Entry(t.Context(), shared.Entry.CID); err != nil || e.Path != dst || e.State != "ok" {
				t.Errorf("%s: entry %+v, %v", kind, e, err)
			}
			if n := len(recorded(t, b)); n != 0 {
				t.Errorf("%s: %d gets are on record", kind, n)
			}
			if again {
				b.close()
			}
		}
	}
}

// TestJournalEnds: what ends for whoever asked is off the record; what finds no source stays on it, and is told from
// what will never succeed.
func TestJournalEnds(t *testing.T) {
	t.Parallel()
	a, stopA := start(t, t.TempDir())
	home := t.TempDir()
	b, stop := start(t, home)
	src := filepath.Join(t.TempDir(), "f")
	write(t, src, 128<<20)
	shared := share(t, a, api.TicketOptions{}, src)
	r := api.GetRequest{Tickets: []string{shared.Ticket.Text}, Output: filepath.Join(t.TempDir(), "copy")}

	ctx, cancel := context.WithCancel(t.Context())
	_, err := b.Get(ctx, r, hear(func(p api.Progress) {
		if p.Done > 0 {
			cancel()
		}
	}))
	if code(t, err) != api.CodeCancelled || len(recorded(t, b)) != 0 {
		t.Errorf("cancelled: %v, on record %v", err, recorded(t, b))
	}
	write(t, r.Output, 1)
	if _, err := b.Get(t.Context(), r, sink{t}); code(t, err) != api.CodeConflict || len(recorded(t, b)) != 0 {
		t.Errorf("there is something: %v, on record %v", err, recorded(t, b))
	}
	os.Remove(r.Output)
	stop()

	leave(t, home, r, r.Output)
	stopA()
	b, stop = start(t, home)
	for failed := false; !failed; {
		for _, x := range b.transfers.list() {
			failed = failed || x.State == "failed"
		}
		time.Sleep(time.Millisecond) // there is nobody to hear it from
	}
	if n := len(recorded(t, b)); n != 1 {
		t.Errorf("%d gets without a source are on record", n)
	}
	stop()
}

// TestJournalDamaged: a record that can not be read is left out with a warning that names it.
func TestJournalDamaged(t *testing.T) {
	home := t.TempDir()
	n, stop := start(t, home)
	for id, data := range map[string]string{"newer": `{"v":99}`, "odd": `[]`, "cut": `{"v":1,"tickets":["cairn1"],"path":"/x"}`} {
		if err := n.store.PutNotes(t.Context(), storage.Note{ID: getNote + id, Data: []byte(data)}); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	var log bytes.Buffer
	n, err := New(t.Context(), Config{Home: home, Mode: ModeUp, Log: slog.New(slog.NewTextHandler(&log, nil)),
		Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	for _, id := range []string{"newer", "odd", "cut"} {
		if !strings.Contains(log.String(), "record="+getNote+id) {
			t.Errorf("no word about %s: %s", id, log.String())
		}
	}
	if len(n.journal.ids) != 0 {
		t.Errorf("%v", n.journal.ids)
	}
}

// TestJournalIsBounded: more gets than are kept on record work, but are not on it.
func TestJournalIsBounded(t *testing.T) {
	a, _ := start(t, t.TempDir())
	b, _ := start(t, t.TempDir())
	src := filepath.Join(t.TempDir(), "f")
	write(t, src, dag.LeafSize)
	b.journal.mu.Lock()
	for i := range maxPending {
		b.journal.ids[getKey{path: string(rune(i))}] = "x"
	}
	b.journal.mu.Unlock()
	r := api.GetRequest{Tickets: []string{share(t, a, api.TicketOptions{}, src).Ticket.Text}, Output: filepath.Join(t.TempDir(), "copy")}
	var seen []string
	if _, err := b.Get(t.Context(), r, hear(func(api.Progress) { seen = append(seen, recorded(t, b)...) })); err != nil {
		t.Error(err)
	}
	if len(slices.Compact(seen)) != 0 {
		t.Errorf("on record: %v", seen)
	}
	if _, err := os.Stat(r.Output); errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
