package testnet

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"cairn/swarm/exchange"
	"cairn/swarm/ticket"
	"cairn/testnet/intruder"
)

// TestNetworkTour is what a new user does: make a network, let machines in by each way of handing an invite over,
// fetch from each other without tickets, and come back after any end.
func TestNetworkTour(t *testing.T) {
	t.Parallel() // it waits more than it works
	a, _ := founded(t, "home")

	b := up(t, newHome(t))
	began := time.Now()
	r := join(t, b.Home, inviteBy(t, a.Home), "second")
	t.Logf("the second joined in %v", time.Since(began).Round(time.Millisecond))
	if !strings.Contains(r.Stdout, "home") || strings.Contains(r.Stderr, "warning") {
		t.Errorf("the network is not named, or a warning is: %s", r)
	}
	together(t, a, b)

	// The inviter is gone: another lets the newcomer in.
	file := filepath.Join(dir(t), "invite.txt")
	if err := os.WriteFile(file, []byte(wrapped(inviteBy(t, a.Home, "--zone", "attic", "--class", "archive"))), 0o600); err != nil {
		t.Fatal(err)
	}
	reader := inviteBy(t, a.Home, "--role", "reader")
	a.Kill()
	c := up(t, newHome(t))
	began = time.Now()
	if r := must(t, c.Home, "join", file, "--name", "third"); time.Since(began) > 10*time.Second || strings.Contains(r.Stderr, "warning") {
		t.Errorf("with the inviter asleep: %s", r)
	}
	together(t, b, c)
	d := up(t, newHome(t))
	if r := must(t, d.Home, "join", wrapped(reader), "--name", "fourth"); !strings.Contains(r.Stderr, "other users of this machine") {
		t.Errorf("an invite as an argument is taken without a warning: %s", r)
	}
	upAll(t, a)
	together(t, a, b, c, d)
	if m := members(t, a.Home)["third"]; m.Zone != "attic" || strings.Join(m.Classes, ",") != "archive" || m.Role != "member" {
		t.Errorf("the third is not what the invite says: %+v", m)
	}
	if m := members(t, b.Home)["fourth"]; m.Role != "reader" {
		t.Errorf("the fourth is not what the invite says: %+v", m)
	}

	t.Run("content", func(t *testing.T) { content(t, a, b, c, d) })

	// Any end, all of them at once.
	for _, kill := range []bool{false, true} {
		stopAll(t, kill, a, b, c, d)
		upAll(t, a, b, c, d)
		began := time.Now()
		together(t, a, b, c, d)
		t.Logf("together again after %v (kill -9: %v)", time.Since(began).Round(time.Millisecond), kill)
	}
	if n := status(t, c.Home); n.Members != 4 || n.Administrators != 1 || n.Connected != 3 || len(n.Alerts) != 0 {
		t.Errorf("the third says %+v", n)
	}
}

// content is who may fetch what: a adds, b and c are members, d is a reader.
func content(t *testing.T, a, b, c, d *Peer) {
	shown := file(t, "shown.bin", 9*mib+17)
	id := must(t, a.Home, "add", shown).Value()
	for name, p := range map[string]*Peer{"second": b, "third": c, "reader": d} {
		out := filepath.Join(dir(t), "out")
		if r := run(t, p.Home, "get", id, "-o", out); r.Code != 0 {
			t.Errorf("%s can not fetch: %s", name, r)
			continue
		}
		same(t, shown, out)
	}

	secret := file(t, "secret.bin", 100_000)
	hidden := must(t, a.Home, "add", "--private", secret).Value()
	shared := file(t, "shared.bin", 100_000)
	share(t, a.Home, shared)
	sharedID := cidOf(t, a.Home, "shared.bin")
	for _, id := range []string{hidden, sharedID} {
		out := filepath.Join(dir(t), "out")
		says(t, wantCode(t, b.Home, []int{3}, "get", id, "-o", out), 3, id)
		absent(t, out)
	}
	opened := file(t, "opened.bin", 200_000)
	share(t, c.Home, "--network", opened)
	out := filepath.Join(dir(t), "out")
	must(t, a.Home, "get", cidOf(t, c.Home, "opened.bin"), "-o", out)
	same(t, opened, out)

	// A reader fetches and shows nothing.
	own := file(t, "own.bin", 5000)
	says(t, run(t, d.Home, "share", "--network", own), 4, "reader")
	mine := must(t, d.Home, "add", own).Value()
	says(t, wantCode(t, a.Home, []int{3}, "get", mine, "-o", filepath.Join(dir(t), "out")), 3, mine)

	// A stranger has the CID, and the key that members derive from it.
	stranger := up(t, newHome(t))
	wantCode(t, stranger.Home, []int{3, 6}, "get", id, "-o", filepath.Join(dir(t), "out"))
	for door, addrs := range map[string][]string{"door": a.Ready.Addresses, "member": status(t, a.Home).Addresses} {
		if err := fetchOpen(t, id, addrs); err == nil {
			t.Errorf("a stranger got a session at the %s host", door)
		} else {
			t.Logf("%s host: %v", door, err)
		}
	}
}

// cidOf finds an entry of the library by name.
func cidOf(t *testing.T, h Home, name string) string {
	t.Helper()
	for line := range strings.Lines(must(t, h, "ls", "--json").Stdout) {
		var e struct{ Name, CID string }
		if json.Unmarshal([]byte(line), &e) == nil && e.Name == name {
			return e.CID
		}
	}
	t.Fatalf("%s is not in the library", name)
	return ""
}

// fetchOpen asks for an object as members do, from a host with a random key.
func fetchOpen(t *testing.T, root string, addrs []string) error {
	t.Helper()
	s := stranger(t)
	c, err := cid.Decode(root)
	if err != nil {
		t.Fatal(err)
	}
	info := addrInfo(t, addrs)
	open := ticket.ForMembers(c, info.ID)
	open.Addrs = info.Addrs
	sess, err := exchange.Dial(limit(t, patience), s.Host, open, exchange.ClientConfig{})
	if err == nil {
		sess.Close()
	}
	return err
}

// stranger is a host with a random key that is gone when the test ends.
func stranger(t testing.TB) *intruder.Stranger {
	t.Helper()
	s, err := intruder.NewStranger(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// addrInfo reads multiaddrs that end with one peer id, and keeps those over TCP.
func addrInfo(t testing.TB, addrs []string) peer.AddrInfo {
	t.Helper()
	var all peer.AddrInfo
	for _, text := range addrs {
		a, err := ma.NewMultiaddr(text)
		if err != nil {
			t.Fatal(err)
		}
		info, err := peer.AddrInfoFromP2pAddr(a)
		if err != nil {
			t.Fatal(err)
		}
		all.ID = info.ID
		all.Addrs = append(all.Addrs, info.Addrs...)
	}
	if all.ID == "" {
		t.Fatalf("no address in %q", addrs)
	}
	return all
}
