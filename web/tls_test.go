package web_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cairn/web"
	"cairn/web/api"
	"cairn/web/certs"
)

// trusted says of a source that browsers trust it.
type trusted struct{ certs.Source }

func (trusted) Trusted() bool { return true }

// startTLS runs a server with a certificate for 127.0.0.1 and nas.local.
func startTLS(t *testing.T, change func(*web.Config)) *bench {
	t.Helper()
	ca, err := certs.NewCA("Cairn test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	own := certs.NewOwn(certs.OwnConfig{Names: func() []string { return []string{"127.0.0.1", "localhost", "nas.local"} },
		Obtain: func(_ context.Context, csr []byte, names []string) ([]byte, error) {
			return ca.Issue(csr, names, certs.LeafLife, time.Now())
		}})
	if err := own.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := start(t, func(c *web.Config) {
		c.TLS = own
		if change != nil {
			change(c)
		}
	})
	b.roots = x509.NewCertPool()
	b.roots.AddCert(ca.Certificate())
	return b
}

func TestTLS(t *testing.T) {
	b := startTLS(t, nil)
	if !strings.HasPrefix(b.URL(), "https://127.0.0.1:") {
		t.Errorf("URL %s", b.URL())
	}
	code, _ := b.sessions.NewCode()
	a := b.request(t, false, b.raw("POST /v1/login", `{"code":"`+code+`"}`))
	if len(a.Cookies()) != 1 {
		t.Fatalf("login: %d %s", a.StatusCode, a.body)
	}
	if c := a.Cookies()[0]; !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || !strings.HasPrefix(c.Name, "__Host-cairn_session_") || c.Path != "/" || c.Domain != "" {
		t.Errorf("cookie %s", c)
	}
	if h := a.Header.Get("Strict-Transport-Security"); h != "" {
		t.Errorf("HSTS with a certificate of our own: %s", h)
	}
	cookie, secret := b.login(t)
	if a := b.request(t, false, b.raw("GET /v1/status", "", cookie, secret)); a.StatusCode != 200 {
		t.Errorf("session: %d", a.StatusCode)
	}
	if a := b.request(t, false, b.raw("GET /v1/status", "", strings.Replace(cookie, "__Host-", "", 1), secret)); a.StatusCode != 401 {
		t.Errorf("a cookie without its prefix: %d", a.StatusCode)
	}
	if a := b.request(t, false, b.raw("POST /v1/gc", "", cookie, secret, "Origin: "+b.URL(), "Sec-Fetch-Site: same-origin")); a.StatusCode != 200 {
		t.Errorf("our own page: %d %s", a.StatusCode, a.body)
	}
	for _, origin := range []string{"http://evil.example", "https://127.0.0.1:9", "https://nas.local"} {
		if a := b.request(t, false, b.raw("POST /v1/gc", "", cookie, secret, "Origin: "+origin)); a.StatusCode != 403 {
			t.Errorf("origin %s: %d", origin, a.StatusCode)
		}
	}
	trust := startTLS(t, func(c *web.Config) { c.TLS = trusted{c.TLS} })
	if a := trust.request(t, false, trust.raw("GET /", "")); !strings.HasPrefix(a.Header.Get("Strict-Transport-Security"), "max-age=") {
		t.Errorf("no HSTS with a certificate that browsers trust: %v", a.Header)
	}
}

func TestTLSVersions(t *testing.T) {
	b := startTLS(t, nil)
	for _, c := range []struct {
		least, most uint16
		want        uint16
	}{
		{tls.VersionTLS10, tls.VersionTLS11, 0},
		{tls.VersionTLS12, tls.VersionTLS12, tls.VersionTLS12},
		{tls.VersionTLS12, tls.VersionTLS13, tls.VersionTLS13},
	} {
		conn, err := tls.Dial("tcp", b.host(), &tls.Config{RootCAs: b.roots, MinVersion: c.least, MaxVersion: c.most, NextProtos: []string{"h2", "http/1.1"}})
		if err != nil {
			if c.want != 0 {
				t.Errorf("up to %x: %v", c.most, err)
			}
			continue
		}
		if s := conn.ConnectionState(); s.Version != c.want || s.NegotiatedProtocol != "http/1.1" {
			t.Errorf("up to %x: %x %s", c.most, s.Version, s.NegotiatedProtocol)
		}
		_ = conn.Close()
	}
}

