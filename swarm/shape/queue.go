package shape

import (
	"math"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"
)

const (
	// piece is the most bytes that are granted at once. No bucket is smaller.
	piece = 64 << 10
	// credit is how many bytes a peer may lie behind the others and still make up for it.
	credit = 4 * piece
	// maxIdle is how many peers without a limit of their own are remembered before those that do not wait are forgotten.
	maxIdle = 1024
)

// queue decides who may move bytes in one direction. It is not safe for concurrent use and never waits: time comes
// as an argument, and a grant is a closed channel.
//
// Each peer's account counts what it was given. Next is who was given least, the first to come among equals. A peer
// that is new begins behind all who wait, one that comes back keeps its count but at most credit of its arrears. So
// whoever waits is overtaken by a bounded number of bytes only.
type queue struct {
	all      *rate.Limiter // nil: not limited
	accounts map[peer.ID]*account
	waiting  []*account // with a claim at least, in the order they came
	floor    int64      // the count from which was last served: never falls
}

// account is what a queue knows of one peer.
type account struct {
	own   *rate.Limiter // nil: not limited
	given int64         // bytes, as the queue counts: comparable between accounts
	line  []*claim
}

// claim is one wait for n bytes, n at most piece.
type claim struct {
	n       int
	granted chan struct{} // closed when they may move
}

// limit changes the rates in bytes per second; all 0: only those of peers hold. What a bucket holds stays, up to
// its new size.
func (q *queue) limit(now time.Time, all int64, peers map[peer.ID]int64) {
	q.all = adjusted(q.all, now, all)
	for id, a := range q.accounts {
		a.own = adjusted(a.own, now, peers[id])
	}
	for id, r := range peers {
		if a := q.account(id); a.own == nil {
			a.own = adjusted(nil, now, r)
		}
	}
}

// adjusted is a bucket for perSecond; l is the one until now, nil if there was none.
func adjusted(l *rate.Limiter, now time.Time, perSecond int64) *rate.Limiter {
	if perSecond <= 0 {
		return nil
	}
	burst := int(min(max(piece, perSecond/16), math.MaxInt32)) // a sixteenth of a second
	if l == nil {
		return rate.NewLimiter(rate.Limit(perSecond), burst)
	}
	l.SetLimitAt(now, rate.Limit(perSecond))
	l.SetBurstAt(now, burst)
	return l
}

// account finds or makes the account of a peer.
func (q *queue) account(id peer.ID) *account {
	if a := q.accounts[id]; a != nil {
		return a
	}
	if q.accounts == nil {
		q.accounts = map[peer.ID]*account{}
	}
	if len(q.accounts) >= maxIdle {
		for id, a := range q.accounts {
			if a.own == nil && len(a.line) == 0 {
				delete(q.accounts, id)
			}
		}
	}
	a := &account{given: q.floor}
	for _, w := range q.waiting {
		a.given = max(a.given, w.given)
	}
	q.accounts[id] = a
	return a
}

func (q *queue) add(id peer.ID, c *claim) {
	a := q.account(id)
	if len(a.line) == 0 {
		q.waiting = append(q.waiting, a)
	}
	a.line = append(a.line, c)
}

// drop takes a claim out; false: it is granted or was never there.
func (q *queue) drop(id peer.ID, c *claim) bool {
	a := q.accounts[id]
	if a == nil {
		return false
	}
	i := slices.Index(a.line, c)
	if i < 0 {
		return false
	}
	q.remove(a, i)
	return true
}

func (q *queue) remove(a *account, i int) {
	a.line = slices.Delete(a.line, i, i+1)
	if len(a.line) == 0 {
		i := slices.Index(q.waiting, a)
		q.waiting = slices.Delete(q.waiting, i, i+1)
	}
}

// serve grants what may move now and returns in what time to ask again; 0: nobody waits.
func (q *queue) serve(now time.Time) time.Duration {
	for {
		a, again := q.next(now)
		if a == nil {
			return again
		}
		c := a.line[0]
		if d := until(q.all, now, c.n); d > 0 {
			return d
		}
		for _, l := range []*rate.Limiter{q.all, a.own} {
			if l != nil {
				l.AllowN(now, c.n) // until has said that there is enough
			}
		}
		from := max(a.given, q.floor-credit)
		a.given = from + int64(c.n)
		q.floor = max(q.floor, from)
		close(c.granted)
		q.remove(a, 0)
	}
}

// next is who was given least of those whose own limit lets them; nil: nobody, and in what time that changes.
func (q *queue) next(now time.Time) (*account, time.Duration) {
	var best *account
	var again time.Duration
	for _, a := range q.waiting {
		if d := until(a.own, now, a.line[0].n); d > 0 {
			if again == 0 || d < again {
				again = d
			}
			continue
		}
		if best == nil || a.given < best.given {
			best = a
		}
	}
	return best, again
}

// until is the time that a bucket needs to have n tokens; 0: it has them.
func until(l *rate.Limiter, now time.Time, n int) time.Duration {
	if l == nil {
		return 0
	}
	lacks := float64(n) - l.TokensAt(now)
	if lacks <= 0 {
		return 0
	}
	return time.Duration(lacks/float64(l.Limit())*float64(time.Second)) + 1 // up: a moment too early would be one wake-up more
}
