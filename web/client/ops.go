package client

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"cairn/web/api"
)

type (
	// OnProgress and OnWarning hear of long work, from the goroutine that called. They may be nil.
	OnProgress = func(api.Progress)
	OnWarning  = func(api.Warning)
)

const get, post, put, del = http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete

// at makes a path with one reference in it and calls it.
func at[T any](ctx context.Context, c *Client, method, before, ref, after string, q url.Values, body any) (out T, err error) {
	s, err := segment(ref)
	if err != nil {
		return out, err
	}
	return call[T](ctx, c, method, before+s+after, q, body)
}

// Health asks the server, not the peer behind it.
func (c *Client) Health(ctx context.Context) (api.Health, error) {
	return call[api.Health](ctx, c, get, "/v1/healthz", nil, nil)
}

// Session says who this client is to the peer.
func (c *Client) Session(ctx context.Context) (api.Session, error) {
	return call[api.Session](ctx, c, get, "/v1/session", nil, nil)
}

// Logout ends the session.
func (c *Client) Logout(ctx context.Context) error {
	_, err := call[struct{}](ctx, c, post, "/v1/logout", nil, nil)
	return err
}

func (c *Client) Status(ctx context.Context) (api.Status, error) {
	return call[api.Status](ctx, c, get, "/v1/status", nil, nil)
}

func (c *Client) Peers(ctx context.Context) ([]api.PeerInfo, error) {
	return call[[]api.PeerInfo](ctx, c, get, "/v1/peers", nil, nil)
}

