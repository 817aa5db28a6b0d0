package node

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"cairn/node/config"
	"cairn/web/api"
)

// settings is the configuration of a running peer: what holds now, and how it changes. It is the api.Settings of the
// server. Parts ask it for what may change while they run (name, downloads) and the Config for the rest.
type settings struct {
	from     config.Source
	setLevel func(string) error // nil: the level of the log stays
	changed  func()             // hears of every change that holds, outside of the lock
	log      *slog.Logger

	keepAudit func(auditLimits) // bounds the audit log

	mu   sync.Mutex
	held []config.Setting // what holds now, every key
	now  live
}

// live are the values that change without a restart, as the parts use them.
type live struct {
	name      string
	downloads string
	audit     auditLimits
}

// newSettings takes the configuration that the peer was started with.
func newSettings(cfg Config, changed func(), keepAudit func(auditLimits), log *slog.Logger) *settings {
	s := &settings{from: cfg.From, setLevel: cfg.SetLogLevel, changed: changed, keepAudit: keepAudit, log: log, held: slices.Clone(cfg.Settings), now: liveOf(cfg)}
	if s.from.Home == "" {
		s.from.Home = cfg.Home
	}
	if len(s.held) == 0 { // the Config was made by hand
		if l, err := s.from.LoadText(nil); err == nil {
			s.held = l.Settings
		}
	}
	return s
}

func liveOf(c Config) live {
	return live{name: c.Name, downloads: c.Downloads, audit: auditLimits{c.AuditAge, c.AuditSize}}
}

// name is what people call this peer.
func (s *settings) name() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now.name
}

// downloads is where the dashboard's downloads go.
func (s *settings) downloads() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now.downloads
}

// Settings are all keys as they hold now. What the file says by now and does not hold yet is pending; a file that can not
// be used makes nothing pending.
func (s *settings) Settings(ctx context.Context) ([]api.Setting, error) {
	fresh, err := s.from.Load()
	if err != nil {
		s.log.DebugContext(ctx, "the configuration can not be used as it is now", "err", err)
		fresh = nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.show(fresh), nil
}

// show compares what holds with a configuration; nil: with none. s.mu is held.
func (s *settings) show(fresh *config.Loaded) []api.Setting {
	var out []api.Setting
	for _, h := range s.held {
		if fresh == nil {
			out = append(out, h.API())
			continue
		}
		f := fresh.Get(h.Key.Name)
		x := h.API()
		switch {
		case f.Value == h.Value: // it may come from elsewhere by now
			x = f.API()
		case f.Value == "":
			x.Pending = "default"
		default:
			x.Pending = f.Value
		}
		out = append(out, x)
	}
	return out
}

// SetSetting writes a key into config.toml and makes it hold if it can.
func (s *settings) SetSetting(ctx context.Context, key, value string) (api.Setting, error) {
	k, ok := config.Find(key)
	if !ok {
		return api.Setting{}, config.Unknown(key)
	}
	fresh, err := s.from.Set(ctx, k.Name, value)
	if err != nil {
		return api.Setting{}, s.hide(ctx, err)
	}
	s.log.InfoContext(ctx, "configuration changed", "key", k.Name)
	all := s.apply(fresh, k.Name)
	i := slices.IndexFunc(all, func(x api.Setting) bool { return x.Key == k.Name })
	return all[i], nil
}

// Reload reads the configuration again and makes what can hold do so. One that can not be used changes nothing.
func (s *settings) Reload(ctx context.Context) ([]api.Setting, error) {
	fresh, err := s.from.Load()
	if err != nil {
		s.log.WarnContext(ctx, "the configuration was not read again: what held before still does", "err", err)
		return nil, s.hide(ctx, err)
	}
	for _, w := range fresh.Warnings {
		s.log.WarnContext(ctx, w)
	}
	all := s.apply(fresh, "")
	var pending []string
	for _, x := range all {
		if x.Pending != "" {
			pending = append(pending, x.Key)
		}
	}
	s.log.InfoContext(ctx, "configuration read again", "after_restart", strings.Join(pending, ","))
	return all, nil
}

// apply makes one key of a configuration hold, or all for "", where that needs no restart. It returns what holds then.
func (s *settings) apply(fresh *config.Loaded, only string) []api.Setting {
	s.mu.Lock()
	want := liveOf(fresh.Config)
	changed := false
	for i, h := range s.held {
		f := fresh.Get(h.Key.Name)
		if only != "" && h.Key.Name != only || f.Value == h.Value || !s.applyKey(h.Key.Name, want, f.Value) {
			continue
		}
		s.held[i], changed = f, true
	}
	out := s.show(fresh)
	s.mu.Unlock()
	if changed && s.changed != nil {
		s.changed()
	}
	return out
}

// applyKey makes one value hold and tells whether it does. It has a case for every key of the table with Reload. s.mu is
// held.
func (s *settings) applyKey(key string, want live, value string) bool {
	switch key {
	case "name":
		s.now.name = want.name
	case "downloads":
		s.now.downloads = want.downloads
	case "audit.keep":
		s.now.audit = want.audit
		s.keepAudit(want.audit)
	case "log.level":
		return s.setLevel != nil && s.setLevel(value) == nil
	default:
		return false
	}
	return true
}

// hide takes the paths of this machine out of an error for callers who are not told them.
func (s *settings) hide(ctx context.Context, err error) error {
	x := *explain(err)
	if !api.CallerOf(ctx).Local {
		dir := strings.TrimSuffix(s.from.Path(), config.FileName)
		x.Message, x.Hint = strings.ReplaceAll(x.Message, dir, ""), strings.ReplaceAll(x.Hint, dir, "")
		x.Message = strings.ReplaceAll(x.Message, s.from.Home, "the data directory")
	}
	return &x
}
