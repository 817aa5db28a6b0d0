package api

import (
	"context"
	"net/http"
	"time"
)

// Access is what the API needs of the server in front of it: who is asking, and what lets them in. The server
// finds the request's cookies through ctx.
type Access interface {
	// Session says who asks. It never fails for someone who is not logged in.
	Session(ctx context.Context) (Session, error)
	// Login trades a one-time code for a session. The cookie goes to the browser.
	Login(ctx context.Context, r LoginRequest) (LoginResult, *http.Cookie, error)
	// Resume gives a page that was reloaded a secret of its own again.
	Resume(ctx context.Context, r ResumeRequest) (LoginResult, error)
	// Logout ends the session. The cookie it returns removes the one in the browser.
	Logout(ctx context.Context) (*http.Cookie, error)
	// NewLink makes a URL path that works once, soon, for the session that asked.
	NewLink(ctx context.Context, r LinkRequest) (Link, error)
	// UseLink spends a link and says what it stands for.
	UseLink(ctx context.Context, token string) (LinkRequest, error)
	// NewHandle makes a URL path that works again and again for the session that asked, until it rests for ten minutes.
	NewHandle(ctx context.Context, r LinkRequest) (Link, error)
	// UseHandle says what a handle stands for.
	UseHandle(ctx context.Context, token string) (LinkRequest, error)
}

// Session says who is asking.
type Session struct {
	Access    string     `json:"access" enum:"none,session,token,local" doc:"none: a login code is needed; session: a browser that logged in; token: a program with a token; local: the socket"`
	Scope     string     `json:"scope,omitempty" enum:"read,write,admin" doc:"Of the token"`
	Expires   *time.Time `json:"expires,omitempty"`
	Challenge string     `json:"challenge,omitempty" doc:"Given to a browser whose cookie is right but which sent no secret: sign it and call resume"`
}

// LoginRequest logs a browser in.
type LoginRequest struct {
	Code      string `json:"code" minLength:"1" maxLength:"64" doc:"As typed: case, spaces and dashes do not matter"`
	PublicKey string `json:"public_key,omitempty" maxLength:"128" doc:"P-256 public key (uncompressed point, base64url) whose private half the page keeps as a key that cannot be extracted; needed to resume after a reload"`
}

// LoginResult is the secret that goes into the header Cairn-Secret. The page keeps it in memory only.
type LoginResult struct {
	Secret  string    `json:"secret"`
	Expires time.Time `json:"expires"`
}

// ResumeRequest proves that the page is the one that logged in.
type ResumeRequest struct {
	Challenge string `json:"challenge" minLength:"1" maxLength:"128"`
	Signature string `json:"signature" minLength:"1" maxLength:"128" doc:"ECDSA P-256 with SHA-256 over the text cairn-resume-1: followed by the challenge; r and s, 64 bytes, base64url"`
}

// LinkRequest names what a download link is for.
type LinkRequest struct {
	Ref  string `json:"ref" minLength:"1" maxLength:"1024" doc:"A CID, an entry or a ticket"`
	Path string `json:"path,omitempty" maxLength:"4096" doc:"A file below it"`
}

// Link is a URL path for one download.
type Link struct {
	URL     string    `json:"url" doc:"Works once, for this session only"`
	Expires time.Time `json:"expires"`
}

// OpenRequest names what is to be read in place, without a download.
type OpenRequest struct {
	Ref  string `json:"ref" minLength:"1" maxLength:"8192" doc:"A ticket, a CID or an entry"`
	Path string `json:"path,omitempty" maxLength:"4096" doc:"A file or directory below it"`
}

// Opened is an object, here or at another peer, that can be read in place.
type Opened struct {
	URL     string    `json:"url" doc:"Of the file, for this session only; it takes ranges and holds no secret. Of a directory: add ?path= with a file in it"`
	Expires time.Time `json:"expires" doc:"When it ends unless it is used; each use gives it ten minutes more"`
	Name    string    `json:"name,omitempty" doc:"Of a file"`
	Type    string    `json:"type,omitempty" doc:"Media type of a file that a browser can play or show, without which URL answers with an attachment"`
	Listing
}

// GetsRequest fetches an object into the peer's download folder.
type GetsRequest struct {
	Tickets []string `json:"tickets" minItems:"1" maxItems:"16"`
	NoSwarm bool     `json:"no_swarm,omitempty"`
}

// RefRequest names one thing.
type RefRequest struct {
	Ref string `json:"ref" minLength:"1" maxLength:"8192"`
}

// Health says that the server answers; it asks nothing of the peer.
type Health struct {
	Status     string `json:"status" enum:"ok,stopping"`
	APIVersion string `json:"api_version"`
}

// ErrorBody is the body of every response that is not a success.
type ErrorBody struct {
	Error Error `json:"error"`
}
