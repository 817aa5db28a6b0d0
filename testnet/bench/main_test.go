package main

import (
	"fmt"
	"strings"
	"testing"
)

func TestChoose(t *testing.T) {
	for _, c := range []struct{ only, want string }{
		{"", "a/x a/y b/x b/z"},
		{"a", "a/x a/y"},
		{"x", "a/x b/x"},
		{"b/x", "b/x"},
		{"z,a/y", "a/y b/z"},
		{"a,x", "a/x a/y b/x"},
		{"a,w", `there is no group or row "w": -list names them`},
	} {
		all := []group{{name: "a", rows: []row{{name: "x"}, {name: "y"}}}, {name: "b", rows: []row{{name: "x"}, {name: "z"}}}}
		chosen, err := choose(all, c.only)
		var names []string
		for _, g := range chosen {
			for _, r := range g.rows {
				names = append(names, g.name+"/"+r.name)
			}
		}
		got := strings.Join(names, " ")
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("choose %q: %s, want %s", c.only, got, c.want)
		}
	}
}

func TestHalfway(t *testing.T) {
	const line = `{"event":%q,"phase":%q,"done":%d,"total":100}`
	for _, c := range []struct {
		event, phase string
		done         int
		want         bool
	}{
		{"progress", "fetching", 49, false},
		{"progress", "fetching", 50, true},
		{"progress", "fetching", 99, true},
		{"progress", "fetching", 100, false}, // too late to strike
		{"progress", "reading", 60, false},
		{"warning", "fetching", 60, false},
	} {
		if l := fmt.Sprintf(line, c.event, c.phase, c.done); halfway(l) != c.want {
			t.Errorf("%s: %v", l, !c.want)
		}
	}
	if halfway("no JSON") {
		t.Error("accepted what is no event")
	}
}
