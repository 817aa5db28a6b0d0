package shape

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // for the changes of the clock

	"github.com/libp2p/go-libp2p/core/peer"
)

// TestCovers compares with a twin that walks from each beginning to its end minute by minute.
func TestCovers(t *testing.T) {
	monday := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	for _, h := range []Hours{
		{From: 9 * 60, To: 17*60 + 30},
		{From: 22 * 60, To: 6 * 60},
		{From: 22 * 60, To: 6 * 60, Days: 1<<time.Friday | 1<<time.Sunday},
		{From: 0, To: 24 * 60, Days: 1 << time.Saturday},
		{From: 24*60 - 1, To: 0, Days: 1 << time.Monday},
		{From: 23 * 60, To: 22 * 60, Days: 1 << time.Sunday},
	} {
		want := map[int]bool{} // minutes of the week from Monday on
		for day := range 7 {
			if !h.days().has(monday.AddDate(0, 0, day).Weekday()) {
				continue
			}
			for at := h.From; at != h.To; at++ {
				if at == 24*60 {
					if at = 0; at == h.To {
						break
					}
					day++
				}
				want[(day*24*60+int(at))%(7*24*60)] = true
			}
		}
		for m := range 7 * 24 * 60 {
			if at := monday.Add(time.Duration(m) * time.Minute); h.Covers(at) != want[m] {
				t.Fatalf("%s at %s: %t", h, at.Format("Mon 15:04"), h.Covers(at))
			}
		}
	}
}

// TestClockChanges: the hours are those that the clock on the wall shows, also on the days on which it is changed.
func TestClockChanges(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	night := Hours{From: 2*60 + 30, To: 3*60 + 30}
	for _, c := range []struct {
		day  time.Time
		want int // minutes
	}{
		{time.Date(2026, 3, 28, 0, 0, 0, 0, berlin), 60},
		{time.Date(2026, 3, 29, 0, 0, 0, 0, berlin), 30},  // 02:00 is 03:00
		{time.Date(2026, 10, 25, 0, 0, 0, 0, berlin), 90}, // 03:00 is 02:00
	} {
		n := 0
		for at := c.day; at.Day() == c.day.Day(); at = at.Add(time.Minute) {
			if night.Covers(at) {
				n++
			}
		}
		if n != c.want {
			t.Errorf("%s: %d minutes, want %d", c.day.Format(time.DateOnly), n, c.want)
		}
	}
}

func TestFirstRuleHolds(t *testing.T) {
	r := Rules{Pair: Pair{Up: 1 << 20}, Hours: []Hours{
		{From: 60, To: 120, Pair: Pair{Down: 1 << 11}},
		{From: 0, To: 180, Days: 1 << time.Sunday, Pair: Pair{Up: 1 << 12}},
	}}
	sunday := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for minutes, want := range map[int]Effective{
		30:           {Pair{Up: 1 << 12}, "the rule for 00:00-03:00 sun"},
		90:           {Pair{Down: 1 << 11}, "the rule for 01:00-02:00"},
		200:          {Pair{Up: 1 << 20}, "the limits for all hours"},
		24*60 + 30:   {Pair{Up: 1 << 20}, "the limits for all hours"},
		6*24*60 + 60: {Pair{Down: 1 << 11}, "the rule for 01:00-02:00"},
	} {
		if e := r.Effective(sunday.Add(time.Duration(minutes) * time.Minute)); e != want {
			t.Errorf("after %d minutes: %+v, want %+v", minutes, e, want)
		}
	}
}

func TestCheck(t *testing.T) {
	many := map[peer.ID]Pair{}
	for i := range MaxPeers + 1 {
		many[peer.ID(rune('a'+i))] = Pair{}
	}
	night := Hours{From: 1, To: 2}
	for text, r := range map[string]Rules{
		"negative":          {Pair: Pair{Up: -1}},
		"too little":        {Pair: Pair{Down: MinRate - 1}},
		"too much":          {Peers: map[peer.ID]Pair{"a": {Up: MaxRate + 1}}},
		"257 peers":         {Peers: many},
		"65 rules":          {Hours: slices.Repeat([]Hours{night}, MaxHours+1)},
		"given twice":       {Hours: []Hours{night, {From: 1, To: 2, Days: everyDay}}},
		"ends when":         {Hours: []Hours{{From: 5, To: 5}}},
		"not times":         {Hours: []Hours{{From: 24 * 60, To: 5}}},
		"not days":          {Hours: []Hours{{To: 5, Days: 1 << 7}}},
		"00:01-00:02: bad ": {Hours: []Hours{{From: 1, To: 2, Pair: Pair{Up: 1}}}},
	} {
		if err := r.Check(); !errors.Is(err, ErrRules) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", text, err)
		}
	}
	ok := Rules{Pair: Pair{Up: MinRate, Down: MaxRate}, Hours: []Hours{night, {From: 1, To: 2, Days: 1}}}
	if err := ok.Check(); err != nil {
		t.Error(err)
	}
}

// FuzzParseHours: what is read is within bounds and is read again from what it prints.
func FuzzParseHours(f *testing.F) {
	f.Add("mon,tue", "22:00", "06:00")
	f.Add("", "00:00", "24:00")
	f.Add("mon,mon", "24:00", "0:00")
	f.Add("sun", "12:60", "-1:00")
	f.Fuzz(func(t *testing.T, days, from, to string) {
		var names []string
		if days != "" {
			names = strings.Split(days, ",")
		}
		h, err := ParseHours(names, from, to)
		if err != nil {
			if !errors.Is(err, ErrRules) || h != (Hours{}) {
				t.Fatalf("%v, %+v", err, h)
			}
			return
		}
		if h.From.String() != from || h.To.String() != to || len(h.Days.Names()) != len(names) {
			t.Fatalf("%q %q %q is read as %s", days, from, to, h)
		}
		if again, err := ParseHours(h.Days.Names(), from, to); err != nil || again != h {
			t.Fatalf("%s: %+v, %v", h, again, err)
		}
		if err := h.check(); (err != nil) != (h.From == h.To) {
			t.Fatalf("%s: %v", h, err)
		}
	})
}
