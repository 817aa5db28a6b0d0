package main

import (
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"cairn/web/api"
)

func TestSpeed(t *testing.T) {
	for text, want := range map[string]struct {
		n    int64
		show string
	}{
		"5MB/s": {5e6, "5 MB/s"}, "5MB": {5e6, "5 MB/s"}, "5 MB/s": {5e6, "5 MB/s"}, "5M": {5e6, "5 MB/s"}, "5MBps": {5e6, "5 MB/s"},
		"40Mbit/s": {5e6, "5 MB/s"}, "40Mbit": {5e6, "5 MB/s"}, "40Mbps": {5e6, "5 MB/s"}, "40Mbits/s": {5e6, "5 MB/s"},
		"2.5GB": {25e8, "2.5 GB/s"}, "1.25MB/s": {1.25e6, "1.25 MB/s"}, "100kbit/s": {12500, "12.5 kB/s"},
		"512KiB/s": {512 << 10, "512 KiB/s"}, "1MiB": {1 << 20, "1.0 MiB/s"}, "1024": {1024, "1.0 KiB/s"}, "1TiB/s": {1 << 40, "1.0 TiB/s"},
		"none": {0, "none"},
	} {
		var s speed
		if err := s.Set(text); err != nil || s.n != want.n || !s.given || s.String() != want.show {
			t.Errorf("%s: %d, %s, %v", text, s.n, s.String(), err)
		}
	}
	for _, text := range []string{"", "/s", "MB", "5Mb", "5mb/s", "5XB", "1e9", "-1MB", "0x10MB", "0", "0MB", "1B", "1023", "2TiB", "5EB", "NaN",
		"999999999999999EB", "9999999999999999", "5MB/s/s", "5 MB s", " 5MB", "None"} {
		if err := new(speed).Set(text); err == nil {
			t.Errorf("%q was taken for a rate", text)
		}
	}
}

// FuzzSpeed: what is taken is within the API's bounds.
func FuzzSpeed(f *testing.F) {
	for _, s := range []string{"5MB/s", "40Mbit/s", "1023", "1.0000000001TiB", "none", "5Mb"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var s speed
		if s.Set(text) == nil && text != "none" && (s.n < minSpeed || s.n > maxSpeed) {
			t.Errorf("%q: %d", text, s.n)
		}
	})
}

func TestDays(t *testing.T) {
	for text, want := range map[string]string{
		"mon-fri": "mon-fri", "sat,sun": "sat,sun", "SUN": "sun", "fri-mon": "mon,fri-sun", "mon,tue,wed,wed": "mon-wed",
		"sun-sat": "mon-sun", "tue-tue": "tue", "sun,mon": "mon,sun",
	} {
		var d dayList
		if err := d.Set(text); err != nil || d.String() != want {
			t.Errorf("%s: %s, %v", text, d.String(), err)
		}
	}
	for _, text := range []string{"", "monday", "mon-", "-fri", "mon,,tue", "mon-wed-fri", "mon fri"} {
		if err := new(dayList).Set(text); err == nil {
			t.Errorf("%q was taken for days", text)
		}
	}
}

// TestLimitsLeaveTheRest: a change touches nothing else of what is set, and not the list it was given.
func TestLimitsLeaveTheRest(t *testing.T) {
	was := func() api.Limits {
		return api.Limits{Up: 2048, Down: 4096, Peers: []api.PeerLimit{{PeerID: "a", Up: 1024}, {PeerID: "b", Up: 1024, Down: 2048}},
			Hours: []api.HourLimit{{From: "22:00", To: "06:00", Up: 1024}, {Days: []string{"sat", "sun"}, From: "22:00", To: "06:00", Up: 2048}}}
	}
	up := speed{n: 8192, given: true}
	none := speed{given: true}
	night := hourSpan{"22:00", "06:00"}
	for _, c := range []struct {
		o    limitOptions
		want func(*api.Limits)
	}{
		{limitOptions{up: up}, func(l *api.Limits) { l.Up = 8192 }},
		{limitOptions{down: none}, func(l *api.Limits) { l.Down = 0 }},
		{limitOptions{clear: true}, func(l *api.Limits) { *l = api.Limits{} }},
		{limitOptions{peer: "b", up: none}, func(l *api.Limits) { l.Peers[1].Up = 0 }},
		{limitOptions{peer: "a", up: none}, func(l *api.Limits) { l.Peers = l.Peers[1:] }},
		{limitOptions{peer: "a", clear: true}, func(l *api.Limits) { l.Peers = l.Peers[1:] }},
		{limitOptions{peer: "c", down: up}, func(l *api.Limits) { l.Peers = append(l.Peers, api.PeerLimit{PeerID: "c", Down: 8192}) }},
		{limitOptions{hours: night, up: none}, func(l *api.Limits) { l.Hours[0].Up = 0 }},
		{limitOptions{hours: night, days: dayList{week[:]}, up: up}, func(l *api.Limits) { l.Hours[0].Up = 8192 }},
		{limitOptions{hours: night, days: dayList{[]string{"sun", "sat"}}, up: up}, func(l *api.Limits) { l.Hours[1].Up = 8192 }},
		{limitOptions{hours: night, days: dayList{[]string{"sat", "sun"}}, clear: true}, func(l *api.Limits) { l.Hours = l.Hours[:1] }},
		{limitOptions{hours: night, clear: true}, func(l *api.Limits) { l.Hours = []api.HourLimit{} }},
	} {
		given, want := was(), was()
		c.want(&want)
		got, err := c.o.apply(given)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v: %+v, %v\nwant %+v", c.o, got, err, want)
		}
		if !reflect.DeepEqual(given, was()) {
			t.Errorf("%+v changed what it was given", c.o)
		}
	}
}

// TestLimitProblem: limits that do not hold are shown and are a failure.
func TestLimitProblem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{limits: api.Limits{Problem: "limits.json in the data directory: the file is damaged; bandwidth is not limited"}}
		ctx, e, out, errOut := w.process(false)
		e.started = true
		code := e.report(runLimit(ctx, e, limitOptions{}))
		if code != 1 || !strings.Contains(out.String(), "all peers  none  none") || !strings.Contains(errOut.String(), "limits.json in the data directory: the file is damaged") {
			t.Errorf("exit %d: %s%s", code, out, errOut)
		}
	})
}
