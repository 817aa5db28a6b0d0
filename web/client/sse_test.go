package client

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"cairn/web/api"
)

func TestFrames(t *testing.T) {
	text := ":\n\nid: 1\nevent: a\ndata: {\"x\":1}\n\nevent:b\r\ndata:two\r\ndata: lines\r\nretry: 5\r\nunknown\r\n\r\nevent: no data\n\ndata:\n\nevent: cut\ndata: off"
	want := []string{`a={"x":1}`, "b=two\nlines", "="}
	for name, r := range map[string]func() *strings.Reader{"whole": func() *strings.Reader { return strings.NewReader(text) }} {
		var got []string
		for f, err := range frames(iotest.OneByteReader(r())) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, f.name+"="+string(f.data))
		}
		if strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	broken := errors.New("broken")
	for _, err := range frames(iotest.ErrReader(broken)) {
		if err != broken {
			t.Errorf("%v", err)
		}
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// TestFramesBound: an event without end is refused, not kept.
func TestFramesBound(t *testing.T) {
	n := 0
	for _, err := range frames(endless{}) {
		n++
		if !errors.Is(err, errTooLong) {
			t.Errorf("%v", err)
		}
	}
	if n != 1 {
		t.Errorf("%d results", n)
	}
}

// FuzzFrames: what was written as events reads back as them, and no bytes panic.
func FuzzFrames(f *testing.F) {
	f.Add("event: a\ndata: b\n\n", "x")
	f.Add("data\n\n\r\n:\x00", "")
	f.Fuzz(func(t *testing.T, junk, data string) {
		for _, err := range frames(strings.NewReader(junk)) {
			if err != nil {
				t.Error(err)
			}
		}
		if strings.ContainsAny(data, "\r\n") {
			return
		}
		var got []string
		for f := range frames(strings.NewReader("event: e\ndata: " + data + "\n\n")) {
			got = append(got, string(f.data))
		}
		if len(got) != 1 || got[0] != data {
			t.Errorf("%q became %q", data, got)
		}
	})
}

// TestSilence: a stream without heartbeats is given up; one that the caller is slow to read is not.
func TestSilence(t *testing.T) {
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cairn-Api", api.Version)
		_, _ = w.Write([]byte("event: progress\ndata: {\"done\":1}\n\n"))
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
		case <-release:
		}
	}))
	defer s.Close()
	defer close(release)
	c := New(TCP(s.URL))
	defer c.Close()
	c.silent = 100 * time.Millisecond
	pause := time.NewTimer(300 * time.Millisecond)
	_, err := c.GC(context.Background(), func(api.Progress) { <-pause.C }, nil)
	e, ok := errors.AsType[*api.Error](err)
	if !ok || e.Code != api.CodeUnavailable || e.Message != "the peer went silent" {
		t.Errorf("%v", err)
	}
	hung, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hung.Close()
	c = New(TCP("http://" + hung.Addr().String()))
	defer c.Close()
	c.silent = 100 * time.Millisecond
	if _, err := c.GC(context.Background(), nil, nil); err == nil || err.Error() != "the peer went silent" {
		t.Errorf("no answer at all: %v", err)
	}
}
