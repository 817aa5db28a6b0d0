package client_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"cairn/web"
	"cairn/web/api"
	"cairn/web/client"
	"cairn/web/internal/fakepeer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type bench struct {
	*client.Client
	peer     *fakepeer.Peer
	server   *web.Server
	sessions *web.Sessions
	home     string
	stop     func()
}

// start runs a real server over a fake peer and connects to its socket.
func start(t *testing.T, change ...func(*web.Config)) *bench {
	t.Helper()
	b := &bench{sessions: web.NewSessions(nil), home: t.TempDir()}
	b.peer = &fakepeer.Peer{
		File: []byte("0123456789abcdef"), Updates: make(chan api.ShareUpdate, 4), Changes: make(chan api.Event, 4),
		Code: func() api.LoginCode {
			code, expires := b.sessions.NewCode()
			return api.LoginCode{Code: code, Expires: expires}
		},
	}
	var err error
	cfg := web.Config{Peer: b.peer, Sessions: b.sessions, Home: b.home, HTTP: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(&cfg)
	}
	b.server, err = web.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.server.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := b.server.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	b.stop = func() { cancel(); <-ended }
	if b.Client, err = client.Dial(t.Context(), b.home); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close(); b.stop() })
	return b
}

func code(err error) api.Code {
	e, _ := errors.AsType[*api.Error](err)
	if e == nil {
		return ""
	}
	return e.Code
}

