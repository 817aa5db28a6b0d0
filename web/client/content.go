package client

import (
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"cairn/web/api"
)

// Content is a file being read. Close it. Reading ends with the context of Open.
type Content struct {
	Name string
	CID  string
	Size int64 // of the whole file

	request func(head http.Header) (*http.Response, error)
	broken  func(error) error
	body    io.ReadCloser
	at      int64 // next byte to read
	end     int64 // -1: not known before the first answer
	failed  error
}

// Open reads length bytes of a file from off; length -1: to its end. A range that begins beyond the end is an
// error, one that ends there is cut. path names a file below ref and may be empty.
func (c *Client) Open(ctx context.Context, ref, path string, off, length int64) (*Content, error) {
	s, err := segment(ref)
	if err != nil {
		return nil, err
	}
	var q url.Values
	if path != "" {
		q = url.Values{"path": {path}}
	}
	method, end := get, int64(-1)
	switch {
	case off < 0:
		return nil, api.Errorf(api.CodeUsage, "a range cannot begin before the file")
	case length == 0:
		method = http.MethodHead // HTTP has no empty range
	case length > 0:
		end = off + length
	}
	f := &Content{at: off, end: end,
		request: func(head http.Header) (*http.Response, error) {
			return c.send(ctx, method, "/v1/content/"+s, q, nil, head)
		},
		broken: func(err error) error { return c.broken(ctx, err) },
	}
	if err := f.ask(); err != nil {
		return nil, err
	}
	if length == 0 {
		f.end = f.at
	}
	return f, nil
}

// ask requests the bytes from at to end.
func (f *Content) ask() error {
	head := http.Header{}
	switch {
	case f.end >= 0:
		head.Set("Range", fmt.Sprintf("bytes=%d-%d", f.at, f.end-1))
	case f.at > 0:
		head.Set("Range", fmt.Sprintf("bytes=%d-", f.at))
	}
	if f.CID != "" {
		head.Set("If-Range", `"`+f.CID+`"`)
	}
	resp, err := f.request(head)
	if err != nil {
		return err
	}
	size := resp.ContentLength
	if resp.StatusCode == http.StatusPartialContent {
		_, total, _ := strings.Cut(resp.Header.Get("Content-Range"), "/")
		if size, err = strconv.ParseInt(total, 10, 64); err != nil {
			drain(resp.Body)
			return malformed()
		}
	} else if f.at > 0 && resp.Request.Method == get {
		drain(resp.Body)
		return api.Errorf(api.CodeConflict, "the file changed while it was read")
	}
	f.body, f.Size, f.CID = resp.Body, size, strings.Trim(resp.Header.Get("ETag"), `"`)
	if f.end < 0 || f.end > size {
		f.end = size
	}
	if _, p, err := mime.ParseMediaType(resp.Header.Get("Content-Disposition")); err == nil {
		f.Name = p["filename"]
	}
	return nil
}

// Read ends with io.EOF after the last byte asked for. When the peer breaks off before, the rest is asked for
// again: either it goes on, or the peer now has words for why it cannot.
func (f *Content) Read(p []byte) (int, error) {
	if f.failed != nil {
		return 0, f.failed
	}
	if f.at >= f.end {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	p = p[:min(int64(len(p)), f.end-f.at)]
	n, err := f.body.Read(p)
	if n == 0 && err != nil {
		_ = f.body.Close()
		if f.failed = f.ask(); f.failed != nil {
			return 0, f.failed
		}
		if n, err = io.ReadAtLeast(f.body, p, 1); n == 0 { // it broke again without a byte
			f.failed = f.broken(err)
			return 0, f.failed
		}
	}
	f.at += int64(n)
	return n, nil // an error that came with bytes comes again
}

// Close gives the connection back.
func (f *Content) Close() error { return f.body.Close() }
