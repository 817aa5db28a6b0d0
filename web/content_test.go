package web_test

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"slices"
	"strings"
	"testing"
)

func TestRanges(t *testing.T) {
	b := start(t, nil)
	for _, c := range []struct {
		ranges string
		status int
		body   string
	}{
		{"", 200, "0123456789abcdef"},
		{"bytes=0-0", 206, "0"},
		{"bytes=4-7", 206, "4567"},
		{"bytes=10-", 206, "abcdef"},
		{"bytes=-3", 206, "def"},
		{"bytes=-100", 206, "0123456789abcdef"},
		{"bytes=14-99", 206, "ef"},
		{"items=0-1", 416, ""},
		{"bytes=16-", 416, ""},
		{"bytes=-0", 416, ""},
		{"bytes=5-4", 416, ""},
		{"bytes=99999999999999999999-", 416, ""},
	} {
		var head []string
		if c.ranges != "" {
			head = append(head, "Range: "+c.ranges)
		}
		a := b.request(t, true, b.raw("GET /v1/content/e1", "", head...))
		if a.StatusCode != c.status || c.status < 400 && a.body != c.body {
			t.Errorf("%q: %d %q", c.ranges, a.StatusCode, a.body)
		}
		if c.status < 400 {
			checkAttachment(t, a)
		} else {
			failure(t, a)
		}
		h := b.request(t, true, b.raw("HEAD /v1/content/e1", "", head...))
		if h.StatusCode != c.status || h.body != "" {
			t.Errorf("HEAD %q: %d %q", c.ranges, h.StatusCode, h.body)
		}
	}
	a := b.request(t, true, b.raw("GET /v1/content/e1", "", "Range: bytes=0-1,14-15"))
	kind, p, err := mime.ParseMediaType(a.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/byteranges" || a.StatusCode != 206 {
		t.Fatalf("several ranges: %d %q", a.StatusCode, a.Header.Get("Content-Type"))
	}
	mr := multipart.NewReader(strings.NewReader(a.body), p["boundary"])
	for _, want := range []string{"01", "ef"} {
		part, err := mr.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := io.ReadAll(part); string(got) != want {
			t.Errorf("part %q, want %q", got, want)
		}
	}
	a = b.request(t, true, b.raw("GET /v1/content/e1", "", "If-None-Match: "+a.Header.Get("ETag")))
	if a.StatusCode != 304 {
		t.Errorf("unchanged: %d", a.StatusCode)
	}
}

// TestRangeEnds: the content hears where what is read of it ends, so that nothing beyond is fetched.
func TestRangeEnds(t *testing.T) {
	b := start(t, nil)
	for _, c := range []struct {
		ranges string
		want   []int64 // the last ones; before them the beginning is tried
	}{
		{"", []int64{-1}},
		{"bytes=4-7", []int64{8}},
		{"bytes=4-", []int64{16}},
		{"bytes=4-99", []int64{16}},
		{"bytes=-3", []int64{16}},
		{"bytes=0-1, 5-6,14-15", []int64{2, 7, 16}},
		{"bytes=5-4", nil},
	} {
		b.request(t, true, b.raw("GET /v1/content/e1", "", "Range: "+c.ranges))
		got := b.peer.Ends()
		if len(got) < len(c.want) || !slices.Equal(got[len(got)-len(c.want):], c.want) {
			t.Errorf("%q: %v, want %v at the end", c.ranges, got, c.want)
		}
	}
}

