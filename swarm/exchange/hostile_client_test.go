package exchange

import (
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"cairn/storage/block"
	"cairn/swarm/exchange/pb"
)

func leavesMessage(start, count uint64) []byte {
	return appendMessage(nil, kindGetLeaves, &pb.GetLeaves{Start: start, Count: count})
}

// TestHostileClient: whatever a client with a right sends, the server resets the session, counts it, and gives
// back what it held.
func TestHostileClient(t *testing.T) {
	o := newObject(1, 3, 10, 20, 30)
	outside := block.Sum(cid.DagProtobuf, []byte("of another object"))
	o.blocks[outside] = []byte("of another object") // in the store, but not under the root
	nodes := func(cs ...[]byte) []byte { return appendMessage(nil, kindGetNodes, &pb.GetNodes{Cids: cs}) }
	var many, ranges []byte
	for range 5000 {
		ranges = append(ranges, leavesMessage(0, 3)...)
	}
	for range 10 {
		cs := make([][]byte, maxBatch)
		for i := range cs {
			cs[i] = o.nodes[0].Bytes()
		}
		many = append(many, nodes(cs...)...)
	}
	big := make([][]byte, maxBatch+1)
	for i := range big {
		big[i] = o.nodes[0].Bytes()
	}
	for name, send := range map[string][]byte{
		"node outside of the root": nodes(outside.Bytes()),
		"leaf as a node":           nodes(o.leaves[0].Bytes()),
		"no nodes":                 nodes(),
		"empty CID":                nodes([]byte{}),
		"junk CID":                 nodes([]byte{1, 2, 3}),
		"long CID":                 nodes(make([]byte, 65)),
		"too many nodes":           nodes(big...),
		"too many node requests":   many,
		"range past the end":       leavesMessage(2, 2),
		"range behind the end":     leavesMessage(3, 1),
		"no leaves":                leavesMessage(0, 0),
		"overflow":                 leavesMessage(1, 1<<64-1),
		"huge start":               leavesMessage(1<<64-1, 2),
		"thousands of ranges":      ranges,
		"second hello":             appendMessage(nil, kindHello, &pb.Hello{}),
		"second proof":             appendMessage(nil, kindProof, &pb.Proof{}),
		"frame of a server":        frame(kindLeaf, 3, 0, []byte("abc")),
		"unknown frame":            {0x40, 0},
		"64 KiB and one":           frame(kindGetLeaves, maxControl+1, 0, nil),
		"2 GiB":                    frame(kindGetLeaves, 2<<30, 0, nil),
		"2^63":                     frame(kindGetNodes, 1<<63, 0, nil),
		"overlong number":          {byte(kindDone), 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0},
		"not the shortest form":    {byte(kindDone), 0x80, 0x00},
		"junk":                     frame(kindGetLeaves, 4, 0, []byte{0xff, 0xff, 0xff, 0xff}),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, o, overTCP, func(c *ServerConfig) { c.Content = slow{o, make(chan struct{})} })
			c := w.rawDial(t)
			c.enter(w.t)
			c.st.Write(send) // the server may be gone before all has been sent
			if b, reset := c.rest(); !reset || len(b) > 0 {
				t.Errorf("got %d bytes, reset %v", len(b), reset)
			}
			if err := <-w.ended; !errors.Is(err, ErrProtocol) {
				t.Errorf("ended with %v, want ErrProtocol", err)
			}
			if st := w.srv.Stats(); st.Violations != 1 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// TestHostileHello: before the proof, too, everything malformed is reset and nothing is kept.
func TestHostileHello(t *testing.T) {
	w := newWorld(t, newObject(1, 0, 10), overTCP, nil)
	id := w.t.Key().ID()
	for name, send := range map[string][]byte{
		"leaves first":  leavesMessage(0, 1),
		"proof first":   appendMessage(nil, kindProof, &pb.Proof{Hmac: zero[:]}),
		"done first":    appendMessage(nil, kindDone, &pb.Done{}),
		"length 0":      {byte(kindHello), 0},
		"2 GiB":         frame(kindHello, 2<<30, 0, nil),
		"2^63":          frame(kindHello, 1<<63, 0, nil),
		"overlong":      append([]byte{byte(kindHello)}, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1),
		"short id":      appendMessage(nil, kindHello, &pb.Hello{KeyId: id[:15], ClientNonce: zero[:]}),
		"long nonce":    appendMessage(nil, kindHello, &pb.Hello{KeyId: id[:], ClientNonce: make([]byte, 33)}),
		"junk":          frame(kindHello, 3, 0, []byte{0xff, 0xff, 0xff}),
		"hello twice":   append(appendMessage(nil, kindHello, &pb.Hello{KeyId: id[:], ClientNonce: zero[:]}), appendMessage(nil, kindHello, &pb.Hello{KeyId: id[:], ClientNonce: zero[:]})...),
		"proof too big": append(appendMessage(nil, kindHello, &pb.Hello{KeyId: id[:], ClientNonce: zero[:]}), appendMessage(nil, kindProof, &pb.Proof{Hmac: make([]byte, 31)})...),
	} {
		c := w.rawDial(t)
		c.send(send)
		if _, reset := c.rest(); !reset {
			t.Errorf("%s: not reset", name)
		}
	}
	if err := w.srv.Close(); err != nil {
		t.Fatal(err)
	}
	if st := w.srv.Stats(); st.Violations != 12 || st.Accepted != 0 || st.Handshakes != 0 || st.Sessions != 0 {
		t.Errorf("%+v", st)
	}
}

// TestDeadlines: a client that goes silent loses its session, wherever it stops.
func TestDeadlines(t *testing.T) {
	short := 50 * time.Millisecond
	o := newObject(1, 0, 10)
	for name, tc := range map[string]struct {
		tune  func(*Timeouts)
		speak func(*world, *raw)
		late  bool // after the handshake
	}{
		"says nothing":         {func(t *Timeouts) { t.Handshake = short }, func(w *world, c *raw) { c.send([]byte{byte(kindHello)}) }, false},
		"no proof":             {func(t *Timeouts) { t.Handshake = short }, func(w *world, c *raw) { c.hello(w.t.Key().ID()) }, false},
		"idle":                 {func(t *Timeouts) { t.Idle = short }, func(w *world, c *raw) { c.enter(w.t) }, true},
		"half a message":       {func(t *Timeouts) { t.Message = short }, func(w *world, c *raw) { c.enter(w.t); c.send(leavesMessage(0, 1)[:3]) }, true},
		"idle after something": {func(t *Timeouts) { t.Idle = short }, func(w *world, c *raw) { c.enter(w.t); c.send(leavesMessage(0, 1)) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, o, overTCP, func(c *ServerConfig) { tc.tune(&c.Timeouts) })
			c := w.rawDial(t)
			tc.speak(w, c)
			if _, reset := c.rest(); !reset {
				t.Error("not reset")
			}
			if tc.late {
				if err := <-w.ended; !errors.Is(err, ErrStalled) {
					t.Errorf("ended with %v, want ErrStalled", err)
				}
			}
		})
	}
}

