package api

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

const maxRanges = 16 // more in one request are an attack or a mistake

// serve answers with a file as an attachment that no browser will run anything of.
func (s *service) serve(ref, path string) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(c huma.Context) {
		r, w := humago.Unwrap(c)
		ctx := c.Context()
		if err := s.serveFile(w, r, ref, path); err != nil {
			WriteError(w, r, s.fault(ctx, err))
		}
	}}
}

// serveFile returns an error only when nothing was written.
func (s *service) serveFile(w http.ResponseWriter, r *http.Request, ref, path string) error {
	if err := checkPath(path); err != nil {
		return err
	}
	rng := r.Header.Get("Range")
	if strings.Count(rng, ",") >= maxRanges {
		return NewFault(http.StatusRequestedRangeNotSatisfiable, "the request asks for more than %d ranges", maxRanges).
			WithHint("ask for fewer at a time")
	}
	if rng == "bytes=-0" { // the last no bytes: ServeContent would answer 206 with an impossible range
		return badRange(http.StatusRequestedRangeNotSatisfiable)
	}
	f, err := s.Peer.Open(r.Context(), ref, path)
	if err != nil {
		return err
	}
	defer f.Close()
	// Reading at the start now turns a failure there into an answer in words; once the head is out it can only
	// break the connection.
	if r.Method != http.MethodHead {
		if err := probe(f, rangeStart(rng, f.Size)); err != nil {
			return err
		}
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", attachment(f.Name))
	h.Set("Content-Security-Policy", "sandbox")
	h.Set("Cache-Control", "private, no-cache")
	h.Set("ETag", `"`+f.CID+`"`)
	http.ServeContent(&rangeErrors{ResponseWriter: w, r: r}, r, "", f.ModTime, f)
	return nil
}

// rangeErrors puts our error body in place of the plain text that ServeContent answers a bad range with.
type rangeErrors struct {
	http.ResponseWriter
	r     *http.Request
	muted bool
}

// Unwrap lets http.ResponseController through.
func (e *rangeErrors) Unwrap() http.ResponseWriter { return e.ResponseWriter }

func (e *rangeErrors) WriteHeader(status int) {
	if status >= 400 {
		e.muted = true
		WriteError(e.ResponseWriter, e.r, badRange(status))
		return
	}
	e.ResponseWriter.WriteHeader(status)
}

func (e *rangeErrors) Write(p []byte) (int, error) {
	if e.muted {
		return len(p), nil
	}
	return e.ResponseWriter.Write(p)
}

func badRange(status int) *Fault {
	return NewFault(status, "the range of the request is not in the file").
		WithHint("Range: bytes=FIRST-LAST, counted from 0")
}

func probe(f io.ReadSeeker, at int64) error {
	if at < 0 {
		return nil
	}
	if _, err := f.Seek(at, io.SeekStart); err != nil {
		return err
	}
	var b [1]byte
	if _, err := io.ReadFull(f, b[:]); err != nil && err != io.EOF {
		return err
	}
	_, err := f.Seek(0, io.SeekStart)
	return err
}

// rangeStart is where the first range begins, 0 without one, -1 when ServeContent will refuse it or there is
// nothing to read.
func rangeStart(rng string, size int64) int64 {
	if size <= 0 {
		return -1
	}
	spec, ok := strings.CutPrefix(rng, "bytes=")
	if !ok {
		return 0
	}
	spec, _, _ = strings.Cut(spec, ",")
	first, last, ok := strings.Cut(strings.TrimSpace(spec), "-")
	if !ok {
		return -1
	}
	if first == "" {
		n, err := strconv.ParseInt(last, 10, 64)
		if err != nil || n <= 0 {
			return -1
		}
		return max(0, size-n)
	}
	n, err := strconv.ParseInt(first, 10, 64)
	if err != nil || n < 0 || n >= size {
		return -1
	}
	return n
}

// attachment is a Content-Disposition that names the file for every client: plain ASCII for old ones, RFC 5987
// for the rest. Nothing in the name can end the header or leave the download directory.
func attachment(name string) string {
	if !utf8.ValidString(name) {
		name = strings.ToValidUTF8(name, "_")
	}
	clean := func(r rune) rune {
		switch {
		case !plain(r), strings.ContainsRune(`/\:*?"<>|`, r):
			return '_'
		}
		return r
	}
	name = strings.TrimLeft(strings.Map(clean, name), ". ")
	if name == "" {
		name = "download"
	}
	ascii := strings.Map(func(r rune) rune {
		if r > 0x7e || r == '%' || r == ';' {
			return '_'
		}
		return r
	}, name)
	out := `attachment; filename="` + ascii + `"`
	if ascii != name {
		out += "; filename*=UTF-8''" + escape5987(name)
	}
	return out
}

func escape5987(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$&+-.^_`|~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
