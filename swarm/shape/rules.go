package shape

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Bounds of [Rules].
const (
	MinRate  = 1 << 10 // bytes per second; what is less moves nothing that anybody would wait for
	MaxRate  = 1 << 40 // bytes per second
	MaxPeers = 256
	MaxHours = 64
)

// ErrRules: rules that [Rules.Check] refuses, or text that is none. The text of the error is fit for users.
var ErrRules = errors.New("bad limits")

// Pair is a limit in bytes per second for each direction; 0: none.
type Pair struct{ Up, Down int64 }

// Rules say what is limited when. The zero value limits nothing.
type Rules struct {
	Pair                   // what holds for all peers together unless one of Hours does
	Peers map[peer.ID]Pair // what holds for single peers, besides
	Hours []Hours          // the first that covers the time replaces Pair
}

// Hours is a limit for all peers together at certain hours, by the local clock.
type Hours struct {
	Days     Days // on which it begins; 0: every day
	From, To Clock
	Pair
}

// Clock is a time of day in minutes since midnight, 0 to 24*60.
type Clock int

// Days is a set of weekdays: bit 1<<time.Sunday and so on.
type Days uint8

const everyDay Days = 1<<7 - 1

// Effective is what holds at a time for all peers together, and why.
type Effective struct {
	Pair
	Reason string // for people; the same reason and limits: nothing changed
}

// Check tells whether the rules are within the bounds. Its errors wrap ErrRules.
func (r Rules) Check() error {
	if len(r.Peers) > MaxPeers {
		return fmt.Errorf("%w: limits for %d peers; at most %d can have their own", ErrRules, len(r.Peers), MaxPeers)
	}
	if len(r.Hours) > MaxHours {
		return fmt.Errorf("%w: %d rules by hour; at most %d are possible", ErrRules, len(r.Hours), MaxHours)
	}
	if err := r.Pair.check(); err != nil {
		return err
	}
	for id, p := range r.Peers {
		if err := p.check(); err != nil {
			return fmt.Errorf("peer %s: %w", id, err)
		}
	}
	for i, h := range r.Hours {
		if err := h.check(); err != nil {
			return fmt.Errorf("hours %s: %w", h, err)
		}
		for _, before := range r.Hours[:i] {
			if before.From == h.From && before.To == h.To && before.days() == h.days() {
				return fmt.Errorf("hours %s: %w: given twice", h, ErrRules)
			}
		}
	}
	return nil
}

func (p Pair) check() error {
	for _, n := range []int64{p.Up, p.Down} {
		switch {
		case n < 0:
			return fmt.Errorf("%w: a rate cannot be negative", ErrRules)
		case n > 0 && n < MinRate:
			return fmt.Errorf("%w: %d bytes a second is too little; the least is %d, and 0 is no limit", ErrRules, n, MinRate)
		case n > MaxRate:
			return fmt.Errorf("%w: %d bytes a second is too much; 0 is no limit", ErrRules, n)
		}
	}
	return nil
}

func (h Hours) check() error {
	switch {
	case h.From < 0 || h.From >= 24*60 || h.To < 0 || h.To > 24*60:
		return fmt.Errorf("%w: not times of a day", ErrRules)
	case h.From == h.To:
		return fmt.Errorf("%w: it ends when it begins; 00:00 to 24:00 is the whole day", ErrRules)
	case h.Days > everyDay:
		return fmt.Errorf("%w: not days of a week", ErrRules)
	}
	return h.Pair.check()
}

func (r Rules) clone() Rules {
	r.Peers, r.Hours = maps.Clone(r.Peers), slices.Clone(r.Hours)
	return r
}

// Effective is what holds for all peers together at now, by the clock of now's location.
func (r Rules) Effective(now time.Time) Effective {
	for _, h := range r.Hours {
		if h.Covers(now) {
			return Effective{Pair: h.Pair, Reason: "the rule for " + h.String()}
		}
	}
	if r.Pair == (Pair{}) {
		return Effective{Reason: "no limit is set for this time"}
	}
	return Effective{Pair: r.Pair, Reason: "the limits for all hours"}
}

// Covers tells whether now is among the hours, by the clock of now's location. Hours that cross midnight belong to
// the day on which they begin. Where the clock is set back, hours it shows twice are covered twice.
func (h Hours) Covers(now time.Time) bool {
	at, today := Clock(now.Hour()*60+now.Minute()), now.Weekday()
	if h.From < h.To {
		return h.days().has(today) && h.From <= at && at < h.To
	}
	yesterday := (today + 6) % 7
	return h.days().has(today) && at >= h.From || h.days().has(yesterday) && at < h.To
}

func (h Hours) days() Days {
	if h.Days == 0 {
		return everyDay
	}
	return h.Days
}

// String is like "22:00-06:00 mon,tue", without days for every day.
func (h Hours) String() string {
	s := h.From.String() + "-" + h.To.String()
	if d := h.days(); d != everyDay {
		s += " " + strings.Join(d.Names(), ",")
	}
	return s
}

func (c Clock) String() string { return fmt.Sprintf("%02d:%02d", c/60, c%60) }

// ParseHours reads the parts of a rule: days as mon, tue and so on, none for every day; times as HH:MM, where 24:00
// may be the end. Errors wrap ErrRules.
func ParseHours(days []string, from, to string) (h Hours, err error) {
	if h.Days, err = parseDays(days); err != nil {
		return Hours{}, err
	}
	if h.From, err = parseClock(from); err != nil {
		return Hours{}, err
	}
	if h.To, err = parseClock(to); err != nil {
		return Hours{}, err
	}
	if h.From == 24*60 {
		return Hours{}, fmt.Errorf("%w: 24:00 can only be an end; a day begins at 00:00", ErrRules)
	}
	return h, nil
}

func parseClock(text string) (Clock, error) {
	bad := fmt.Errorf("%w: %.10q is not a time of day such as 06:30", ErrRules, text)
	if len(text) != len("00:00") || text[2] != ':' {
		return 0, bad
	}
	var n [4]int
	for i, c := range []byte(text[:2] + text[3:]) {
		if c < '0' || c > '9' {
			return 0, bad
		}
		n[i] = int(c - '0')
	}
	hour, minute := n[0]*10+n[1], n[2]*10+n[3]
	if hour > 24 || minute > 59 || hour == 24 && minute > 0 {
		return 0, bad
	}
	return Clock(hour*60 + minute), nil
}

// week is the days in the order people write them.
var week = []struct {
	name string
	day  time.Weekday
}{{"mon", time.Monday}, {"tue", time.Tuesday}, {"wed", time.Wednesday}, {"thu", time.Thursday}, {"fri", time.Friday},
	{"sat", time.Saturday}, {"sun", time.Sunday}}

func parseDays(names []string) (d Days, err error) {
	for _, name := range names {
		found := false
		for _, w := range week {
			if w.name == name {
				if found = true; d.has(w.day) {
					return 0, fmt.Errorf("%w: the day %s is given twice", ErrRules, name)
				}
				d |= 1 << w.day
			}
		}
		if !found {
			return 0, fmt.Errorf("%w: %.10q is none of the days mon, tue, wed, thu, fri, sat, sun", ErrRules, name)
		}
	}
	return d, nil
}

func (d Days) has(w time.Weekday) bool { return d&(1<<w) != 0 }

// Names are the days as ParseHours reads them, from Monday on.
func (d Days) Names() []string {
	names := []string{}
	for _, w := range week {
		if d.has(w.day) {
			names = append(names, w.name)
		}
	}
	return names
}
