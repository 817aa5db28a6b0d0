package node

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"cairn/swarm/shape"
	"cairn/web/api"

	"github.com/libp2p/go-libp2p/core/test"
)

func someLimits(t *testing.T) api.Limits {
	t.Helper()
	id, err := test.RandPeerID()
	if err != nil {
		t.Fatal(err)
	}
	return api.Limits{Up: 5_000_000, Down: 4096, Peers: []api.PeerLimit{{PeerID: id.String(), Up: 2048}},
		Hours: []api.HourLimit{{Days: []string{"mon", "sun"}, From: "22:00", To: "06:00", Up: 1024}}}
}

// TestLimitsAreKept: what was set holds, also after a restart, and is told as an event.
func TestLimitsAreKept(t *testing.T) {
	home := t.TempDir()
	n, stop := start(t, home)
	want := someLimits(t)
	events := make(chan api.Event)
	go func() {
		defer close(events)
		for e, err := range n.Events(t.Context(), 0) {
			if err != nil {
				return
			}
			if e.Type == "status" {
				_, err = n.SetLimits(t.Context(), want)
			}
			if err != nil || e.Type == "limits" {
				events <- e
				return
			}
		}
	}()
	e := <-events
	if e.Limits == nil || e.Limits.Up != want.Up {
		t.Errorf("event %+v", e)
	}
	check := func(n *Node) {
		t.Helper()
		got, err := n.Limits(t.Context())
		if err != nil || got.Effective.Reason == "" {
			t.Errorf("%+v, %v", got, err)
		}
		got.Effective = api.EffectiveLimits{}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, want %+v", got, want)
		}
		if !n.shape.Limited("anybody") {
			t.Error("nothing is limited")
		}
	}
	check(n)
	stop()
	if fi, err := os.Stat(filepath.Join(home, "limits.json")); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
	n, _ = start(t, home)
	check(n)
	if got, err := n.SetLimits(t.Context(), api.Limits{}); err != nil || n.shape.Limited("anybody") {
		t.Errorf("cleared: %+v, %v", got, err)
	}
}

// TestDamagedLimits: the peer runs, says what is wrong, and does not touch the file until somebody has.
func TestDamagedLimits(t *testing.T) {
	good, err := json.Marshal(limitsFile{Version: 1, Up: 4096})
	if err != nil {
		t.Fatal(err)
	}
	for text, why := range map[string]string{
		"":                                "damaged",
		string(good[:len(good)-3]):        "damaged",
		`{"version":1,"up":1024} {}`:      "damaged",
		`{"version":1,"up":1024,"up":1}`:  "damaged",
		`{"version":1,"upp":1024}`:        "damaged",
		`{"up":1024}`:                     "damaged",
		`{"version":2,"colour":"red"}`:    "newer",
		`{"version":1,"up":-5}`:           "negative",
		`{"version":1,"peers":[{}]}`:      "not the id of a peer",
		`{"version":1,"hours":[{}]}`:      "time of day",
		strings.Repeat(" ", 2<<20) + "{}": "damaged",
	} {
		path := filepath.Join(t.TempDir(), "limits.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s := shape.New(time.Now)
		l := newLimits(filepath.Dir(path), s, slog.New(slog.DiscardHandler))
		got := l.get(time.Now())
		if !strings.Contains(got.Problem, "limits.json in the data directory") || strings.Contains(got.Problem, filepath.Dir(path)) || !strings.Contains(got.Problem, why) || s.Limited("a") {
			t.Errorf("%.40q: %+v", text, got)
		}
		if _, err := l.set(api.Limits{Up: 2048}, time.Now()); code(t, err) != api.CodeConflict {
			t.Errorf("%.40q: set: %v", text, err)
		}
		if kept, err := os.ReadFile(path); err != nil || string(kept) != text {
			t.Errorf("%.40q was changed: %v", text, err)
		}
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := l.get(time.Now()); got.Problem != "" || got.Up != 4096 || !s.Limited("a") {
			t.Errorf("corrected: %+v", got)
		}
		if _, err := l.set(api.Limits{Up: 2048}, time.Now()); err != nil {
			t.Errorf("set after it was corrected: %v", err)
		}
	}
}

// TestUnreadableLimits: what stands in the file's place and can not be read is treated like a damaged file.
func TestUnreadableLimits(t *testing.T) {
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, "limits.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	n, _ := start(t, home)
	if got, err := n.Limits(t.Context()); err != nil || !strings.Contains(got.Problem, "limits.json in the data directory: is a directory") {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := n.SetLimits(t.Context(), api.Limits{}); code(t, err) != api.CodeConflict {
		t.Errorf("set: %v", err)
	}
}

func TestBadLimits(t *testing.T) {
	l := newLimits(t.TempDir(), shape.New(time.Now), slog.New(slog.DiscardHandler))
	some := someLimits(t)
	for what, bad := range map[string]api.Limits{
		"twice":     {Peers: append(some.Peers, some.Peers...)},
		"negative":  {Down: -1},
		"too littl": {Hours: []api.HourLimit{{From: "01:00", To: "02:00", Up: 1}}},
		"begins at": {Hours: []api.HourLimit{{From: "24:00", To: "02:00"}}},
	} {
		_, err := l.set(bad, time.Now())
		if err == nil || code(t, err) != api.CodeUsage || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := os.Stat(l.path); err == nil {
		t.Error("refused limits are kept")
	}
}
