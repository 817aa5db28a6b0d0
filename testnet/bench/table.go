package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// table is the rows in the order in which they were measured.
type table struct{ rows [][]string }

// row adds one line. met is nil where there is no bar.
func (t *table) row(work, bar, measured, limit, ratio string, met *bool) {
	verdict := ""
	if met != nil {
		verdict = map[bool]string{true: "yes", false: "**no**"}[*met]
	}
	t.rows = append(t.rows, []string{work, bar, measured, limit, ratio, verdict})
}

// print writes the table as markdown that also reads well as text.
func (t *table) print(w io.Writer) {
	rows := append([][]string{{"work", "bar", "measured", "beside it, same run", "ratio", "met"}}, t.rows...)
	width := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, cell := range r {
			width[i] = max(width[i], len(cell))
		}
	}
	for n, r := range rows {
		for i, cell := range r {
			fmt.Fprintf(w, "| %-*s ", width[i], cell)
		}
		fmt.Fprintln(w, "|")
		if n == 0 {
			for _, n := range width {
				fmt.Fprint(w, "|", strings.Repeat("-", n+2))
			}
			fmt.Fprintln(w, "|")
		}
	}
}

// median of at least one value.
func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// spread says how far runs were apart, where there are several.
func spread(v []float64, format string) string {
	if len(v) < 2 {
		return ""
	}
	return fmt.Sprintf(" ("+format+" to "+format+")", slices.Min(v), slices.Max(v))
}

func mbps(v []float64) string { return fmt.Sprintf("%.0f MB/s", median(v)) + spread(v, "%.0f") }

func seconds(v []float64) string { return fmt.Sprintf("%.2f s", median(v)) + spread(v, "%.2f") }

func mib(n int64) string { return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20)) }

func verdict(ok bool) *bool { return &ok }
