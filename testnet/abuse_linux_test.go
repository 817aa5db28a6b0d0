package testnet

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cairn/testnet/intruder"
	"cairn/testnet/lab"
)

// most is what a peer under attack may hold, in bytes of RssAnon.
const most = 256 << 20

// send starts an intruder on a machine. It is killed when the test ends.
func send(t *testing.T, m *lab.Machine, o intruder.Orders) *Proc {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	h := Home{Binary: os.Args[0], Dir: filepath.Join(dir(t), "home"), Prefix: m.Prefix(), Env: []string{intruder.Env + "=" + string(text)}}
	return background(t, h)
}

// peak watches what a process holds until stop is called, which says how much it was at most.
func peak(t *testing.T, p *Proc) (stop func() int64) {
	done, result := make(chan struct{}), make(chan int64)
	go func() {
		var top int64
		for tick := time.NewTicker(20 * time.Millisecond); ; {
			if m, err := ReadMemory(p.PID()); err == nil {
				top = max(top, m.Anon)
			}
			select {
			case <-tick.C:
			case <-done:
				tick.Stop()
				result <- top
				return
			}
		}
	}()
	return func() int64 { close(done); return <-result }
}

// listener counts the connections that a machine gets on one of its addresses.
func listener(t *testing.T, m *lab.Machine, ip netip.Addr) (addr string, count *atomic.Int64) {
	t.Helper()
	var ln *net.TCPListener
	err := m.Do(func() (err error) {
		ln, err = net.ListenTCP("tcp4", &net.TCPAddr{IP: ip.AsSlice()})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	count = new(atomic.Int64)
	over := make(chan struct{})
	go func() {
		defer close(over)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			count.Add(1)
			c.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-over })
	return fmt.Sprintf("/ip4/%s/tcp/%d", ip, ln.Addr().(*net.TCPAddr).Port), count
}

// TestBadSources fetches from one slow honest source and a dozen bad ones at once, until all have had their turn. The
// file is right, the bad ones are named and dropped, memory is bounded, and whoever is introduced is not dialled
// where that is not allowed.
func TestBadSources(t *testing.T) {
	l := network(t)
	a, to := machine(t, l, "honest", 60e6), machine(t, l, "victim", 1e9)
	bad, public, third := machine(t, l, "bad", 1e9), machine(t, l, "public", 1e9), machine(t, l, "third", 1e9)
	if _, err := public.Renumber(t.Context(), netip.MustParseAddr("203.0.113.7")); err != nil {
		t.Fatal(err)
	}
	src := file(t, "f", 24*mib)
	source := up(t, homeOn(t, a))
	ticket := share(t, source.Home, src)

	allowed, dials := listener(t, third, third.Addr())
	private, fromPublic := listener(t, third, third.Addr())
	own, loopback := listener(t, to, netip.MustParseAddr("127.0.0.1"))
	in, here := serveLies(t, bad, intruder.Orders{Ticket: ticket, File: src, Named: []string{allowed, own},
		Lies: slices.Sorted(maps.Keys(intruder.Lies))})
	_, there := serveLies(t, public, intruder.Orders{Ticket: ticket, File: src, Named: []string{private, own},
		Lies: []string{"introduces"}})

	const together = 14 // with the honest and the public one the most tickets that a get takes
	for names := range slices.Chunk(slices.Sorted(maps.Keys(intruder.Lies)), together) {
		tickets := []string{ticket, there.Tickets["introduces"]}
		for _, name := range names {
			tickets = append(tickets, here.Tickets[name])
		}
		g := getFromBad(t, homeOn(t, to), src, tickets)
		for _, name := range names {
			judge(t, name, here.IDs[name], g)
		}
	}
	t.Logf("dials of a third party: %d", dials.Load())
	if n := fromPublic.Load(); n > 0 {
		t.Errorf("%d dials to a private address that a public source named", n)
	}
	if n := loopback.Load(); n > 0 {
		t.Errorf("%d dials to its own loopback", n)
	}
	if n := dials.Load(); n > 2*64 { // two downloads, and a peer may introduce 64
		t.Errorf("%d dials to somebody who was named by a source", n)
	} else if n == 0 {
		t.Error("nobody who was named was dialled, so the rest shows nothing")
	}
	if _, err := in.Line(limit(t, time.Second), func(l string) bool { return strings.Contains(l, `"introduced"`) }); err != nil {
		t.Error("the downloader never asked to be introduced, so that was not tested:", err)
	}
}

// liars are the tickets and peer ids of an intruder's sources, by lie.
type liars struct{ Tickets, IDs map[string]string }

func serveLies(t *testing.T, m *lab.Machine, o intruder.Orders) (in *Proc, all liars) {
	t.Helper()
	o.Act = intruder.Serve
	in = send(t, m, o)
	if err := in.Event(limit(t, 20*time.Second), "ready", &all); err != nil {
		t.Fatal(err)
	}
	return in, all
}

// getFromBad fetches src with all the tickets, within bounds.
func getFromBad(t *testing.T, h Home, src string, tickets []string) got {
	t.Helper()
	out := filepath.Join(dir(t), "out")
	get := background(t, h, append([]string{"get", "--json", "-o", out}, tickets...)...)
	stop := peak(t, get)
	r := get.Wait(limit(t, time.Minute))
	held := stop()
	sane(t, r)
	g := result(t, r)
	same(t, src, out)
	t.Logf("%v, %d MiB", r.Took.Round(time.Millisecond), held>>20)
	if held > most {
		t.Errorf("it held %d MiB", held>>20)
	}
	if r.Took > 12*time.Second { // 4 s for the honest one alone, 3 s until a silent one is given up
		t.Errorf("it took %v", r.Took)
	}
	return g
}

// judge looks at what a download says of a bad source.
func judge(t *testing.T, name, id string, g got) {
	t.Helper()
	lie := intruder.Lies[name]
	for _, s := range g.Sources {
		switch {
		case s.PeerID != id:
		case !lie.Breach:
			if s.Bytes > 0 {
				t.Errorf("%s: %d bytes of it were taken", name, s.Bytes)
			}
			return
		case s.State != "dropped" || s.Reason == "":
			t.Errorf("%s: it was not dropped: %+v", name, s)
			return
		default:
			return
		}
	}
	t.Errorf("%s: it is not named", name)
}

// TestBadClients attacks a source in every way at once while somebody fetches from it: the download is whole, the
// source holds little, ends what is against the protocol and names who did it.
func TestBadClients(t *testing.T) {
	l := network(t)
	a, b, bad := machine(t, l, "victim", 100e6), machine(t, l, "honest", 1e9), machine(t, l, "bad", 1e9)
	src := file(t, "f", 24*mib)
	source := up(t, homeOn(t, a))
	ticket := share(t, source.Home, src)
	stop := peak(t, source.Proc)

	in := send(t, bad, intruder.Orders{Act: intruder.Ask, Ticket: ticket, File: src})
	var flooded struct{ Streams, Connections int }
	if err := in.Event(limit(t, time.Minute), "flooded", &flooded); err != nil {
		in.Kill()
		t.Fatal(err, in.Wait(t.Context()))
	}
	out := filepath.Join(dir(t), "out")
	r := run(t, homeOn(t, b), "get", "--json", ticket, "-o", out)
	result(t, r)
	same(t, src, out)
	held := stop()
	t.Logf("%v beside %+v; the source held %d MiB", r.Took.Round(time.Millisecond), flooded, held>>20)
	if held > most {
		t.Errorf("the source held %d MiB", held>>20)
	}
	if r.Took > 20*time.Second { // 2 s undisturbed
		t.Errorf("it took %v", r.Took)
	}
	offenders := offences(t, in)
	rows := must(t, source.Home, "transfers", "--json").Stdout
	for name, id := range offenders {
		named := false
		for row := range strings.Lines(rows) {
			var x struct {
				State, Reason string
				Sources       []struct {
					PeerID string `json:"peer_id"`
				}
			}
			if err := json.Unmarshal([]byte(row), &x); err != nil {
				t.Fatal(err)
			}
			named = named || len(x.Sources) == 1 && x.Sources[0].PeerID == id && x.State == "failed" && x.Reason != ""
		}
		if !named {
			t.Errorf("%s: %s is not named", name, id)
		}
	}
	if r, err := source.Stop(limit(t, 10*time.Second)); err != nil || r.Code != 0 {
		t.Errorf("it does not end: %v %s", err, r)
	}
}

// offences fails for each that the victim let pass, and returns who had a session and broke the protocol in it.
func offences(t *testing.T, in *Proc) map[string]string {
	t.Helper()
	in.Kill()
	seen, ids := 0, map[string]string{}
	for row := range strings.Lines(in.Wait(t.Context()).Stdout) {
		var x struct {
			Event, Name, ID string
			Proven, Ended   bool
		}
		if err := json.Unmarshal([]byte(row), &x); err != nil || x.Event != "offended" {
			continue
		}
		seen++
		if !x.Ended {
			t.Errorf("%s (proven: %v): the source did not end it", x.Name, x.Proven)
		}
		if x.Proven {
			ids[x.Name] = x.ID
		}
	}
	if seen != len(intruder.Hellos)+len(intruder.Demands) {
		t.Errorf("%d offences of %d", seen, len(intruder.Hellos)+len(intruder.Demands))
	}
	return ids
}
