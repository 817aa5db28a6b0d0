package client_test

import (
	"strings"
	"testing"

	"cairn/web"
	"cairn/web/api"
	"cairn/web/client"
	"cairn/web/internal/fakepeer"
)

func find(t *testing.T, all []api.Setting, key string) api.Setting {
	t.Helper()
	for _, s := range all {
		if s.Key == key {
			return s
		}
	}
	t.Fatalf("no key %s", key)
	return api.Setting{}
}

// TestSettings: the socket may change every key and is told paths; a browser may neither.
func TestSettings(t *testing.T) {
	b := start(t, func(c *web.Config) { c.Settings = fakepeer.NewSettings() })
	ctx := t.Context()
	all, err := b.Settings(ctx)
	if err != nil || find(t, all, "downloads").Value != "/home/someone/Downloads" || !strings.HasPrefix(find(t, all, "name").Where, "/home/") {
		t.Errorf("%+v, %v", all, err)
	}
	if s, err := b.SetSetting(ctx, "http.address", "127.0.0.1:1"); err != nil || s.Pending != "127.0.0.1:1" {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := b.SetSetting(ctx, "name", ""); err != nil || s.Origin != "default" {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := b.SetSetting(ctx, "nmae", "x"); code(err) != api.CodeNotFound {
		t.Errorf("%v", err)
	}
	if all, err := b.Reload(ctx); err != nil || len(all) < 5 {
		t.Errorf("%+v, %v", all, err)
	}

	lc, err := b.LoginCode(ctx)
	if err != nil {
		t.Fatal(err)
	}
	c := client.New(client.TCP(b.server.URL()))
	defer c.Close()
	if _, err := c.Settings(ctx); code(err) != api.CodeNotPermitted {
		t.Errorf("before login: %v", err)
	}
	if err := c.Login(ctx, lc.Code); err != nil {
		t.Fatal(err)
	}
	all, err = c.Settings(ctx)
	if err != nil || find(t, all, "downloads").Value != "Downloads" {
		t.Errorf("%+v, %v", all, err)
	}
	for _, s := range all {
		if s.Where != "" || strings.Contains(s.Value, "someone") {
			t.Errorf("told over TCP: %+v", s)
		}
	}
	if s, err := c.SetSetting(ctx, "name", "attic"); err != nil || s.Value != "attic" || s.Where != "" {
		t.Errorf("%+v, %v", s, err)
	}
	for _, key := range []string{"http.address", "downloads", "http.tls"} {
		for _, value := range []string{"off", ""} {
			if _, err := c.SetSetting(ctx, key, value); code(err) != api.CodeNotPermitted {
				t.Errorf("%s = %q over TCP: %v", key, value, err)
			}
		}
	}
	// Only the names in the list count: a second name of a key must not be a way around.
	if _, err := c.SetSetting(ctx, "http", "off"); code(err) != api.CodeNotFound {
		t.Errorf("%v", err)
	}
	if _, err := c.Reload(ctx); err != nil {
		t.Error(err)
	}
}

func TestNoSettings(t *testing.T) {
	b := start(t)
	if _, err := b.Settings(t.Context()); code(err) != api.CodeUnavailable {
		t.Errorf("%v", err)
	}
	if _, err := b.SetSetting(t.Context(), "name", "x"); code(err) != api.CodeUnavailable {
		t.Errorf("%v", err)
	}
}
