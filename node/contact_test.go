package node

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cairn/swarm/exchange"
	"cairn/swarm/fetch"
	"cairn/swarm/ticket"
	"cairn/web/api"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// mute is content of which nothing can be read.
type mute struct{ exchange.Content }

func (mute) Get(ctx context.Context, _ cid.Cid, _ []byte) ([]byte, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestComesAndGoes: a source that takes every session and ends it at once is dialled ever more slowly, and waited for
// no longer than one that is gone.
func TestComesAndGoes(t *testing.T) {
	t.Parallel()
	a, _ := start(t, t.TempDir())
	b, _ := start(t, t.TempDir())
	src := filepath.Join(t.TempDir(), "f")
	write(t, src, 2<<20)
	text := share(t, a, api.TicketOptions{}, src).Ticket.Text
	var ended atomic.Int64
	server, err := exchange.NewServer(exchange.ServerConfig{Rights: a.swarms, Content: mute{a.swarms}, Pool: &exchange.Pool{}, Meter: &exchange.Meter{},
		Events: exchange.Events{Ended: func(exchange.SessionInfo, error) { ended.Add(1) }}, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	a.host.SetStreamHandler(exchange.Protocol, func(st network.Stream) {
		cut := time.AfterFunc(100*time.Millisecond, func() { st.Reset() }) // long enough for a handshake
		defer cut.Stop()
		server.Handle(st)
	})
	began := time.Now()
	g := get(t, b, api.GetRequest{Tickets: []string{text}, WaitSeconds: 3})
	select {
	case <-g.done:
	case <-time.After(15 * time.Second):
		t.Fatalf("it goes on for ever, after %d sessions", ended.Load())
	}
	if code(t, g.err) != api.CodeUnavailable || strings.Count(g.err.Error(), a.PeerID().String()) != 1 {
		t.Error(g.err)
	}
	// 0 s, and after pauses of 0.25, 0.5, 1 and 2 s.
	if n := ended.Load(); n < 2 || n > 6 {
		t.Errorf("%d sessions in %v: %v", n, time.Since(began), g.err)
	}
}

// search begins one for the peer of a ticket, and takes what joins.
func search(t *testing.T, n *Node, text string) *sources {
	t.Helper()
	x, err := ticket.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	s, err := n.sources(t.Context(), goal{root: x.Root, size: x.Size, tickets: []ticket.Ticket{x}}, api.GetRequest{})
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		for src := range s.joining {
			go src.Run(s.ctx, nothing{})
		}
	}()
	t.Cleanup(func() { s.close(); <-over })
	return s
}

// nothing is a sink of which nothing was asked.
type nothing struct{}

func (nothing) Leaf(int, fetch.Buf) error { return nil }
func (nothing) Missing(int, error)        {}
func (nothing) Skipped(int, int)          {}
func (nothing) Have(int, []byte)          {}

func (s *sources) count(o origin) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.contacts {
		if c.origin == o && !c.over {
			n++
		}
	}
	return n
}

func sharing(t *testing.T) (a *Node, text string) {
	t.Helper()
	a, _ = start(t, t.TempDir())
	src := filepath.Join(t.TempDir(), "f")
	write(t, src, 1000)
	return a, share(t, a, api.TicketOptions{}, src).Ticket.Text
}

// silence is an address that takes connections and says nothing.
func silence(t *testing.T) []ma.Multiaddr {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return addrs(t, fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", ln.Addr().(*net.TCPAddr).Port))
}

// TestLANPeers: who does not know the ticket refuses, which is no news to the user, and is left alone for a while.
// One that does is a source. One that is not there keeps nobody waiting.
func TestLANPeers(t *testing.T) {
	t.Parallel()
	_, text := sharing(t)
	b, _ := start(t, t.TempDir())
	other, _ := start(t, t.TempDir())
	s := search(t, b, text)
	eventually(t, "the source is there", 5*time.Second, func() bool { return s.sessions() == 1 })
	black := peer.AddrInfo{ID: stranger(t), Addrs: silence(t)}
	b.finder.known[other.PeerID()], b.finder.known[black.ID] = other.self().Addrs, black.Addrs
	x, err := ticket.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	asked := map[peer.ID]time.Time{}
	s.askAround(x, asked)
	eventually(t, "it was refused", 5*time.Second, func() bool { return other.server.Stats().Refused == 1 && s.count(fromNetwork) == 1 })
	if len(asked) != 2 {
		t.Errorf("asked %v", asked)
	}
	s.mu.Lock()
	if len(s.failed) > 0 || !s.hopeless() || s.liars[other.PeerID()] {
		t.Errorf("failed %v, hopeless %v", s.failed, s.hopeless())
	}
	s.mu.Unlock()
	s.askAround(x, asked)
	if n := other.server.Stats().Refused; n != 1 {
		t.Errorf("asked %d times", n)
	}
	asked[other.PeerID()] = time.Now().Add(-askAgain)
	s.askAround(x, asked)
	eventually(t, "it is asked again", 5*time.Second, func() bool { return other.server.Stats().Refused == 2 })
}

// sessions is the number of sessions that were made.
func (s *sources) sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

// TestMaxContacts: nobody can make a get dial without end, and with it all of that ends.
func TestMaxContacts(t *testing.T) {
	t.Parallel()
	_, text := sharing(t)
	b, _ := start(t, t.TempDir())
	s := search(t, b, text)
	eventually(t, "the source is there", 5*time.Second, func() bool { return s.sessions() == 1 })
	s.mu.Lock()
	by := s.all[0]
	s.mu.Unlock()
	nowhere := silence(t)
	for range 3 * maxContacts {
		s.introduced(by, []exchange.Introduction{{ID: stranger(t), Addrs: nowhere}})
	}
	if n := s.count(fromSource) + s.count(fromTicket); n != maxContacts {
		t.Errorf("%d contacts", n)
	}
	s.introduced(by, []exchange.Introduction{{ID: b.PeerID(), Addrs: b.self().Addrs}, {ID: by.Peer(), Addrs: []ma.Multiaddr{}}})
	began := time.Now()
	s.close()
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the end took %v", took)
	}
	if n := s.count(fromSource) + s.count(fromTicket); n != 0 {
		t.Errorf("%d contacts are left", n)
	}
}

// TestLiar: a downloader that lied is not believed when it is introduced again; one that ended may come back.
func TestLiar(t *testing.T) {
	t.Parallel()
	_, text := sharing(t)
	b, _ := start(t, t.TempDir())
	s := search(t, b, text)
	x, err := ticket.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	for why, again := range map[error]bool{fmt.Errorf("%w: leaf 7", fetch.ErrMisbehaved): false, exchange.ErrProtocol: false,
		exchange.ErrGone: true, exchange.ErrLost: true} {
		x.Peer = stranger(t)
		s.mu.Lock()
		c := &contact{s: s, ticket: x, origin: fromSource}
		s.contacts[x.Peer] = c
		s.mu.Unlock()
		s.forget(c, why)
		if got := s.add(&contact{ticket: x, origin: fromSource}); got != again {
			t.Errorf("after %v: %v", why, got)
		}
	}
}
