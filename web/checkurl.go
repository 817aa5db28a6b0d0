package web

import (
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"cairn/web/api"
)

// checkURL refuses paths that mean different things to different readers: empty, "." and ".." segments, control
// characters, slashes hidden by escaping, and all of those escaped twice. Nothing here ever cleans a path: what is
// odd is refused.
func checkURL(u *url.URL) error {
	bad := func() error {
		return api.NewFault(http.StatusBadRequest, "the path of the request is malformed").
			WithHint("segments must not be empty, . or .., or hold control characters, slashes or backslashes")
	}
	if u.Opaque != "" || !strings.HasPrefix(u.Path, "/") {
		return bad()
	}
	segments := strings.Split(u.EscapedPath()[1:], "/")
	for i, escaped := range segments {
		s, err := url.PathUnescape(escaped)
		if err != nil || !plainSegment(s) || (s == "" && i < len(segments)-1) {
			return bad()
		}
		if twice, err := url.PathUnescape(s); err == nil && twice != s && !plainSegment(twice) {
			return bad()
		}
	}
	if _, err := url.ParseQuery(u.RawQuery); err != nil {
		return api.NewFault(http.StatusBadRequest, "the query of the request is malformed").
			WithHint("names and values must be escaped as in a URL")
	}
	return nil
}

func plainSegment(s string) bool {
	return s != "." && s != ".." && utf8.ValidString(s) &&
		!strings.ContainsFunc(s, func(r rune) bool { return r == '/' || r == '\\' || unicode.IsControl(r) })
}
