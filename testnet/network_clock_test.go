package testnet

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cairn/node"
	"cairn/web/api"
)

// clock is one machine's: what it is wrong by can be changed while peers run.
type clock struct{ wrong atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.wrong.Load())) }

func (c *clock) set(d time.Duration) *clock { c.wrong.Store(int64(d)); return c }

// inside starts a peer in this process, with a clock of its own, because a process's can not be set.
func inside(t *testing.T, home string, c *clock) (n *node.Node, stop func()) {
	t.Helper()
	n, err := node.New(t.Context(), node.Config{Home: home, Name: filepath.Base(home), Mode: node.ModeUp, Now: c.now, Version: "test",
		Downloads: filepath.Join(home, "downloads"), Listen: []string{"/ip4/127.0.0.1/tcp/0"}, MemberListen: []string{"/ip4/127.0.0.1/tcp/0"}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	<-n.Ready()
	ended := false
	stop = func() {
		if ended {
			return
		}
		ended = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return n, stop
}

func inviteInside(t *testing.T, n *node.Node) string {
	t.Helper()
	i, err := n.Invite(t.Context(), api.InviteRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return i.Text
}

func joinInside(t *testing.T, n *node.Node, invite, name string) {
	t.Helper()
	if _, err := n.Join(t.Context(), api.JoinRequest{Invite: invite, Name: name}); err != nil {
		t.Fatal(err)
	}
}

// awaitInside waits until a peer says something of its network.
func awaitInside(t *testing.T, n *node.Node, what string, ok func(api.NetworkStatus) bool) api.NetworkStatus {
	t.Helper()
	st, err := Until(limit(t, patience), n.Network, ok)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	return st
}

// TestWrongClocks: a join with a clock that is ahead by more than a day is refused in words that name the clock; a
// member whose clock goes wrong is named to the others, and told itself.
func TestWrongClocks(t *testing.T) {
	t.Parallel() // it waits more than it works
	base := dir(t)
	a, _ := inside(t, filepath.Join(base, "a"), new(clock))
	if _, err := a.Init(t.Context(), api.InitRequest{Name: "home", PeerName: "first"}); err != nil {
		t.Fatal(err)
	}
	t.Run("join ahead", func(t *testing.T) {
		n, _ := inside(t, filepath.Join(base, "ahead"), new(clock).set(49*time.Hour))
		_, err := n.Join(t.Context(), api.JoinRequest{Invite: inviteInside(t, a), Name: "ahead"})
		var e *api.Error
		if !errors.As(err, &e) || !strings.Contains(e.Message, "clock") || !strings.Contains(e.Message, "2 days") || e.Hint == "" {
			t.Fatalf("want words about the clock: %v", err)
		}
		if st, err := a.Members(t.Context()); err != nil || len(st) != 1 {
			t.Errorf("members: %+v, %v", st, err)
		}
	})
	// One that is behind takes the time from what the network has signed, and is a member that is told about its clock.
	t.Run("join behind", func(t *testing.T) {
		n, _ := inside(t, filepath.Join(base, "behind"), new(clock).set(-49*time.Hour))
		joinInside(t, n, inviteInside(t, a), "far-behind")
		awaitInside(t, n, "it names the clock", func(st api.NetworkStatus) bool { return st.State == "valid" && hasClock(st, "") })
	})
	for name, wrong := range map[string]time.Duration{"ahead": 23 * time.Hour, "behind": -3 * time.Hour} {
		t.Run("member "+name, func(t *testing.T) {
			c, home := new(clock), filepath.Join(base, "member-"+name)
			n, stop := inside(t, home, c)
			joinInside(t, n, inviteInside(t, a), name)
			id := awaitInside(t, n, "connected", func(st api.NetworkStatus) bool { return st.Connected > 0 }).MemberID
			stop()
			n, _ = inside(t, home, c.set(wrong))
			for who, p := range map[string]*node.Node{"the other": a, "itself": n} {
				awaitInside(t, p, who+" names the clock", func(st api.NetworkStatus) bool {
					return hasClock(st, map[bool]string{true: id}[p == a])
				})
			}
		})
	}
}

// hasClock tells whether there is an alert about the clock of a member; "": of any.
func hasClock(st api.NetworkStatus, id string) bool {
	return slices.ContainsFunc(st.Alerts, func(x api.Alert) bool { return x.Kind == "clock" && (id == "" || x.MemberID == id) })
}

// TestBootIn1970: a machine that has lost the time neither locks itself out nor takes a revoked member back.
func TestBootIn1970(t *testing.T) {
	t.Parallel() // it waits more than it works
	base := dir(t)
	a, _ := inside(t, filepath.Join(base, "a"), new(clock))
	if _, err := a.Init(t.Context(), api.InitRequest{Name: "home", PeerName: "first"}); err != nil {
		t.Fatal(err)
	}
	clockB, homeB := new(clock), filepath.Join(base, "b")
	b, stopB := inside(t, homeB, clockB)
	joinInside(t, b, inviteInside(t, a), "second")
	c, _ := inside(t, filepath.Join(base, "c"), new(clock))
	joinInside(t, c, inviteInside(t, a), "third")
	awaitInside(t, b, "together", func(st api.NetworkStatus) bool { return st.Connected == 2 })
	if _, err := a.RevokeMember(t.Context(), "third", api.RevokeRequest{}); err != nil {
		t.Fatal(err)
	}
	awaitInside(t, b, "told of it", func(st api.NetworkStatus) bool { return st.Members == 2 && st.Connected == 1 })
	stopB()

	b, _ = inside(t, homeB, clockB.set(time.Until(time.Unix(86400, 0))))
	st := awaitInside(t, b, "back in the network", func(st api.NetworkStatus) bool { return st.State == "valid" && st.Connected == 1 })
	if st.Members != 2 {
		t.Errorf("%d members", st.Members)
	}
	m, err := b.Member(t.Context(), "third")
	if err != nil || m.State != "revoked" || m.Connection != nil {
		t.Errorf("the revoked one: %+v, %v", m, err)
	}
	if st, err := a.Network(t.Context()); err != nil || st.Connected != 1 {
		t.Errorf("the other: %+v, %v", st, err)
	}
}
