package testnet

import (
	"context"
	"fmt"
	"time"
)

// Peer is a `cairn up` that runs.
type Peer struct {
	Home
	*Proc
	Ready struct {
		PeerID    string   `json:"peer_id"`
		HTTP      string   `json:"http"`
		Addresses []string `json:"addresses"`
		Home      string   `json:"home"`
	}
	StartTook time.Duration // from starting the process to the line that says ready
}

// Up starts a peer on the home and waits until it is ready.
func (h Home) Up(ctx context.Context, args ...string) (*Peer, error) {
	began := time.Now()
	proc, err := h.Start(ctx, append([]string{"up", "--json"}, args...)...)
	if err != nil {
		return nil, err
	}
	p := &Peer{Home: h, Proc: proc}
	wait, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := proc.Event(wait, "ready", &p.Ready); err != nil {
		proc.Kill()
		return nil, fmt.Errorf("start peer: %w", err)
	}
	p.StartTook = time.Since(began)
	return p, nil
}
