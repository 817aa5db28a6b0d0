package intruder

import (
	"context"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Hellos are what a client may not say before its proof.
var Hellos = map[string]func(*intruder) []byte{
	"leaves first":   func(*intruder) []byte { return control(fGetLeaves, 0, 1) },
	"proof first":    func(*intruder) []byte { return control(fProof, make([]byte, 32)) },
	"done first":     func(*intruder) []byte { return control(fDone) },
	"length 0":       func(*intruder) []byte { return head(fHello, 0) },
	"length 2 GiB":   func(*intruder) []byte { return append(head(fHello, 2<<30), make([]byte, 1<<20)...) },
	"length 2^63":    func(*intruder) []byte { return append(head(fHello, 1<<63), make([]byte, 1<<20)...) },
	"endless number": func(*intruder) []byte { return append([]byte{fHello}, slices.Repeat([]byte{0xff}, 100)...) },
	"two hellos": func(in *intruder) []byte {
		id := in.ticket.Key().ID()
		b := control(fHello, 1, id[:], make([]byte, 32))
		return append(b, b...)
	},
}

// Demands are what a client may not say after its proof.
var Demands = map[string]func(*intruder) []byte{
	"leaves behind the end": func(in *intruder) []byte { return control(fGetLeaves, len(in.leaves), 1) },
	"all leaves there are":  func(*intruder) []byte { return control(fGetLeaves, 1, uint64(1<<64-1)) },
	"no leaves":             func(*intruder) []byte { return control(fGetLeaves, 0, 0) },
	"a node of another":     func(*intruder) []byte { return control(fGetNodes, make([]byte, 36)) },
	"hello again":           func(*intruder) []byte { return control(fHello) },
	"a server's leaf":       func(in *intruder) []byte { return numbered(fLeaf, 0, in.leaves[0]) },
	"a server's bits":       func(*intruder) []byte { return control(fHave, 0, []byte{1}) },
	"a server's peers":      func(*intruder) []byte { return control(fPeers) },
	"length 2 GiB":          func(*intruder) []byte { return append(head(fGetLeaves, 2<<30), make([]byte, 1<<20)...) },
	"length 2^63":           func(*intruder) []byte { return append(head(fGetNodes, 1<<63), make([]byte, 1<<20)...) },
	"ten thousand ranges":   func(in *intruder) []byte { return slices.Repeat(control(fGetLeaves, 0, len(in.leaves)), 10000) },
}

// idle is how many streams are opened on which nothing is said, floodAtOnce how many opens are under way.
const (
	idle        = 10000
	floodAtOnce = 200
)

// ask attacks the ticket's peer: first everything that is over in a moment, each from a host of its own, then what
// is kept up until the process is killed.
func (in *intruder) ask() error {
	for name, say := range Hellos {
		if err := in.offend(name, say, false); err != nil {
			return err
		}
	}
	for name, say := range Demands {
		if err := in.offend(name, say, true); err != nil {
			return err
		}
	}
	if err := in.greedy(); err != nil {
		return err
	}
	hosts := make([]host.Host, 16) // more than there are places for handshakes
	for i := range hosts {
		h, err := in.connect()
		if err != nil {
			return err
		}
		hosts[i] = h
		go in.crawl(h)
	}
	opened := in.flood(hosts)
	silent := in.silent(200)
	in.say("flooded", map[string]any{"streams": opened, "connections": silent})
	return nil
}

// connect makes a host that is connected to the victim.
func (in *intruder) connect() (host.Host, error) {
	h, err := in.newHost()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return h, h.Connect(ctx, in.ticket.AddrInfo())
}

// offend says one thing and tells whether the victim ended the stream.
func (in *intruder) offend(name string, say func(*intruder) []byte, proven bool) error {
	h, err := in.connect()
	if err != nil {
		return err
	}
	defer h.Close()
	st, err := h.NewStream(context.Background(), in.ticket.Peer, blocksProtocol)
	if err != nil {
		return err
	}
	defer st.Reset()
	st.SetDeadline(time.Now().Add(8 * time.Second)) // before an honest handshake's time is over
	l := newLine(in, st)
	if proven {
		if err := l.enter(); err != nil {
			return err
		}
	}
	_, _ = st.Write(say(in)) // the stream may be gone before all was sent
	_, err = io.Copy(io.Discard, l.r)
	late, isTimeout := err.(net.Error)
	in.say("offended", map[string]any{"name": name, "proven": proven, "id": h.ID().String(),
		"ended": err != nil && (!isTimeout || !late.Timeout())})
	return nil
}

// greedy asks for everything and takes it back, without end, and never reads.
func (in *intruder) greedy() error {
	h, err := in.connect()
	if err != nil {
		return err
	}
	st, err := h.NewStream(context.Background(), in.ticket.Peer, blocksProtocol)
	if err != nil {
		return err
	}
	l := newLine(in, st)
	if err := l.enter(); err != nil {
		return err
	}
	b := slices.Concat(control(fGetLeaves, 0, len(in.leaves)), control(fCancel, 0, len(in.leaves)))
	go func() {
		for {
			if _, err := st.Write(b); err != nil {
				return
			}
		}
	}()
	return nil
}

// crawl begins handshakes and says a byte of each a second.
func (in *intruder) crawl(h host.Host) {
	id := in.ticket.Key().ID()
	hello := control(fHello, 1, id[:], make([]byte, 32))
	for range 20 {
		go func() {
			for {
				st, err := h.NewStream(context.Background(), in.ticket.Peer, blocksProtocol)
				if err != nil {
					return
				}
				for b := range slices.Chunk(hello, 1) {
					if _, err := st.Write(b); err != nil {
						break
					}
					time.Sleep(time.Second)
				}
				st.Reset()
			}
		}()
	}
}

// flood opens streams and says nothing on them, not even which protocol; the victim may refuse, or let them wait. It
// returns how many were opened.
func (in *intruder) flood(hosts []host.Host) int64 {
	var opened atomic.Int64
	var wg sync.WaitGroup
	for i := range floodAtOnce {
		h := hosts[i%len(hosts)]
		wg.Go(func() {
			for range idle / floodAtOnce {
				ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
				st, err := h.Network().NewStream(ctx, in.ticket.Peer)
				cancel()
				if err == nil {
					opened.Add(1)
					go hold(st)
				}
			}
		})
	}
	wg.Wait()
	return opened.Load()
}

// hold keeps a stream open until the other side ends it.
func hold(st network.Stream) {
	_, _ = io.Copy(io.Discard, st)
	st.Reset()
}

// silent opens connections and says nothing on them.
func (in *intruder) silent(n int) (opened int) {
	for _, a := range in.ticket.Addrs {
		to, err := manet.ToNetAddr(a)
		if err != nil || to.Network() != "tcp" {
			continue
		}
		for range n {
			c, err := net.DialTimeout("tcp", to.String(), time.Second)
			if err != nil {
				return opened
			}
			opened++
			go func() { _, _ = io.Copy(io.Discard, c) }()
		}
		return opened
	}
	return opened
}
