package web

import (
	"errors"
	"math"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"cairn/consensus/access"
	"cairn/web/api"
)

// What a token is not. Their texts go to the audit log; whoever sent it is told the same for all of them.
var (
	ErrTokenMalformed = errors.New("a text that is no token")
	ErrTokenUnknown   = errors.New("an unknown token")
	ErrTokenExpired   = errors.New("a token that has expired")
	ErrTokenRevoked   = errors.New("a token that was revoked")
)

// Bearer is who a token stands for.
type Bearer struct {
	ID, Name string
	Scope    access.Right // access.Read, access.Write or access.Admin
}

// Bearers knows tokens.
type Bearers interface {
	// CheckToken finds the token of a secret that came from an address, and notes its use. Errors wrap one of
	// ErrTokenMalformed, ErrTokenUnknown, ErrTokenExpired and ErrTokenRevoked; with the last two the Bearer is set.
	CheckToken(secret, from string) (Bearer, error)
	// TokenEnded tells whether the token of an id has expired or was revoked, or is none.
	TokenEnded(id string) bool
}

const (
	guessBurst = 10              // wrong tokens or login codes from one address at once
	guessEvery = 6 * time.Second // after which it has another
	maxGuesses = 4096            // addresses that are remembered
)

// guesses counts what was wrong, by address. Those of IPv6 are counted by their /64, which one machine has whole.
type guesses struct {
	now func() time.Time

	mu   sync.Mutex
	free map[netip.Prefix]time.Time // when the guesses of an address are paid for
}

func newGuesses(now func() time.Time) *guesses {
	return &guesses{now: now, free: map[netip.Prefix]time.Time{}}
}

func guessPlace(from string) netip.Prefix {
	a, err := netip.ParseAddr(from)
	if err != nil {
		return netip.Prefix{}
	}
	bits := 32
	if a = a.Unmap(); a.Is6() {
		bits = 64
	}
	p, _ := a.WithZone("").Prefix(bits) // fails for more bits than there are only
	return p
}

// wait is how long an address has to wait before it may guess again; 0: not at all.
func (g *guesses) wait(from string) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	now, most := g.now(), guessBurst*guessEvery
	ahead := g.ahead(guessPlace(from), now)
	if len(g.free) >= maxGuesses {
		ahead = max(ahead, g.ahead(netip.Prefix{}, now))
	}
	return max(0, ahead-(most-guessEvery))
}

// ahead is how long it takes until the guesses of a place are paid for: mu is held. A clock that was set back must not
// shut anybody out for long.
func (g *guesses) ahead(place netip.Prefix, now time.Time) time.Duration {
	return min(max(0, g.free[place].Sub(now)), guessBurst*guessEvery)
}

// wrong counts a guess.
func (g *guesses) wrong(from string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now, place := g.now(), guessPlace(from)
	if len(g.free) >= maxGuesses {
		for p, t := range g.free {
			if !t.After(now) {
				delete(g.free, p)
			}
		}
	}
	if _, known := g.free[place]; !known && len(g.free) >= maxGuesses {
		place = netip.Prefix{} // so many addresses at once are one attacker
	}
	g.free[place] = now.Add(min(g.ahead(place, now)+guessEvery, guessBurst*guessEvery))
}

// bearer finds out who sent a token. It changes nothing for a request without one.
func (s *Server) bearer(r *http.Request, c *caller) {
	lines := r.Header.Values("Authorization")
	if len(lines) == 0 {
		return
	}
	c.cookie, c.full = nil, false // who sends a token is judged by it alone
	if wait := s.guesses.wait(c.from); wait > 0 {
		c.retry = wait
		c.refused = api.Errorf(api.CodeTooMany, "too many wrong tokens came from this address").WithHint("try again in %s", seconds(wait))
		return
	}
	kind, secret, ok := strings.Cut(lines[0], " ")
	if !ok || len(lines) > 1 || !strings.EqualFold(kind, "Bearer") {
		c.refused = api.NewFault(http.StatusUnauthorized, "the Authorization header is not one token").
			WithHint("send Authorization: Bearer and the token, once")
		return
	}
	err := ErrTokenUnknown
	var b Bearer
	if s.cfg.Tokens != nil {
		b, err = s.cfg.Tokens.CheckToken(strings.TrimSpace(secret), c.from)
	}
	if err != nil {
		s.guesses.wrong(c.from)
		c.why = err.Error()
		if b.Name != "" {
			c.why += ": " + b.ID + " " + b.Name
		}
		c.refused = api.NewFault(http.StatusUnauthorized, "the token is wrong, has expired or was revoked").
			WithHint("cairn token ls on the peer's machine shows which tokens there are")
		return
	}
	c.token = &b
}

// tokenInAddress tells whether somebody put a token where histories, logs and other servers see it.
func tokenInAddress(u *url.URL) bool {
	if u.RawQuery == "" {
		return false
	}
	for k, vs := range u.Query() { // checkURL has refused what can not be parsed
		switch strings.ToLower(k) {
		case "token", "access_token", "api_key", "apikey", "bearer", "authorization":
			return true
		}
		for _, v := range vs {
			if strings.HasPrefix(v, api.TokenPrefix) {
				return true
			}
		}
	}
	return false
}

func seconds(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) + " s" }
