package testnet

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSecondPeerOnOneHome(t *testing.T) {
	a := up(t, newHome(t))
	r := wantCode(t, a.Home, []int{11}, "up")
	if !strings.Contains(r.Stderr, a.Home.Dir) || !strings.Contains(r.Stderr, "hint") {
		t.Errorf("neither the directory nor the way out is named: %s", r)
	}
	if r := run(t, a.Home, "up", "--json"); r.Code != 11 || r.ErrorCode() != "locked" {
		t.Errorf("want exit code 11 and code locked: %s", r)
	}
	must(t, a.Home, "status")
}

// TestStaleLock: a peer that was killed leaves its lock, socket and port files behind; none of them blocks.
func TestStaleLock(t *testing.T) {
	h := newHome(t)
	first := up(t, h)
	first.Kill()
	must(t, h, "ls")
	second := up(t, h)
	if first.Ready.PeerID != second.Ready.PeerID {
		t.Errorf("peer id %s became %s", first.Ready.PeerID, second.Ready.PeerID)
	}
	if fmt.Sprint(first.Ready.Addresses) != fmt.Sprint(second.Ready.Addresses) {
		t.Errorf("addresses %v became %v: tickets would be lost", first.Ready.Addresses, second.Ready.Addresses)
	}
}

// TestUpTakesOver: a peer started beside a foreground share takes its tickets over, and a download that runs goes
// on.
func TestUpTakesOver(t *testing.T) {
	h := newHome(t)
	src := file(t, "f", 768*mib)
	s := background(t, h, "share", src)
	ticket, err := s.Line(limit(t, 60*time.Second), isTicket)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir(t), "out")
	get := background(t, newHome(t), "get", "--json", ticket, "-o", out)
	if err := fetching(t, get); err != nil {
		t.Fatal(err)
	}
	a := up(t, h)
	if r := get.Wait(limit(t, 60*time.Second)); r.Code != 0 {
		t.Fatal(r)
	}
	same(t, src, out)
	must(t, newHome(t), "get", ticket, "-o", filepath.Join(dir(t), "again"))
	if r, err := a.Stop(limit(t, 10*time.Second)); err != nil || r.Code != 0 {
		t.Errorf("%v: %s", err, r)
	}
	if r, err := s.Stop(limit(t, 15*time.Second)); err != nil || r.Code != 0 {
		t.Errorf("the share that was taken over: %v: %s", err, r)
	}
}

// TestLongHome: the path of a socket is short on every system; that of a home is not.
func TestLongHome(t *testing.T) {
	h := homeAt(t, filepath.Join(dir(t), strings.Repeat("long/", 40), "home"))
	up(t, h)
	src := file(t, "f", 1000)
	ticket := share(t, h, src)
	out := filepath.Join(dir(t), "out")
	must(t, newHome(t), "get", ticket, "-o", out)
	same(t, src, out)
}

func TestNoHome(t *testing.T) {
	wantCode(t, newHome(t), []int{10}, "ls")
	wantCode(t, newHome(t), []int{10}, "verify")
}

// TestHomesSideBySide: two homes with the settings that users have, default ports included.
func TestHomesSideBySide(t *testing.T) {
	plain := []string{"CAIRN_LISTEN=", "CAIRN_HTTP="}
	a, b := newHome(t), newHome(t)
	a.Env, b.Env = plain, plain
	s := background(t, a, "share", file(t, "f", 1000))
	ticket, err := s.Line(limit(t, 20*time.Second), isTicket)
	if err != nil {
		t.Fatal(err)
	}
	must(t, b, "get", ticket, "-o", filepath.Join(dir(t), "out"))
}

// TestDashboardAnswers: the page is served on loopback with its guards up, and to nobody who comes under another name.
func TestDashboardAnswers(t *testing.T) {
	a := up(t, newHome(t))
	get := func(path, host string) (*http.Response, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "GET", strings.TrimSuffix(a.Ready.HTTP, "/")+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if host != "" {
			req.Host = host
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
		if err != nil {
			t.Fatal(err)
		}
		return res, string(body)
	}
	page, text := get("/", "")
	if page.StatusCode != 200 || !strings.Contains(text, "<html") {
		t.Errorf("the page: status %d: %.200s", page.StatusCode, text)
	}
	if csp := page.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") {
		t.Errorf("the page's content security policy is %q", csp)
	}
	if res, _ := get("/", "evil.example"); res.StatusCode < 400 {
		t.Errorf("another host name: status %d", res.StatusCode)
	}
	if res, text := get("/v1/status", ""); res.StatusCode != 401 || strings.Contains(text, a.Ready.PeerID) {
		t.Errorf("status without login: %d %.200s", res.StatusCode, text)
	}
	url, err := a.Login(t.Context())
	if err != nil || !strings.HasPrefix(url, a.Ready.HTTP) {
		t.Errorf("login gives %q, %v", url, err)
	}
}
