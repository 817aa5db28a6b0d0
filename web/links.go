package web

import (
	"crypto/sha256"
	"time"

	"cairn/web/api"
)

// link stands for one download, or, with a life, for an object that was opened for reading again and again. Guarded
// by Sessions.mu.
type link struct {
	session digest // zero: made on the socket
	expires time.Time
	life    time.Duration // from its last use; 0: it works once
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

// newHandle makes a handle for n to read target with; nil: for the socket. Of too many the one unused for longest
// goes.
func (s *Sessions) newHandle(n *session, target api.LinkRequest) (text string, expires time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep()
	if len(s.handles) >= maxHandles {
		var oldest digest
		var at time.Time
		for h, l := range s.handles {
			if at.IsZero() || l.expires.Before(at) {
				oldest, at = h, l.expires
			}
		}
		delete(s.handles, oldest)
	}
	text = token()
	l := &link{expires: s.now().Add(handleLife), life: handleLife, target: target}
	if n != nil {
		l.session = n.id
	}
	s.handles[sha256.Sum256([]byte(text))] = l
	return text, l.expires
}

// useHandle says what a handle of n stands for, and lets it live on.
func (s *Sessions) useHandle(n *session, text string) (api.LinkRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep()
	l := s.handles[sha256.Sum256([]byte(text))]
	var id digest
	if n != nil {
		id = n.id
	}
	if l == nil || l.session != id {
		return api.LinkRequest{}, api.Errorf(api.CodeNotFound, "this object was not opened, or not used for ten minutes").
			WithHint("open it again from the dashboard")
	}
	l.expires = s.now().Add(l.life)
	return l.target, nil
}
