package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cairn/swarm/exchange"
	"cairn/swarm/ticket"
	"cairn/web/api"

	"github.com/libp2p/go-libp2p/core/network"
	"go.uber.org/goleak"
)

// getting is a get under way.
type getting struct {
	n    *Node
	out  string
	stop context.CancelFunc
	done chan struct{} // closed when res and err are set
	res  api.GetResult
	err  error
}

// get begins one; it ends with the test at the latest.
func get(t *testing.T, n *Node, r api.GetRequest) *getting {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r.Output = filepath.Join(t.TempDir(), "f")
	g := &getting{n: n, out: r.Output, stop: stop, done: make(chan struct{})}
	go func() {
		defer close(g.done)
		g.res, g.err = n.Get(ctx, r, sink{t})
	}()
	t.Cleanup(func() { stop(); <-g.done })
	return g
}

// same waits for the end and compares.
func (g *getting) same(t *testing.T, want []byte) {
	t.Helper()
	if <-g.done; g.err != nil {
		t.Fatal(g.err)
	}
	if have, err := os.ReadFile(g.out); err != nil || !bytes.Equal(have, want) {
		t.Fatalf("the copy differs (%v)", err)
	}
}

// eventually waits for what another peer does.
func eventually(t *testing.T, what string, d time.Duration, yes func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(d); !yes(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", d, what)
		}
	}
}

// of returns a node's transfers of a direction.
func of(n *Node, direction string) (out []api.Transfer) {
	for _, x := range n.transfers.list() {
		if x.Direction == direction {
			out = append(out, x)
		}
	}
	return out
}

// keyOf is the id under which a ticket's right is looked up.
func keyOf(t *testing.T, text string) ticket.KeyID {
	t.Helper()
	x, err := ticket.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	k := x.Key()
	return k.ID()
}

func upLimit(t *testing.T, n *Node, rate int64) {
	t.Helper()
	if _, err := n.SetLimits(t.Context(), api.Limits{Up: rate}); err != nil {
		t.Fatal(err)
	}
}

// TestSwarm: three fetch at once from a slow source; it sends hardly more than one copy, and everybody sees why.
func TestSwarm(t *testing.T) {
	t.Parallel()
	const files, each = 256, 96 << 10 // many leaves: one that comes twice is a small part
	const size = files * each
	a, _ := start(t, t.TempDir())
	src := filepath.Join(t.TempDir(), "film")
	var want [files][]byte
	for i := range want {
		want[i] = write(t, filepath.Join(src, fmt.Sprint(i)), each)
	}
	r := share(t, a, api.TicketOptions{}, src)
	upLimit(t, a, 4<<20)
	nodes := make([]*Node, 3)
	for i := range nodes {
		nodes[i], _ = start(t, t.TempDir())
	}
	var all []*getting
	for _, n := range nodes {
		all = append(all, get(t, n, api.GetRequest{Tickets: []string{r.Ticket.Text}}))
	}
	partial, served := map[*Node]bool{}, map[*Node]bool{}
	eventually(t, "downloaders see each other", 10*time.Second, func() bool {
		for _, g := range all {
			for _, x := range of(g.n, "download") {
				for _, s := range x.Sources {
					partial[g.n] = partial[g.n] || s.Partial && s.Role == "source" && s.Have > 0 && s.Have <= 1 && s.Why != "" && s.Address != ""
				}
			}
			for _, x := range of(g.n, "upload") {
				served[g.n] = served[g.n] || x.Name == "film" && len(x.Sources) == 1 && x.Sources[0].Role == "downloader" && x.Sources[0].Bytes > 0
			}
		}
		for _, n := range nodes {
			if !partial[n] || !served[n] {
				return false
			}
		}
		return true
	})
	for _, g := range all {
		if <-g.done; g.err != nil {
			t.Fatal(g.err)
		}
		for i := range want {
			if have, err := os.ReadFile(filepath.Join(g.out, fmt.Sprint(i))); err != nil || !bytes.Equal(have, want[i]) {
				t.Fatalf("file %d differs (%v)", i, err)
			}
		}
	}
	sent := a.meter.Total().Up
	if t.Logf("the source sent %.2f copies", float64(sent)/size); float64(sent) > 1.25*size {
		t.Error("that is too much")
	}
	e, err := a.Entry(t.Context(), r.Entry.ID)
	if err != nil || e.Tickets[0].Downloads != 3 {
		t.Errorf("%+v, %v", e.Tickets, err)
	}
}

