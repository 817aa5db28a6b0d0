package admission

import (
	"testing"
	"time"
)

func TestSightings(t *testing.T) {
	const margin = 5 * time.Second
	type saw struct {
		instance uint64
		alive    int // seconds
		now      int
	}
	for _, tt := range []struct {
		name string
		saws []saw
		want bool
	}{
		{"one", []saw{{1, 0, 0}, {1, 15, 15}, {1, 90, 90}}, false},
		{"restart", []saw{{1, 0, 0}, {1, 15, 15}, {2, 17, 17}, {2, 90, 90}}, false},
		{"restart, and the old one is heard of by way of others", []saw{{1, 0, 0}, {1, 14, 14}, {2, 17, 17}, {1, 12, 32}, {1, 14, 34}, {2, 90, 90}}, false},
		{"restart, first of the new one and then of the old one", []saw{{2, 17, 17}, {1, 10, 30}, {2, 45, 45}, {2, 90, 90}}, false},
		{"restart back and forth", []saw{{1, 0, 0}, {2, 20, 20}, {3, 40, 40}, {3, 60, 60}}, false},
		{"both answer", []saw{{1, 0, 0}, {2, 17, 17}, {1, 23, 23}}, true},
		{"a moment is not enough", []saw{{1, 0, 0}, {2, 17, 17}, {1, 21, 21}}, false},
		{"one here, one elsewhere", []saw{{1, 0, 0}, {1, 15, 15}, {2, -5, 15}, {1, 30, 30}, {2, 10, 30}, {1, 45, 45}, {2, 25, 45}}, true},
		{"long after the new one has ended", []saw{{1, 0, 0}, {2, 17, 17}, {1, 100, 100}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := sightings{}
			at := func(sec int) time.Time { return time.Unix(int64(1000+sec), 0) }
			got := false
			for _, w := range tt.saws {
				s.saw("p", w.instance, "x", at(w.alive), at(w.now))
				_, _, ok := s.clones("p", margin)
				got = got || ok
			}
			if got != tt.want {
				t.Errorf("clones: %v, want %v", got, tt.want)
			}
		})
	}
}

func TestSightingsAreBounded(t *testing.T) {
	s := sightings{}
	now := time.Unix(1000, 0)
	for i := range uint64(1000) {
		s.saw("p", i+1, "x", now.Add(time.Duration(i)*time.Second), now.Add(time.Duration(i)*time.Second))
	}
	if n := len(s["p"]); n > maxInstances {
		t.Errorf("%d instances are remembered", n)
	}
}
