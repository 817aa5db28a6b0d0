package main

import (
	"context"
	"log/slog"
	"strings"

	"cairn/web/api"
)

// upLogger makes the log of a peer that stays.
func (e *env) upLogger(level, format string) (*slog.Logger, error) {
	return e.logger(firstOf(level, "info"), format)
}

// quietLogger makes the log of a peer that a command becomes: what went wrong is for the command itself to say.
func (e *env) quietLogger(level, format string) (*slog.Logger, error) {
	return e.logger(firstOf(level, "error"), format)
}

// logger makes the log of a peer in this process, on stderr. The flags win over level and format.
func (e *env) logger(level, format string) (*slog.Logger, error) {
	text := firstOf(e.logLevel, level)
	levels, err := parseLevels(text)
	if err != nil {
		return nil, err
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
		return nil, usagef("log format %q: not known", format).WithHint("use text or json")
	}
	return slog.New(&partHandler{Handler: h, levels: levels, min: levels[""]}), nil
}

// parseLevels reads "info,swarm=debug": a level for all and levels for single parts. The key "" holds the first.
func parseLevels(text string) (map[string]slog.Level, error) {
	levels := map[string]slog.Level{"": slog.LevelWarn}
	for item := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(item) == "" {
			continue
		}
		part, name, named := strings.Cut(strings.TrimSpace(item), "=")
		if !named {
			part, name = "", part
		}
		level, ok := map[string]slog.Level{
			"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
		}[strings.ToLower(name)]
		if !ok || named && part == "" {
			return nil, api.Errorf(api.CodeUsage, "log level %q: not known", item).
				WithHint("use debug, info, warn or error, and PART=LEVEL for one part: info,swarm=debug")
		}
		levels[part] = level
	}
	return levels, nil
}

// partHandler drops records below the level of the part that logs them. A part names itself by an attribute:
// log.With("part", "swarm").
type partHandler struct {
	slog.Handler
	levels map[string]slog.Level
	min    slog.Level // of the part that this handler belongs to
}

func (h *partHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.min }

func (h *partHandler) WithAttrs(as []slog.Attr) slog.Handler {
	n := &partHandler{Handler: h.Handler.WithAttrs(as), levels: h.levels, min: h.min}
	for _, a := range as {
		if a.Key == "part" {
			if l, ok := h.levels[a.Value.String()]; ok {
				n.min = l
			}
		}
	}
	return n
}

func (h *partHandler) WithGroup(name string) slog.Handler {
	return &partHandler{Handler: h.Handler.WithGroup(name), levels: h.levels, min: h.min}
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
