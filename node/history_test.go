package node

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"cairn/web/api"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func side(peer, role string, bytes int64) api.TransferSource {
	return api.TransferSource{PeerID: peer, Role: role, Bytes: bytes}
}

func find(t *testing.T, h *history, window, peer, direction string) []int64 {
	t.Helper()
	out, ok := h.rates(window)
	if !ok {
		t.Fatalf("no window %s", window)
	}
	for _, s := range out.Series {
		if s.PeerID == peer && s.Direction == direction {
			return s.BPS
		}
	}
	return nil
}

func TestHistoryBothWays(t *testing.T) {
	var h history
	for s := range int64(6) {
		h.sample(noon.Add(time.Duration(s)*time.Second), "download", []api.TransferSource{
			side("a", "source", 100*s), side("b", "source", 7*s), side("a", "downloader", 30*s)})
	}
	for _, c := range []struct {
		peer, direction string
		want            []int64
	}{
		{"a", "down", []int64{100, 100, 100, 100, 100}},
		{"a", "up", []int64{30, 30, 30, 30, 30}},
		{"b", "down", []int64{7, 7, 7, 7, 7}},
	} {
		if got := find(t, &h, "1m", c.peer, c.direction); !slices.Equal(got, c.want) {
			t.Errorf("%s %s: %v, want %v", c.peer, c.direction, got, c.want)
		}
	}
	if got := find(t, &h, "1h", "a", "down"); !slices.Equal(got, []int64{100}) {
		t.Errorf("the minute that is not over: %v", got)
	}
	if _, ok := h.rates("2h"); ok {
		t.Error("there is a window of 2h")
	}
}

// TestHistoryOfAnUpload: rows of an upload had no role when there was only one kind.
func TestHistoryOfAnUpload(t *testing.T) {
	var h history
	h.sample(noon, "upload", []api.TransferSource{side("a", "", 0)})
	h.sample(noon.Add(2*time.Second), "upload", []api.TransferSource{side("a", "", 500)})
	if got := find(t, &h, "1m", "a", "up"); !slices.Equal(got, []int64{250, 250}) {
		t.Errorf("%v", got)
	}
}

func TestHistoryLateSourceAndNewCount(t *testing.T) {
	var h history
	at := func(s int) time.Time { return noon.Add(time.Duration(s) * time.Second) }
	h.sample(at(0), "download", nil)
	h.sample(at(3), "download", []api.TransferSource{side("a", "source", 0)})
	h.sample(at(4), "download", []api.TransferSource{side("a", "source", 50)})
	h.sample(at(5), "download", []api.TransferSource{side("a", "source", 10)}) // counts from 0 again
	h.sample(at(6), "download", []api.TransferSource{side("a", "source", 20)})
	h.sample(at(8), "download", nil) // no longer listed
	if got := find(t, &h, "1m", "a", "down"); !slices.Equal(got, []int64{0, 0, 0, 50, 0, 10, 0, 0}) {
		t.Errorf("%v", got)
	}
	h.sample(at(7), "download", []api.TransferSource{side("a", "source", 1<<40)}) // time does not go back
	if got := find(t, &h, "1m", "a", "down"); slices.Max(got) != 50 {
		t.Errorf("%v", got)
	}
}

// TestHistoryKeepsAllBytes: whatever the pace of the samples, the steps hold the bytes that moved, and no more steps are
// there than are kept.
func TestHistoryKeepsAllBytes(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		var h history
		now, total := noon, int64(0)
		h.sample(now, "download", []api.TransferSource{side("a", "source", 0)})
		for now.Sub(noon) < 50*time.Second {
			now = now.Add(time.Duration(1 + r.Int64N(int64(3*time.Second))))
			total += r.Int64N(1 << 20)
			h.sample(now, "download", []api.TransferSource{side("a", "source", total)})
		}
		for i, w := range windows {
			sum := 0.0
			for _, b := range h.series[0].rings[i].bytes {
				sum += b
			}
			if d := sum - float64(total); d < -1 || d > 1 {
				t.Errorf("seed %d, %s: %f bytes of %d", seed, w.name, sum, total)
			}
		}
	}
}

// TestHistoryIsBounded: a day of samples, a sleep of a year and a thousand peers.
func TestHistoryIsBounded(t *testing.T) {
	var h history
	now, total := noon, int64(0)
	for range 26 * 60 {
		now, total = now.Add(time.Minute), total+60_000
		h.sample(now, "download", []api.TransferSource{side("a", "source", total)})
	}
	for _, w := range windows {
		got := find(t, &h, w.name, "a", "down")
		if len(got) < w.keep-1 || len(got) > w.keep {
			t.Errorf("%s: %d values", w.name, len(got))
		}
		if i := slices.IndexFunc(got, func(v int64) bool { return v < 999 || v > 1000 }); i >= 0 {
			t.Errorf("%s: value %d is %d", w.name, i, got[i])
		}
	}
	now = now.Add(365 * 24 * time.Hour)
	h.sample(now, "download", []api.TransferSource{side("a", "source", total)})
	for _, w := range windows {
		if got := find(t, &h, w.name, "a", "down"); len(got) > w.keep || slices.Max(got) != 0 {
			t.Errorf("%s after the sleep: %d values, %v", w.name, len(got), got)
		}
	}
	for i := range 1000 {
		h.sample(now, "download", []api.TransferSource{side(time.Duration(i).String(), "source", 1)})
	}
	if len(h.series) != keptSeries {
		t.Errorf("%d series", len(h.series))
	}
	for _, s := range h.series {
		for i, r := range s.rings {
			if len(r.bytes) > windows[i].keep {
				t.Errorf("%d steps", len(r.bytes))
			}
		}
	}
}

func TestRegistryKeepsHistory(t *testing.T) {
	now := noon
	ts := newTransfers(newHub(func() time.Time { return now }), func() time.Time { return now }, func() string { return "x" })
	row := ts.start(api.Transfer{Direction: "download"}, nil)
	for s := range int64(3) {
		ts.update(row, func(t *api.Transfer) { t.Sources = []api.TransferSource{side("a", "source", 100*(s+1))} })
		now = now.Add(time.Second)
		ts.tick(now)
	}
	ts.update(row, func(t *api.Transfer) { t.Sources[0].Bytes = 350 })
	now = now.Add(500 * time.Millisecond)
	ts.end(row, nil)
	now = now.Add(time.Hour)
	n := &Node{transfers: ts}
	h, err := n.Rates(t.Context(), "x", "1m")
	if err != nil || len(h.Series) != 1 || !slices.Equal(h.Series[0].BPS, []int64{100, 100, 100, 100}) || !h.End.Equal(noon.Add(3500*time.Millisecond)) {
		t.Errorf("%+v %v", h, err)
	}
	for _, c := range []struct {
		id, window string
		code       api.Code
	}{{"y", "1m", api.CodeNotFound}, {"x", "", api.CodeUsage}} {
		if _, err := n.Rates(t.Context(), c.id, c.window); explain(err).Code != c.code {
			t.Errorf("%v: %v", c, err)
		}
	}
}
