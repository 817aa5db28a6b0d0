package api

import (
	"context"
	"path/filepath"
	"strings"
)

// Caller is what a handler knows of a request, put into the context by the server.
type Caller struct {
	RequestID string
	// Local: the request came over the local socket. Only then are paths of this machine told.
	Local bool
	// ReadOnly: who asks may change nothing, so the texts of tickets, by which anybody could fetch, are not told.
	ReadOnly bool
	// Actor and From are who asks and from which address, as the audit log has it: "local", "session", "token NAME",
	// "nobody".
	Actor, From string
	// Deed is what the audit log will say of the request; nil where nothing is said of it.
	Deed *Deed
}

type callerKey struct{}

// WithCaller returns ctx with c.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerOf returns the caller in ctx; without one, nobody in particular, who is not local.
func CallerOf(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}

// redact takes out of v what the caller is not told: where files are on this machine, unless he is local, and the texts
// of tickets if he may only read.
func redact(ctx context.Context, v any) any {
	c := CallerOf(ctx)
	if c.Local {
		return v
	}
	if c.ReadOnly {
		v = hideTickets(v)
	}
	switch v := v.(type) {
	case Status:
		return redactStatus(v)
	case Entry:
		return redactEntry(v)
	case EntryPage:
		v.Entries = redactAll(v.Entries, redactEntry)
		return v
	case ShareResult:
		v.Entry = redactEntry(v.Entry)
		return v
	case AddResult:
		v.Entry = redactEntry(v.Entry)
		return v
	case Transfer:
		return redactTransfer(v)
	case []Transfer:
		return redactAll(v, redactTransfer)
	case GetResult:
		v.Path = baseName(v.Path)
		return v
	case VerifyResult:
		v.Findings = redactAll(v.Findings, func(f Finding) Finding { f.Path = baseName(f.Path); return f })
		return v
	case Progress:
		v.Item = baseName(v.Item)
		return v
	case InitResult:
		v.RecoveryFile = baseName(v.RecoveryFile)
		return v
	case Setting:
		return redactSetting(v)
	case []Setting:
		return redactAll(v, redactSetting)
	case Event:
		return redactEvent(v)
	}
	return v
}

// hideTickets takes the texts of tickets out.
func hideTickets(v any) any {
	ticket := func(t Ticket) Ticket { t.Text = ""; return t }
	entry := func(e Entry) Entry { e.Tickets = redactAll(e.Tickets, ticket); return e }
	switch v := v.(type) {
	case Ticket:
		return ticket(v)
	case []Ticket:
		return redactAll(v, ticket)
	case ShareUpdate:
		v.Ticket = ticket(v.Ticket)
		return v
	case Entry:
		return entry(v)
	case EntryPage:
		v.Entries = redactAll(v.Entries, entry)
		return v
	case Event:
		if v.Entry != nil {
			e := entry(*v.Entry)
			v.Entry = &e
		}
		return v
	}
	return v
}

func redactSetting(s Setting) Setting {
	s.Where = ""
	if s.Path {
		s.Value, s.Default, s.Pending = baseName(s.Value), baseName(s.Default), baseName(s.Pending)
	}
	return s
}

func redactEvent(e Event) Event {
	if e.Transfer != nil {
		t := redactTransfer(*e.Transfer)
		e.Transfer = &t
	}
	if e.Entry != nil {
		n := redactEntry(*e.Entry)
		e.Entry = &n
	}
	if e.Status != nil {
		s := redactStatus(*e.Status)
		e.Status = &s
	}
	return e
}

func redactStatus(s Status) Status       { s.Home = ""; return s }
func redactEntry(e Entry) Entry          { e.Path = ""; return e }
func redactTransfer(t Transfer) Transfer { t.Path = ""; return t }

func redactAll[T any](in []T, f func(T) T) []T {
	out := make([]T, len(in))
	for i, v := range in {
		out[i] = f(v)
	}
	return out
}

// baseName keeps the last element of an absolute path and leaves anything else alone.
func baseName(p string) string {
	if filepath.IsAbs(p) || strings.HasPrefix(p, "/") {
		return filepath.Base(p)
	}
	return p
}
