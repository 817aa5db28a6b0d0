package api

import (
	"bytes"
	"fmt"
	"io"
)

// sseWriter writes server-sent events (WHATWG HTML, section 9.2). It is used by one goroutine; after a failure it
// does nothing more. Deadlines are the connection's business (package web sets one for every write).
type sseWriter struct {
	w     io.Writer
	flush func() error
	buf   bytes.Buffer
	err   error
}

// event sends one event; id 0 sends none. v's JSON has no line breaks inside, so it is one data line.
func (s *sseWriter) event(id uint64, name string, v any) {
	s.buf.Reset()
	if id != 0 {
		fmt.Fprintf(&s.buf, "id: %d\n", id)
	}
	fmt.Fprintf(&s.buf, "event: %s\ndata: ", name)
	if err := writeJSON(&s.buf, v); err != nil {
		s.err = err
		return
	}
	s.buf.WriteByte('\n')
	s.send()
}

// comment sends a line that every reader skips.
func (s *sseWriter) comment() {
	s.buf.Reset()
	s.buf.WriteString(":\n\n")
	s.send()
}

func (s *sseWriter) send() {
	if s.err != nil {
		return
	}
	if _, s.err = s.w.Write(s.buf.Bytes()); s.err == nil {
		s.err = s.flush()
	}
}

func (s *sseWriter) failed() bool { return s.err != nil }
