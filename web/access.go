package web

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"cairn/consensus/access"
	"cairn/web/api"
)

// caller is what the server knows of a request. It is put into the context before any handler runs.
type caller struct {
	local   bool     // came over the socket
	near    bool     // came through an entrance for this machine only
	limiter *limiter // of the entrance
	from    string   // IP address, "" on the socket
	cookie  *session // the session whose cookie came; nil: none
	full    bool     // a secret of that session came too
	token   *Bearer  // whose token came; nil: nobody's. Then there is no cookie
	refused error    // a token came that is none: told on every route that needs a right
	why     string   // what is wrong with it, for the audit log only
	retry   time.Duration
	settle  func(status int) // records what was done; nil: nothing is, or it has been
	logAs   string           // the route's pattern, for the log: paths may hold tickets
	status  int              // of the answer, for the log
}

type callerKey struct{}

func callerOf(ctx context.Context) *caller {
	c, _ := ctx.Value(callerKey{}).(*caller)
	if c == nil {
		return &caller{}
	}
	return c
}

// subject is the caller as the table of rights knows it.
func (c *caller) subject() access.Subject {
	switch {
	case c.local:
		return access.Subject{Kind: access.Socket, Near: true}
	case c.cookie != nil:
		return access.Subject{Kind: access.Browser, Full: c.full, Near: c.near}
	case c.token != nil:
		return access.Subject{Kind: access.Token, Scope: c.token.Scope, Near: c.near}
	}
	return access.Subject{Near: c.near}
}

// doorkeeper is what the API asks of the server about callers.
type doorkeeper struct{ s *Server }

func (a doorkeeper) Session(ctx context.Context) (api.Session, error) {
	c := callerOf(ctx)
	switch {
	case c.local:
		return api.Session{Access: "local"}, nil
	case c.token != nil:
		return api.Session{Access: "token", Scope: string(c.token.Scope)}, nil
	case c.full:
		t := a.s.cfg.Sessions.until(c.cookie)
		return api.Session{Access: "session", Expires: &t}, nil
	case c.cookie != nil:
		return api.Session{Access: "none", Challenge: a.s.cfg.Sessions.challengeFor(c.cookie)}, nil
	}
	return api.Session{Access: "none"}, nil
}

func (a doorkeeper) Login(ctx context.Context, r api.LoginRequest) (api.LoginResult, *http.Cookie, error) {
	c := callerOf(ctx)
	if c.local {
		return api.LoginResult{}, nil, api.Errorf(api.CodeUsage, "the socket needs no login").WithHint("everything is permitted here already")
	}
	// Where only this machine reaches us the five tries of a code are enough; elsewhere somebody could spend them for its owner.
	if wait := a.s.guesses.wait(c.from); wait > 0 && !c.near {
		return api.LoginResult{}, nil, api.Errorf(api.CodeTooMany, "too many wrong login codes came from this address").
			WithHint("try again in %s", seconds(wait))
	}
	g, err := a.s.cfg.Sessions.login(r.Code, r.PublicKey)
	if err != nil {
		a.s.guesses.wrong(c.from)
		a.s.log.WarnContext(ctx, "login refused", "request", api.CallerOf(ctx).RequestID)
		return api.LoginResult{}, nil, err
	}
	a.s.log.InfoContext(ctx, "login", "request", api.CallerOf(ctx).RequestID)
	return api.LoginResult{Secret: g.secret, Expires: g.expires}, a.cookie(g.cookie, 0), nil
}

func (a doorkeeper) Resume(ctx context.Context, r api.ResumeRequest) (api.LoginResult, error) {
	c := callerOf(ctx)
	if c.cookie == nil {
		return api.LoginResult{}, api.Errorf(api.CodeUsage, "there is no session to go on with")
	}
	secret, expires, err := a.s.cfg.Sessions.resume(c.cookie, r)
	if err != nil {
		return api.LoginResult{}, err
	}
	return api.LoginResult{Secret: secret, Expires: expires}, nil
}

func (a doorkeeper) Logout(ctx context.Context) (*http.Cookie, error) {
	if c := callerOf(ctx); c.cookie != nil {
		a.s.cfg.Sessions.end(c.cookie)
	}
	return a.cookie("", -1), nil
}

func (a doorkeeper) NewLink(ctx context.Context, r api.LinkRequest) (api.Link, error) {
	text, expires, err := a.s.cfg.Sessions.newLink(callerOf(ctx).cookie, r)
	if err != nil {
		return api.Link{}, err
	}
	return api.Link{URL: "/v1/downloads/" + text, Expires: expires}, nil
}

func (a doorkeeper) UseLink(ctx context.Context, token string) (api.LinkRequest, error) {
	return a.s.cfg.Sessions.useLink(callerOf(ctx).cookie, token)
}

func (a doorkeeper) NewHandle(ctx context.Context, r api.LinkRequest) (api.Link, error) {
	text, expires := a.s.cfg.Sessions.newHandle(callerOf(ctx).cookie, r)
	return api.Link{URL: "/v1/opened/" + text, Expires: expires}, nil
}

func (a doorkeeper) UseHandle(ctx context.Context, token string) (api.LinkRequest, error) {
	return a.s.cfg.Sessions.useHandle(callerOf(ctx).cookie, token)
}

// cookie is the session cookie. Without TLS, on loopback, it can not be Secure.
func (a doorkeeper) cookie(value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: a.s.cookieName(), Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: a.s.cfg.TLS != nil,
	}
}

// cookieName holds the port because browsers send cookies to every port of a host: two peers of one machine must
// not overwrite each other's. With TLS its prefix makes browsers refuse one that anybody but this host set, or without TLS
// (RFC 6265bis, section 4.1.3.2).
func (s *Server) cookieName() string {
	name := "cairn_session_" + strconv.Itoa(s.port)
	if s.cfg.TLS != nil {
		return "__Host-" + name
	}
	return name
}
