package client

import (
	"context"

	"cairn/web/api"
)

// Settings are all configuration keys as they hold now.
func (c *Client) Settings(ctx context.Context) ([]api.Setting, error) {
	return call[[]api.Setting](ctx, c, get, "/v1/config", nil, nil)
}

// SetSetting writes one key into the peer's config.toml; an empty value takes it out.
func (c *Client) SetSetting(ctx context.Context, key, value string) (api.Setting, error) {
	if value == "" {
		return at[api.Setting](ctx, c, del, "/v1/config/", key, "", nil, nil)
	}
	return at[api.Setting](ctx, c, put, "/v1/config/", key, "", nil, api.SettingRequest{Value: value})
}

// Reload makes the peer read its configuration again.
func (c *Client) Reload(ctx context.Context) ([]api.Setting, error) {
	return call[[]api.Setting](ctx, c, post, "/v1/config/reload", nil, nil)
}