// TestServesAfterEnd: what was fetched is served for a while under its ticket, also when the source is gone, and
// not once its entry was removed.
func TestServesAfterEnd(t *testing.T) {
	t.Parallel()
	a, stop := start(t, t.TempDir())
	b, _ := start(t, t.TempDir())
	c, _ := start(t, t.TempDir())
	src := filepath.Join(t.TempDir(), "f")
	want := write(t, src, 3<<20)
	text := share(t, a, api.TicketOptions{}, src).Ticket.Text
	first := get(t, b, api.GetRequest{Tickets: []string{text}})
	first.same(t, want)
	stop()

	x, err := ticket.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	x.Peer, x.Addrs = b.PeerID(), b.self().Addrs
	onward, err := x.Encode()
	if err != nil {
		t.Fatal(err)
	}
	get(t, c, api.GetRequest{Tickets: []string{onward}}).same(t, want)

	later := time.Now().Add(servedFor + time.Minute)
	late := newSwarms(b.lib, b.trees, b.store, func() time.Time { return later })
	b.swarms.mu.Lock()
	for k, v := range b.swarms.keys {
		late.keys[k] = v
	}
	b.swarms.mu.Unlock()
	if _, ok := late.Lookup(x.Key().ID()); ok {
		t.Error("served for ever")
	}
	if _, err := b.Remove(t.Context(), first.res.CID); err != nil {
		t.Fatal(err)
	}
	if _, ok := b.swarms.Lookup(x.Key().ID()); ok {
		t.Error("served although its entry was removed")
	}
}

// TestCancelledGetServesNobody: with the end of a get what it had is gone for others at once.
func TestCancelledGetServesNobody(t *testing.T) {
	t.Parallel()
	a, _ := start(t, t.TempDir())
	b, _ := start(t, t.TempDir())
	c, _ := start(t, t.TempDir())
	src := filepath.Join(t.TempDir(), "f")
	want := write(t, src, 12<<20)
	text := share(t, a, api.TicketOptions{}, src).Ticket.Text
	upLimit(t, a, 3<<20)
	first, second := get(t, b, api.GetRequest{Tickets: []string{text}}), get(t, c, api.GetRequest{Tickets: []string{text}})
	eventually(t, "they meet", 10*time.Second, func() bool { return len(of(b, "upload")) > 0 })
	first.stop()
	<-first.done
	if first.err == nil {
		t.Fatal("too fast")
	}
	if _, ok := b.swarms.Lookup(keyOf(t, text)); ok {
		t.Error("a cancelled get is still served")
	}
	eventually(t, "sessions end", 3*time.Second, func() bool { return len(b.server.Sessions()) == 0 })
	for _, x := range of(b, "upload") {
		if x.State == "active" {
			t.Errorf("upload %+v", x)
		}
	}
	upLimit(t, a, 0)
	second.same(t, want)
}

// TestSameTicketTwice: two gets with one ticket are served side by side, and the end of one does not touch the other.
func TestSameTicketTwice(t *testing.T) {
	t.Parallel()
	a, _ := start(t, t.TempDir())
	b, _ := start(t, t.TempDir())
	src := filepath.Join(t.TempDir(), "f")
	want := write(t, src, 8<<20)
	text := share(t, a, api.TicketOptions{}, src).Ticket.Text
	upLimit(t, a, 2<<20)
	key := keyOf(t, text)
	s := b.swarms
	two := make([]*getting, 2)
	refs := make([]string, 2)
	for i := range two {
		two[i] = get(t, b, api.GetRequest{Tickets: []string{text}})
		eventually(t, "it is served", 10*time.Second, func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			if len(s.keys[key]) == i+1 {
				refs[i] = s.keys[key][i].ref
			}
			return refs[i] != ""
		})
	}
	g, ok := s.Lookup(key)
	if !ok || g.Ref != refs[0] {
		t.Fatalf("%+v, %v: not the one that has most", g, ok)
	}
	parts := map[exchange.Tree]bool{}
	for _, ref := range refs {
		g.Ref = ref
		tree, release, err := s.Tree(t.Context(), g)
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		parts[tree] = true
	}
	if len(parts) != 2 {
		t.Error("sessions under one get are served what the other has")
	}
	two[0].stop()
	if <-two[0].done; two[0].err == nil {
		t.Fatal("too fast")
	}
	if g, ok := s.Lookup(key); !ok || g.Ref != refs[1] {
		t.Errorf("%+v, %v: not the one that is left", g, ok)
	}
	g.Ref = refs[0]
	if _, _, err := s.Tree(t.Context(), g); !errors.Is(err, exchange.ErrGone) {
		t.Errorf("what the cancelled get has: %v", err)
	}
	upLimit(t, a, 0)
	two[1].same(t, want)
	if g, ok := s.Lookup(key); !ok || g.Ref != refs[1] {
		t.Errorf("%+v, %v: not the one that is complete", g, ok)
	}
}

