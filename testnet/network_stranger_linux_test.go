package testnet

import (
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/protocol"

	"cairn/testnet/intruder"
)

// TestNonsenseAtTheDoor says what nobody may say to the protocols that strangers reach: the door ends it in the time
// of a handshake, and answers with next to nothing.
func TestNonsenseAtTheDoor(t *testing.T) {
	t.Parallel() // it waits more than it works
	a, _ := founded(t, "home")
	door := addrInfo(t, a.Ready.Addresses)
	stop := peak(t, a.Proc)
	const patient = 15 * time.Second // a handshake may take 10 s
	var all sync.WaitGroup
	for _, p := range []protocol.ID{intruder.JoinProtocol, intruder.HelloProtocol} {
		for name, b := range intruder.Nonsense() {
			all.Go(func() {
				answer, lived, err := stranger(t).Say(limit(t, patient+5*time.Second), door, p, b)
				switch {
				case lived > patient:
					t.Errorf("%s: %s: the stream lives after %v: %v", p, name, lived, err)
				case len(answer) > 256:
					t.Errorf("%s: %s: %d bytes were answered", p, name, len(answer))
				}
			})
		}
	}
	all.Wait()
	joined(t, inviteBy(t, a.Home), "honest")
	if held := stop(); held > most {
		t.Errorf("the door held %d MiB", held>>20)
	}
}

// TestSilenceAtTheDoor: a stranger keeps ten thousand streams and hundreds of connections open at both hosts and says
// nothing on them. An honest newcomer is let in beside it, members stay connected, and little is held.
func TestSilenceAtTheDoor(t *testing.T) {
	t.Parallel() // it waits more than it works
	l := network(t)
	at, other, newcomer, bad := machine(t, l, "victim", 1e9), machine(t, l, "member", 1e9), machine(t, l, "newcomer", 1e9), machine(t, l, "bad", 1e9)
	a, b := up(t, homeOn(t, at)), up(t, homeOn(t, other))
	found(t, a.Home, "home")
	join(t, b.Home, inviteBy(t, a.Home), "second")
	together(t, a, b)
	stop := peak(t, a.Proc)

	targets := []string{onTCP(t, a.Ready.Addresses), onTCP(t, status(t, a.Home).Addresses)}
	in := send(t, bad, intruder.Orders{Act: intruder.Idle, Targets: targets})
	var flooded struct{ Streams, Connections int }
	if err := in.Event(limit(t, time.Minute), "flooded", &flooded); err != nil {
		in.Kill()
		t.Fatal(err, in.Wait(t.Context()))
	}
	c := up(t, homeOn(t, newcomer))
	began := time.Now()
	join(t, c.Home, inviteBy(t, a.Home), "third")
	took := time.Since(began)
	t.Logf("beside %+v a newcomer joined in %v", flooded, took.Round(time.Millisecond))
	if took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	if flooded.Streams < 100 || flooded.Connections < 100 {
		t.Errorf("only %+v: that shows nothing", flooded)
	}
	together(t, a, b, c)
	if held := stop(); held > most {
		t.Errorf("it held %d MiB", held>>20)
	} else {
		t.Logf("it held %d MiB", held>>20)
	}
}

// onTCP is the address of a lab's machine among those of its peer.
func onTCP(t *testing.T, addrs []string) string {
	t.Helper()
	info := addrInfo(t, addrs)
	for _, a := range info.Addrs {
		if ip, err := a.ValueForProtocol(4); err != nil || ip == "127.0.0.1" {
			continue
		}
		if _, err := a.ValueForProtocol(6); err == nil {
			return a.String() + "/p2p/" + info.ID.String()
		}
	}
	t.Fatalf("no address over TCP in %q", addrs)
	return ""
}
