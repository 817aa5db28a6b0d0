package web_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"cairn/web"
)

// listen opens the stream of events over TCP.
func (b *bench) listen(t *testing.T, head ...string) *bufio.Reader {
	t.Helper()
	c, err := net.Dial("tcp", b.host())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, b.raw("GET /v1/events", "", head...)); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%+v, %v", resp, err)
	}
	return bufio.NewReader(resp.Body)
}

// TestStreamEndsWithItsRight: who listens hears nothing more soon after the token was revoked or the session left.
func TestStreamEndsWithItsRight(t *testing.T) {
	b := start(t, func(c *web.Config) { c.Heartbeat = 20 * time.Millisecond })
	cookie, secret := b.login(t)
	byToken, bySession := b.listen(t, "Authorization: Bearer good-read"), b.listen(t, cookie, secret)
	for range 5 { // both live on meanwhile
		until(t, byToken, ":")
		until(t, bySession, ":")
	}
	b.bearers.ended.Store(true)
	if _, err := io.Copy(io.Discard, byToken); err != nil {
		t.Errorf("a revoked token's stream goes on: %v", err)
	}
	until(t, bySession, ":")
	if a := b.request(t, false, b.raw("POST /v1/logout", "", cookie, secret)); a.StatusCode >= 300 {
		t.Fatalf("logout: %d", a.StatusCode)
	}
	if _, err := io.Copy(io.Discard, bySession); err != nil {
		t.Errorf("the stream of a session that was left goes on: %v", err)
	}
}
