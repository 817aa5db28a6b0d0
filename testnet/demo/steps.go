package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"cairn/testnet"
)

// share shares a path from a peer and returns a file with the ticket: on a command line others could read it.
func (d *demo) share(p *named, path, what string) (string, error) {
	r := p.Run(d.ctx, "share", path)
	if r.Code != 0 {
		return "", fmt.Errorf("%s: %s", p.name, r)
	}
	tell(p.name, "shares "+what, r.Took, filepath.Base(path))
	ticket := filepath.Join(d.dir, p.name+".ticket")
	return ticket, os.WriteFile(ticket, []byte(r.Stdout), 0o600)
}

// get fetches what the tickets name to a peer's own folder and returns where it is.
func (d *demo) get(p *named, tickets []string, what string) (string, error) {
	out := filepath.Join(d.dir, p.name+"-files")
	if err := os.MkdirAll(out, 0o755); err != nil {
		return "", err
	}
	args := []string{"get", "--json", "-o", out + string(filepath.Separator)}
	for _, t := range tickets {
		args = append(args, "@"+t)
	}
	r := p.Run(d.ctx, args...)
	if r.Code != 0 {
		return "", fmt.Errorf("%s: %s", p.name, r)
	}
	var g result
	lines := strings.Split(strings.TrimSpace(r.Stdout), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &g); err != nil || g.Path == "" {
		return "", fmt.Errorf("%s: get printed no result: %s", p.name, r)
	}
	took := time.Duration(g.Millis) * time.Millisecond
	tell(p.name, "gets it "+what, took, fmt.Sprintf("%s, %s%s", size(g.Size), rate(g.Size, took), d.parts(g)))
	if len(tickets) > 1 && g.givers() < len(tickets) {
		return "", fmt.Errorf("%s: only %d of %d sources gave anything", p.name, g.givers(), len(tickets))
	}
	return g.Path, nil
}

// result is the last line of get --json.
type result struct {
	Path    string
	Size    int64
	Millis  int64 `json:"ms"`
	Sources []struct {
		PeerID string `json:"peer_id"`
		Bytes  int64
	}
}

func (g result) givers() (n int) {
	for _, s := range g.Sources {
		if s.Bytes > 0 {
			n++
		}
	}
	return n
}

// parts says who gave how much, where there were several.
func (d *demo) parts(g result) string {
	if len(g.Sources) < 2 {
		return ""
	}
	var all []string
	for _, s := range g.Sources {
		for _, p := range d.peers {
			if p.Ready.PeerID == s.PeerID {
				all = append(all, fmt.Sprintf("%d %% from %s", 100*s.Bytes/max(g.Size, 1), p.name))
			}
		}
	}
	return "; " + strings.Join(all, ", ")
}

// compare fails unless all paths hold the same bytes.
func (d *demo) compare(paths ...string) error {
	var hashes []string
	for _, p := range paths {
		h, err := testnet.Hash(p)
		if err != nil {
			return err
		}
		hashes = append(hashes, h)
	}
	for i, h := range hashes {
		if h != hashes[0] {
			return fmt.Errorf("the copies differ: %s has SHA-256 %s, %s has %s", paths[0], hashes[0], paths[i], h)
		}
	}
	fmt.Printf("\nAll three are the same: SHA-256 %s\n", hashes[0])
	return nil
}

// invite tells how to look at the dashboards.
func (d *demo) invite() error {
	url, err := d.peers[0].Login(d.ctx)
	if err != nil {
		return errors.Join(errors.New("the dashboard is not there"), err)
	}
	fmt.Printf("\nDashboard of alder, logged in with a code that is good once and for two minutes:\n\n  %s\n", url)
	fmt.Println("\nAnother code, or another peer's dashboard:")
	for _, p := range d.peers {
		fmt.Printf("  %s login --home %s\n", d.binary, p.Dir)
	}
	fmt.Println("\nCtrl-C ends the peers and removes everything they made.")
	return nil
}

// tell prints one step.
func tell(who, what string, took time.Duration, more string) {
	fmt.Printf("  %-6s %-20s %6.2f s   %s\n", who, what, took.Seconds(), more)
}

func size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.0f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}

func rate(n int64, took time.Duration) string {
	return fmt.Sprintf("%.0f MB/s", float64(n)/1e6/max(took.Seconds(), 1e-3))
}
