package node

import (
	"path/filepath"
	"sync"
	"testing"

	"cairn/swarm/ticket"
	"cairn/swarm/transport"
	"cairn/web/api"
)

// namedAfter is a ticket with another peer in it, as somebody who was introduced to that peer has it.
func namedAfter(t *testing.T, text string, n *Node) string {
	t.Helper()
	tk, err := ticket.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	tk.Peer, tk.Addrs = n.host.ID(), transport.Dialable(n.host)
	out, err := tk.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestNoSwarmIsHeeded: what came with a ticket that forbids it is not served to others by its downloader; with any
// other ticket it is.
func TestNoSwarmIsHeeded(t *testing.T) {
	a, _ := start(t, t.TempDir())
	for name, tc := range map[string]struct {
		ticket api.TicketOptions
		served bool
	}{
		"any":          {api.TicketOptions{}, true},
		"no swarm":     {api.TicketOptions{NoSwarm: true}, false},
		"one download": {api.TicketOptions{Downloads: 1}, false},
	} {
		t.Run(name, func(t *testing.T) {
			b, _ := start(t, t.TempDir())
			c, _ := start(t, t.TempDir())
			src := filepath.Join(t.TempDir(), "f")
			write(t, src, 3<<20)
			text := share(t, a, tc.ticket, src).Ticket.Text
			if _, err := b.Get(t.Context(), api.GetRequest{Tickets: []string{text}, Output: filepath.Join(t.TempDir(), "f")}, sink{t}); err != nil {
				t.Fatal(err)
			}
			_, err := c.Get(t.Context(), api.GetRequest{Tickets: []string{namedAfter(t, text, b)}, Output: filepath.Join(t.TempDir(), "f")}, sink{t})
			if tc.served && err != nil {
				t.Error(err)
			} else if !tc.served && code(t, err) != api.CodeNotPermitted {
				t.Errorf("a downloader served it: %v", err)
			}
		})
	}
}

// TestNoSwarmOfALaterSource: a get that is served to others already stops that when one of its tickets turns out to
// forbid it.
func TestNoSwarmOfALaterSource(t *testing.T) {
	a, _ := start(t, t.TempDir())
	b, _ := start(t, t.TempDir())
	home := t.TempDir()
	later, stop := start(t, home)
	src := filepath.Join(t.TempDir(), "f")
	write(t, src, 16<<20)
	open := share(t, a, api.TicketOptions{}, src).Ticket.Text
	closed := share(t, later, api.TicketOptions{NoSwarm: true}, src).Ticket.Text
	stop()
	if _, err := a.SetLimits(t.Context(), api.Limits{Up: 2 << 20}); err != nil {
		t.Fatal(err)
	}
	served := func() bool {
		tk, err := ticket.Parse(open)
		if err != nil {
			t.Error(err)
		}
		_, yes := b.swarms.Lookup(tk.Key().ID())
		return yes
	}
	begun, result := make(chan struct{}), make(chan error)
	var first sync.Once
	go func() {
		_, err := b.Get(t.Context(), api.GetRequest{Tickets: []string{open, closed}, Output: filepath.Join(t.TempDir(), "f")}, hear(func(p api.Progress) {
			if p.Done > 0 && served() {
				first.Do(func() { close(begun) })
			}
		}))
		result <- err
	}()
	select {
	case <-begun:
	case err := <-result:
		t.Fatalf("it was not served in the meantime: %v", err)
	}
	start(t, home)
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	if served() {
		t.Error("it is still served")
	}
}
