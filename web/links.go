package web

import (
	"crypto/sha256"
	"time"

	"cairn/web/api"
)

// link stands for one download. Guarded by Sessions.mu.
type link struct {
	session digest // zero: made on the socket
	expires time.Time
	target  api.LinkRequest
}

// newLink makes a download link for n; nil: for the socket.
func (s *Sessions) newLink(n *session, target api.LinkRequest) (text string, expires time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep()
	if len(s.links) >= maxLinks {
		return "", time.Time{}, api.Errorf(api.CodeTooMany, "too many downloads wait to begin").WithHint("try again in a minute")
	}
	text = token()
	l := &link{expires: s.now().Add(linkLife), target: target}
	if n != nil {
		l.session = n.id
	}
	s.links[sha256.Sum256([]byte(text))] = l
	return text, l.expires, nil
}

// useLink spends a link of n.
func (s *Sessions) useLink(n *session, text string) (api.LinkRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep()
	h := sha256.Sum256([]byte(text))
	l := s.links[h]
	var id digest
	if n != nil {
		id = n.id
	}
	if l == nil || l.session != id {
		return api.LinkRequest{}, api.Errorf(api.CodeNotFound, "this download link was used or has expired").
			WithHint("start the download again from the dashboard")
	}
	delete(s.links, h)
	return l.target, nil
}
