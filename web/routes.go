package web

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
	class   class
}

// routes is the table of every route and its limits; the right that it needs is in the table of package access. New fails
// for a route without a row in both and for a row here without a route.
func routes() []route {
	return []route{
		{"GET /v1/healthz", classFree},
		{"GET /v1/openapi.json", classQuick},
		{"GET /metrics", classQuick},
		{"GET /{path...}", classQuick}, // the dashboard's files

		{"GET /v1/session", classQuick},
		{"POST /v1/login", classQuick},
		{"POST /v1/resume", classQuick},
		{"POST /v1/logout", classQuick},

		{"GET /v1/status", classQuick},
		{"GET /v1/peers", classQuick},
		{"GET /v1/events", classStream},

		{"GET /v1/limits", classQuick},
		{"PUT /v1/limits", classQuick},

		{"GET /v1/config", classQuick},
		{"PUT /v1/config/{key}", classQuick},
		{"DELETE /v1/config/{key}", classQuick},
		{"POST /v1/config/reload", classQuick},

		{"GET /v1/entries", classQuick},
		{"GET /v1/entries/{ref}", classQuick},
		{"DELETE /v1/entries/{ref}", classQuick},
		{"POST /v1/entries/{id}/restore", classQuick},
		{"POST /v1/entries/{ref}/tickets", classQuick},
		{"POST /v1/pins", classStream},
		{"POST /v1/gc", classStream},
		{"POST /v1/verify", classStream},

		{"GET /v1/tickets/{id}", classQuick},
		{"DELETE /v1/tickets/{ref}", classQuick},
		{"GET /v1/tickets/{id}/watch", classStream},
		{"GET /v1/tickets/{id}/qr.svg", classQuick},

		{"GET /v1/transfers", classQuick},
		{"GET /v1/transfers/{id}", classQuick},
		{"DELETE /v1/transfers/{id}", classQuick},
		{"GET /v1/transfers/{id}/pieces", classQuick},
		{"GET /v1/transfers/{id}/rates", classQuick},
		{"POST /v1/gets", classStream},

		{"GET /v1/list/{ref}", classQuick},
		{"GET /v1/content/{ref}", classBulk},
		{"HEAD /v1/content/{ref}", classBulk},
		{"POST /v1/download-links", classQuick},
		{"GET /v1/downloads/{token}", classBulk},
		{"POST /v1/open", classQuick},
		{"GET /v1/opened/{token}", classBulk},
		{"HEAD /v1/opened/{token}", classBulk},
		{"POST /v1/uploads", classBulk},
		{"POST /v1/car", classBulk},
		{"GET /v1/car/{ref}", classBulk},

		{"GET /v1/network", classQuick},
		{"POST /v1/network", classQuick},
		{"DELETE /v1/network", classQuick},
		{"POST /v1/network/join", classQuick},
		{"GET /v1/members", classQuick},
		{"GET /v1/members/{ref}", classQuick},
		{"DELETE /v1/members/{ref}", classQuick},
		{"PUT /v1/members/{ref}/name", classQuick},
		{"GET /v1/invites", classQuick},
		{"POST /v1/invites", classQuick},
		{"DELETE /v1/invites/{ref}", classQuick},
		{"GET /v1/invites/{id}/qr.svg", classQuick},
		{"POST /v1/local/network/init", classQuick},
		{"POST /v1/local/network/recover", classQuick},
		{"GET /v1/tokens", classQuick},
		{"POST /v1/tokens", classQuick},
		{"DELETE /v1/tokens/{ref}", classQuick},
		{"GET /v1/audit", classQuick},
		{"GET /v1/ca", classQuick},

		{"GET /v1/local/keys", classQuick},
		{"POST /v1/local/keys/passphrase", classQuick},
		{"POST /v1/local/keys/rotate", classStream},
		{"POST /v1/local/keys/backup", classQuick},

		{"POST /v1/local/share", classStream},
		{"POST /v1/local/add", classStream},
		{"POST /v1/local/get", classStream},
		{"POST /v1/local/revoke", classQuick},
		{"POST /v1/local/handover", classQuick},
		{"POST /v1/local/login-codes", classQuick},
	}
}
