package testnet

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"cairn/testnet/lab"
)

// tcp lets a machine answer TCP, or drops what comes by it without a word.
func tcp(t *testing.T, m *lab.Machine, open bool) {
	t.Helper()
	rules := "table inet race\ndelete table inet race\n"
	if !open {
		rules += "table inet race {\n chain in {\n type filter hook input priority 0;\n meta l4proto tcp drop\n }\n}\n"
	}
	cmd := m.Command(t.Context(), "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// TestRaceToTCP: a download that began over QUIC, because TCP did not answer in time, goes on over TCP as soon as that
// answers, and says so. What it has by then does not come again.
func TestRaceToTCP(t *testing.T) {
	t.Parallel() // it waits more than it works
	const size = 40 * mib
	r := raceRoom(t, size, 40e6)
	f := r.begin(t, 0)
	if err := f.share(limit(t, time.Minute), 0.1); err != nil {
		t.Fatal(err)
	}
	tcp(t, r.from, true)
	res := f.Wait(limit(t, time.Minute))
	g := result(t, res)
	same(t, r.src, f.out)
	if g.Fetched != size {
		t.Errorf("fetched %d bytes", g.Fetched)
	}
	s := waysOf(t, res)
	if len(s) != 1 || s[0].Transport != "tcp" || s[0].Why != "TCP on the local network: moved from QUIC on the local network, which is slower" {
		t.Errorf("%+v", s)
	}
	// Over TCP alone: what was under way when it moved came before it did.
	if n := sentBy(t, r.home); n > size+size/100 {
		t.Errorf("the source sent %d bytes of %d", n, size)
	}
}

// TestRaceFlaps: TCP that answers and goes again costs time, and not the download.
func TestRaceFlaps(t *testing.T) {
	t.Parallel() // it waits more than it works
	const size = 40 * mib
	r := raceRoom(t, size, 20e6)
	f := r.begin(t, 0)
	for _, part := range []float64{.1, .5, .7} {
		if err := f.share(limit(t, time.Minute), part); err != nil {
			t.Fatal(err)
		}
		tcp(t, r.from, part != .5)
	}
	g := f.end(t, r.src)
	if g.Fetched != size {
		t.Errorf("fetched %d bytes", g.Fetched)
	}
}

// raceSource is a room whose source does not answer TCP at first.
type raceSource struct {
	*room
	from *lab.Machine
}

func raceRoom(t *testing.T, size, rate int64) raceSource {
	t.Helper()
	l := network(t)
	from := machine(t, l, "source", rate)
	r := &room{src: file(t, "f", size), home: homeOn(t, from), downloader: []*lab.Machine{machine(t, l, "get0", rate)}}
	r.source = up(t, r.home)
	r.ticket = share(t, r.home, r.src)
	tcp(t, from, false)
	return raceSource{r, from}
}

// waysOf are the sources of a result, and how they were reached.
func waysOf(t *testing.T, r Result) []struct{ Transport, Why string } {
	t.Helper()
	for line := range strings.Lines(r.Stdout) {
		var e struct {
			Event   string
			Sources []struct{ Transport, Why string }
		}
		if json.Unmarshal([]byte(line), &e) == nil && e.Event == "result" {
			return e.Sources
		}
	}
	t.Fatalf("no result event: %s", r)
	return nil
}

// sentBy sums up what a peer has sent, as it counts.
func sentBy(t *testing.T, h Home) (n int64) {
	t.Helper()
	for line := range strings.Lines(must(t, h, "transfers", "--json").Stdout) {
		var x struct {
			Direction string
			Sources   []struct{ Bytes int64 }
		}
		if err := json.Unmarshal([]byte(line), &x); err != nil {
			t.Fatal(err)
		}
		for _, s := range x.Sources {
			n += s.Bytes
		}
	}
	return n
}
