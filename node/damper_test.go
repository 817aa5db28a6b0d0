package node

import (
	"fmt"
	"testing"
	"time"
)

func TestDamper(t *testing.T) {
	d, now := newDamper(), time.Unix(1000, 0)
	pass := func(kind string, n int) (passed int) {
		for range n {
			if d.let(now, kind) {
				passed++
			}
		}
		return passed
	}
	rest := func() map[string]uint64 {
		m := map[string]uint64{}
		for k, n := range d.rest(now) {
			m[k] = n
		}
		return m
	}
	if n := pass("a", 25); n != dampBurst {
		t.Errorf("%d of a burst of 25 passed", n)
	}
	if n := pass("b", 1); n != 1 {
		t.Error("another kind did not pass")
	}
	if m := rest(); len(m) != 1 || m["a"] != 15 {
		t.Errorf("left out: %v", m)
	}
	if m := rest(); len(m) != 0 {
		t.Errorf("counted twice: %v", m)
	}
	now = now.Add(dampEvery)
	if n := pass("a", 5); n != 1 {
		t.Errorf("%d passed after one pause", n)
	}
	now = now.Add(-24 * time.Hour) // the clock is set back
	pass("a", 1)
	now = now.Add(dampBurst * dampEvery)
	if n := pass("a", 1); n != 1 {
		t.Error("a clock that was set back shut a kind out")
	}
	now = now.Add(time.Hour)
	rest()
	if len(d.kinds) != 0 {
		t.Errorf("%d kinds are remembered for ever", len(d.kinds))
	}
	passed := 0
	for i := range 100000 {
		passed += pass(fmt.Sprint(i), 1)
	}
	if passed != dampAll || len(d.kinds) > dampKinds+1 {
		t.Errorf("%d of 100000 kinds passed, %d are remembered", passed, len(d.kinds))
	}
}
