package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"sync/atomic"
	"time"

	"cairn/web/api"
)

const maxEvent = 8 << 20 // a verification with 1000 findings is under 1 MiB

var errTooLong = errors.New("event is too long")

// frame is one server-sent event.
type frame struct {
	name string
	data []byte // valid until the next frame
}

// frames reads server-sent events (WHATWG HTML, section 9.2) as far as peers use them: one data line, no BOM.
func frames(r io.Reader) iter.Seq2[frame, error] {
	return func(yield func(frame, error) bool) {
		br := bufio.NewReader(r)
		var f frame
		var line []byte
		for {
			part, err := br.ReadSlice('\n')
			line = append(line, part...)
			if len(line)+len(f.data) > maxEvent {
				yield(frame{}, errTooLong)
				return
			}
			if errors.Is(err, bufio.ErrBufferFull) {
				continue
			}
			if err != nil {
				if !errors.Is(err, io.EOF) {
					yield(frame{}, err)
				}
				return // an event without its empty line does not count
			}
			text := trimEOL(line)
			if len(text) == 0 {
				if f.data != nil && !yield(f, nil) {
					return
				}
				f = frame{}
			} else {
				f.field(text)
			}
			line = line[:0]
		}
	}
}

func trimEOL(b []byte) []byte {
	b = b[:len(b)-1]
	if n := len(b); n > 0 && b[n-1] == '\r' {
		b = b[:n-1]
	}
	return b
}

func (f *frame) field(line []byte) {
	name, value := line, []byte(nil)
	for i, c := range line {
		if c == ':' {
			name, value = line[:i], line[i+1:]
			if len(value) > 0 && value[0] == ' ' {
				value = value[1:]
			}
			break
		}
	}
	switch string(name) {
	case "event":
		f.name = string(value)
	case "data":
		if f.data != nil {
			f.data = append(f.data, '\n')
		}
		f.data = append(append(make([]byte, 0, len(f.data)+len(value)), f.data...), value...)
	}
}

// streamOf opens a stream and yields its events; an event of type error ends it as one.
func (c *Client) streamOf(ctx context.Context, method, path string, body any, head http.Header) iter.Seq2[frame, error] {
	return func(yield func(frame, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		// Counts only while this waits for the peer, which sends the head at once and a heartbeat every 10 s.
		var silent atomic.Bool
		silence := time.AfterFunc(c.silent, func() { silent.Store(true); cancel() })
		defer silence.Stop()
		fail := func(err error) {
			if silent.Load() {
				err = api.Errorf(api.CodeUnavailable, "the peer went silent").WithHint("see whether it still runs: cairn status")
			}
			yield(frame{}, err)
		}
		resp, err := c.send(ctx, method, path, nil, body, head)
		silence.Stop()
		if err != nil {
			fail(err)
			return
		}
		defer resp.Body.Close()
		r := readerFunc(func(p []byte) (int, error) {
			silence.Reset(c.silent)
			n, err := resp.Body.Read(p)
			silence.Stop()
			return n, err
		})
		for f, err := range frames(r) {
			if err != nil {
				fail(c.broken(ctx, err))
				return
			}
			if f.name == "error" {
				e := &api.Error{}
				if json.Unmarshal(f.data, e) != nil || e.Code == "" {
					e = api.Errorf(api.CodeFailed, "the peer failed without a reason")
				}
				yield(frame{}, e)
				return
			}
			if !yield(f, nil) {
				return
			}
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// work posts a request for work that takes long and follows it to its end.
func work[R any](ctx context.Context, c *Client, path string, body any, onProgress func(api.Progress), onWarning func(api.Warning)) (out R, err error) {
	for f, err := range c.streamOf(ctx, http.MethodPost, path, body, nil) {
		if err != nil {
			return out, err
		}
		switch f.name {
		case "progress":
			err = deliver(f.data, onProgress)
		case "warning":
			err = deliver(f.data, onWarning)
		case "result":
			if err = json.Unmarshal(f.data, &out); err == nil {
				return out, nil
			}
		}
		if err != nil {
			return out, malformed()
		}
	}
	return out, api.Errorf(api.CodeUnavailable, "the peer ended before the work was done").WithHint("see whether it still runs: cairn status")
}

func deliver[T any](data []byte, f func(T)) error {
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		return err
	}
	if f != nil {
		f(v)
	}
	return nil
}

func malformed() error {
	return api.Errorf(api.CodeFailed, "the peer sent something that this program does not understand")
}

// follow yields the values of a stream until it ends.
func follow[V any](ctx context.Context, c *Client, path string, head http.Header) iter.Seq2[V, error] {
	return func(yield func(V, error) bool) {
		var zero V
		for f, err := range c.streamOf(ctx, http.MethodGet, path, nil, head) {
			if err != nil {
				yield(zero, err)
				return
			}
			var v V
			if json.Unmarshal(f.data, &v) != nil {
				yield(zero, malformed())
				return
			}
			if !yield(v, nil) {
				return
			}
		}
	}
}