// TestDamaged: damage at the first byte is told in words, later damage breaks the connection off.
func TestDamaged(t *testing.T) {
	b := start(t, nil)
	b.peer.FailAt = 10
	a := b.request(t, true, b.raw("GET /v1/content/e1", "", "Range: bytes=12-"))
	if e := failure(t, a); a.StatusCode != 500 || e.Code != "integrity" || a.Header.Get("Content-Disposition") != "" {
		t.Errorf("at the start: %d %s", a.StatusCode, a.body)
	}
	a = b.request(t, true, b.raw("GET /v1/content/e1", ""))
	if a.body != "0123456789\n(broken off)" {
		t.Errorf("in the middle: %q", a.body)
	}
	b.peer.File, b.peer.FailAt = make([]byte, 64<<10), 32<<10
	a = b.request(t, true, b.raw("GET /v1/car/e1", ""))
	if !strings.HasSuffix(a.body, "(broken off)") {
		t.Errorf("CAR of %d bytes came as a whole", len(a.body))
	}
	a = b.request(t, true, b.raw("GET /v1/car/zz", ""))
	if e := failure(t, a); e.Code != "not_found" || a.Header.Get("Content-Disposition") != "" {
		t.Errorf("CAR of nothing: %s", a.body)
	}
}

func TestUpload(t *testing.T) {
	b := start(t, nil)
	cookie, secret := b.login(t)
	data := strings.Repeat("x", 3<<20) // above the bound of JSON bodies
	a := b.request(t, false, b.raw("POST /v1/uploads?name=a%20b.txt", "", cookie, secret, "Content-Length: "+itoa(len(data)))+data)
	if a.StatusCode != 200 {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	got := b.peer.Calls()[0].([]any)
	if got[0] != "a b.txt" || got[1] != int64(len(data)) || got[2] != data {
		t.Errorf("upload %v, %v bytes", got[0], got[1])
	}
	a = b.request(t, false, b.raw("POST /v1/uploads?name=y", "", cookie, secret, "Transfer-Encoding: chunked")+"3\r\nabc\r\n0\r\n\r\n")
	if got := b.peer.Calls()[1].([]any); a.StatusCode != 200 || got[1] != int64(-1) || got[2] != "abc" {
		t.Errorf("chunked: %d %v", a.StatusCode, got)
	}
}

// TestPathsStayHere: where files are on this machine is told on the socket only, and lists are never null.
func TestPathsStayHere(t *testing.T) {
	b := start(t, nil)
	cookie, secret := b.login(t)
	for _, line := range []string{
		"GET /v1/status", "GET /v1/entries", "GET /v1/entries/e1", "GET /v1/transfers", "GET /v1/transfers/x1", "POST /v1/verify", "POST /v1/gc",
	} {
		here := b.request(t, true, b.raw(line, ""))
		there := b.request(t, false, b.raw(line, "", cookie, secret))
		if !strings.Contains(here.body, "/home/someone") {
			t.Errorf("%s over the socket: %s", line, here.body)
		}
		if there.StatusCode != 200 || strings.Contains(there.body, "/home/someone") {
			t.Errorf("%s over TCP: %d %s", line, there.StatusCode, there.body)
		}
		for _, a := range []answer{here, there} {
			if strings.Contains(a.body, "null") {
				t.Errorf("%s: null in %s", line, a.body)
			}
		}
	}
	a := b.request(t, false, b.raw("POST /v1/gets", `{"tickets":["cairn1x"]}`, cookie, secret))
	if strings.Contains(a.body, "/home/someone") || !strings.Contains(a.body, `"path":"x"`) {
		t.Errorf("get over TCP: %s", a.body)
	}
}

func TestQR(t *testing.T) {
	b := start(t, nil)
	a := b.request(t, true, b.raw("GET /v1/tickets/t1/qr.svg", ""))
	if a.StatusCode != 200 || a.Header.Get("Content-Type") != "image/svg+xml" {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	// 22 characters of the alphanumeric kind fit version 1 (21 modules) at level L.
	if !strings.Contains(a.body, `viewBox="0 0 29 29"`) || strings.Contains(a.body, "style") {
		t.Errorf("%.200s", a.body)
	}
	if !bytes.HasSuffix([]byte(a.body), []byte("</svg>")) {
		t.Error("not a whole picture")
	}
}
