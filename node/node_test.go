package node

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cairn/web/api"
)

// start runs a peer on a home of its own and returns it with what stops it.
func start(t *testing.T, home string) (*Node, func()) {
	t.Helper()
	return startAs(t, Config{Home: home})
}

// startAs is start for a peer with something special about it.
func startAs(t *testing.T, c Config) (*Node, func()) {
	t.Helper()
	c.Name, c.Version, c.Downloads = "test", "test", filepath.Join(c.Home, "downloads")
	if c.Mode == "" {
		c.Mode = ModeUp
	}
	if c.Listen == nil {
		c.Listen = []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}
	}
	if c.MemberListen == nil {
		c.MemberListen = []string{"/ip4/127.0.0.1/tcp/0"}
	}
	n, err := New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	<-n.Ready()
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	}
	t.Cleanup(stop)
	return n, stop
}

type sink struct{ t *testing.T }

func (s sink) Progress(api.Progress) {}
func (s sink) Warn(w api.Warning)    { s.t.Logf("warning: %s", w.Message) }

func write(t *testing.T, path string, size int) []byte {
	t.Helper()
	b := make([]byte, size)
	rand.Read(b)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return b
}

func share(t *testing.T, n *Node, o api.TicketOptions, paths ...string) api.ShareResult {
	t.Helper()
	r, err := n.Share(t.Context(), api.ShareRequest{Paths: paths, TicketOptions: o}, sink{t})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func code(t *testing.T, err error) api.Code {
	t.Helper()
	var e *api.Error
	if !errors.As(err, &e) {
		t.Fatalf("not an *api.Error: %v", err)
	}
	return e.Code
}

func TestShareAndGet(t *testing.T) {
	a, _ := start(t, t.TempDir())
	b, _ := start(t, t.TempDir())
	src := filepath.Join(t.TempDir(), "big.bin")
	want := write(t, src, 5<<20+123)
	r := share(t, a, api.TicketOptions{}, src)

	dst := filepath.Join(t.TempDir(), "copy.bin")
	got, err := b.Get(t.Context(), api.GetRequest{Tickets: []string{r.Ticket.Text}, Output: dst}, sink{t})
	if err != nil {
		t.Fatal(err)
	}
	if have, err := os.ReadFile(dst); err != nil || !bytes.Equal(have, want) {
		t.Fatalf("the copy differs (%v)", err)
	}
	if got.Fetched != int64(len(want)) || got.CID != r.Entry.CID {
		t.Errorf("result %+v", got)
	}
	e, err := a.Entry(t.Context(), r.Entry.ID)
	if err != nil || e.Tickets[0].Downloads != 1 {
		t.Errorf("downloads not counted: %+v, %v", e.Tickets, err)
	}
	// The getter refers to its copy and serves it on.
	r2 := share(t, b, api.TicketOptions{}, dst)
	if r2.Entry.CID != r.Entry.CID {
		t.Errorf("re-share has another CID: %s", r2.Entry.CID)
	}
	c, _ := start(t, t.TempDir())
	dst3 := filepath.Join(t.TempDir(), "third.bin")
	if _, err := c.Get(t.Context(), api.GetRequest{Tickets: []string{r.Ticket.Text, r2.Ticket.Text}, Output: dst3}, sink{t}); err != nil {
		t.Fatal(err)
	}
	if have, _ := os.ReadFile(dst3); !bytes.Equal(have, want) {
		t.Fatal("the third copy differs")
	}
}

func TestDirectory(t *testing.T) {
	a, _ := start(t, t.TempDir())
	b, _ := start(t, t.TempDir())
	dir := filepath.Join(t.TempDir(), "tree")
	want := write(t, filepath.Join(dir, "x", "one"), 4096)
	write(t, filepath.Join(dir, "two"), 2<<20)
	write(t, filepath.Join(dir, "empty"), 0)
	r := share(t, a, api.TicketOptions{}, dir)
	out := t.TempDir()
	got, err := b.Get(t.Context(), api.GetRequest{Tickets: []string{r.Ticket.Text}, OutputDir: out}, sink{t})
	if err != nil {
		t.Fatal(err)
	}
	if got.Path != filepath.Join(out, "tree") {
		t.Errorf("path %s", got.Path)
	}
	if have, _ := os.ReadFile(filepath.Join(out, "tree", "x", "one")); !bytes.Equal(have, want) {
		t.Error("a file differs")
	}
	l, err := b.List(t.Context(), r.Entry.CID, "")
	if err != nil || len(l.Entries) != 3 {
		t.Fatalf("listing %+v, %v", l, err)
	}
	c, err := b.Open(t.Context(), r.Entry.CID, "x/one")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if have, err := io.ReadAll(c); err != nil || !bytes.Equal(have, want) {
		t.Errorf("cat differs (%v)", err)
	}
}

func TestTicketEnds(t *testing.T) {
	a, _ := start(t, t.TempDir())
	b, _ := start(t, t.TempDir())
	src := filepath.Join(t.TempDir(), "f")
	write(t, src, 1000)
	get := func(text string) error {
		_, err := b.Get(t.Context(), api.GetRequest{Tickets: []string{text}, OutputDir: t.TempDir()}, sink{t})
		return err
	}
	once := share(t, a, api.TicketOptions{Downloads: 1}, src).Ticket
	if err := get(once.Text); err != nil {
		t.Fatal(err)
	}
	if c := code(t, get(once.Text)); c != api.CodeNotPermitted {
		t.Errorf("second download of a single-use ticket: %s", c)
	}
	open := share(t, a, api.TicketOptions{}, src).Ticket
	if _, err := a.Revoke(t.Context(), open.ID); err != nil {
		t.Fatal(err)
	}
	if c := code(t, get(open.Text)); c != api.CodeNotPermitted {
		t.Errorf("revoked ticket: %s", c)
	}
	removed := share(t, a, api.TicketOptions{}, src)
	if _, err := a.Remove(t.Context(), removed.Entry.ID); err != nil {
		t.Fatal(err)
	}
	if c := code(t, get(removed.Ticket.Text)); c != api.CodeNotPermitted {
		t.Errorf("ticket of a removed entry: %s", c)
	}
	if _, err := a.Restore(t.Context(), removed.Entry.ID); err != nil {
		t.Fatal(err)
	}
	if err := get(removed.Ticket.Text); err != nil {
		t.Errorf("ticket of a restored entry: %v", err)
	}
}

func TestChangedFileIsNotServed(t *testing.T) {
	a, _ := start(t, t.TempDir())
	b, _ := start(t, t.TempDir())
	src := filepath.Join(t.TempDir(), "f")
	write(t, src, 3<<20)
	r := share(t, a, api.TicketOptions{}, src)
	write(t, src, 3<<20)
	out := t.TempDir()
	_, err := b.Get(t.Context(), api.GetRequest{Tickets: []string{r.Ticket.Text}, Output: filepath.Join(out, "f")}, sink{t})
	if c := code(t, err); c != api.CodeUnavailable {
		t.Errorf("code %s: %v", c, err)
	}
	if _, err := os.Lstat(filepath.Join(out, "f")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something stands under the final name: %v", err)
	}
}

func TestPinGCVerify(t *testing.T) {
	home := t.TempDir()
	a, stop := start(t, home)
	src := filepath.Join(t.TempDir(), "f")
	want := write(t, src, 3<<20)
	r, err := a.Add(t.Context(), api.AddRequest{Path: src}, sink{t})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Pin(t.Context(), r.Entry.CID, sink{t}); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(src); err != nil {
		t.Fatal(err)
	}
	if _, err := a.GC(t.Context(), sink{t}); err != nil {
		t.Fatal(err)
	}
	stop()
	a, _ = start(t, home)
	c, err := a.Open(t.Context(), r.Entry.CID, "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if have, err := io.ReadAll(c); err != nil || !bytes.Equal(have, want) {
		t.Errorf("pinned content differs (%v)", err)
	}
	v, err := a.Verify(t.Context(), sink{t})
	if err != nil || v.Damaged != 0 {
		t.Errorf("verify: %+v, %v", v, err)
	}
}

func TestHomeIsLocked(t *testing.T) {
	home := t.TempDir()
	start(t, home)
	_, err := New(t.Context(), Config{Home: home})
	if c := code(t, err); c != api.CodeLocked {
		t.Errorf("code %s", c)
	}
}

func TestHandover(t *testing.T) {
	home := t.TempDir()
	a, err := New(t.Context(), Config{Home: home, Mode: ModeCommand, Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- a.Run(t.Context()) }()
	<-a.Ready()
	src := filepath.Join(t.TempDir(), "f")
	write(t, src, 1000)
	r := share(t, a, api.TicketOptions{}, src)
	last := ""
	for u, err := range a.Watch(t.Context(), r.Ticket.ID) {
		if err != nil {
			t.Fatal(err)
		}
		if last = u.Reason; last == "" {
			if err := a.Handover(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if last != "handover" {
		t.Errorf("the watcher was told %q", last)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	b, _ := start(t, home)
	e, err := b.Entry(t.Context(), r.Entry.ID)
	if err != nil || e.Tickets[0].State != "open" {
		t.Errorf("the next peer does not have the share: %+v, %v", e, err)
	}
	if c := code(t, b.Handover(t.Context())); c != api.CodeLocked {
		t.Errorf("handover of a peer that stays: %s", c)
	}
}

// TestFlippedByteIsNotServed changes a shared file without changing its size or time.
func TestFlippedByteIsNotServed(t *testing.T) {
	a, _ := start(t, t.TempDir())
	b, _ := start(t, t.TempDir())
	src := filepath.Join(t.TempDir(), "f")
	data := write(t, src, 3<<20)
	r := share(t, a, api.TicketOptions{}, src)
	fi, err := os.Stat(src)
	if err != nil {
		t.Fatal(err)
	}
	data[1<<20+7] ^= 1
	if err := os.WriteFile(src, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(src, fi.ModTime(), fi.ModTime()); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "f")
	_, err = b.Get(t.Context(), api.GetRequest{Tickets: []string{r.Ticket.Text}, Output: out}, sink{t})
	if c := code(t, err); c != api.CodeUnavailable || !strings.Contains(err.Error(), a.PeerID().String()) {
		t.Errorf("code %s: %v", c, err)
	}
	if _, err := os.Lstat(out); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something stands under the final name: %v", err)
	}
}

// TestSourceStops ends the only source for good in the middle.
func TestSourceStops(t *testing.T) {
	t.Parallel()
	a, stop := start(t, t.TempDir())
	b, _ := start(t, t.TempDir())
	src := filepath.Join(t.TempDir(), "f")
	write(t, src, 256<<20)
	r := share(t, a, api.TicketOptions{}, src)
	_, err := b.Get(t.Context(), api.GetRequest{Tickets: []string{r.Ticket.Text}, Output: filepath.Join(t.TempDir(), "f"), WaitSeconds: 1}, once{t, stop})
	if c := code(t, err); c != api.CodeUnavailable || !strings.Contains(err.Error(), a.PeerID().String()) {
		t.Errorf("code %s: %v", c, err)
	}
}

// once calls stop at the first sign of bytes.
type once struct {
	t    *testing.T
	stop func()
}

func (o once) Progress(p api.Progress) {
	if p.Done > 0 {
		o.stop()
	}
}
func (o once) Warn(w api.Warning) { o.t.Logf("warning: %s", w.Message) }
