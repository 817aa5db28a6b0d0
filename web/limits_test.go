package web_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"cairn/web"
	"cairn/web/api"
)

// TestBusy: beyond the limit 429 with Retry-After, while health answers and the other entrance is not affected.
func TestBusy(t *testing.T) {
	b := start(t, func(c *web.Config) { c.Limits.Quick = 2 })
	cookie, secret := b.login(t)
	var inside atomic.Int32
	enough, release := make(chan struct{}), make(chan struct{})
	b.peer.EntryFunc = func(context.Context, string) (api.Entry, error) {
		if inside.Add(1) == 2 {
			close(enough)
		}
		<-release
		return api.Entry{}, nil
	}
	var slow sync.WaitGroup
	for range 2 {
		slow.Go(func() {
			if a := b.request(t, false, b.raw("GET /v1/entries/e1", "", cookie, secret)); a.StatusCode != 200 {
				t.Errorf("a request inside the limit: %d", a.StatusCode)
			}
		})
	}
	<-enough
	var refused atomic.Int32
	var many sync.WaitGroup
	for range 200 {
		many.Go(func() {
			a := b.request(t, false, b.raw("GET /v1/status", "", cookie, secret))
			if a.StatusCode == http.StatusTooManyRequests && a.Header.Get("Retry-After") != "" {
				refused.Add(1)
			}
		})
	}
	many.Wait()
	if n := refused.Load(); n != 200 {
		t.Errorf("%d of 200 requests were told to come back", n)
	}
	if e := failure(t, b.request(t, false, b.raw("GET /v1/status", "", cookie, secret))); e.Code != api.CodeTooMany {
		t.Errorf("code %s", e.Code)
	}
	for _, local := range []bool{false, true} {
		if a := b.request(t, local, b.raw("GET /v1/healthz", "")); a.StatusCode != 200 {
			t.Errorf("health, local %v: %d", local, a.StatusCode)
		}
	}
	if a := b.request(t, true, b.raw("GET /v1/status", "")); a.StatusCode != 200 {
		t.Errorf("the socket: %d", a.StatusCode)
	}
	close(release)
	slow.Wait()
}

// TestManyConnections: beyond the limit connections are answered but not kept.
func TestManyConnections(t *testing.T) {
	b := start(t, func(c *web.Config) { c.Limits.Conns = 4 })
	for range 5 {
		c, err := net.Dial("tcp", b.host())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	a := b.request(t, false, strings.Replace(b.raw("GET /v1/healthz", ""), "Connection: close\r\n", "", 1))
	if a.StatusCode != 200 || !a.Close {
		t.Errorf("status %d, close %v", a.StatusCode, a.Close)
	}
}

// TestSlowBodies: a body that does not come ends in 408; a large one may take its time as long as it moves.
func TestSlowBodies(t *testing.T) {
	b := start(t, func(c *web.Config) {
		c.Limits.BodyTime = 100 * time.Millisecond
		c.Limits.StallTime = 300 * time.Millisecond
	})
	text := strings.Replace(b.raw("POST /v1/local/add", `{"`), "Length: 2", "Length: 20", 1)
	if a := b.request(t, true, text); a.StatusCode != http.StatusRequestTimeout || failure(t, a).Code != api.CodeUnavailable {
		t.Errorf("small body: %d %s", a.StatusCode, a.body)
	}
	text = b.raw("POST /v1/uploads?name=x", "", "Content-Length: 1000000") + strings.Repeat("x", 1000)
	if a := b.request(t, true, text); a.StatusCode < 400 {
		t.Errorf("stalled upload: %d %s", a.StatusCode, a.body)
	}
	// After a body was read its deadline is gone: the answer may take longer than the body was given.
	b.peer.Work = func(ctx context.Context, _ api.Sink) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(500 * time.Millisecond): // the real clock of a real socket
			return nil
		}
	}
	if a := b.request(t, true, b.raw("POST /v1/local/add", `{"path":"/a"}`)); !strings.Contains(a.body, "event: result") {
		t.Errorf("long work after a short body: %s", a.body)
	}
	// A megabyte in 16 parts with pauses: longer in all than StallTime, never slower.
	c, err := net.Dial("tcp", b.host())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cookie, secret := b.login(t)
	fmt.Fprint(c, b.raw("POST /v1/uploads?name=x", "", "Content-Length: 1048576", cookie, secret))
	tick := time.NewTicker(40 * time.Millisecond)
	defer tick.Stop()
	for range 16 {
		if _, err := c.Write(make([]byte, 1<<16)); err != nil {
			t.Fatal(err)
		}
		<-tick.C
	}
	answer, err := io.ReadAll(c)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200") {
		t.Errorf("steady upload: %v %.200s", err, answer)
	}
}

