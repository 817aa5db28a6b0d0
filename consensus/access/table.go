package access

import "slices"

// Row says what one door needs.
type Row struct {
	Action
	Right Right
}

// Table returns every route and every protocol with the right that it needs. There is no other such list: who
// registers a route or a protocol without a row here is stopped by package web, and by the tests of package node.
func Table() []Row {
	return slices.Concat(
		rows(HTTP, routes()),
		rows(DoorHost, [][2]string{
			{"/cairn/blocks/1", "stranger"}, // opens nothing without a ticket
			{"/cairn/join/1", "stranger"},   // nor this without an invite
			{"/cairn/hello/1", "stranger"},  // and this without a certificate
			{"/ipfs/id/1.0.0", "stranger"},
			{"/ipfs/id/push/1.0.0", "stranger"},
			{"/ipfs/ping/1.0.0", "stranger"},
		}),
		rows(MemberHost, [][2]string{
			{"/cairn/ca/1", "reader"}, // the authority itself for administrators only
			{"/cairn/blocks/1", "reader"},
			{"/cairn/members/1", "reader"},
			{"/cairn/renew/1", "reader"},
			{"/ipfs/id/1.0.0", "reader"},
			{"/ipfs/id/push/1.0.0", "reader"},
			{"/ipfs/ping/1.0.0", "reader"},
		}),
	)
}

// Needs returns the right of one row; false: there is none.
func Needs(a Action) (Right, bool) {
	for _, r := range Table() {
		if r.Action == a {
			return r.Right, true
		}
	}
	return "", false
}

// Missing returns those of names that have no row at a door: what a test of a host asks with the protocols that are
// registered on it.
func Missing(d Door, names []string) (out []string) {
	for _, n := range names {
		if _, ok := Needs(Action{d, n}); !ok {
			out = append(out, n)
		}
	}
	return out
}

func rows(d Door, in [][2]string) []Row {
	out := make([]Row, len(in))
	for i, r := range in {
		out[i] = Row{Action{d, r[0]}, Right(r[1])}
	}
	return out
}

// routes are the rows of the HTTP API.
func routes() [][2]string {
	return [][2]string{
		{"GET /v1/healthz", "public"},
		{"GET /v1/openapi.json", "public"},
		{"GET /metrics", "nearby"},
		{"GET /{path...}", "public"}, // the dashboard's files
		{"GET /v1/ca", "public"},     // a certificate, made to be shown

		{"GET /v1/session", "public"},
		{"POST /v1/login", "public"},
		{"POST /v1/resume", "cookie"},
		{"POST /v1/logout", "session"},

		{"GET /v1/status", "read"},
		{"GET /v1/peers", "read"},
		{"GET /v1/events", "read"},

		{"GET /v1/limits", "read"},
		{"PUT /v1/limits", "admin"},

		{"GET /v1/entries", "read"},
		{"GET /v1/entries/{ref}", "read"},
		{"DELETE /v1/entries/{ref}", "write"},
		{"POST /v1/entries/{id}/restore", "write"},
		{"POST /v1/entries/{ref}/tickets", "write"},
		{"POST /v1/pins", "write"},
		{"POST /v1/gc", "write"},
		{"POST /v1/verify", "write"},

		{"GET /v1/tickets/{id}", "read"},
		{"DELETE /v1/tickets/{ref}", "write"},
		{"GET /v1/tickets/{id}/watch", "read"},
		{"GET /v1/tickets/{id}/qr.svg", "write"},

		{"GET /v1/transfers", "read"},
		{"GET /v1/transfers/{id}", "read"},
		{"DELETE /v1/transfers/{id}", "write"},
		{"GET /v1/transfers/{id}/pieces", "read"},
		{"GET /v1/transfers/{id}/rates", "read"},
		{"POST /v1/gets", "write"},

		{"GET /v1/list/{ref}", "read"},
		{"GET /v1/content/{ref}", "read"},
		{"HEAD /v1/content/{ref}", "read"},
		{"POST /v1/download-links", "session"}, // links and handles are bound to a session
		{"GET /v1/downloads/{token}", "cookie"},
		{"POST /v1/open", "session"},
		{"GET /v1/opened/{token}", "cookie"},
		{"HEAD /v1/opened/{token}", "cookie"},
		{"POST /v1/uploads", "write"},
		{"POST /v1/car", "write"},
		{"GET /v1/car/{ref}", "read"},

		{"GET /v1/network", "read"},
		{"POST /v1/network", "admin"},
		{"POST /v1/network/join", "admin"},
		{"DELETE /v1/network", "admin"},
		{"GET /v1/members", "read"},
		{"GET /v1/members/{ref}", "read"},
		{"DELETE /v1/members/{ref}", "admin"},
		{"PUT /v1/members/{ref}/name", "admin"},
		{"GET /v1/invites", "admin"}, // whoever has an invite's text may join
		{"POST /v1/invites", "admin"},
		{"DELETE /v1/invites/{ref}", "admin"},
		{"GET /v1/invites/{id}/qr.svg", "admin"},

		{"GET /v1/config", "read"},
		{"PUT /v1/config/{key}", "admin"},
		{"DELETE /v1/config/{key}", "admin"},
		{"POST /v1/config/reload", "admin"},

		{"GET /v1/tokens", "admin"},
		{"POST /v1/tokens", "admin"},
		{"DELETE /v1/tokens/{ref}", "admin"},
		{"GET /v1/audit", "admin"},

		{"POST /v1/local/share", "local"},
		{"POST /v1/local/add", "local"},
		{"POST /v1/local/get", "local"},
		{"POST /v1/local/revoke", "local"},
		{"POST /v1/local/handover", "local"},
		{"POST /v1/local/login-codes", "local"},
		{"POST /v1/local/network/init", "local"},
		{"POST /v1/local/network/recover", "local"},
		{"GET /v1/local/keys", "local"},
		{"POST /v1/local/keys/passphrase", "local"},
		{"POST /v1/local/keys/rotate", "local"},
		{"POST /v1/local/keys/backup", "local"},
	}
}

// Deed names what a route does, for the audit log; "" for those whose use is not recorded. Denials are, of every route.
func Deed(pattern string) string { return deeds()[pattern] }

func deeds() map[string]string {
	return map[string]string{
		"POST /v1/login":              "login",
		"POST /v1/logout":             "logout",
		"POST /v1/local/login-codes":  "login.code",
		"PUT /v1/limits":              "limits.set",
		"POST /v1/network":            "network.init",
		"POST /v1/local/network/init": "network.init",

		"POST /v1/local/network/recover": "network.recover",
		"POST /v1/network/join":          "network.join",
		"DELETE /v1/network":             "network.leave",
		"DELETE /v1/members/{ref}":       "member.revoke",
		"PUT /v1/members/{ref}/name":     "member.rename",
		"POST /v1/invites":               "invite.create",
		"DELETE /v1/invites/{ref}":       "invite.revoke",
		"PUT /v1/config/{key}":           "config.set",
		"DELETE /v1/config/{key}":        "config.unset",
		"POST /v1/config/reload":         "config.reload",
		"POST /v1/tokens":                "token.create",
		"DELETE /v1/tokens/{ref}":        "token.revoke",
		"POST /v1/local/keys/passphrase": "key.passphrase",
		"POST /v1/local/keys/rotate":     "key.rotate",
		"POST /v1/local/keys/backup":     "key.backup",
	}
}
