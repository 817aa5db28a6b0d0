package api

import (
	"context"
	"slices"
)

type keyIn struct {
	Key string `path:"key" minLength:"1" maxLength:"64" doc:"Name of a configuration key"`
}

// settings registers what concerns the configuration of the peer.
func (s *service) settings() {
	call(s, op("GET", "/v1/config", "settings", "peer", "The configuration as it holds now, every key"),
		func(ctx context.Context, _ *none) ([]Setting, error) {
			c, err := s.theSettings()
			if err != nil {
				return nil, err
			}
			return c.Settings(ctx)
		})
	call(s, op("PUT", "/v1/config/{key}", "set-setting", "peer", "Write one key into config.toml; the rest of the file stays as it is"),
		func(ctx context.Context, in *struct {
			Key  string `path:"key" minLength:"1" maxLength:"64" doc:"Name of a configuration key"`
			Body SettingRequest
		}) (Setting, error) {
			return s.setSetting(ctx, in.Key, in.Body.Value)
		})
	call(s, op("DELETE", "/v1/config/{key}", "unset-setting", "peer", "Take one key out of config.toml"),
		func(ctx context.Context, in *keyIn) (Setting, error) { return s.setSetting(ctx, in.Key, "") })
	call(s, op("POST", "/v1/config/reload", "reload-settings", "peer", "Read the configuration again and apply what needs no restart"),
		func(ctx context.Context, _ *none) ([]Setting, error) {
			c, err := s.theSettings()
			if err != nil {
				return nil, err
			}
			return c.Reload(ctx)
		})
}

func (s *service) theSettings() (Settings, error) {
	if s.Settings == nil {
		return nil, Errorf(CodeUnavailable, "this peer has no configuration that can be shown").WithHint("start it with `cairn up`")
	}
	return s.Settings, nil
}

// setSetting changes a key. Over TCP only keys are taken that can neither open the machine to others nor name its files.
func (s *service) setSetting(ctx context.Context, key, value string) (Setting, error) {
	c, err := s.theSettings()
	if err != nil {
		return Setting{}, err
	}
	if CallerOf(ctx).Local {
		return c.SetSetting(ctx, key, value)
	}
	all, err := c.Settings(ctx)
	if err != nil {
		return Setting{}, err
	}
	i := slices.IndexFunc(all, func(x Setting) bool { return x.Key == key })
	switch {
	case i < 0:
		return Setting{}, Errorf(CodeNotFound, "unknown key %s", quote(key)).WithHint("GET /v1/config lists the keys")
	case !all[i].Remote:
		return Setting{}, Errorf(CodeNotPermitted, "%s can be changed on the peer's own machine only", key).WithHint("run `cairn config set %s ...` there", key)
	}
	return c.SetSetting(ctx, key, value)
}
