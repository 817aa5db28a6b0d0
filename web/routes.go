package web

// right is what a request needs. On the local socket every right is there.
type right string

const (
	rightPublic  right = "public"  // nothing
	rightCookie  right = "cookie"  // a live session's cookie: for requests to which the page cannot add a header
	rightSession right = "session" // the cookie and a secret of that session
	rightLocal   right = "local"   // the socket
)

// class says which limits apply.
type class string

const (
	classFree   class = "free"   // always answered
	classQuick  class = "quick"  // small body, small answer
	classBulk   class = "bulk"   // bytes of files, either way
	classStream class = "stream" // events, or work that takes long
)

// route is one row of the table.
type route struct {
	pattern string
	right   right
	class   class
}

// routes is the table of every route and the right that it needs. New fails for a route without a row and for a
// row without a route.
func routes() []route {
	return []route{
		{"GET /v1/healthz", rightPublic, classFree},
		{"GET /v1/openapi.json", rightPublic, classQuick},
		{"GET /metrics", rightPublic, classQuick},
		{"GET /{path...}", rightPublic, classQuick}, // the dashboard's files

		{"GET /v1/session", rightPublic, classQuick},
		{"POST /v1/login", rightPublic, classQuick},
		{"POST /v1/resume", rightCookie, classQuick},
		{"POST /v1/logout", rightSession, classQuick},

		{"GET /v1/status", rightSession, classQuick},
		{"GET /v1/peers", rightSession, classQuick},
		{"GET /v1/events", rightSession, classStream},

		{"GET /v1/limits", rightSession, classQuick},
		{"PUT /v1/limits", rightSession, classQuick},

		{"GET /v1/entries", rightSession, classQuick},
		{"GET /v1/entries/{ref}", rightSession, classQuick},
		{"DELETE /v1/entries/{ref}", rightSession, classQuick},
		{"POST /v1/entries/{id}/restore", rightSession, classQuick},
		{"POST /v1/entries/{ref}/tickets", rightSession, classQuick},
		{"POST /v1/pins", rightSession, classStream},
		{"POST /v1/gc", rightSession, classStream},
		{"POST /v1/verify", rightSession, classStream},

		{"GET /v1/tickets/{id}", rightSession, classQuick},
		{"DELETE /v1/tickets/{ref}", rightSession, classQuick},
		{"GET /v1/tickets/{id}/watch", rightSession, classStream},
		{"GET /v1/tickets/{id}/qr.svg", rightSession, classQuick},

		{"GET /v1/transfers", rightSession, classQuick},
		{"GET /v1/transfers/{id}", rightSession, classQuick},
		{"DELETE /v1/transfers/{id}", rightSession, classQuick},
		{"GET /v1/transfers/{id}/pieces", rightSession, classQuick},
		{"GET /v1/transfers/{id}/rates", rightSession, classQuick},
		{"POST /v1/gets", rightSession, classStream},

		{"GET /v1/list/{ref}", rightSession, classQuick},
		{"GET /v1/content/{ref}", rightSession, classBulk},
		{"HEAD /v1/content/{ref}", rightSession, classBulk},
		{"POST /v1/download-links", rightSession, classQuick},
		{"GET /v1/downloads/{token}", rightCookie, classBulk},
		{"POST /v1/open", rightSession, classQuick},
		{"GET /v1/opened/{token}", rightCookie, classBulk},
		{"HEAD /v1/opened/{token}", rightCookie, classBulk},
		{"POST /v1/uploads", rightSession, classBulk},
		{"POST /v1/car", rightSession, classBulk},
		{"GET /v1/car/{ref}", rightSession, classBulk},

		{"GET /v1/network", rightSession, classQuick},
		{"POST /v1/network", rightSession, classQuick},
		{"DELETE /v1/network", rightSession, classQuick},
		{"POST /v1/network/join", rightSession, classQuick},
		{"GET /v1/members", rightSession, classQuick},
		{"GET /v1/members/{ref}", rightSession, classQuick},
		{"DELETE /v1/members/{ref}", rightSession, classQuick},
		{"PUT /v1/members/{ref}/name", rightSession, classQuick},
		{"GET /v1/invites", rightSession, classQuick},
		{"POST /v1/invites", rightSession, classQuick},
		{"DELETE /v1/invites/{ref}", rightSession, classQuick},
		{"GET /v1/invites/{id}/qr.svg", rightSession, classQuick},
		{"POST /v1/local/network/init", rightLocal, classQuick},
		{"POST /v1/local/network/recover", rightLocal, classQuick},

		{"POST /v1/local/share", rightLocal, classStream},
		{"POST /v1/local/add", rightLocal, classStream},
		{"POST /v1/local/get", rightLocal, classStream},
		{"POST /v1/local/revoke", rightLocal, classQuick},
		{"POST /v1/local/handover", rightLocal, classQuick},
		{"POST /v1/local/login-codes", rightLocal, classQuick},
	}
}
