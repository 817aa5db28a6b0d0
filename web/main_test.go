package web_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"

	"cairn/web"
	"cairn/web/api"
	"cairn/web/internal/fakepeer"
)

var update = flag.Bool("update", false, "write golden files anew")

func TestMain(m *testing.M) {
	http.DefaultTransport.(*http.Transport).DisableKeepAlives = true
	goleak.VerifyTestMain(m)
}

// bench is a running server with its fake peer.
type bench struct {
	*web.Server
	peer     *fakepeer.Peer
	sessions *web.Sessions
	home     string
	stop     func() // ends the server and waits
	log      *lockedBuffer
	roots    *x509.CertPool // nil: plain HTTP
	bearers  *bearers
	audit    *auditLog
}

func start(t *testing.T, change func(*web.Config)) *bench {
	t.Helper()
	b := &bench{sessions: web.NewSessions(nil), home: t.TempDir(), log: &lockedBuffer{}, bearers: &bearers{}, audit: &auditLog{}}
	b.peer = &fakepeer.Peer{
		File:    []byte("0123456789abcdef"),
		Updates: make(chan api.ShareUpdate),
		Changes: make(chan api.Event),
		Code: func() api.LoginCode {
			code, expires := b.sessions.NewCode()
			return api.LoginCode{Code: code, URL: b.URL(), Expires: expires}
		},
	}
	cfg := web.Config{
		Peer: b.peer, Sessions: b.sessions, Home: b.home, HTTP: "127.0.0.1:0", Tokens: b.bearers, Audit: b.audit.add,
		Dashboard: fstest.MapFS{
			"index.html":      {Data: []byte("<!doctype html><title>Cairn</title>")},
			"assets/app-1.js": {Data: []byte("export {}")},
		},
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "cairn_up 1\n") }),
		Log:     slog.New(slog.NewJSONHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	if b.Server, err = web.New(cfg); err != nil {
		t.Fatal(err)
	}
	if err := b.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := b.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	b.stop = func() { cancel(); <-ended }
	t.Cleanup(b.stop)
	return b
}

// answer is a response with its body read.
type answer struct {
	*http.Response
	body string
}

// request sends text as it is and reads one answer; local: over the socket.
func (b *bench) request(t *testing.T, local bool, text string) answer {
	t.Helper()
	network, addr := "tcp", b.host()
	if local {
		network = "unix"
		var err error
		if addr, err = web.SocketPath(b.home); err != nil {
			t.Fatal(err)
		}
	}
	c, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if b.roots != nil && !local {
		c = tls.Client(c, &tls.Config{RootCAs: b.roots, ServerName: "127.0.0.1"})
	}
	if _, err := io.WriteString(c, text); err != nil {
		t.Logf("write: %v", err) // the server may answer and close before it has everything
	}
	method, _, _ := strings.Cut(text, " ")
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%.60q: %v", text, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		body = append(body, "\n(broken off)"...)
	}
	return answer{resp, string(body)}
}

// host is the name under which the TCP entrance is right.
func (b *bench) host() string {
	_, host, _ := strings.Cut(b.URL(), "://")
	return host
}

// raw makes the text of a request with a Host, extra header lines and a body.
func (b *bench) raw(line, body string, head ...string) string {
	var s strings.Builder
	s.WriteString(line + " HTTP/1.1\r\nHost: " + b.host() + "\r\nConnection: close\r\n")
	for _, h := range head {
		s.WriteString(h + "\r\n")
	}
	if body != "" {
		s.WriteString("Content-Type: application/json\r\nContent-Length: " + itoa(len(body)) + "\r\n")
	}
	return s.String() + "\r\n" + body
}