// TestEveryOperation calls each method once and compares with what the peer says.
func TestEveryOperation(t *testing.T) {
	b := start(t)
	ctx := t.Context()
	want := fakepeer.TheEntry()
	want.Tickets = []api.Ticket{}
	ticket := fakepeer.TheTicket()
	var progress []api.Progress
	var warnings []api.Warning
	onP := func(p api.Progress) { progress = append(progress, p) }
	onW := func(w api.Warning) { warnings = append(warnings, w) }
	check := func(name string, got any, err error, want any) {
		t.Helper()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v\nwant %+v", name, got, err, want)
		}
	}
	h, err := b.Health(ctx)
	check("health", h, err, api.Health{Status: "ok", APIVersion: "1"})
	s, err := b.Session(ctx)
	check("session", s, err, api.Session{Access: "local"})
	st, err := b.Status(ctx)
	check("status", st.Home, err, "/home/someone/.cairn")
	ps, err := b.Peers(ctx)
	check("peers", ps, err, []api.PeerInfo{})
	page, err := b.Entries(ctx, api.EntryQuery{Text: "a&b", Cursor: "c d", Limit: 7})
	check("entries", page, err, api.EntryPage{Entries: []api.Entry{want}, Total: 1})
	check("query", b.peer.Calls()[0], nil, api.EntryQuery{Text: "a&b", Cursor: "c d", Limit: 7})
	e, err := b.Entry(ctx, "e1")
	check("entry", e, err, want)
	e, err = b.Remove(ctx, "e1")
	check("remove", e, err, want)
	e, err = b.Restore(ctx, "e1")
	check("restore", e, err, want)
	share := api.ShareRequest{Paths: []string{"/a"}, Copy: true, TicketOptions: api.TicketOptions{Downloads: 3}}
	sr, err := b.Share(ctx, share, onP, onW)
	check("share", sr, err, api.ShareResult{Ticket: ticket, Entry: want})
	check("share request", b.peer.Calls()[2], nil, share)
	check("progress", progress, nil, []api.Progress{{Phase: "reading", Done: 1, Total: 2, Item: "/home/someone/a b.txt"}})
	check("warnings", warnings, nil, []api.Warning{{Message: `skipped a FIFO\u001b[31m`}})
	tk, err := b.Issue(ctx, "e1", api.TicketOptions{Downloads: 2, NoSwarm: true})
	check("issue", tk, err, ticket)
	tk, err = b.Ticket(ctx, "t1")
	check("ticket", tk, err, ticket)
	svg, err := b.TicketQR(ctx, "t1")
	check("qr", bytes.HasPrefix(svg, []byte("<svg ")), err, true)
	ts, err := b.Revoke(ctx, "/a/path")
	check("revoke", ts, err, []api.Ticket{ticket})
	ts, err = b.RevokeTicket(ctx, "t1")
	check("revoke ticket", ts, err, []api.Ticket{ticket})
	ar, err := b.Add(ctx, api.AddRequest{Path: "/a"}, nil, nil)
	check("add", ar, err, api.AddResult{Entry: want})
	ar, err = b.Upload(ctx, "n", 3, strings.NewReader("abc"))
	check("upload", ar, err, api.AddResult{Entry: want})
	ar, err = b.ImportCAR(ctx, "n", strings.NewReader("car"))
	check("import", ar, err, api.AddResult{Entry: want})
	ar, err = b.Pin(ctx, "/weird ref", nil, nil)
	check("pin", ar, err, api.AddResult{Entry: want})
	gc, err := b.GC(ctx, nil, nil)
	check("gc", gc, err, api.GCResult{Blocks: 3})
	v, err := b.Verify(ctx, nil, nil)
	check("verify", v.Findings, err, []api.Finding{{Kind: "changed", Path: "/home/someone/x"}})
	var car bytes.Buffer
	check("export", nil, b.ExportCAR(ctx, "e1", &car), nil)
	check("CAR", car.String(), nil, string(b.peer.File))
	g, err := b.Get(ctx, api.GetRequest{Tickets: []string{"x"}, Output: "/o"}, nil, nil)
	check("get", g.Path, err, "/home/someone/Downloads/x")
	_, err = b.GetTickets(ctx, api.GetsRequest{Tickets: []string{"x"}}, nil, nil)
	check("get tickets", nil, err, nil)
	l, err := b.List(ctx, "e1", "a/b c")
	check("list", l, err, api.Listing{CID: fakepeer.CID, Kind: "directory", Entries: []api.DirEntry{}})
	link, err := b.DownloadLink(ctx, api.LinkRequest{Ref: "e1"})
	check("link", strings.HasPrefix(link.URL, "/v1/downloads/"), err, true)
	opened, err := b.OpenInPlace(ctx, api.OpenRequest{Ref: "e1"})
	check("open", strings.HasPrefix(opened.URL, "/v1/opened/"), err, true)
	trs, err := b.Transfers(ctx)
	check("transfers", len(trs), err, 1)
	tr, err := b.Transfer(ctx, "x1")
	check("transfer", tr.Path, err, "/home/someone/x")
	tr, err = b.Cancel(ctx, "x1")
	check("cancel", tr.ID, err, "x1")
	pcs, err := b.Pieces(ctx, "x1")
	check("pieces", pcs, err, api.Pieces{Leaves: 5, PerCell: 2, Done: []byte{100, 50, 0}, Source: []byte{1, 255, 0}, Asked: []byte{0, 1, 0}, Peers: []string{"12D3"}})
	rh, err := b.Rates(ctx, "x1", "1h")
	check("rates", rh.Series, err, []api.RateSeries{{PeerID: "12D3", Direction: "down", BPS: []int64{1, 2}}})
	if _, err := b.Rates(ctx, "x1", "2h"); code(err) != api.CodeUsage {
		t.Errorf("rates of an unknown window: %v", err)
	}
	if _, err := b.Pieces(ctx, "x2"); code(err) != api.CodeNotFound {
		t.Errorf("pieces of no transfer: %v", err)
	}
	// What is read-only goes over the wire and is ignored; lists are never null.
	set := api.Limits{Up: 4096, Hours: []api.HourLimit{{From: "22:00", To: "06:00"}}, Effective: api.EffectiveLimits{Up: 7}, Problem: "x"}
	lim, err := b.SetLimits(ctx, set)
	set.Peers, set.Hours[0].Days, set.Problem = []api.PeerLimit{}, []string{}, ""
	set.Effective = api.EffectiveLimits{Up: 4096, Reason: "the limits for all hours"}
	check("set limits", lim, err, set)
	lim, err = b.Limits(ctx)
	check("limits", lim, err, set)
	check("handover", nil, b.Handover(ctx), nil)
	lc, err := b.LoginCode(ctx)
	check("login code", len(lc.Code), err, 14)

	calls := len(b.peer.Calls())
	if calls == 0 || b.peer.Calls()[calls-1] != "handover" {
		t.Errorf("calls %v", b.peer.Calls())
	}
}

