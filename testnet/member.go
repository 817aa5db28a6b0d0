package testnet

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Member is a line of `cairn members --json`.
type Member struct {
	ID         string
	Name       string
	Self       bool
	Role       string
	Zone       string
	Classes    []string
	State      string
	Reason     string
	IssuedBy   string `json:"issued_by"`
	RevokedBy  string `json:"revoked_by"`
	Version    string
	Connection *struct {
		Address   string
		Transport string
		RTT       float64 `json:"rtt_ms"`
	} // nil: not connected
	Cloned bool
}

// Network is what `cairn network --json` says.
type Network struct {
	Joined         bool
	ID             string
	Name           string
	MemberID       string `json:"member_id"`
	SelfName       string `json:"self_name"`
	Role           string
	State          string
	Reason         string
	Addresses      []string // of the member host
	Members        int
	Administrators int
	Connected      int
	Alerts         []Alert
}

// Alert is one of the things in a network that somebody should look at.
type Alert struct {
	Kind     string
	MemberID string `json:"member_id"`
	Message  string
	Hint     string
}

// Alert returns the first alert of a kind about a member; "" stands for any.
func (n Network) Alert(kind, memberID string) (Alert, bool) {
	for _, a := range n.Alerts {
		if a.Kind == kind && (memberID == "" || a.MemberID == memberID) {
			return a, true
		}
	}
	return Alert{}, false
}

// Members asks the peer for all that are or were in its network.
func (h Home) Members(ctx context.Context) (all []Member, err error) {
	r := h.Run(ctx, "members", "--json", "--all")
	if r.Code != 0 {
		return nil, fmt.Errorf("list members: %s", r)
	}
	for line := range strings.Lines(r.Stdout) {
		var m Member
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			return nil, fmt.Errorf("list members: %w", err)
		}
		all = append(all, m)
	}
	return all, nil
}

// Network asks the peer for its network.
func (h Home) Network(ctx context.Context) (n Network, err error) {
	r := h.Run(ctx, "network", "--json")
	if r.Code != 0 {
		return n, fmt.Errorf("show network: %s", r)
	}
	if err := json.Unmarshal([]byte(r.Stdout), &n); err != nil {
		return n, fmt.Errorf("show network: %w", err)
	}
	return n, nil
}

// again is how long a condition of a running peer is left alone before it is looked at once more.
const again = 50 * time.Millisecond

// Until asks for something until it is so or ctx ends; the error then says what it was the last time.
func Until[T any](ctx context.Context, ask func(context.Context) (T, error), ok func(T) bool) (last T, err error) {
	began := time.Now()
	for tick := time.NewTicker(again); ; {
		v, asked := ask(ctx)
		if ctx.Err() == nil {
			if last, err = v, asked; err == nil && ok(last) {
				tick.Stop()
				return last, nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
			if err == nil {
				err = fmt.Errorf("it is not so after %v: %+v", time.Since(began).Round(time.Millisecond), last)
			}
			return last, err
		}
	}
}