// TestSlowConsumer: a client that asks for everything and reads nothing is cut off, and meanwhile holds no more
// than the read-ahead and the stream's window.
func TestSlowConsumer(t *testing.T) {
	sizes := make([]int, 40)
	for i := range sizes {
		sizes[i] = 1 << 20
	}
	for name, listen := range map[string]string{"tcp": overTCP, "quic": overQUIC} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, newObject(1, 0, sizes...), listen, func(c *ServerConfig) { c.Timeouts.Write = 300 * time.Millisecond })
			c := w.rawDial(t)
			c.enter(w.t)
			c.send(leavesMessage(0, 40))
			if err := <-w.ended; !errors.Is(err, ErrStalled) {
				t.Errorf("ended with %v, want ErrStalled", err)
			}
			w.o.mu.Lock()
			reads := w.o.reads
			w.o.mu.Unlock()
			if reads > 30 {
				t.Errorf("%d leaves were read for a client that reads nothing", reads)
			}
			io.Copy(io.Discard, c.r)
		})
	}
}

// TestPartedFrames: the bytes of messages may come in any portions.
func TestPartedFrames(t *testing.T) {
	w := newWorld(t, newObject(1, 0, 100, 200), overTCP, nil)
	c := w.rawDial(t)
	c.enter(w.t)
	for _, b := range leavesMessage(0, 2) {
		c.send([]byte{b})
	}
	for i, l := range w.o.leaves {
		want := frame(kindLeaf, uint64(len(w.o.blocks[l])), uint64(i), w.o.blocks[l])
		if !c.reads(want) {
			t.Errorf("leaf %d: other bytes than the protocol says", i)
		}
	}
	if n := binary.Size(struct{ A [maxHeader]byte }{}); n > headRoom {
		t.Errorf("headers of %d bytes do not fit", n)
	}
}
