package web

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"cairn/web/api"
)

const (
	codeLife     = 2 * time.Minute
	codeTries    = 5
	maxCodes     = 8
	sessionIdle  = 12 * time.Hour
	sessionLife  = 7 * 24 * time.Hour
	maxSessions  = 64
	maxSecrets   = 32 // tabs and reloads of one session; the one unused for longest goes first
	challengeAge = time.Minute
	maxChallenge = 16
	linkLife     = time.Minute
	maxLinks     = 256
	handleLife   = 10 * time.Minute // since the last use
	maxHandles   = 64

	resumePrefix = "cairn-resume-1:"
)

type digest = [sha256.Size]byte

// Sessions holds login codes, the sessions that they opened, and the download links and handles of those. Nothing is written
// to disk: a restart ends every session. Tokens are kept as their SHA-256 only. It starts no goroutines; what
// expired is removed when something is added. Safe for concurrent use.
type Sessions struct {
	now func() time.Time

	mu       sync.Mutex
	codes    []*code
	sessions map[digest]*session // by the hash of the cookie
	links    map[digest]*link    // by the hash of the token
	handles  map[digest]*link    // by the hash of the token
}

type code struct {
	hash    digest
	expires time.Time
	misses  int
}

// session is guarded by Sessions.mu.
type session struct {
	id         digest
	key        *ecdsa.PublicKey // nil: cannot be resumed
	created    time.Time
	used       time.Time
	secrets    []digest // last used last
	challenges []challenge
}

type challenge struct {
	text    string
	expires time.Time
}

// NewSessions makes an empty set. now is the clock; nil: time.Now.
func NewSessions(now func() time.Time) *Sessions {
	if now == nil {
		now = time.Now
	}
	return &Sessions{now: now, sessions: map[digest]*session{}, links: map[digest]*link{}, handles: map[digest]*link{}}
}

// NewCode makes a login code that works once, for two minutes. At most eight wait; a ninth replaces the oldest.
func (s *Sessions) NewCode() (text string, expires time.Time) {
	text = newCode()
	plain, err := parseCode(text)
	if err != nil {
		panic(err) // we made it
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep()
	if len(s.codes) >= maxCodes {
		s.codes = slices.Delete(s.codes, 0, 1)
	}
	expires = s.now().Add(codeLife)
	s.codes = append(s.codes, &code{hash: sha256.Sum256([]byte(plain)), expires: expires})
	return text, expires
}

// grant is what a login hands out.
type grant struct {
	cookie  string
	secret  string
	expires time.Time
}

// login spends a code. A wrong code counts against every code that waits, because nobody can tell which was
// meant; after five each of them is gone.
func (s *Sessions) login(typed, publicKey string) (grant, error) {
	plain, err := parseCode(typed)
	if err != nil {
		return grant{}, err
	}
	key, err := parseKey(publicKey)
	if err != nil {
		return grant{}, err
	}
	h := sha256.Sum256([]byte(plain))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep()
	i := slices.IndexFunc(s.codes, func(c *code) bool { return c.hash == h }) // of hashes: its time tells nothing
	if i < 0 {
		for _, c := range s.codes {
			c.misses++
		}
		s.codes = slices.DeleteFunc(s.codes, func(c *code) bool { return c.misses >= codeTries })
		return grant{}, faultLogin(http.StatusUnauthorized, "the login code is wrong, was used or has expired")
	}
	s.codes = slices.Delete(s.codes, i, i+1)
	if len(s.sessions) >= maxSessions {
		s.dropOldest()
	}
	cookie := token()
	n := &session{id: sha256.Sum256([]byte(cookie)), key: key, created: s.now(), used: s.now()}
	s.sessions[n.id] = n
	return grant{cookie: cookie, secret: n.newSecret(), expires: s.expires(n)}, nil
}

func faultLogin(status int, text string) error {
	return api.NewFault(status, "%s", text).WithHint("cairn login on this machine prints a new code")
}

// find returns the session of a cookie and whether secret is one of its own; nil when there is none.
func (s *Sessions) find(cookie, secret string) (sess *session, full bool) {
	if cookie == "" {
		return nil, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.sessions[sha256.Sum256([]byte(cookie))]
	if n == nil || !s.now().Before(s.expires(n)) {
		return nil, false
	}
	if secret == "" {
		return n, false
	}
	h := sha256.Sum256([]byte(secret))
	i := slices.Index(n.secrets, h)
	if i < 0 {
		return n, false
	}
	n.secrets = append(slices.Delete(n.secrets, i, i+1), h)
	n.used = s.now()
	return n, true
}

// challengeFor makes a challenge for a page of n, "" when n cannot be resumed.
func (s *Sessions) challengeFor(n *session) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n.key == nil {
		return ""
	}
	if len(n.challenges) >= maxChallenge {
		n.challenges = slices.Delete(n.challenges, 0, 1)
	}
	c := challenge{token(), s.now().Add(challengeAge)}
	n.challenges = append(n.challenges, c)
	return c.text
}

// resume gives out a further secret of n to whoever holds its private key.
func (s *Sessions) resume(n *session, r api.ResumeRequest) (secret string, expires time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(n.challenges, func(c challenge) bool { return c.text == r.Challenge })
	ok := i >= 0 && s.now().Before(n.challenges[i].expires)
	if i >= 0 {
		n.challenges = slices.Delete(n.challenges, i, i+1)
	}
	if !ok || n.key == nil || !verify(n.key, resumePrefix+r.Challenge, r.Signature) {
		return "", time.Time{}, faultLogin(http.StatusUnauthorized, "this page cannot go on with the session")
	}
	n.used = s.now()
	return n.newSecret(), s.expires(n), nil
}

// end removes a session and its links.
func (s *Sessions) end(n *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(n)
}

// ended tells whether a session is over.
func (s *Sessions) ended(n *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[n.id] != n || !s.now().Before(s.expires(n))
}

func (s *Sessions) until(n *session) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.expires(n)
}

// expires: mu is held.
func (s *Sessions) expires(n *session) time.Time {
	a, b := n.created.Add(sessionLife), n.used.Add(sessionIdle)
	if a.Before(b) {
		return a
	}
	return b
}

// sweep removes what expired: mu is held.
func (s *Sessions) sweep() {
	now := s.now()
	s.codes = slices.DeleteFunc(s.codes, func(c *code) bool { return !now.Before(c.expires) })
	for _, n := range s.sessions {
		if !now.Before(s.expires(n)) {
			s.drop(n)
		}
	}
	for _, m := range []map[digest]*link{s.links, s.handles} {
		maps.DeleteFunc(m, func(_ digest, l *link) bool { return !now.Before(l.expires) })
	}
}

func (s *Sessions) dropOldest() {
	var oldest *session
	for _, n := range s.sessions {
		if oldest == nil || n.used.Before(oldest.used) {
			oldest = n
		}
	}
	s.drop(oldest)
}

func (s *Sessions) drop(n *session) {
	delete(s.sessions, n.id)
	for _, m := range []map[digest]*link{s.links, s.handles} {
		maps.DeleteFunc(m, func(_ digest, l *link) bool { return l.session == n.id })
	}
}

// newSecret: Sessions.mu is held.
func (n *session) newSecret() string {
	text := token()
	if len(n.secrets) >= maxSecrets {
		n.secrets = slices.Delete(n.secrets, 0, 1)
	}
	n.secrets = append(n.secrets, sha256.Sum256([]byte(text)))
	return text
}
