package web

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"cairn/consensus/access"
	"cairn/web/api"
)

const (
	headerAPI     = "Cairn-Api"
	headerSecret  = "Cairn-Secret"
	headerRequest = "Cairn-Request-Id"

	hsts = "max-age=31536000" // of this host alone: its other names are none of our business

	policy = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; object-src 'none'"
)

// entrance wraps the tree of handlers for one of the two doors. Order: whatever happens is logged and has a
// request id; then headers; then what is wrong with a request before its route is known.
func (s *Server) entrance(local bool) http.Handler {
	lim := newLimiter(s.cfg.Limits)
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		s.active.enter()
		defer s.active.leave()
		if s.cfg.Begin != nil {
			defer s.cfg.Begin(local)()
		}
		begun := s.now()
		c := &caller{local: local, near: local || s.near, limiter: lim}
		if !local {
			c.from = remoteIP(r)
		}
		id := requestID()
		ctx := context.WithValue(r.Context(), callerKey{}, c)
		ctx = api.WithCaller(ctx, api.Caller{RequestID: id, Local: local})
		r = r.WithContext(ctx)
		w := s.newWriter(rw, c)
		defer s.finish(w, r, id, begun)

		h := w.Header()
		h.Set(headerAPI, api.Version)
		h.Set(headerRequest, id)
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")

		if s.cfg.TLS != nil && !local && s.cfg.TLS.Trusted() {
			h.Set("Strict-Transport-Security", hsts)
		}

		if err := s.admit(r, c); err != nil {
			s.deniedBy(ctx, c, "any route", err)
			api.WriteError(w, r, err)
			return
		}
		r = r.WithContext(api.WithCaller(ctx, api.Caller{RequestID: id, Local: local, ReadOnly: c.token != nil && c.token.Scope == access.Read, Actor: c.actor(), From: c.from, Deed: &api.Deed{}}))
		if isAPI(r.URL.Path) {
			s.api.ServeHTTP(w, r)
		} else {
			s.pages.ServeHTTP(w, r)
		}
	})
}

// finish ends every request: a panic becomes an error with a request id, and one line goes to the log.
func (s *Server) finish(w *writer, r *http.Request, id string, begun time.Time) {
	p := recover()
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		defer panic(p)
	} else if p != nil {
		s.log.ErrorContext(r.Context(), "panic", "request", id, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		if w.begun {
			defer panic(http.ErrAbortHandler) // the client must not take what it has for the whole
		} else {
			api.WriteError(w, r, errors.New("panic"))
		}
	}
	level := slog.LevelDebug
	switch {
	case w.caller.status >= 500:
		level = slog.LevelWarn
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		level = slog.LevelInfo
	}
	door := "tcp"
	if w.caller.local {
		door = "socket"
	}
	s.log.Log(r.Context(), level, "request", "request", id, "door", door, "method", r.Method, "route", w.caller.logAs,
		"status", w.caller.status, "bytes", w.bytes, "took", s.now().Sub(begun))
}

// admit refuses what no route takes.
func (s *Server) admit(r *http.Request, c *caller) error {
	if err := checkURL(r.URL); err != nil {
		return err
	}
	if v := r.Header.Get(headerAPI); v != "" && v != api.Version {
		return api.Errorf(api.CodeUnavailable, "the client speaks version %s of the API, this peer version %s", short(v), api.Version).
			WithHint("update the older of the two, and reload the page if this is a browser")
	}
	if tokenInAddress(r.URL) {
		return api.NewFault(http.StatusUnauthorized, "a token in the address of a request is not accepted: addresses are kept in logs and histories").
			WithHint("send it as Authorization: Bearer, and revoke this one, since it has been shown")
	}
	if c.local {
		return nil
	}
	// DNS rebinding: a name of the attacker's that now resolves to us comes with the attacker's name as Host.
	if !s.servedAs(r) {
		return api.NewFault(http.StatusForbidden, "this peer is not served under this host name").
			WithHint("open %s", s.URL())
	}
	if isAPI(r.URL.Path) {
		// Other ports of this host are the same site, but another origin; navigation and our page are fine.
		if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
			return s.crossOrigin()
		}
	}
	if err := s.cross.Check(r); err != nil {
		return s.crossOrigin()
	}
	cookie, err := r.Cookie(s.cookieName())
	if err == nil {
		c.cookie, c.full = s.cfg.Sessions.find(cookie.Value, r.Header.Get(headerSecret))
	}
	s.bearer(r, c)
	return nil
}

func (s *Server) crossOrigin() error {
	return api.NewFault(http.StatusForbidden, "requests from pages of other origins are refused").
		WithHint("the dashboard is at %s", s.URL())
}

// guard is what every route passes through once it is known: its right, then its limits.
func (s *Server) guard(row route, need access.Right, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c := callerOf(r.Context())
		c.logAs = row.pattern
		release, ok := c.limiter.take(row.class)
		if !ok {
			w.Header().Set("Retry-After", "1")
			api.WriteError(w, r, api.Errorf(api.CodeTooMany, "the peer is busy with too many requests").WithHint("try again in a second"))
			return
		}
		defer release()
		if err := s.permit(c, need); err != nil {
			if c.retry > 0 {
				w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(c.retry.Seconds()))))
			}
			s.deniedBy(r.Context(), c, row.pattern, err)
			api.WriteError(w, r, err)
			return
		}
		s.record(r, c, row.pattern)
		defer func() {
			if c.settle != nil { // a stream, or a panic before any answer
				status := c.status
				if status == 0 {
					status = http.StatusInternalServerError
				}
				c.settle(status)
			}
		}()
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = s.limitBody(w, r.Body, row.class)
		}
		if row.class == classStream || row.class == classBulk {
			ctx, stop := s.while(r.Context(), c)
			defer stop()
			r = r.WithContext(ctx)
		}
		h(w, r)
	}
}

// permit asks the table whether the caller has a right.
func (s *Server) permit(c *caller, need access.Right) error {
	v := access.Grant(c.subject(), need)
	switch {
	case need == access.Public, v.Allowed && c.refused == nil:
		return nil
	case c.refused != nil:
		return c.refused
	case v.Unknown:
		return api.NewFault(http.StatusUnauthorized, "%s", v.Reason).WithHint("%s", v.Hint)
	}
	return api.Errorf(api.CodeNotPermitted, "%s", v.Reason).WithHint("%s", v.Hint)
}

// remoteIP is the address at the other end of the connection. What proxies say of others is not believed.
func remoteIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

func isAPI(path string) bool {
	return path == "/metrics" || path == "/v1" || strings.HasPrefix(path, "/v1/")
}

func requestID() string {
	var b [8]byte
	rand.Read(b[:]) // never fails since Go 1.24
	return hex.EncodeToString(b[:])
}

// short keeps what a client sent from filling an answer.
func short(s string) string {
	if len(s) > 16 {
		return s[:16] + "..."
	}
	return s
}
