package api

import (
	"context"
	"regexp"
	"sync"
)

// Deed is what a request does to something, for the audit log. Handlers name the thing and why it went wrong; package web
// records it. Its methods may be called on nil, and from several goroutines.
type Deed struct {
	mu      sync.Mutex
	subject string
	failure string
}

// About names what the request of ctx is about: an id or a name, never a secret.
func About(ctx context.Context, subject string) { CallerOf(ctx).Deed.about(subject) }

func (d *Deed) about(subject string) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.subject = subject
}

// Fail tells that the request failed although its answer had begun: an error in a stream.
func (d *Deed) Fail(e *Error) {
	if d == nil || e == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failure = e.Message
}

// Told returns the subject, and the failure, "" without one.
func (d *Deed) Told() (subject, failure string) {
	if d == nil {
		return "", ""
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.subject, d.failure
}

// secrets are texts that open something by themselves: tickets, invites and tokens.
var secrets = regexp.MustCompile(`(?i)(cairninvite1|cairn1|cairn_)[0-9a-z]{8,}`)

// NoSecret returns text with the secrets in it cut to what says of which kind they are.
func NoSecret(text string) string { return secrets.ReplaceAllString(text, "${1}…") }

// TokenPrefix begins every token, so that scanners for secrets find them.
const TokenPrefix = "cairn_"
