package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"strconv"

	"cairn/web/api"
)

// CreateToken makes a token for a program; its secret is told once.
func (c *Client) CreateToken(ctx context.Context, r api.TokenRequest) (api.NewToken, error) {
	return call[api.NewToken](ctx, c, post, "/v1/tokens", nil, r)
}

// Tokens lists them, the newest first.
func (c *Client) Tokens(ctx context.Context) ([]api.Token, error) {
	return call[[]api.Token](ctx, c, get, "/v1/tokens", nil, nil)
}

// RevokeToken ends one, by id, the beginning of it, or name.
func (c *Client) RevokeToken(ctx context.Context, ref string) (api.Token, error) {
	return at[api.Token](ctx, c, del, "/v1/tokens/", ref, "", nil, nil)
}

// Audit returns a page of the audit log, newest first. before 0: from the newest; limit 0: as many as the peer likes.
func (c *Client) Audit(ctx context.Context, before uint64, limit int) (api.AuditPage, error) {
	v := url.Values{}
	if before > 0 {
		v.Set("before", strconv.FormatUint(before, 10))
	}
	if limit > 0 {
		v.Set("limit", strconv.Itoa(limit))
	}
	return call[api.AuditPage](ctx, c, get, "/v1/audit", v, nil)
}

// CA returns the authority behind the dashboard's certificate.
func (c *Client) CA(ctx context.Context) (api.CertificateAuthority, error) {
	return call[api.CertificateAuthority](ctx, c, get, "/v1/ca", nil, nil)
}

// Remote is a peer on another machine: an https URL, the token of cairn token create, and the authorities that are
// trusted (nil: the system's).
func Remote(base, token string, roots *x509.CertPool) Target {
	t := TCP(base)
	t.token, t.tls = token, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	return t
}
