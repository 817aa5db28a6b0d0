package web

import (
	"fmt"
	"net/http"
	"slices"

	"cairn/consensus/access"
	"cairn/web/api"
)

// mux is an http.ServeMux that takes only routes of the table. The API and the dashboard have one each, because
// the dashboard's pattern for every path would swallow the API's 404 and 405.
type mux struct {
	s       *Server
	inner   *http.ServeMux
	known   map[string]bool
	missing []string // routes without a row in one of the tables
}

func newMux(s *Server) *mux {
	return &mux{s: s, inner: http.NewServeMux(), known: map[string]bool{}}
}

// HandleFunc is called by web/api for every operation.
func (m *mux) HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request)) {
	i := slices.IndexFunc(m.s.rows, func(r route) bool { return r.pattern == pattern })
	need, ok := access.Needs(access.Action{Door: access.HTTP, Name: pattern})
	if i < 0 || !ok {
		m.missing = append(m.missing, pattern)
		return
	}
	m.known[pattern] = true
	m.inner.HandleFunc(pattern, m.s.guard(m.s.rows[i], need, h))
}

// ServeHTTP makes the mux one that web/api accepts.
func (m *mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, pattern := m.inner.Handler(r); pattern != "" {
		m.inner.ServeHTTP(w, r)
		return
	}
	rec := &statusOnly{header: http.Header{}}
	m.inner.ServeHTTP(rec, r) // writes what we translate: 404, or 405 with Allow
	if rec.status == http.StatusMethodNotAllowed {
		allow := rec.header.Get("Allow")
		w.Header().Set("Allow", allow)
		api.WriteError(w, r, api.NewFault(http.StatusMethodNotAllowed, "this path does not take the method of the request").
			WithHint("it takes %s", allow))
		return
	}
	api.WriteError(w, r, api.Errorf(api.CodeNotFound, "there is no such route").WithHint("GET /v1/openapi.json lists them all"))
}

// complete compares the tables with what was registered.
func complete(rows []route, muxes ...*mux) error {
	for _, m := range muxes {
		if len(m.missing) > 0 {
			return fmt.Errorf("build routes: no row in the tables of limits and rights for %q", m.missing)
		}
	}
	for _, row := range rows {
		if !slices.ContainsFunc(muxes, func(m *mux) bool { return m.known[row.pattern] }) {
			return fmt.Errorf("build routes: the table of limits has a row for %q, which is no route", row.pattern)
		}
	}
	return nil
}

type statusOnly struct {
	header http.Header
	status int
}

func (s *statusOnly) Header() http.Header         { return s.header }
func (s *statusOnly) Write(p []byte) (int, error) { return len(p), nil }
func (s *statusOnly) WriteHeader(status int)      { s.status = status }
