package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

type none struct{}

// session registers what concerns who is asking.
func (s *service) session() {
	call(s, op("GET", "/v1/healthz", "health", "public", "Whether the server answers"),
		func(context.Context, *none) (Health, error) {
			h := Health{Status: "ok", APIVersion: Version}
			select {
			case <-s.Stopping:
				h.Status = "stopping"
			default:
			}
			return h, nil
		})
	call(s, op("GET", "/v1/session", "session", "public", "Who am I"),
		func(ctx context.Context, _ *none) (Session, error) { return s.Access.Session(ctx) })
	s.withCookie(op("POST", "/v1/login", "login", "public", "Trade a one-time code for a session"),
		func(ctx context.Context, in *LoginRequest) (LoginResult, *http.Cookie, error) {
			return s.Access.Login(ctx, *in)
		})
	call(s, op("POST", "/v1/resume", "resume", "public", "A secret for a page that was reloaded or opened again"),
		func(ctx context.Context, in *struct{ Body ResumeRequest }) (LoginResult, error) {
			return s.Access.Resume(ctx, in.Body)
		})
	logout := op("POST", "/v1/logout", "logout", "session", "End the session in all its tabs")
	describe(s.api, &logout)
	huma.Register(s.api, logout, func(ctx context.Context, _ *none) (*struct {
		SetCookie http.Cookie `header:"Set-Cookie"`
	}, error) {
		cookie, err := s.Access.Logout(ctx)
		if err != nil {
			return nil, s.fault(ctx, err)
		}
		return &struct {
			SetCookie http.Cookie `header:"Set-Cookie"`
		}{*cookie}, nil
	})
	call(s, op("POST", "/v1/download-links", "create-download-link", "content", "A URL for one download by the browser itself"),
		func(ctx context.Context, in *struct{ Body LinkRequest }) (Link, error) {
			if err := checkPath(in.Body.Path); err != nil {
				return Link{}, err
			}
			return s.Access.NewLink(ctx, in.Body)
		})
}

func (s *service) withCookie(o huma.Operation, f func(context.Context, *LoginRequest) (LoginResult, *http.Cookie, error)) {
	type out struct {
		SetCookie http.Cookie `header:"Set-Cookie"`
		Body      LoginResult
	}
	describe(s.api, &o)
	huma.Register(s.api, o, func(ctx context.Context, in *struct{ Body LoginRequest }) (*out, error) {
		res, cookie, err := f(ctx, &in.Body)
		if err != nil {
			return nil, s.fault(ctx, err)
		}
		return &out{SetCookie: *cookie, Body: res}, nil
	})
}