func TestTCP(t *testing.T) {
	b := start(t)
	c := client.New(client.TCP(b.server.URL()))
	defer c.Close()
	if _, err := c.Status(t.Context()); code(err) != api.CodeNotPermitted {
		t.Errorf("before login: %v", err)
	}
	lc, err := b.LoginCode(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Login(t.Context(), strings.ToLower(lc.Code)); err != nil {
		t.Fatal(err)
	}
	if st, err := c.Status(t.Context()); err != nil || st.Home != "" {
		t.Errorf("after login: %+v, %v", st, err)
	}
	if _, err := c.Share(t.Context(), api.ShareRequest{Paths: []string{"/a"}}, nil, nil); code(err) != api.CodeNotPermitted {
		t.Errorf("share over TCP: %v", err)
	}
	if err := c.Logout(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := c.Status(t.Context()); code(err) != api.CodeNotPermitted {
		t.Errorf("after logout: %v", err)
	}
}

func TestStreams(t *testing.T) {
	b := start(t)
	ticket := fakepeer.TheTicket()
	b.peer.Updates <- api.ShareUpdate{Ticket: ticket}
	b.peer.Updates <- api.ShareUpdate{Ticket: ticket, Reason: "used"}
	close(b.peer.Updates)
	var reasons []string
	for u, err := range b.Watch(t.Context(), "t1") {
		if err != nil {
			t.Fatal(err)
		}
		reasons = append(reasons, u.Reason)
	}
	if !reflect.DeepEqual(reasons, []string{"", "used"}) {
		t.Errorf("reasons %q", reasons)
	}
	b.peer.Changes <- api.Event{ID: 8, Type: "rates", Rates: &api.Rates{UpBPS: 1}}
	for e, err := range b.Events(t.Context(), 7) {
		if err != nil || e.ID != 8 || e.Rates.UpBPS != 1 {
			t.Errorf("%+v, %v", e, err)
		}
		break // leaves no connection behind: goleak
	}
	if calls := b.peer.Calls(); calls[len(calls)-1] != uint64(7) {
		t.Errorf("events after %v", calls)
	}
}

func TestEventsCancelled(t *testing.T) {
	b := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b.peer.Changes <- api.Event{ID: 9, Type: "status"}
	var last error
	for _, err := range b.Events(ctx, 0) {
		cancel()
		last = err
	}
	if code(last) != api.CodeCancelled {
		t.Errorf("%v", last)
	}
}

func TestEventsOfStoppingPeer(t *testing.T) {
	b := start(t)
	b.peer.Changes <- api.Event{ID: 10, Type: "status"}
	var last error
	for _, err := range b.Events(t.Context(), 0) {
		if err == nil {
			go b.stop()
		}
		last = err
	}
	if code(last) != api.CodeHandover || last.Error() != "the peer is stopping" {
		t.Errorf("%v", last)
	}
}

func TestErrors(t *testing.T) {
	b := start(t)
	_, err := b.Entry(t.Context(), "zz")
	e, ok := errors.AsType[*api.Error](err)
	if !ok || e.Code != api.CodeNotFound || e.Hint == "" || e.RequestID == "" {
		t.Errorf("%+v", err)
	}
	for _, ref := range []string{"", ".", "..", "a/b", `a\b`, "a\nb", strings.Repeat("x", 2000)} {
		if _, err := b.Entry(t.Context(), ref); code(err) != api.CodeUsage {
			t.Errorf("%.20q: %v", ref, err)
		}
	}
	if _, err := b.Entry(t.Context(), "50% of a?b#c&d"); code(err) != api.CodeNotFound {
		t.Errorf("a name with signs: %v", err)
	}
	b.peer.Work = func(_ context.Context, s api.Sink) error {
		s.Progress(api.Progress{Done: 1})
		return api.Errorf(api.CodeNoSpace, "the disk is full").WithHint("free some")
	}
	if _, err := b.GC(t.Context(), nil, nil); code(err) != api.CodeNoSpace {
		t.Errorf("work that fails: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	b.peer.Work = func(ctx context.Context, s api.Sink) error {
		s.Progress(api.Progress{Done: 1})
		<-ctx.Done()
		return ctx.Err()
	}
	if _, err := b.GC(ctx, func(api.Progress) { cancel() }, nil); code(err) != api.CodeCancelled {
		t.Errorf("cancelled work: %v", err)
	}
	full := errors.New("disk full")
	if err := b.ExportCAR(t.Context(), "e1", writerFunc(func([]byte) (int, error) { return 0, full })); err != full {
		t.Errorf("a writer's own error: %v", err)
	}
	b.peer.File, b.peer.FailAt = make([]byte, 64<<10), 32<<10
	if err := b.ExportCAR(t.Context(), "e1", io.Discard); code(err) != api.CodeFailed {
		t.Errorf("an export that breaks off: %v", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestNoPeer(t *testing.T) {
	home := t.TempDir()
	_, err := client.Dial(t.Context(), home)
	if !errors.Is(err, client.ErrNoPeer) || code(err) != api.CodeUnavailable {
		t.Errorf("no socket: %v", err)
	}
	path, _ := api.SocketPath(home)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	if _, err := client.Dial(t.Context(), home); !errors.Is(err, client.ErrNoPeer) {
		t.Errorf("a dead socket: %v", err)
	}
	_, err = client.Dial(t.Context(), filepath.Join(home, "not", "there"))
	if !errors.Is(err, client.ErrNoPeer) {
		t.Errorf("no home: %v", err)
	}
}

func TestLocked(t *testing.T) {
	home := t.TempDir()
	path, _ := api.SocketPath(home)
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // accepts nothing: a peer that is stopped
	begun := time.Now()
	_, err = client.Dial(t.Context(), home)
	if code(err) != api.CodeLocked || errors.Is(err, client.ErrNoPeer) {
		t.Errorf("%v", err)
	}
	if took := time.Since(begun); took < client.AnswerTime || took > client.AnswerTime+2*time.Second {
		t.Errorf("after %v", took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.Dial(ctx, home); code(err) != api.CodeCancelled {
		t.Errorf("cancelled: %v", err)
	}
}

// TestForeign: other versions and other programs are named as such, whatever they answer.
func TestForeign(t *testing.T) {
	var version, body string
	status := 200
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if version != "" {
			w.Header().Set("Cairn-Api", version)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	defer s.Close()
	c := client.New(client.TCP(s.URL))
	defer c.Close()
	version, body = "2", `{"whatever":1}`
	_, err := c.Status(t.Context())
	if code(err) != api.CodeUnavailable || !strings.Contains(err.Error(), "version 2") || !strings.Contains(err.Error(), "version 1") {
		t.Errorf("another version: %v", err)
	}
	version = ""
	if _, err := c.Status(t.Context()); code(err) != api.CodeUnavailable {
		t.Errorf("another program: %v", err)
	}
	version, body, status = "1", "<html>", 502
	if _, err := c.Status(t.Context()); code(err) != api.CodeFailed {
		t.Errorf("no error body: %v", err)
	}
	status = 200
	if _, err := c.Status(t.Context()); code(err) == "" {
		t.Errorf("no JSON: %v", err)
	}
	for name, text := range map[string]string{
		"nothing":     "",
		"cut off":     "event: result\ndata: {}",
		"only hearts": ":\n\n:\n\n",
		"no JSON":     "event: result\ndata: <\n\n",
		"bad error":   "event: error\ndata: 7\n\n",
	} {
		body = text
		if _, err := c.GC(t.Context(), nil, nil); code(err) != api.CodeUnavailable && code(err) != api.CodeFailed {
			t.Errorf("stream with %s: %v", name, err)
		}
	}
}
