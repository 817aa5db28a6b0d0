package main

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
)

// speed is a flag that takes bytes or bits per second, or none.
type speed struct {
	n     int64 // bytes per second; 0: no limit
	given bool
}

const (
	minSpeed = 1 << 10 // the API's bounds
	maxSpeed = 1 << 40
)

func (s *speed) Type() string { return "RATE" }

func (s *speed) String() string {
	if !s.given {
		return ""
	}
	return speedText(s.n)
}

func (s *speed) Set(text string) error {
	if text == "none" {
		*s = speed{given: true}
		return nil
	}
	n, err := parseSpeed(text)
	switch {
	case err != nil:
		return err
	case n == 0:
		return usagef("nothing would move").WithHint("write none for no limit")
	case n < minSpeed:
		return usagef("too low: at least 1KiB/s").WithHint("a number alone is bytes per second; write 5MB/s or 40Mbit/s")
	case n > maxSpeed:
		return usagef("too high: at most 1TiB/s").WithHint("write none for no limit")
	}
	*s = speed{int64(n), true}
	return nil
}

var speedForm = regexp.MustCompile(`^([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([A-Za-z]*)$`)

// parseSpeed reads bytes per second; what is too much for the API is above maxSpeed.
func parseSpeed(text string) (float64, error) {
	const hint = "write bytes as 5MB/s or 512KiB/s, bits as 40Mbit/s, or none"
	m := speedForm.FindStringSubmatch(strings.TrimSuffix(text, "/s"))
	if m == nil {
		return 0, usagef("not a rate").WithHint(hint)
	}
	number, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		return 0, usagef("not a rate").WithHint(hint)
	}
	unit, bits := m[2], false
	for _, end := range []string{"bits", "bit", "bps"} {
		if before, ok := strings.CutSuffix(unit, end); ok {
			unit, bits = before+"B", true
			break
		}
	}
	unit = strings.TrimSuffix(unit, "ps") // 5MBps
	if strings.HasSuffix(unit, "b") {
		return 0, usagef("%q may be bits or bytes", unit).WithHint(hint)
	}
	per, err := humanize.ParseBytes("1" + unit)
	if err != nil {
		return 0, usagef("not a rate").WithHint(hint)
	}
	number *= float64(per)
	if bits {
		number /= 8
	}
	return number, nil
}

// speedText writes a rate for people, in the units in which it was probably given.
func speedText(n int64) string {
	if n == 0 {
		return "none"
	}
	for _, u := range []struct {
		name string
		size int64
	}{{"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}} {
		if n >= u.size && n%(u.size/100) == 0 && n%1024 != 0 {
			return strconv.FormatFloat(float64(n)/float64(u.size), 'f', -1, 64) + " " + u.name + "/s"
		}
	}
	return size(n) + "/s"
}

// hourSpan is a flag that takes hours of a day: 22:00-06:00.
type hourSpan struct{ from, to string }

func (h *hourSpan) Type() string { return "FROM-TO" }

func (h *hourSpan) String() string {
	if h.from == "" {
		return ""
	}
	return h.from + "-" + h.to
}

var clockForm = regexp.MustCompile(`^([01]?[0-9]|2[0-4])(?::([0-5][0-9]))?$`)

func (h *hourSpan) Set(text string) error {
	const hint = "write two times such as 22:00-06:00; 00:00-24:00 is the whole day"
	from, to, ok := strings.Cut(text, "-")
	a, b := clockForm.FindStringSubmatch(from), clockForm.FindStringSubmatch(to)
	if !ok || a == nil || b == nil {
		return usagef("not hours of a day").WithHint(hint)
	}
	two := func(digits string) string { return strings.Repeat("0", 2-len(digits)) + digits }
	span := hourSpan{two(a[1]) + ":" + two(a[2]), two(b[1]) + ":" + two(b[2])}
	switch {
	case span.from >= "24:00":
		return usagef("a day begins at 00:00").WithHint(hint)
	case span.to > "24:00":
		return usagef("a day ends at 24:00").WithHint(hint)
	case span.from == span.to:
		return usagef("it ends when it begins").WithHint(hint)
	}
	*h = span
	return nil
}

// week is the days in the order people write them.
var week = [...]string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}

// dayList is a flag that takes days: mon-fri, or sat,sun.
type dayList struct{ names []string }

func (d *dayList) Type() string { return "DAYS" }

func (d *dayList) String() string { return dayText(d.names) }

func (d *dayList) Set(text string) error {
	const hint = "write days as mon, tue, wed, thu, fri, sat or sun: mon-fri, or sat,sun"
	var on [len(week)]bool
	for part := range strings.SplitSeq(strings.ToLower(text), ",") {
		first, last, ranged := strings.Cut(part, "-")
		if !ranged {
			last = first
		}
		i, end := slices.Index(week[:], first), slices.Index(week[:], last)
		if i < 0 || end < 0 {
			return usagef("not days of a week").WithHint(hint)
		}
		for on[i] = true; i != end; on[i] = true {
			i = (i + 1) % len(week)
		}
	}
	d.names = nil
	for i, name := range week {
		if on[i] {
			d.names = append(d.names, name)
		}
	}
	return nil
}

// dayText writes days for people: three and more in a row as mon-wed.
func dayText(days []string) string {
	var parts []string
	for i := 0; i < len(week); i++ {
		end := i
		for end < len(week) && slices.Contains(days, week[end]) {
			end++
		}
		switch n := end - i; {
		case n > 2:
			parts = append(parts, week[i]+"-"+week[end-1])
		case n > 0:
			parts = append(parts, week[i:end]...)
		}
		i = end
	}
	return strings.Join(parts, ",")
}