// TestPlainOnTLS: who forgets the s is told so, in the form of all errors.
func TestPlainOnTLS(t *testing.T) {
	b := startTLS(t, nil)
	resp, err := http.Get("http://" + b.host() + "/v1/status")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 400 || !strings.Contains(string(body), "HTTPS") || !strings.Contains(string(body), b.URL()) || resp.Header.Get("Cairn-Api") != api.Version {
		t.Errorf("%d %s %v", resp.StatusCode, body, err)
	}
	c, err := net.Dial("tcp", b.host())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := c.Write([]byte("\x00\x01\x02 neither of both\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if text, _ := io.ReadAll(c); strings.Contains(string(text), "HTTP") {
		t.Errorf("garbage was answered: %q", text)
	}
}

// TestHosts: besides loopback the names of the certificate and those configured are ours, and the address that the
// connection came to; nothing else is, whatever it resolves to.
func TestHosts(t *testing.T) {
	b := startTLS(t, func(c *web.Config) { c.HTTP, c.Names = "0.0.0.0:0", []string{"files.example.org", "10.9.8.7"} })
	_, port, _ := net.SplitHostPort(b.host())
	if b.URL() != "https://files.example.org:"+port {
		t.Errorf("URL %s", b.URL())
	}
	get := func(host string) int {
		t.Helper()
		c, err := tls.Dial("tcp", "127.0.0.1:"+port, &tls.Config{RootCAs: b.roots})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		resp, err := (&http.Transport{DisableKeepAlives: true, DialTLSContext: func(context.Context, string, string) (net.Conn, error) { return c, nil }}).
			RoundTrip(&http.Request{Method: "GET", URL: mustURL(t, "https://x/v1/healthz"), Host: host, Header: http.Header{}})
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	for host, want := range map[string]int{
		"127.0.0.1:" + port: 200, "localhost:" + port: 200, "nas.local:" + port: 200, "NAS.local.:" + port: 200, "files.example.org:" + port: 200, "10.9.8.7:" + port: 200,
		"evil.example:" + port: 403, "nas.local": 403, "nas.local:1": 403, "nas.local.evil.example:" + port: 403, "192.168.1.1:" + port: 403, "local:" + port: 403,
	} {
		if got := get(host); got != want {
			t.Errorf("Host %s: %d", host, got)
		}
	}
}

// TestMetricsFromElsewhere: on an entrance that others reach, metrics need a right.
func TestMetricsFromElsewhere(t *testing.T) {
	b := startTLS(t, func(c *web.Config) { c.HTTP, c.Names = "0.0.0.0:0", []string{"127.0.0.1"} })
	if a := b.request(t, false, b.raw("GET /metrics", "")); a.StatusCode != 401 {
		t.Errorf("nobody: %d", a.StatusCode)
	}
	if a := b.request(t, false, b.raw("GET /metrics", "", "Authorization: Bearer good-read")); a.StatusCode != 200 {
		t.Errorf("a token: %d", a.StatusCode)
	}
	// Login codes are guessed at most so often from one address.
	for range 10 {
		b.request(t, false, b.raw("POST /v1/login", `{"code":"0000-0000-0000"}`))
	}
	code, _ := b.sessions.NewCode()
	if a := b.request(t, false, b.raw("POST /v1/login", `{"code":"`+code+`"}`)); a.StatusCode != http.StatusTooManyRequests {
		t.Errorf("the eleventh code: %d", a.StatusCode)
	}
}

// TestFloodOverTLS sends ten thousand requests at once over TLS with a token: each is answered or told to come back, and health
// is answered in the middle of it.
func TestFloodOverTLS(t *testing.T) {
	b := startTLS(t, func(c *web.Config) { c.Limits.Quick = 2 })
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: b.roots}, MaxConnsPerHost: 64, MaxIdleConnsPerHost: 64}
	defer tr.CloseIdleConnections()
	c := http.Client{Transport: tr}
	get := func(path string) int {
		r, err := http.NewRequest("GET", b.URL()+path, nil)
		if err != nil {
			t.Error(err)
			return 0
		}
		r.Header.Set("Authorization", "Bearer good-read")
		resp, err := c.Do(r)
		if err != nil {
			t.Error(err)
			return 0
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	n := 10000
	if raced {
		n = 1000 // each is ten times as slow
	}
	var ok, busy, healthy atomic.Int32
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			switch get("/v1/status") {
			case 200:
				ok.Add(1)
			case http.StatusTooManyRequests:
				busy.Add(1)
			}
		})
		if i%1000 == 0 {
			all.Go(func() {
				if get("/v1/healthz") == 200 {
					healthy.Add(1)
				}
			})
		}
	}
	all.Wait()
	if ok.Load() == 0 || int(ok.Load()+busy.Load()) != n || int(healthy.Load()) != n/1000 {
		t.Errorf("%d answered, %d told to come back, %d healthy", ok.Load(), busy.Load(), healthy.Load())
	}
	t.Logf("%d answered, %d told to come back", ok.Load(), busy.Load())
}
