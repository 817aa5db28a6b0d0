//go:build unix

package main

import (
	"os"
	"path/filepath"
	"testing"
)

// A range of another peer's file costs the leaves it lies in and what is read ahead, not the file.
func TestCatRangeFetchesLittle(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	content := p.random(t, "a.bin", 64<<20)
	sharing := p.begin(t, "share", "--json", "a.bin")
	ticket, _ := sharing.event("shared")["ticket"].(string)
	r := p.run(t, ticket, "--home", filepath.Join(p.dir, "other"), "cat", "-", "--range", "30000000-31048575")
	if r.code != 0 || r.out != string(content[30000000:31048576]) {
		t.Fatalf("cat: %d, %d bytes, %s", r.code, len(r.out), r.err)
	}
	for {
		u := sharing.event("update")
		if n, _ := u["uploaded_bytes"].(float64); n > 0 && u["peers"] == 0.0 {
			if n > 5<<20 {
				t.Errorf("%.0f bytes were sent for a MiB", n)
			}
			break
		}
	}
	if c := sharing.end(os.Interrupt); c != 0 {
		t.Errorf("share ended with %d: %s", c, sharing.err)
	}
}
