package main

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"

	"cairn/node/config"
)

// upLogger makes the log of a peer that stays.
func (e *env) upLogger(level, format string) (*slog.Logger, func(string) error, error) {
	return e.logger(level, "info", format)
}

// quietLogger makes the log of a peer that a command becomes: what went wrong is for the command itself to say.
func (e *env) quietLogger(level, format string) (*slog.Logger, func(string) error, error) {
	return e.logger(level, "error", format)
}

// logger makes the log of a peer in this process, on stderr, and a function that makes other levels hold; without a
// level, usual holds. The flags win over level and format.
func (e *env) logger(level, usual, format string) (*slog.Logger, func(string) error, error) {
	levels := &levels{}
	set := func(level string) error {
		m, err := config.ParseLevels(firstOf(e.logLevel, level, usual))
		if err == nil {
			levels.Store(&m)
		}
		return err
	}
	if err := set(level); err != nil {
		return nil, nil, err
	}
	// The inner handler lets everything through: levels decides, per part.
	o := &slog.HandlerOptions{Level: slog.Level(-100)}
	var h slog.Handler
	switch format = firstOf(e.logFormat, format, "text"); format {
	case "text":
		h = slog.NewTextHandler(e.stderr, o)
	case "json":
		h = slog.NewJSONHandler(e.stderr, o)
	default:
		return nil, nil, usagef("log format %q: not known", format).WithHint("use text or json")
	}
	return slog.New(&partHandler{Handler: h, levels: levels}), set, nil
}

// levels are those of all parts, as config.ParseLevels returns them. They may change at any time.
type levels struct {
	atomic.Pointer[map[string]slog.Level]
}

// partHandler drops records below the level of the part that logs them. A part names itself by an attribute:
// log.With("part", "swarm").
type partHandler struct {
	slog.Handler
	levels *levels
	parts  []string // to which this handler belongs, the innermost last
}

func (h *partHandler) Enabled(_ context.Context, l slog.Level) bool {
	levels := *h.levels.Load()
	for _, part := range slices.Backward(h.parts) {
		if least, ok := levels[part]; ok {
			return l >= least
		}
	}
	return l >= levels[""]
}

func (h *partHandler) WithAttrs(as []slog.Attr) slog.Handler {
	n := &partHandler{Handler: h.Handler.WithAttrs(as), levels: h.levels, parts: h.parts}
	for _, a := range as {
		if a.Key == "part" {
			n.parts = append(slices.Clip(n.parts), a.Value.String())
		}
	}
	return n
}

func (h *partHandler) WithGroup(name string) slog.Handler {
	return &partHandler{Handler: h.Handler.WithGroup(name), levels: h.levels, parts: h.parts}
}

// firstOf returns the first text that is not empty.
func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
