package web_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"cairn/web"
	"cairn/web/api"
)

// open sends a request over the socket and returns the body as it comes.
func (b *bench) open(t *testing.T, text string) (*http.Response, net.Conn) {
	t.Helper()
	path, err := web.SocketPath(b.home)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	return resp, c
}

// until reads lines up to one that begins with prefix.
func until(t *testing.T, r *bufio.Reader, prefix string) string {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("waiting for %q: %v", prefix, err)
		}
		if strings.HasPrefix(line, prefix) {
			return strings.TrimSuffix(strings.TrimPrefix(line, prefix), "\n")
		}
	}
}

func TestEvents(t *testing.T) {
	b := start(t, func(c *web.Config) { c.Heartbeat = 20 * time.Millisecond })
	resp, conn := b.open(t, b.raw("GET /v1/events", "", "Last-Event-ID: 41"))
	r := bufio.NewReader(resp.Body)
	if ct := resp.Header.Get("Content-Type"); ct != "text/event-stream" {
		t.Errorf("type %q", ct)
	}
	until(t, r, ":") // at once
	until(t, r, ":") // heartbeat
	b.peer.Changes <- api.Event{ID: 42, Type: "rates", Rates: &api.Rates{UpBPS: 7}}
	if id := until(t, r, "id: "); id != "42" {
		t.Errorf("id %q", id)
	}
	if name := until(t, r, "event: "); name != "rates" {
		t.Errorf("event %q", name)
	}
	if data := until(t, r, "data: "); !strings.Contains(data, `"up_bps":7`) {
		t.Errorf("data %q", data)
	}
	if calls := b.peer.Calls(); len(calls) != 1 || calls[0] != uint64(41) {
		t.Errorf("the peer was asked for %v", calls)
	}
	_ = conn.Close()
	b.stop()
}

// TestStopTellsStreams: streams get a reason and Run ends in time, whatever is open.
func TestStopTellsStreams(t *testing.T) {
	b := start(t, nil)
	working := make(chan struct{})
	b.peer.Work = func(ctx context.Context, s api.Sink) error {
		close(working)
		<-ctx.Done()
		return ctx.Err()
	}
	events, _ := b.open(t, b.raw("GET /v1/events", ""))
	work, _ := b.open(t, b.raw("POST /v1/gc", ""))
	upload, _ := net.Dial("tcp", b.host()) // a client that is silent
	defer upload.Close()
	<-working
	begun := time.Now()
	b.stop()
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("Run took %v to end", took)
	}
	for name, resp := range map[string]*http.Response{"events": events, "work": work} {
		r := bufio.NewReader(resp.Body)
		until(t, r, "event: error")
		if data := until(t, r, "data: "); !strings.Contains(data, `"code":"handover","message":"the peer is stopping"`) {
			t.Errorf("%s: %s", name, data)
		}
	}
}

// TestStopCutsOff: a request that does not end by itself is cut off after its grace.
func TestStopCutsOff(t *testing.T) {
	b := start(t, nil)
	entered := make(chan struct{})
	b.peer.EntryFunc = func(ctx context.Context, _ string) (api.Entry, error) {
		close(entered)
		<-ctx.Done()
		return api.Entry{}, ctx.Err()
	}
	path, _ := web.SocketPath(b.home)
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, b.raw("GET /v1/entries/e1", ""))
	<-entered
	begun := time.Now()
	b.stop()
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("Run took %v to end", took)
	}
}

// TestClientLeaves: work stops when nobody waits for it.
func TestClientLeaves(t *testing.T) {
	b := start(t, nil)
	working, ended := make(chan struct{}), make(chan error, 1)
	b.peer.Work = func(ctx context.Context, s api.Sink) error {
		close(working)
		<-ctx.Done()
		ended <- ctx.Err()
		return ctx.Err()
	}
	_, conn := b.open(t, b.raw("POST /v1/verify", ""))
	<-working
	_ = conn.Close()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("the work went on")
	}
}

// TestFlood: work that reports without pause neither waits for a client that does not read nor fills memory.
func TestFlood(t *testing.T) {
	b := start(t, nil)
	b.peer.Work = func(_ context.Context, s api.Sink) error {
		for i := range 200_000 {
			s.Progress(api.Progress{Done: int64(i)})
			s.Warn(api.Warning{Message: strings.Repeat("w", 100)})
		}
		return nil
	}
	resp, _ := b.open(t, b.raw("POST /v1/gc", ""))
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(body), "event: warning"); n == 0 || n > 50_000 {
		t.Errorf("%d warnings", n)
	}
	if !strings.Contains(string(body), "more warnings") || !strings.Contains(string(body), `"done":199999`) {
		t.Error("neither a count of what was left out nor the last progress")
	}
}

// TestPanics: a panic becomes an error with a request id, in an answer or in a stream, and the server goes on.
func TestPanics(t *testing.T) {
	b := start(t, nil)
	b.peer.EntryFunc = func(context.Context, string) (api.Entry, error) { panic("secret detail") }
	b.peer.Work = func(context.Context, api.Sink) error { panic("secret detail") }
	a := b.request(t, true, b.raw("GET /v1/entries/e1", ""))
	if e := failure(t, a); a.StatusCode != 500 || e.Code != api.CodeFailed || strings.Contains(a.body, "secret detail") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if log := b.log.String(); !strings.Contains(log, "secret detail") || !strings.Contains(log, a.Header.Get("Cairn-Request-Id")) {
		t.Errorf("the log says %s", log)
	}
	a = b.request(t, true, b.raw("POST /v1/gc", ""))
	if !strings.Contains(a.body, "event: error") || !strings.Contains(a.body, `"code":"failed"`) || strings.Contains(a.body, "secret detail") {
		t.Errorf("stream: %s", a.body)
	}
	if a := b.request(t, true, b.raw("GET /v1/healthz", "")); a.StatusCode != 200 {
		t.Errorf("health after panics: %d", a.StatusCode)
	}
}

// TestInternalErrors: the text of an error that is not for users stays in the log.
func TestInternalErrors(t *testing.T) {
	b := start(t, nil)
	b.peer.EntryFunc = func(context.Context, string) (api.Entry, error) {
		return api.Entry{}, errors.New("open /secret/path: EIO")
	}
	a := b.request(t, true, b.raw("GET /v1/entries/e1", ""))
	failure(t, a)
	if strings.Contains(a.body, "EIO") || !strings.Contains(b.log.String(), "EIO") {
		t.Errorf("answer %s, log %s", a.body, b.log.String())
	}
}
