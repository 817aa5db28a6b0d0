package client

import (
	"context"

	"cairn/web/api"
)

// KeyStatus says how the keys of the peer are protected. Socket only, like all that follows.
func (c *Client) KeyStatus(ctx context.Context) (api.KeyStatus, error) {
	return call[api.KeyStatus](ctx, c, get, "/v1/local/keys", nil, nil)
}

// SetPassphrase puts the keys under another passphrase, or under none.
func (c *Client) SetPassphrase(ctx context.Context, r api.PassphraseRequest) (api.KeyStatus, error) {
	return call[api.KeyStatus](ctx, c, post, "/v1/local/keys/passphrase", nil, r)
}

// RotateKeys makes new keys, and has everything sealed anew if asked.
func (c *Client) RotateKeys(ctx context.Context, r api.RotateRequest, p OnProgress, w OnWarning) (api.RotateResult, error) {
	return work[api.RotateResult](ctx, c, "/v1/local/keys/rotate", r, p, w)
}

// BackupKeys writes an encrypted copy of all keys to a file that the peer makes.
func (c *Client) BackupKeys(ctx context.Context, r api.BackupRequest) (api.BackupResult, error) {
	return call[api.BackupResult](ctx, c, post, "/v1/local/keys/backup", nil, r)
}