func TestHeaders(t *testing.T) {
	b := start(t, nil)
	for _, path := range []string{"/", "/v1/healthz", "/v1/nothing", "/metrics", "/assets/app-1.js"} {
		a := b.request(t, false, b.raw("GET "+path, ""))
		for k, want := range map[string]string{
			"Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; object-src 'none'",
			"X-Content-Type-Options":  "nosniff",
			"Referrer-Policy":         "no-referrer",
			"Cairn-Api":               "1",
		} {
			if got := a.Header.Get(k); got != want {
				t.Errorf("%s: %s is %q", path, k, got)
			}
		}
		for k := range a.Header {
			if strings.HasPrefix(k, "Access-Control-") {
				t.Errorf("%s: %s", path, k)
			}
		}
	}
}

func TestPages(t *testing.T) {
	b := start(t, nil)
	index := b.request(t, false, b.raw("GET /", ""))
	for path, want := range map[string]string{"/": "no-cache", "/library/e1": "no-cache", "/assets/app-1.js": "public, max-age=31536000, immutable"} {
		a := b.request(t, false, b.raw("GET "+path, ""))
		if a.StatusCode != 200 || a.Header.Get("Cache-Control") != want {
			t.Errorf("%s: %d %q", path, a.StatusCode, a.Header.Get("Cache-Control"))
		}
		if path == "/library/e1" && a.body != index.body {
			t.Errorf("%s is not the application", path)
		}
		again := b.request(t, false, b.raw("GET "+path, "", "If-None-Match: "+a.Header.Get("ETag")))
		if again.StatusCode != 304 {
			t.Errorf("%s again: %d", path, again.StatusCode)
		}
	}
	if index.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("type %q", index.Header.Get("Content-Type"))
	}
	if a := b.request(t, false, b.raw("GET /metrics", "")); a.body != "cairn_up 1\n" {
		t.Errorf("metrics %q", a.body)
	}
	var doc struct{ Openapi string }
	if a := b.request(t, false, b.raw("GET /v1/openapi.json", "")); json.Unmarshal([]byte(a.body), &doc) != nil || doc.Openapi == "" {
		t.Errorf("openapi.json: %.100s", a.body)
	}
	hidden := start(t, func(c *web.Config) { c.Dashboard = placeholder{fstest.MapFS{}} })
	if a := hidden.request(t, false, hidden.raw("GET /", "")); a.body != "built without it" {
		t.Errorf("a placeholder that no list shows: %d %q", a.StatusCode, a.body)
	}
	bare := start(t, func(c *web.Config) { c.Dashboard, c.Metrics = nil, nil })
	for _, path := range []string{"/", "/metrics"} {
		if a := bare.request(t, false, bare.raw("GET "+path, "")); a.StatusCode != 404 {
			t.Errorf("%s without it: %d", path, a.StatusCode)
		}
	}
}

// placeholder opens an index.html that no directory lists, as web/dashboard does without a build.
type placeholder struct{ fs.FS }

func (p placeholder) Open(name string) (fs.File, error) {
	if name == "index.html" {
		return fstest.MapFS{"x": {Data: []byte("built without it")}}.Open("x")
	}
	return p.FS.Open(name)
}
