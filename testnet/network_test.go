package testnet

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// patience bounds what a network needs to notice something that concerns it, on a machine that does a lot besides.
const patience = 20 * time.Second

// founded starts a peer and makes a network on it. words are the root key.
func founded(t testing.TB, name string) (p *Peer, words string) {
	t.Helper()
	p = up(t, newHome(t))
	return p, found(t, p.Home, name)
}

// found makes a network.
func found(t testing.TB, h Home, name string) (words string) {
	t.Helper()
	var made struct {
		Network Network
		Words   string `json:"recovery_words"`
	}
	r := must(t, h, "init", name, "--peer-name", "first", "--json")
	if err := json.Unmarshal([]byte(r.Stdout), &made); err != nil {
		t.Fatal(err)
	}
	if n := made.Network; !n.Joined || n.Name != name || n.Role != "admin" || n.State != "valid" || len(strings.Fields(made.Words)) != 24 {
		t.Fatalf("made %+v with %d words", n, len(strings.Fields(made.Words)))
	}
	return made.Words
}

// inviteBy has an administrator make an invite.
func inviteBy(t testing.TB, h Home, flags ...string) string {
	t.Helper()
	r := must(t, h, append([]string{"invite", "-q"}, flags...)...)
	text := r.Value()
	if !strings.HasPrefix(text, "cairninvite1") || strings.ContainsAny(text, " \n") || r.Stderr != "" {
		t.Fatalf("stdout of invite is not an invite alone: %s", r)
	}
	return text
}

// joined starts a peer that takes an invite.
func joined(t testing.TB, invite, name string) *Peer {
	t.Helper()
	p := up(t, newHome(t))
	join(t, p.Home, invite, name)
	return p
}

// join has a peer take an invite, from stdin.
func join(t testing.TB, h Home, invite, name string) Result {
	t.Helper()
	return must(t, h.Saying(invite+"\n"), "join", "-", "--name", name)
}

// status is what a peer says of its network.
func status(t testing.TB, h Home) Network {
	t.Helper()
	n, err := h.Network(limit(t, patience))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// members is what a peer says of all members, by name.
func members(t testing.TB, h Home) map[string]Member {
	t.Helper()
	all, err := h.Members(limit(t, patience))
	if err != nil {
		t.Fatal(err)
	}
	return byName(all)
}

func byName(all []Member) map[string]Member {
	m := map[string]Member{}
	for _, x := range all {
		if old, ok := m[x.Name]; !ok || old.State != "valid" { // who came back has a new id and the old name
			m[x.Name] = x
		}
	}
	return m
}

// awaitMembers waits until what a peer says of all members fulfils a condition. It returns how long that took.
func awaitMembers(t testing.TB, h Home, within time.Duration, what string, ok func(map[string]Member) bool) time.Duration {
	t.Helper()
	began := time.Now()
	last, err := Until(limit(t, within), h.Members, func(all []Member) bool { return ok(byName(all)) })
	if err != nil {
		t.Fatalf("%s: %v; members: %+v", what, err, last)
	}
	return time.Since(began)
}

// awaitStatus waits until what a peer says of its network fulfils a condition.
func awaitStatus(t testing.TB, h Home, within time.Duration, what string, ok func(Network) bool) Network {
	t.Helper()
	n, err := Until(limit(t, within), h.Network, ok)
	if err != nil {
		t.Fatalf("%s: %v; network: %+v", what, err, n)
	}
	return n
}

// together waits until each of the peers is connected to all of the others.
func together(t testing.TB, peers ...*Peer) {
	t.Helper()
	ids := map[*Peer]string{}
	for _, p := range peers {
		ids[p] = memberID(t, p.Home)
	}
	for _, p := range peers {
		awaitMembers(t, p.Home, patience, "to be together", func(m map[string]Member) bool {
			here := 0
			for _, x := range m {
				if x.Connection != nil && x.State == "valid" {
					for other, id := range ids {
						if other != p && id == x.ID {
							here++
						}
					}
				}
			}
			return here == len(peers)-1
		})
	}
}

func memberID(t testing.TB, h Home) string {
	t.Helper()
	return must(t, h, "id", "--member").Value()
}

// connected tells whether a named member is valid and there.
func connected(m map[string]Member, name string) bool {
	x, ok := m[name]
	return ok && x.State == "valid" && x.Connection != nil
}

// reasonOf is the sentence of a command that failed.
func reasonOf(r Result) string {
	for line := range strings.Lines(r.Stderr) {
		if _, text, ok := strings.Cut(line, "error: "); ok {
			return strings.TrimSpace(text)
		}
	}
	return strings.TrimSpace(r.Stderr)
}

// says fails unless a command failed with the exit code, and with a sentence that has the words.
func says(t testing.TB, r Result, code int, words ...string) {
	t.Helper()
	if r.Code != code {
		t.Errorf("want exit code %d: %s", code, r)
		return
	}
	for _, w := range words {
		if !strings.Contains(strings.ToLower(r.Stderr), strings.ToLower(w)) {
			t.Errorf("%q is not in what it says: %s", w, r)
		}
	}
	if !strings.Contains(r.Stderr, "hint") {
		t.Errorf("there is no hint: %s", r)
	}
}

// stopAll ends peers, each by what is named for it: SIGTERM, or kill -9.
func stopAll(t testing.TB, kill bool, peers ...*Peer) {
	t.Helper()
	for _, p := range peers {
		if kill {
			p.Kill()
			continue
		}
		if r, err := p.Stop(limit(t, patience)); err != nil || r.Code != 0 {
			t.Fatalf("it does not end: %v %s", err, r)
		}
	}
}

// upAll starts peers again on their homes, side by side.
func upAll(t testing.TB, peers ...*Peer) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	type started struct {
		at int
		*Peer
		err error
	}
	all := make(chan started)
	for i, p := range peers {
		go func() {
			again, err := p.Home.Up(ctx)
			all <- started{i, again, err}
		}()
	}
	for range peers {
		s := <-all
		if s.err != nil {
			t.Error(s.err)
			continue
		}
		*peers[s.at] = *s.Peer
		t.Cleanup(func() {
			s.Peer.Kill()
			sane(t, s.Peer.Wait(context.Background()))
		})
	}
	if t.Failed() {
		t.FailNow()
	}
}

// wrapped is a text as a mail program or a terminal breaks it.
func wrapped(text string) string {
	var b strings.Builder
	for line := range slices.Chunk([]byte(text), 60) {
		b.WriteString("  ")
		b.Write(line)
		b.WriteString("\r\n")
	}
	return b.String()
}

// invite is a line of `cairn invite ls --json`.
type invite struct {
	State string
}

// invites lists those that the peer made.
func (h Home) invites(ctx context.Context) (all []invite, err error) {
	r := h.Run(ctx, "invite", "ls", "--json")
	if r.Code != 0 {
		return nil, fmt.Errorf("list invites: %s", r)
	}
	for line := range strings.Lines(r.Stdout) {
		var i invite
		if err := json.Unmarshal([]byte(line), &i); err != nil {
			return nil, fmt.Errorf("list invites: %w", err)
		}
		all = append(all, i)
	}
	return all, nil
}
