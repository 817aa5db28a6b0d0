package node

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cairn/node/config"
	"cairn/web/api"
)

// local is the context of a request over the socket.
func local(t *testing.T) context.Context {
	return api.WithCaller(t.Context(), api.Caller{Local: true})
}

// settingsOf makes the settings of a home with this config.toml, and the level that was set last.
func settingsOf(t *testing.T, text string, flags map[string]string) (s *settings, level *string) {
	t.Helper()
	home := t.TempDir()
	writeConfig(t, home, text)
	l, err := config.Source{Home: home, Flags: flags}.Load()
	if err != nil {
		t.Fatal(err)
	}
	level = new(string)
	l.Config.SetLogLevel = func(text string) error {
		if _, err := config.ParseLevels(text); err != nil {
			return err
		}
		*level = text
		return nil
	}
	return newSettings(l.Config, nil, func(auditLimits) {}, slog.New(slog.DiscardHandler)), level
}

func writeConfig(t *testing.T, home, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(home, config.FileName), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func setting(t *testing.T, all []api.Setting, key string) api.Setting {
	t.Helper()
	for _, x := range all {
		if x.Key == key {
			return x
		}
	}
	t.Fatalf("no key %s", key)
	return api.Setting{}
}

// TestSettingsTable: a key holds at once exactly where the table says so, and the others are pending.
func TestSettingsTable(t *testing.T) {
	for _, k := range config.Keys() {
		s, _ := settingsOf(t, "[http]\naddress = \"off\"\n", nil)
		value := k.Example
		if value == k.Default {
			continue // the limits, of which none holds without a restart
		}
		x, err := s.SetSetting(local(t), k.Name, value)
		switch {
		case k.Name == "http.address" && err == nil:
			t.Error("a public address without TLS was taken")
		case k.Name == "http.address":
		case err != nil:
			t.Errorf("%s = %s: %v", k.Name, value, err)
		case k.Reload && (x.Value != value || x.Pending != "" || x.Origin != "file"):
			t.Errorf("does not hold: %+v", x)
		case !k.Reload && (x.Value == value || x.Pending != value):
			t.Errorf("is not pending: %+v", x)
		}
	}
}

func TestSettingsApply(t *testing.T) {
	s, level := settingsOf(t, "name = \"old\"\n", nil)
	told, kept := 0, auditLimits{}
	s.keepAudit = func(l auditLimits) { kept = l }
	s.changed = func() { told++ }
	for key, value := range map[string]string{"name": "new", "downloads": "/srv/d", "log.level": "debug", "audit.keep": "7d"} {
		if _, err := s.SetSetting(local(t), key, value); err != nil {
			t.Fatal(err)
		}
	}
	if s.name() != "new" || s.downloads() != "/srv/d" || *level != "debug" || kept != (auditLimits{age: 7 * 24 * time.Hour}) || told != 4 {
		t.Errorf("%q %q %q %v, told %d times", s.name(), s.downloads(), *level, kept, told)
	}
	if x, err := s.SetSetting(local(t), "downloads", ""); err != nil || x.Value != "" || s.downloads() != filepath.Join(s.from.Home, "downloads") {
		t.Errorf("%+v %v %q", x, err, s.downloads())
	}
	// Only the key that was asked for, whatever else the file says by now.
	writeConfig(t, s.from.Home, "name = \"newest\"\nmdns = false\n")
	if _, err := s.SetSetting(local(t), "log.level", "error"); err != nil || s.name() != "new" {
		t.Errorf("%v, name %q", err, s.name())
	}
	all, err := s.Settings(local(t))
	if err != nil || setting(t, all, "name").Pending != "newest" || setting(t, all, "mdns").Pending != "false" {
		t.Errorf("%+v %v", all, err)
	}
	all, err = s.Reload(local(t))
	if err != nil || s.name() != "newest" || setting(t, all, "name").Pending != "" || setting(t, all, "mdns").Value != "true" || setting(t, all, "mdns").Pending != "false" {
		t.Errorf("%+v %v", all, err)
	}
	if x := setting(t, all, "audit.keep"); x.Value != "365d,64MiB" || x.Origin != "default" {
		t.Errorf("taken out of the file: %+v", x)
	}
}

// TestSettingsOverridden: what a flag says still holds after a set, and is told as the origin.
func TestSettingsOverridden(t *testing.T) {
	s, _ := settingsOf(t, "", map[string]string{"name": "flag"})
	x, err := s.SetSetting(local(t), "name", "file")
	if err != nil || x.Value != "flag" || x.Origin != "flag" || x.Where != "--name" || s.name() != "flag" {
		t.Errorf("%+v %v", x, err)
	}
}

// TestBadReload: a file that can not be used changes nothing and is told, without paths to those who may not see them.
func TestBadReload(t *testing.T) {
	s, level := settingsOf(t, "name = \"old\"\n", nil)
	writeConfig(t, s.from.Home, "name = \"new\"\nlog.level = \"loud\"\n")
	_, err := s.Reload(local(t))
	if code(t, err) != api.CodeUsage || !strings.HasPrefix(err.Error(), s.from.Path()+":2:13: ") || s.name() != "old" || *level != "" {
		t.Errorf("%v; name %q, level %q", err, s.name(), *level)
	}
	if _, err := s.Reload(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "config.toml:2:13: ") {
		t.Errorf("over TCP: %v", err)
	}
	if _, err := s.SetSetting(t.Context(), "name", "x"); err == nil || strings.Contains(err.Error(), s.from.Home) {
		t.Errorf("over TCP: %v", err)
	}
	if all, err := s.Settings(t.Context()); err != nil || setting(t, all, "name").Value != "old" || setting(t, all, "name").Pending != "" {
		t.Errorf("%+v %v", all, err)
	}
	if err := os.RemoveAll(s.from.Path()); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(s.from.Path(), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Reload(t.Context()); err == nil || strings.Contains(err.Error(), s.from.Home) {
		t.Errorf("over TCP: %v", err)
	}
	if _, err := s.SetSetting(local(t), "nmae", "x"); code(t, err) != api.CodeNotFound {
		t.Errorf("%v", err)
	}
}

// TestRunningNodeIsRenamed: the status has the new name at once, and those who follow events hear of it.
func TestRunningNodeIsRenamed(t *testing.T) {
	n, _ := startAs(t, Config{Home: t.TempDir()})
	heard := make(chan string, 8)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for e, err := range n.Events(ctx, 0) {
			if err != nil {
				return
			}
			if e.Status != nil {
				heard <- e.Status.Name
			}
		}
	}()
	if first := <-heard; first != "test" {
		t.Errorf("the name is %q", first)
	}
	if _, err := n.settings.SetSetting(local(t), "name", "new"); err != nil {
		t.Fatal(err)
	}
	if s, err := n.Status(t.Context()); err != nil || s.Name != "new" {
		t.Errorf("%q %v", s.Name, err)
	}
	if second := <-heard; second != "new" {
		t.Errorf("followers heard %q", second)
	}
	stop()
	<-ended
}

// TestConfiguredLimits: the host has the limits of the configuration, and status tells them.
func TestConfiguredLimits(t *testing.T) {
	home := t.TempDir()
	writeConfig(t, home, "[limits]\nstreams = 5000\n")
	c, _, err := LoadConfig(home, map[string]string{"http": "off", "listen": "/ip4/127.0.0.1/tcp/0"})
	if err != nil {
		t.Fatal(err)
	}
	n, _ := startAs(t, c)
	s, err := n.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range s.Limits {
		if l.Name == "streams" && l.Value != 5000 {
			t.Errorf("%+v", l)
		}
	}
	if _, _, err := LoadConfig(home, map[string]string{"mdns": "perhaps"}); !errors.As(err, new(*api.Error)) {
		t.Errorf("%v", err)
	}
}
