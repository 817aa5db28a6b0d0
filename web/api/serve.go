package api

import (
	"fmt"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

const maxRanges = 16 // more in one request are an attack or a mistake

// disposition is what a browser is to do with a file.
type disposition bool

const (
	attached disposition = false // save it; it runs nothing of it
	inline   disposition = true  // play or show it, if it is of a kind that can not run anything
)

// serve answers with a file.
func (s *service) serve(ref, sub string, how disposition) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(c huma.Context) {
		r, w := humago.Unwrap(c)
		ctx := c.Context()
		if err := s.serveFile(w, r, ref, sub, how); err != nil {
			WriteError(w, r, s.fault(ctx, err))
		}
	}}
}

// serveFile returns an error only when nothing was written.
func (s *service) serveFile(w http.ResponseWriter, r *http.Request, ref, sub string, how disposition) error {
	if err := checkPath(sub); err != nil {
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
	f, err := s.Peer.Open(r.Context(), ref, sub)
	if err != nil {
		return err
	}
	defer f.Close()
	file := &ranged{ReadSeeker: f, ranges: parseRanges(rng, f.Size)}
	file.limit, _ = f.ReadSeekCloser.(Limiter)
	// Reading at the start now turns a failure there into an answer in words; once the head is out it can only
	// break the connection.
	if r.Method != http.MethodHead {
		if err := probe(file, file.start(rng, f.Size)); err != nil {
			return err
		}
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", attachment(f.Name))
	if kind := mediaType(f.Name); how == inline && kind != "" {
		h.Set("Content-Type", kind)
		h.Set("Content-Disposition", "inline"+strings.TrimPrefix(attachment(f.Name), "attachment"))
	}
	h.Set("Content-Security-Policy", "sandbox")
	h.Set("Cache-Control", "private, no-cache")
	h.Set("ETag", `"`+f.CID+`"`)
	http.ServeContent(&rangeErrors{ResponseWriter: w, r: r}, r, "", f.ModTime, file)
	return nil
}

// mediaType is that of a file which a browser plays or shows and runs nothing of, "" for every other.
func mediaType(name string) string {
	switch strings.ToLower(path.Ext(name)) {
	case ".mp4", ".m4v":
		return "video/mp4"
	case ".webm":
		return "video/webm"
	case ".ogv":
		return "video/ogg"
	case ".mov":
		return "video/quicktime"
	case ".mkv":
		return "video/x-matroska"
	case ".mp3":
		return "audio/mpeg"
	case ".m4a":
		return "audio/mp4"
	case ".ogg", ".oga", ".opus":
		return "audio/ogg"
	case ".wav":
		return "audio/wav"
	case ".flac":
		return "audio/flac"
	case ".png":
		return "image/png"
	case ".jpg", ".jpeg":
		return "image/jpeg"
	case ".gif":
		return "image/gif"
	case ".webp":
		return "image/webp"
	case ".avif":
		return "image/avif"
	case ".txt", ".md", ".log":
		return "text/plain; charset=utf-8"
	}
	return ""
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

// byteRange is a part of a file: from its first byte to before its end.
type byteRange struct{ first, end int64 }

// parseRanges returns the ranges of a request that lie in the file. Judging them is left to ServeContent.
func parseRanges(rng string, size int64) (out []byteRange) {
	spec, ok := strings.CutPrefix(rng, "bytes=")
	if !ok {
		return nil
	}
	for part := range strings.SplitSeq(spec, ",") {
		if r, ok := parseRange(strings.TrimSpace(part), size); ok {
			out = append(out, r)
		}
	}
	return out
}

func parseRange(spec string, size int64) (byteRange, bool) {
	first, last, ok := strings.Cut(spec, "-")
	if !ok {
		return byteRange{}, false
	}
	number := func(s string) int64 {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return -1
		}
		return n
	}
	r := byteRange{number(first), size}
	switch {
	case first == "":
		n := number(last)
		r.first = max(0, size-n)
		return r, n > 0
	case last != "":
		if n := number(last); n < size-1 {
			r.end = n + 1
		}
	}
	return r, r.first >= 0 && r.first < r.end
}

// ranged tells the content where the part that ServeContent is about to read ends, so that nothing is fetched
// beyond it: ServeContent seeks to the beginning of each range before it reads.
type ranged struct {
	io.ReadSeeker
	limit  Limiter // nil: it does not matter to this content
	ranges []byteRange
}

func (r *ranged) Seek(offset int64, whence int) (int64, error) {
	if r.limit != nil && whence == io.SeekStart {
		end := int64(-1)
		for _, x := range r.ranges {
			if x.first == offset {
				end = max(end, x.end)
			}
		}
		r.limit.Limit(end)
	}
	return r.ReadSeeker.Seek(offset, whence)
}

// start is where the first range begins, 0 without one, -1 when ServeContent will refuse it or there is nothing to
// read.
func (r *ranged) start(rng string, size int64) int64 {
	switch {
	case size <= 0:
		return -1
	case !strings.HasPrefix(rng, "bytes="):
		return 0
	case len(r.ranges) == 0:
		return -1
	}
	return r.ranges[0].first
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