// Entries returns one page; a Limit of 0 leaves its length to the peer.
func (c *Client) Entries(ctx context.Context, q api.EntryQuery) (api.EntryPage, error) {
	v := url.Values{}
	for k, s := range map[string]string{"q": q.Text, "cursor": q.Cursor} {
		if s != "" {
			v.Set(k, s)
		}
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	return call[api.EntryPage](ctx, c, get, "/v1/entries", v, nil)
}

func (c *Client) Entry(ctx context.Context, ref string) (api.Entry, error) {
	return at[api.Entry](ctx, c, get, "/v1/entries/", ref, "", nil, nil)
}

func (c *Client) Remove(ctx context.Context, ref string) (api.Entry, error) {
	return at[api.Entry](ctx, c, del, "/v1/entries/", ref, "", nil, nil)
}

func (c *Client) Restore(ctx context.Context, id string) (api.Entry, error) {
	return at[api.Entry](ctx, c, post, "/v1/entries/", id, "/restore", nil, nil)
}

func (c *Client) Share(ctx context.Context, r api.ShareRequest, p OnProgress, w OnWarning) (api.ShareResult, error) {
	return work[api.ShareResult](ctx, c, "/v1/local/share", r, p, w)
}

func (c *Client) Issue(ctx context.Context, ref string, o api.TicketOptions) (api.Ticket, error) {
	return at[api.Ticket](ctx, c, post, "/v1/entries/", ref, "/tickets", nil, o)
}

func (c *Client) Ticket(ctx context.Context, id string) (api.Ticket, error) {
	return at[api.Ticket](ctx, c, get, "/v1/tickets/", id, "", nil, nil)
}

// TicketQR returns a ticket as an SVG picture.
func (c *Client) TicketQR(ctx context.Context, id string) ([]byte, error) {
	s, err := segment(id)
	if err != nil {
		return nil, err
	}
	resp, err := c.send(ctx, get, "/v1/tickets/"+s+"/qr.svg", nil, nil, nil)
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

// Revoke ends tickets: of an entry, one by id or text, or those of a shared path. Socket only.
func (c *Client) Revoke(ctx context.Context, ref string) ([]api.Ticket, error) {
	return call[[]api.Ticket](ctx, c, post, "/v1/local/revoke", nil, api.RefRequest{Ref: ref})
}

// RevokeTicket is Revoke as browsers have it: ref is no path.
func (c *Client) RevokeTicket(ctx context.Context, ref string) ([]api.Ticket, error) {
	return at[[]api.Ticket](ctx, c, del, "/v1/tickets/", ref, "", nil, nil)
}

// Watch follows a ticket until it ends.
func (c *Client) Watch(ctx context.Context, id string) iter.Seq2[api.ShareUpdate, error] {
	s, err := segment(id)
	if err != nil {
		return func(yield func(api.ShareUpdate, error) bool) { yield(api.ShareUpdate{}, err) }
	}
	return follow[api.ShareUpdate](ctx, c, "/v1/tickets/"+s+"/watch", nil)
}

func (c *Client) Add(ctx context.Context, r api.AddRequest, p OnProgress, w OnWarning) (api.AddResult, error) {
	return work[api.AddResult](ctx, c, "/v1/local/add", r, p, w)
}

// Upload puts size bytes of r into the library; size -1: until r ends.
func (c *Client) Upload(ctx context.Context, name string, size int64, r io.Reader) (api.AddResult, error) {
	return call[api.AddResult](ctx, c, post, "/v1/uploads", url.Values{"name": {name}}, raw{r, size, "application/octet-stream"})
}

func (c *Client) Pin(ctx context.Context, ref string, p OnProgress, w OnWarning) (api.AddResult, error) {
	return work[api.AddResult](ctx, c, "/v1/pins", api.RefRequest{Ref: ref}, p, w)
}

func (c *Client) GC(ctx context.Context, p OnProgress, w OnWarning) (api.GCResult, error) {
	return work[api.GCResult](ctx, c, "/v1/gc", nil, p, w)
}

func (c *Client) Verify(ctx context.Context, p OnProgress, w OnWarning) (api.VerifyResult, error) {
	return work[api.VerifyResult](ctx, c, "/v1/verify", nil, p, w)
}

func (c *Client) ImportCAR(ctx context.Context, name string, r io.Reader) (api.AddResult, error) {
	return call[api.AddResult](ctx, c, post, "/v1/car", url.Values{"name": {name}}, raw{r, -1, "application/vnd.ipld.car"})
}

// ExportCAR writes the object to w. What w has after an error is no CAR.
func (c *Client) ExportCAR(ctx context.Context, ref string, w io.Writer) error {
	s, err := segment(ref)
	if err != nil {
		return err
	}
	resp, err := c.send(ctx, get, "/v1/car/"+s, nil, nil, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	out := &remember{w: w}
	if _, err := io.Copy(out, resp.Body); err != nil {
		if out.err != nil {
			return out.err // w's own: the caller knows what it means
		}
		e := c.broken(ctx, err)
		if a, ok := errors.AsType[*api.Error](e); ok && a.Code == api.CodeUnavailable {
			return api.Errorf(api.CodeFailed, "the export broke off").WithHint("the peer's log says why")
		}
		return e
	}
	return nil
}

// remember keeps a writer's error apart from that of the reader.
type remember struct {
	w   io.Writer
	err error
}

func (r *remember) Write(p []byte) (int, error) {
	n, err := r.w.Write(p)
	if err != nil {
		r.err = err
	}
	return n, err
}

func (c *Client) Get(ctx context.Context, r api.GetRequest, p OnProgress, w OnWarning) (api.GetResult, error) {
	return work[api.GetResult](ctx, c, "/v1/local/get", r, p, w)
}

// GetTickets fetches into the peer's download folder, as browsers do.
func (c *Client) GetTickets(ctx context.Context, r api.GetsRequest, p OnProgress, w OnWarning) (api.GetResult, error) {
	return work[api.GetResult](ctx, c, "/v1/gets", r, p, w)
}

func (c *Client) List(ctx context.Context, ref, path string) (api.Listing, error) {
	var q url.Values
	if path != "" {
		q = url.Values{"path": {path}}
	}
	return at[api.Listing](ctx, c, get, "/v1/list/", ref, "", q, nil)
}

func (c *Client) DownloadLink(ctx context.Context, r api.LinkRequest) (api.Link, error) {
	return call[api.Link](ctx, c, post, "/v1/download-links", nil, r)
}

// OpenInPlace opens an object, here or by ticket, and returns a URL path that reads it in ranges.
func (c *Client) OpenInPlace(ctx context.Context, r api.OpenRequest) (api.Opened, error) {
	return call[api.Opened](ctx, c, post, "/v1/open", nil, r)
}

func (c *Client) Transfers(ctx context.Context) ([]api.Transfer, error) {
	return call[[]api.Transfer](ctx, c, get, "/v1/transfers", nil, nil)
}

func (c *Client) Transfer(ctx context.Context, id string) (api.Transfer, error) {
	return at[api.Transfer](ctx, c, get, "/v1/transfers/", id, "", nil, nil)
}

func (c *Client) Cancel(ctx context.Context, id string) (api.Transfer, error) {
	return at[api.Transfer](ctx, c, del, "/v1/transfers/", id, "", nil, nil)
}

// Pieces returns the map of a download.
func (c *Client) Pieces(ctx context.Context, id string) (api.Pieces, error) {
	return at[api.Pieces](ctx, c, get, "/v1/transfers/", id, "/pieces", nil, nil)
}

// Rates returns the rates of a transfer over a window of "1m", "1h" or "1d".
func (c *Client) Rates(ctx context.Context, id, window string) (api.RateHistory, error) {
	return at[api.RateHistory](ctx, c, get, "/v1/transfers/", id, "/rates", url.Values{"window": {window}}, nil)
}

func (c *Client) Limits(ctx context.Context) (api.Limits, error) {
	return call[api.Limits](ctx, c, get, "/v1/limits", nil, nil)
}

// SetLimits replaces all limits of bandwidth.
func (c *Client) SetLimits(ctx context.Context, l api.Limits) (api.Limits, error) {
	l.Peers, l.Hours = append([]api.PeerLimit{}, l.Peers...), append([]api.HourLimit{}, l.Hours...) // lists are never null
	for i, h := range l.Hours {
		l.Hours[i].Days = append([]string{}, h.Days...)
	}
	return call[api.Limits](ctx, c, put, "/v1/limits", nil, l)
}

// Events yields what happens after the event with this id; 0: from now on. When it ends with an error, the
// caller may go on with the last id.
func (c *Client) Events(ctx context.Context, after uint64) iter.Seq2[api.Event, error] {
	var head http.Header
	if after > 0 {
		head = http.Header{"Last-Event-Id": {strconv.FormatUint(after, 10)}}
	}
	return follow[api.Event](ctx, c, "/v1/events", head)
}

// Handover asks a peer of mode "command" to end. Socket only.
func (c *Client) Handover(ctx context.Context) error {
	_, err := call[struct{}](ctx, c, post, "/v1/local/handover", nil, nil)
	return err
}

// LoginCode makes a one-time code for the dashboard. Socket only.
func (c *Client) LoginCode(ctx context.Context) (api.LoginCode, error) {
	return call[api.LoginCode](ctx, c, post, "/v1/local/login-codes", nil, nil)
}