// TestSharedGets: what finished gets have is served as long as is promised, of no more than so many, and then closed.
func TestSharedGets(t *testing.T) {
	t.Parallel()
	a, _ := start(t, t.TempDir())
	b, _ := start(t, t.TempDir())
	src := filepath.Join(t.TempDir(), "f")
	want := write(t, src, 1<<20)
	text := share(t, a, api.TicketOptions{}, src).Ticket.Text
	key := keyOf(t, text)
	s := b.swarms
	get(t, b, api.GetRequest{Tickets: []string{text}}).same(t, want)
	s.mu.Lock()
	first := s.ended[0]
	s.mu.Unlock()
	open := func(g *shared) bool {
		_, err := g.part.ReadLeaf(t.Context(), 0, nil)
		return err == nil
	}
	for range keptShared {
		if !open(first) {
			t.Fatal("one of few is closed")
		}
		get(t, b, api.GetRequest{Tickets: []string{text}}).same(t, want)
	}
	s.mu.Lock()
	last := s.ended[len(s.ended)-1]
	if n := len(s.ended); n != keptShared || len(s.gets) != n || len(s.keys[key]) != n || open(first) || !open(last) {
		t.Errorf("%d, %d and %d are served; the first: %v, the last: %v", n, len(s.gets), len(s.keys[key]), open(first), open(last))
	}
	for _, g := range s.ended {
		g.until = g.until.Add(-2 * servedFor)
	}
	s.mu.Unlock()
	if _, ok := s.Lookup(key); ok {
		t.Error("served after its time")
	}
	s.sweep()
	if len(s.gets)+len(s.ended)+len(s.keys) != 0 || open(last) {
		t.Errorf("kept after its time: %d, %d, %d", len(s.gets), len(s.ended), len(s.keys))
	}
}

