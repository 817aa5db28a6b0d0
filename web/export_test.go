package web

import (
	"net/http"

	"cairn/web/api"
)

// Patterns are those of the table.
func Patterns() (out []string) {
	for _, r := range routes() {
		out = append(out, r.pattern)
	}
	return out
}

// TryRoute registers a pattern as an operation would and compares with the table.
func TryRoute(s *Server, pattern string) error {
	m := newMux(s)
	m.HandleFunc(pattern, func(http.ResponseWriter, *http.Request) {})
	return complete(s.rows, s.api, s.pages, m)
}

// TryRow adds a row to the table and compares with the routes.
func TryRow(s *Server, pattern string) error {
	return complete(append(routes(), route{pattern: pattern}), s.api, s.pages)
}

var (
	ParseCode  = parseCode
	Address    = address
	IsLoopback = isLoopback
	StallBytes = stallBytes
)

// TryLogin says whether a code works.
func TryLogin(s *Sessions, code string) bool {
	_, err := s.login(code, "")
	return err == nil
}

func MustLogin(s *Sessions, code string) (cookie, secret string) {
	g, err := s.login(code, "")
	if err != nil {
		panic(err)
	}
	return g.cookie, g.secret
}

// Alive says whether a session may be used, which is a use.
func Alive(s *Sessions, cookie, secret string) bool {
	_, full := s.find(cookie, secret)
	return full
}

func MustLink(s *Sessions, cookie, secret string) string {
	n, _ := s.find(cookie, secret)
	text, _, err := s.newLink(n, api.LinkRequest{Ref: "x"})
	if err != nil {
		panic(err)
	}
	return text
}

func TryLink(s *Sessions, cookie, link string) bool {
	n, _ := s.find(cookie, "")
	_, err := s.useLink(n, link)
	return err == nil
}

// NewHandle and UseHandle work for the socket.
func NewHandle(s *Sessions, ref string) string {
	text, _ := s.newHandle(nil, api.LinkRequest{Ref: ref})
	return text
}

func UseHandle(s *Sessions, text string) (api.LinkRequest, error) { return s.useHandle(nil, text) }
