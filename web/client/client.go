// Package client talks to a peer: over the socket of its home with full rights, as the commands do, or over TCP
// after a login, as a browser does.
//
// Every failure is an [*api.Error]. A socket that nobody listens on is [ErrNoPeer] as well. The package starts no
// goroutines of its own beyond those of net/http, and those end with the call, or with Close for idle connections.
package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"cairn/web/api"
)

// AnswerTime is how long a peer may take to answer whether it is there.
const AnswerTime = 5 * time.Second

// ErrNoPeer: nothing listens on the socket, so no peer runs.
var ErrNoPeer = errors.New("no peer is running")

// Client talks to one peer. Safe for concurrent use after Login.
type Client struct {
	http   *http.Client
	base   string
	secret string
	token  string
	silent time.Duration // a stream without a byte for this long is dead
}

// Target says where a peer listens.
type Target struct {
	base string
	dial func(ctx context.Context, network, addr string) (net.Conn, error)

	token string      // "": none
	tls   *tls.Config // nil: as net/http has it
}

// Unix is the socket at path.
func Unix(path string) Target {
	return Target{base: "http://cairn", dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}}
}

// TCP is a URL such as http://127.0.0.1:4747. Without Login it may do what needs no right.
func TCP(base string) Target {
	var d net.Dialer
	return Target{base: strings.TrimSuffix(base, "/"), dial: d.DialContext}
}

// New makes a client. It connects with the first call.
func New(t Target) *Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		panic(err) // documented never to fail
	}
	return &Client{
		base:   t.base,
		token:  t.token,
		silent: 40 * time.Second, // four heartbeats
		http: &http.Client{
			Jar: jar,
			Transport: &http.Transport{
				DialContext: t.dial, TLSClientConfig: t.tls, DisableCompression: true, MaxIdleConns: 8, IdleConnTimeout: time.Minute,
				MaxResponseHeaderBytes: 64 << 10,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Dial connects to the peer of a home and makes sure that it answers and speaks this version of the API.
// Errors: ErrNoPeer; CodeLocked when something listens but does not answer within 5 s; CodeUnavailable for
// another version.
func Dial(ctx context.Context, home string) (*Client, error) {
	path, err := api.SocketPath(home)
	if err != nil {
		return nil, err
	}
	c := New(Unix(path))
	if err := c.Probe(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Probe asks whether the peer is there. See Dial for its errors.
func (c *Client) Probe(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, AnswerTime)
	defer cancel()
	_, err := c.Health(limited)
	if err != nil && ctx.Err() == nil && limited.Err() != nil {
		return api.Errorf(api.CodeLocked, "the peer that runs on this data directory does not answer").
			WithHint("it may be stopped or overloaded; end it, or wait and try again")
	}
	return err
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Login opens a session with a one-time code. Only for TCP.
func (c *Client) Login(ctx context.Context, code string) error {
	r, err := call[api.LoginResult](ctx, c, http.MethodPost, "/v1/login", nil, api.LoginRequest{Code: code})
	c.secret = r.Secret
	return err
}

// call sends one request and decodes its JSON answer. body nil: none.
func call[T any](ctx context.Context, c *Client, method, path string, q url.Values, body any) (out T, err error) {
	resp, err := c.send(ctx, method, path, q, body, nil)
	if err != nil {
		return out, err
	}
	defer drain(resp.Body)
	if resp.StatusCode == http.StatusNoContent {
		return out, nil
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<20)).Decode(&out); err != nil {
		return out, c.broken(ctx, err)
	}
	return out, nil
}

// drain reads a little of what is left, so that the connection can be used again.
func drain(r io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, r, 4<<10)
	_ = r.Close()
}

// raw is a body that is sent as it is.
type raw struct {
	io.Reader
	size int64 // -1: unknown
	kind string
}

// send returns a successful response, or its failure as an *api.Error.
func (c *Client) send(ctx context.Context, method, path string, q url.Values, body any, head http.Header) (*http.Response, error) {
	target := c.base + path
	if len(q) > 0 {
		target += "?" + q.Encode()
	}
	var r io.Reader
	kind, size := "", int64(0)
	switch body := body.(type) {
	case nil:
	case raw:
		r, kind, size = body.Reader, body.kind, body.size
	default:
		text, err := json.Marshal(body)
		if err != nil {
			return nil, api.Errorf(api.CodeUsage, "the request cannot be written as JSON")
		}
		r, kind, size = strings.NewReader(string(text)), "application/json", int64(len(text))
	}
	req, err := http.NewRequestWithContext(ctx, method, target, r)
	if err != nil {
		return nil, api.Errorf(api.CodeUsage, "the address of the peer is malformed")
	}
	for k, v := range head {
		req.Header[k] = v
	}
	req.Header.Set("Cairn-Api", api.Version)
	if kind != "" {
		req.Header.Set("Content-Type", kind)
		req.ContentLength = size
	}
	if c.secret != "" {
		req.Header.Set("Cairn-Secret", c.secret)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.broken(ctx, err)
	}
	if err := check(resp); err != nil {
		drain(resp.Body)
		return nil, err
	}
	return resp, nil
}

// check turns an answer that is no success into an *api.Error.
func check(resp *http.Response) error {
	switch v := resp.Header.Get("Cairn-Api"); v {
	case api.Version:
	case "":
		return api.Errorf(api.CodeUnavailable, "what answers there is not a Cairn peer")
	default:
		return api.Errorf(api.CodeUnavailable, "the running peer speaks version %s of the API, this program version %s", v, api.Version).
			WithHint("update the older of the two, then restart the peer")
	}
	if resp.StatusCode < 300 {
		return nil
	}
	var body api.ErrorBody
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&body); err != nil || body.Error.Code == "" {
		return api.Errorf(api.CodeFailed, "the peer answered with status %d and no reason", resp.StatusCode)
	}
	return &body.Error
}

// broken says in words why a connection failed.
func (c *Client) broken(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return api.FaultOf(ctx, ctx.Err()).Err
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return &absent{api.Errorf(api.CodeUnavailable, "no peer is running there").WithHint("cairn up starts one")}
	case isCertificate(err):
		return api.Errorf(api.CodeNotPermitted, "the certificate of the peer is not trusted here, or is not for this name").
			WithHint("cairn ca on the peer's machine prints the authority to trust")
	case errors.Is(err, os.ErrPermission):
		return api.Errorf(api.CodeNotPermitted, "the socket of the peer belongs to another user")
	}
	return api.Errorf(api.CodeUnavailable, "the connection to the peer broke").WithHint("see whether it still runs: cairn status")
}

func isCertificate(err error) bool {
	var v *tls.CertificateVerificationError
	var h x509.HostnameError
	return errors.As(err, &v) || errors.As(err, &h)
}

// absent is an *api.Error that is ErrNoPeer as well.
type absent struct{ e *api.Error }

func (a *absent) Error() string   { return a.e.Error() }
func (a *absent) Unwrap() []error { return []error{a.e, ErrNoPeer} }

// segment escapes a reference for a path. Those that no path can carry name nothing that a peer has.
func segment(ref string) (string, error) {
	if ref == "" || ref == "." || ref == ".." || strings.ContainsAny(ref, "/\\\x00\r\n\t") || len(ref) > 1024 {
		return "", api.Errorf(api.CodeUsage, "%s is not an entry, a CID or a ticket", fmt.Sprintf("%.80q", ref))
	}
	return url.PathEscape(ref), nil
}