// TestRevokedInSwarm: the word of the ticket's peer ends a get, also one that could go on with other downloaders, and
// what it served.
func TestRevokedInSwarm(t *testing.T) {
	t.Parallel()
	a, _ := start(t, t.TempDir())
	b, _ := start(t, t.TempDir())
	c, _ := start(t, t.TempDir())
	src := filepath.Join(t.TempDir(), "f")
	write(t, src, 24<<20)
	r := share(t, a, api.TicketOptions{}, src).Ticket
	upLimit(t, a, 2<<20)
	both := []*getting{get(t, b, api.GetRequest{Tickets: []string{r.Text}}), get(t, c, api.GetRequest{Tickets: []string{r.Text}})}
	eventually(t, "they meet", 10*time.Second, func() bool { return len(of(b, "upload")) > 0 && len(of(c, "upload")) > 0 })
	if _, err := a.Revoke(t.Context(), r.ID); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for _, g := range both {
		<-g.done
		if code(t, g.err) != api.CodeNotPermitted || !strings.Contains(g.err.Error(), "the sender has ended this ticket") {
			t.Errorf("%v", g.err)
		}
		if _, ok := g.n.swarms.Lookup(keyOf(t, r.Text)); ok {
			t.Error("a revoked ticket is served")
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

// TestEndsMeanwhile: a get under way ends with its ticket and says what became of that. It can not be had again either.
func TestEndsMeanwhile(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		ticket api.TicketOptions
		happen func(t *testing.T, a *Node, id string)
		why    string // it ended
		then   string // the next try is told
	}{
		"expired": {api.TicketOptions{ExpireSeconds: 2}, func(*testing.T, *Node, string) {}, "the ticket has expired", "the ticket has expired"},
		"used up": {api.TicketOptions{Downloads: 2}, func(t *testing.T, a *Node, id string) {
			for range 2 {
				if err := a.lib.downloaded(id, downloadID{}); err != nil {
					t.Fatal(err)
				}
			}
		}, "the ticket has been used as often as it allows", "the ticket has been used as often as it allows"},
		"removed": {api.TicketOptions{}, func(t *testing.T, a *Node, id string) {
			a.lib.mu.Lock()
			e, _, err := a.lib.record(id)
			a.lib.mu.Unlock()
			if err == nil {
				_, err = a.Remove(t.Context(), e.ID)
			}
			if err != nil {
				t.Fatal(err)
			}
		}, "the sender", "the sender does not know this ticket"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, _ := start(t, t.TempDir())
			b, _ := start(t, t.TempDir())
			src := filepath.Join(t.TempDir(), "f")
			write(t, src, 24<<20)
			r := share(t, a, x.ticket, src).Ticket
			upLimit(t, a, 3<<20)
			g := get(t, b, api.GetRequest{Tickets: []string{r.Text}})
			eventually(t, "it is under way", 5*time.Second, func() bool { return b.meter.Total().Down > 1<<20 })
			x.happen(t, a, r.ID)
			began := time.Now()
			if <-g.done; code(t, g.err) != api.CodeNotPermitted || !strings.Contains(g.err.Error(), x.why) {
				t.Error(g.err)
			}
			if took := time.Since(began); took > 4*time.Second {
				t.Errorf("it took %v", took)
			}
			if _, ok := b.swarms.Lookup(keyOf(t, r.Text)); ok {
				t.Error("it is served")
			}
			again := get(t, b, api.GetRequest{Tickets: []string{r.Text}})
			if <-again.done; code(t, again.err) != api.CodeNotPermitted || !strings.Contains(again.err.Error(), x.then) {
				t.Error(again.err)
			}
		})
	}
}

// TestSourceGoneForEver: two who fetch the same lose their source before either has everything. Both give up in plain words,
// and not for ever.
func TestSourceGoneForEver(t *testing.T) {
	t.Parallel()
	a, stop := start(t, t.TempDir())
	b, _ := start(t, t.TempDir())
	c, _ := start(t, t.TempDir())
	src := filepath.Join(t.TempDir(), "f")
	write(t, src, 24<<20)
	text := share(t, a, api.TicketOptions{}, src).Ticket.Text
	upLimit(t, a, 2<<20)
	q := api.GetRequest{Tickets: []string{text}, WaitSeconds: 1}
	both := []*getting{get(t, b, q), get(t, c, q)}
	eventually(t, "they meet", 10*time.Second, func() bool { return len(of(b, "upload")) > 0 && len(of(c, "upload")) > 0 })
	stop()
	began := time.Now()
	for _, g := range both {
		select {
		case <-g.done:
		case <-time.After(40 * time.Second):
			t.Fatal("it waits for ever")
		}
		if code(t, g.err) != api.CodeUnavailable || !strings.Contains(g.err.Error(), a.PeerID().String()) {
			t.Errorf("%v", g.err)
		}
	}
	t.Logf("gave up after %v: %v", time.Since(began), both[0].err)
}

// TestRestFromEachOther: a source goes for ever when those who fetch have everything between them.
func TestRestFromEachOther(t *testing.T) {
	t.Parallel()
	const size = 16 << 20
	a, stop := start(t, t.TempDir())
	b, _ := start(t, t.TempDir())
	c, _ := start(t, t.TempDir())
	src := filepath.Join(t.TempDir(), "f")
	want := write(t, src, size)
	text := share(t, a, api.TicketOptions{}, src).Ticket.Text
	upLimit(t, a, 4<<20)
	upLimit(t, b, 1<<20) // so that they do not have it as soon as the source has sent it
	upLimit(t, c, 1<<20)
	both := []*getting{get(t, b, api.GetRequest{Tickets: []string{text}}), get(t, c, api.GetRequest{Tickets: []string{text}})}
	has := func(g *getting) (done []byte) {
		for _, x := range of(g.n, "download") {
			if p, err := g.n.Pieces(t.Context(), x.ID); err == nil {
				return p.Done
			}
		}
		return nil
	}
	eventually(t, "they have all of it together", 30*time.Second, func() bool {
		x, y := has(both[0]), has(both[1])
		if len(x) == 0 || len(x) != len(y) {
			return false
		}
		for i := range x {
			if x[i] != 100 && y[i] != 100 {
				return false
			}
		}
		return true
	})
	if b.PeerID() > c.PeerID() {
		b, c = c, b
	}
	if cs := b.host.Network().ConnsToPeer(c.PeerID()); len(cs) != 1 || cs[0].Stat().Direction != network.DirOutbound {
		t.Errorf("connections of the two, seen from the lower id, which dials: %v", cs)
	}
	stop()
	upLimit(t, b, 0)
	upLimit(t, c, 0)
	for _, g := range both {
		g.same(t, want)
	}
}

// TestNothingLeaks: whether gets end well, are cancelled or lose their source, with them ends all that they began.
func TestNothingLeaks(t *testing.T) {
	before := goleak.IgnoreCurrent()
	a, stopA := start(t, t.TempDir())
	b, stopB := start(t, t.TempDir())
	c, stopC := start(t, t.TempDir())
	src := filepath.Join(t.TempDir(), "f")
	want := write(t, src, 12<<20)
	text := share(t, a, api.TicketOptions{}, src).Ticket.Text
	q := api.GetRequest{Tickets: []string{text}, WaitSeconds: 1}
	alone := q
	alone.NoSwarm = true // or b would have all of it for c
	get(t, b, alone).same(t, want)
	upLimit(t, a, 6<<20)
	upLimit(t, b, 1<<20) // what b has of the first get must not be all that c needs
	cancelled, lost := get(t, b, q), get(t, c, q)
	eventually(t, "they are under way", 10*time.Second, func() bool { return b.meter.Total().Down > 13<<20 && c.meter.Total().Down > 1<<20 })
	cancelled.stop()
	<-cancelled.done
	stopA()
	stopB()
	if <-lost.done; code(t, lost.err) != api.CodeUnavailable {
		t.Error(lost.err)
	}
	stopC()
	goleak.VerifyNone(t, before)
}

// TestTicketsOfOnePeer: a ticket that its peer does not honour any more is no reason to give up another one of it.
func TestTicketsOfOnePeer(t *testing.T) {
	t.Parallel()
	a, _ := start(t, t.TempDir())
	b, _ := start(t, t.TempDir())
	src := filepath.Join(t.TempDir(), "f")
	want := write(t, src, 2<<20)
	ended, open := share(t, a, api.TicketOptions{}, src).Ticket, share(t, a, api.TicketOptions{}, src).Ticket
	if _, err := a.Revoke(t.Context(), ended.ID); err != nil {
		t.Fatal(err)
	}
	get(t, b, api.GetRequest{Tickets: []string{ended.Text, open.Text}}).same(t, want)
	if _, err := a.Revoke(t.Context(), open.ID); err != nil {
		t.Fatal(err)
	}
	g := get(t, b, api.GetRequest{Tickets: []string{ended.Text, open.Text}})
	if <-g.done; code(t, g.err) != api.CodeNotPermitted {
		t.Error(g.err)
	}
}

// TestTicketOfOneself ends at once and says so.
func TestTicketOfOneself(t *testing.T) {
	t.Parallel()
	a, _ := start(t, t.TempDir())
	b, _ := start(t, t.TempDir())
	src := filepath.Join(t.TempDir(), "f")
	write(t, src, 1<<20)
	x, err := ticket.Parse(share(t, a, api.TicketOptions{}, src).Ticket.Text)
	if err != nil {
		t.Fatal(err)
	}
	x.Peer = b.PeerID()
	text, err := x.Encode()
	if err != nil {
		t.Fatal(err)
	}
	g := get(t, b, api.GetRequest{Tickets: []string{text}})
	if <-g.done; code(t, g.err) != api.CodeUnavailable || !strings.Contains(g.err.Error(), "this peer itself") {
		t.Error(g.err)
	}
}

// TestLinger: a command that has everything goes on for those who are fetching from it, for a moment, and for nobody else.
func TestLinger(t *testing.T) {
	t.Parallel()
	a, _ := start(t, t.TempDir())
	b, _ := startAs(t, Config{Home: t.TempDir(), Mode: ModeCommand})
	c, _ := start(t, t.TempDir())
	src := filepath.Join(t.TempDir(), "f")
	want := write(t, src, 16<<20)
	text := share(t, a, api.TicketOptions{}, src).Ticket.Text
	lingered := func(g *getting, began time.Time) time.Duration {
		g.same(t, want)
		return time.Since(began) - time.Duration(g.res.Millis)*time.Millisecond
	}
	if d := lingered(get(t, b, api.GetRequest{Tickets: []string{text}}), time.Now()); d > lingerIdle {
		t.Errorf("with nobody it took %v", d)
	}
	upLimit(t, a, 8<<20)
	if _, err := c.SetLimits(t.Context(), api.Limits{Down: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	slow := get(t, c, api.GetRequest{Tickets: []string{text}})
	eventually(t, "it has begun", 10*time.Second, func() bool { return len(of(c, "download")) > 0 && c.meter.Total().Down > 1<<20 })
	if d := lingered(get(t, b, api.GetRequest{Tickets: []string{text}}), time.Now()); d < lingerIdle || d > lingerFor+time.Second {
		t.Errorf("with a slow one it took %v; it sent %d bytes", d, b.meter.Total().Up)
	}
	slow.stop()
}
