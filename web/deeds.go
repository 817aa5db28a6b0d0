package web

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"cairn/consensus/access"
	"cairn/web/api"
)

// actor is who asks, for the audit log.
func (c *caller) actor() string {
	switch {
	case c.local:
		return "local"
	case c.token != nil:
		return "token " + c.token.Name
	case c.full:
		return "session"
	}
	return "nobody"
}

// note hands a record to the audit log.
func (s *Server) note(r api.AuditRecord) {
	if s.cfg.Audit != nil {
		r.Subject, r.Detail = api.NoSecret(r.Subject), api.NoSecret(r.Detail) // a message may repeat what was asked for
		s.cfg.Audit(r)
	}
}

// denied records that a request was refused for who asked or from where, and counts it against guessing. what is the
// pattern of the route, or says that none was reached.
func (s *Server) denied(c *caller, what, why string) {
	if c.why != "" {
		why += " (" + c.why + ")"
	}
	s.note(api.AuditRecord{Actor: c.actor(), From: c.from, Action: "http.denied", Subject: what, Outcome: "denied", Detail: why})
}

// deniedBy is denied for the error that a request is answered with, if it is about that at all.
func (s *Server) deniedBy(ctx context.Context, c *caller, what string, err error) {
	f := api.FaultOf(ctx, err)
	switch f.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		s.denied(c, what, f.Err.Message)
	case http.StatusTooManyRequests:
		if c.retry > 0 {
			s.denied(c, what, f.Err.Message)
		}
	}
}

// record prepares the audit log's record of a request to a route whose use is recorded. It is written when the
// status is known and before it is sent, so that nothing is answered as done whose record is not synced.
func (s *Server) record(r *http.Request, c *caller, pattern string) {
	action := access.Deed(pattern)
	if action == "" {
		return
	}
	deed := api.CallerOf(r.Context()).Deed
	c.settle = func(status int) {
		c.settle = nil
		subject, failure := deed.Told()
		if subject == "" {
			subject = pathValues(r, pattern)
		}
		rec := api.AuditRecord{Actor: c.actor(), From: c.from, Action: action, Subject: subject, Outcome: "done", Detail: failure}
		switch {
		case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusTooManyRequests:
			rec.Outcome = "denied"
		case status >= 400:
			rec.Outcome = "failed"
			if failure == "" {
				rec.Detail = fmt.Sprintf("status %d", status)
			}
		case failure != "": // a stream whose head had gone out
			rec.Outcome = "failed"
		}
		s.note(rec)
	}
}

// pathValues are what a request puts into the places of its pattern: what it is about.
func pathValues(r *http.Request, pattern string) string {
	var out []string
	for part := range strings.SplitSeq(pattern, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			out = append(out, r.PathValue(strings.TrimSuffix(name, "}")))
		}
	}
	return strings.Join(out, " ")
}
