package main

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
)

// size writes a number of bytes for people, in binary units.
func size(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

// rate writes bytes per second for people.
func rate(bytes int64, d time.Duration) string {
	if d <= 0 {
		return "-"
	}
	return size(int64(float64(bytes)/d.Seconds())) + "/s"
}

// count writes "1 file", "2 files".
func count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return humanize.Comma(n) + " " + noun + "s"
}

// short cuts a CID or peer id to its telling ends, for people only.
func short(id string) string {
	if len(id) <= 20 {
		return clean(id)
	}
	return clean(id[:8] + "…" + id[len(id)-8:])
}

// shortID cuts the ID of an entry to its beginning, which commands take for the whole.
func shortID(id string) string { return clean(id[:min(len(id), 8)]) }

// ago writes how long ago t was.
func ago(now, t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return humanize.RelTime(t, now, "ago", "from now")
}

// span writes a length of time coarsely: two units at most.
func span(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// table collects rows and prints them in aligned columns. A column whose title begins with ">" is right-aligned.
type table struct {
	titles []string
	rows   [][]string
}

func newTable(titles ...string) *table { return &table{titles: titles} }

// row adds a row; the cells are cleaned.
func (t *table) row(cells ...string) {
	for i := range cells {
		cells[i] = clean(cells[i])
	}
	t.rows = append(t.rows, cells)
}

func (t *table) print(w io.Writer) error {
	right := make([]bool, len(t.titles))
	head := make([]string, len(t.titles))
	for i, title := range t.titles {
		head[i], right[i] = strings.CutPrefix(title, ">")
	}
	width := make([]int, len(head))
	all := append([][]string{head}, t.rows...)
	for _, r := range all {
		for i, c := range r {
			width[i] = max(width[i], utf8.RuneCountInString(c))
		}
	}
	var b strings.Builder
	for _, r := range all {
		var line strings.Builder
		for i, c := range r {
			fill := strings.Repeat(" ", width[i]-utf8.RuneCountInString(c))
			if right[i] {
				line.WriteString(fill + c)
			} else {
				line.WriteString(c + fill)
			}
			line.WriteString("  ")
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// fields prints "name: value" lines with aligned values; empty values are left out.
func fields(w io.Writer, pairs ...string) error {
	width := 0
	for i := 0; i < len(pairs); i += 2 {
		width = max(width, len(pairs[i]))
	}
	var b strings.Builder
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			fmt.Fprintf(&b, "%-*s  %s\n", width, pairs[i], clean(pairs[i+1]))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
