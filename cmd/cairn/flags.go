package main

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// lifetime is a flag that takes a length of time: 90s, 30m, 24h, 7d, 2w, 1d12h.
type lifetime struct {
	d    time.Duration
	most time.Duration // in whole days; 0: maxLifetime
}

const maxLifetime = 10 * 365 * 24 * time.Hour // the API's bound

func (l *lifetime) Type() string { return "time" }

func (l *lifetime) String() string {
	if l.d == 0 {
		return ""
	}
	return strings.TrimSuffix(strings.TrimSuffix(l.d.String(), "0s"), "0m")
}

func (l *lifetime) Set(text string) error {
	most, atMost := maxLifetime, "10 years"
	if l.most > 0 {
		most, atMost = l.most, strconv.Itoa(int(l.most/(24*time.Hour)))+"d"
	}
	hint := "write a number with s, m, h, d or w, such as 24h or 7d; at most " + atMost
	d, ok := parseSpan(text)
	switch {
	case !ok:
		return usagef("not a length of time").WithHint("%s", hint)
	case d < time.Second:
		return usagef("too short: at least one second").WithHint("%s", hint)
	case d > most:
		return usagef("too long").WithHint("%s", hint)
	}
	l.d = d
	return nil
}

// parseSpan reads what time.ParseDuration reads and days and weeks before it.
func parseSpan(text string) (time.Duration, bool) {
	var days float64
	rest := text
	for _, unit := range []struct {
		name string
		days float64
	}{{"w", 7}, {"d", 1}} {
		if number, after, ok := strings.Cut(rest, unit.name); ok {
			n, err := strconv.ParseFloat(number, 64)
			if err != nil || n < 0 || math.IsNaN(n) {
				return 0, false
			}
			days, rest = days+n*unit.days, after
		}
	}
	if days > 1e5 {
		return math.MaxInt64, true // too long, as the caller will say
	}
	d := time.Duration(days * 24 * float64(time.Hour))
	if rest == "" {
		return d, text != ""
	}
	more, err := time.ParseDuration(rest)
	return d + more, err == nil && more >= 0
}

// wholeNumber is a flag that takes a number from 1 to most.
type wholeNumber struct{ n, most int }

func (w *wholeNumber) Type() string { return "N" }

func (w *wholeNumber) String() string {
	if w.n == 0 {
		return ""
	}
	return strconv.Itoa(w.n)
}

func (w *wholeNumber) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > w.most {
		return usagef("not a whole number from 1 to %d", w.most)
	}
	w.n = n
	return nil
}
