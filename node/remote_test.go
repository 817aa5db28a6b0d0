package node

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"cairn/storage/dag"
	"cairn/web/api"
)

// filmSize is of a file that no reader may fetch as a whole.
const filmSize = 256 << 20

// reached is how many leaves may come for a range of one MiB that is not aligned: the two it lies in, and what is
// read ahead of a reader that began to read on.
const reached = 4

// film shares one file and returns what another peer needs to seek in it.
func film(t *testing.T, size int) (a, b *Node, content []byte, ticket string) {
	t.Helper()
	a, _ = start(t, t.TempDir())
	b, _ = start(t, t.TempDir())
	src := filepath.Join(t.TempDir(), "film.mp4")
	content = write(t, src, size)
	return a, b, content, share(t, a, api.TicketOptions{}, src).Ticket.Text
}

// down returns what b received since the last call.
func down(b *Node) func() int64 {
	var was int64
	return func() int64 {
		n := b.meter.Total().Down
		d := n - was
		was = n
		return d
	}
}

// TestSeekRemote reads a range in the middle of another peer's file as `cairn cat --range` and a video player do.
func TestSeekRemote(t *testing.T) {
	a, b, content, ticket := film(t, filmSize)
	srv := httptest.NewServer(serveAs(b))
	defer srv.Close()
	came := down(b)
	ask := func(method string, head ...string) (*http.Response, []byte) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+"/v1/content/"+ticket, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(head); i += 2 {
			req.Header.Set(head[i], head[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, body
	}

	resp, _ := ask("HEAD")
	if resp.StatusCode != 200 || resp.ContentLength != filmSize || resp.Header.Get("Accept-Ranges") != "bytes" {
		t.Errorf("HEAD: %d %v", resp.StatusCode, resp.Header)
	}
	if n := came(); n > dag.LeafSize/2 {
		t.Errorf("HEAD fetched %d bytes", n)
	}
	etag := resp.Header.Get("ETag")
	for _, x := range []struct {
		head          []string
		first, length int
		status        int
	}{
		{[]string{"Range", "bytes=134217800-135266375"}, 134217800, 1 << 20, 206},
		{[]string{"Range", "bytes=200000000-200000099", "If-Range", etag}, 200000000, 100, 206},
		{[]string{"Range", "bytes=-100"}, filmSize - 100, 100, 206},
	} {
		first, last := x.first, x.first+x.length-1
		resp, body := ask("GET", x.head...)
		if resp.StatusCode != x.status || resp.Header.Get("Content-Range") != fmt.Sprintf("bytes %d-%d/%d", first, last, filmSize) ||
			!bytes.Equal(body, content[first:last+1]) {
			t.Errorf("%v: %d %v, %d bytes", x.head, resp.StatusCode, resp.Header, len(body))
		}
		if n := came(); n > (reached+1)*dag.LeafSize {
			t.Errorf("%v fetched %d bytes", x.head, n)
		}
	}
	resp, body := ask("GET", "Range", "bytes=10-19,250000000-250000009")
	_, params, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || resp.StatusCode != 206 {
		t.Fatalf("two ranges: %d %v", resp.StatusCode, resp.Header)
	}
	parts := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	for _, at := range []int{10, 250000000} {
		p, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(p); err != nil || !bytes.Equal(got, content[at:at+10]) {
			t.Errorf("part at %d: %v", at, err)
		}
	}
	if n := came(); n > 2*reached*dag.LeafSize {
		t.Errorf("two ranges fetched %d bytes", n)
	}
	if resp, _ := ask("GET", "If-None-Match", etag); resp.StatusCode != 304 {
		t.Errorf("unchanged: %d", resp.StatusCode)
	}
	if s := a.server.Stats(); s.Accepted != 1 {
		t.Errorf("seeking made %d sessions", s.Accepted)
	}
}

// serveAs is the content route of b for a test client without a session.
func serveAs(b *Node) http.Handler {
	m := http.NewServeMux()
	api.Register(m, api.Config{Peer: b})
	return m
}

// TestRemoteSessionLost cuts the session in the middle of a file: the read goes on with another.
func TestRemoteSessionLost(t *testing.T) {
	a, b, content, ticket := film(t, 24<<20)
	c, err := b.Open(t.Context(), ticket, "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var got bytes.Buffer
	for i := range 3 {
		if _, err := io.CopyN(&got, c, 5<<20); err != nil {
			t.Fatalf("part %d: %v", i, err)
		}
		for _, conn := range a.host.Network().Conns() {
			conn.Close()
		}
	}
	if _, err := io.Copy(&got, c); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), content) {
		t.Error("what was read differs")
	}
}

// TestTwoReaders: two at a time have a session each, and one of them stays.
func TestTwoReaders(t *testing.T) {
	a, b, content, ticket := film(t, 8<<20)
	var open []api.Content
	for i := range 2 {
		c, err := b.Open(t.Context(), ticket, "")
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 100)
		if _, err := c.Seek(int64(i)<<20, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, content[i<<20:i<<20+100]) {
			t.Errorf("reader %d: %v", i, err)
		}
		open = append(open, c)
	}
	if n := a.server.Stats().Accepted; n != 2 {
		t.Errorf("%d sessions", n)
	}
	for _, c := range open {
		c.Close()
	}
	b.remotes.mu.Lock()
	defer b.remotes.mu.Unlock()
	for _, r := range b.remotes.open {
		if r.users != 0 || len(r.spare) != 1 {
			t.Errorf("%d users and %d sessions are left", r.users, len(r.spare))
		}
	}
}

// TestRemotesEnd: what nobody uses goes away, the oldest of too many at once, the rest with time or the peer.
func TestRemotesEnd(t *testing.T) {
	a, b, _, _ := film(t, 1<<20)
	dir := t.TempDir()
	read := func(i int) {
		t.Helper()
		src := filepath.Join(dir, fmt.Sprint(i))
		write(t, src, 1000+i)
		c, err := b.Open(t.Context(), share(t, a, api.TicketOptions{}, src).Ticket.Text, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, c); err != nil {
			t.Error(err)
		}
		c.Close()
	}
	for i := range keptRemotes + 3 {
		read(i)
	}
	b.remotes.mu.Lock()
	var last *remote
	n := len(b.remotes.open)
	for _, r := range b.remotes.open {
		last = r
	}
	b.remotes.mu.Unlock()
	if n != keptRemotes {
		t.Errorf("%d objects are open", n)
	}
	b.remotes.expire(last)
	b.remotes.mu.Lock()
	if n := len(b.remotes.open); n != keptRemotes-1 || !last.closed || len(last.spare) != 0 {
		t.Errorf("%d objects are open after one expired", n)
	}
	b.remotes.mu.Unlock()
	b.remotes.close()
	if _, err := b.List(t.Context(), share(t, a, api.TicketOptions{}, filepath.Join(dir, "1")).Ticket.Text, ""); code(t, err) != api.CodeHandover {
		t.Errorf("after the end: %v", err)
	}
}

// TestRemoteReadIsCut: a client that goes away does not keep a read waiting.
func TestRemoteReadIsCut(t *testing.T) {
	_, b, _, ticket := film(t, 24<<20)
	ctx, cancel := context.WithCancel(t.Context())
	c, err := b.Open(ctx, ticket, "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.CopyN(io.Discard, c, 100); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.Copy(io.Discard, c); code(t, err) != api.CodeCancelled {
		t.Errorf("%v", err)
	}
}
