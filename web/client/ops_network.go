package client

import (
	"context"
	"io"
	"net/url"

	"cairn/web/api"
)

// Network says which network the peer is in.
func (c *Client) Network(ctx context.Context) (api.NetworkStatus, error) {
	return call[api.NetworkStatus](ctx, c, get, "/v1/network", nil, nil)
}

// Init makes a network. Socket only, as the request may name a file.
func (c *Client) Init(ctx context.Context, r api.InitRequest) (api.InitResult, error) {
	return call[api.InitResult](ctx, c, post, "/v1/local/network/init", nil, r)
}

// InitWords is Init as browsers have it: the root key comes back as words, and the request names no file.
func (c *Client) InitWords(ctx context.Context, r api.InitRequest) (api.InitResult, error) {
	return call[api.InitResult](ctx, c, post, "/v1/network", nil, r)
}

// Join takes an invite and returns when the peer is a member.
func (c *Client) Join(ctx context.Context, r api.JoinRequest) (api.NetworkStatus, error) {
	return call[api.NetworkStatus](ctx, c, post, "/v1/network/join", nil, r)
}

func (c *Client) Leave(ctx context.Context) error {
	_, err := call[struct{}](ctx, c, del, "/v1/network", nil, nil)
	return err
}

// Recover uses the root key. Socket only.
func (c *Client) Recover(ctx context.Context, r api.RecoverRequest) (api.RecoverResult, error) {
	return call[api.RecoverResult](ctx, c, post, "/v1/local/network/recover", nil, r)
}

// Members lists everybody who is or was in the network, this peer first.
func (c *Client) Members(ctx context.Context) ([]api.Member, error) {
	return call[[]api.Member](ctx, c, get, "/v1/members", nil, nil)
}

// Member finds one by id, the beginning of it, or name.
func (c *Client) Member(ctx context.Context, ref string) (api.Member, error) {
	return at[api.Member](ctx, c, get, "/v1/members/", ref, "", nil, nil)
}

// RevokeMember ends a membership for good.
func (c *Client) RevokeMember(ctx context.Context, ref string, r api.RevokeRequest) (api.RevokeResult, error) {
	q := url.Values{}
	if r.Void {
		q.Set("void", "true")
	}
	if r.Reason != "" {
		q.Set("reason", r.Reason)
	}
	return at[api.RevokeResult](ctx, c, del, "/v1/members/", ref, "", q, nil)
}

func (c *Client) Rename(ctx context.Context, ref, name string) (api.Member, error) {
	return at[api.Member](ctx, c, put, "/v1/members/", ref, "/name", nil, api.RenameRequest{Name: name})
}

func (c *Client) Invite(ctx context.Context, r api.InviteRequest) (api.Invite, error) {
	return call[api.Invite](ctx, c, post, "/v1/invites", nil, r)
}

// Invites lists those that this peer made, newest first.
func (c *Client) Invites(ctx context.Context) ([]api.Invite, error) {
	return call[[]api.Invite](ctx, c, get, "/v1/invites", nil, nil)
}

// RevokeInvite ends one, by id or text.
func (c *Client) RevokeInvite(ctx context.Context, ref string) (api.Invite, error) {
	return at[api.Invite](ctx, c, del, "/v1/invites/", ref, "", nil, nil)
}

// InviteQR returns an invite as an SVG picture.
func (c *Client) InviteQR(ctx context.Context, id string) ([]byte, error) {
	s, err := segment(id)
	if err != nil {
		return nil, err
	}
	resp, err := c.send(ctx, get, "/v1/invites/"+s+"/qr.svg", nil, nil, nil)
	if err != nil {
		return nil, err
	}
	defer drain(resp.Body)
	data, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	if err != nil {
		return nil, c.broken(ctx, err)
	}
	return data, nil
}
