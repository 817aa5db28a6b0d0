package exchange

import (
	"errors"
	"io"
	"runtime"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"cairn/storage/block"
	"cairn/swarm/exchange/pb"
)

func haveMessage(start uint64, bits ...byte) []byte {
	return appendMessage(nil, kindHave, &pb.Have{Start: start, Bits: bits})
}

func skippedMessage(start, count uint64) []byte {
	return appendMessage(nil, kindSkipped, &pb.Skipped{Start: start, Count: count})
}

// TestHostileSource: whatever a source that knows the ticket says besides leaves, the client ends with the right
// error in bounded memory. The client has asked for leaves 0 to 2 of 3 and, where it says so, cancelled 1 and 2 or
// said Swarm.
func TestHostileSource(t *testing.T) {
	o := newObject(1, 3, 5000, 5000, 5000)
	leaf := func(i int) []byte { return frame(kindLeaf, 5000, uint64(i), o.blocks[o.leaves[i]]) }
	other := "/ip4/127.0.0.1/tcp/1"
	met := func(n int) (b []byte) {
		for i := range n {
			b = appendMessage(b, kindPeers, peersOf(somePeer(byte(i+1)), other))
		}
		return b
	}
	own := func(self string) []byte { return appendMessage(nil, kindPeers, peersOf(self, other)) }
	crowd := &pb.Peers{}
	for i := range peersFrame + 1 {
		crowd.Peers = append(crowd.Peers, peersOf(somePeer(byte(i+1)), other).Peers...)
	}
	for _, tc := range []struct {
		name                   string
		partial, swarm, cancel bool
		send                   func(c *raw) []byte
		want                   error
	}{
		{"have beyond the object", true, false, false, func(*raw) []byte { return haveMessage(3, 1) }, ErrProtocol},
		{"have past the end", true, false, false, func(*raw) []byte { return haveMessage(0, 8) }, ErrProtocol},
		{"have 2^64-1", true, false, false, func(*raw) []byte { return haveMessage(1<<64-1, 1) }, ErrProtocol},
		{"have with a byte too many", true, false, false, func(*raw) []byte { return haveMessage(0, 1, 0) }, ErrProtocol},
		{"have of nothing", true, false, false, func(*raw) []byte { return haveMessage(0) }, ErrProtocol},
		{"have without a bit", true, false, false, func(*raw) []byte { return haveMessage(0, 0) }, ErrProtocol},
		{"have of 32 KiB and one", true, false, false, func(*raw) []byte { return haveMessage(0, make([]byte, maxBits+1)...) }, ErrProtocol},
		{"have of a complete source", false, false, false, func(*raw) []byte { return haveMessage(0, 1) }, ErrProtocol},
		{"have again", true, false, false, func(*raw) []byte { return slices.Concat(haveMessage(0, 7), haveMessage(1, 3)) }, ErrStalled},
		{"have again and again", true, false, false, func(*raw) []byte { return slices.Repeat(haveMessage(0, 7), 3) }, ErrProtocol},
		{"have that can not be read", true, false, false, func(*raw) []byte { return frame(kindHave, 2, 0, []byte{0xff, 0xff}) }, ErrProtocol},
		{"have of 2 GiB", true, false, false, func(*raw) []byte { return frame(kindHave, 2<<30, 0, nil) }, ErrProtocol},
		{"have of 2^63", true, false, false, func(*raw) []byte { return frame(kindHave, 1<<63, 0, nil) }, ErrProtocol},
		{"have of overlong length", true, false, false, func(*raw) []byte { return []byte{byte(kindHave), 0x85, 0} }, ErrProtocol},
		{"have of length 0", true, false, false, func(*raw) []byte { return []byte{byte(kindHave), 0} }, ErrProtocol},
		{"skipped, not cancelled", false, false, false, func(*raw) []byte { return skippedMessage(0, 1) }, ErrProtocol},
		{"skipped before the leaf", false, false, true, func(*raw) []byte { return skippedMessage(1, 2) }, ErrProtocol},
		{"skipped more", false, false, true, func(*raw) []byte { return slices.Concat(leaf(0), skippedMessage(1, 3)) }, ErrProtocol},
		{"skipped out of order", false, false, true, func(*raw) []byte { return slices.Concat(leaf(0), skippedMessage(2, 1)) }, ErrProtocol},
		{"skipped twice", false, false, true, func(*raw) []byte { return slices.Concat(leaf(0), skippedMessage(1, 1), skippedMessage(1, 1)) }, ErrProtocol},
		{"skipped none", false, false, true, func(*raw) []byte { return slices.Concat(leaf(0), skippedMessage(1, 0)) }, ErrProtocol},
		{"skipped 2^64-1", false, false, true, func(*raw) []byte { return slices.Concat(leaf(0), skippedMessage(1, 1<<64-1)) }, ErrProtocol},
		{"skipped and sent", false, false, true, func(*raw) []byte { return slices.Concat(leaf(0), skippedMessage(1, 2), leaf(1)) }, ErrProtocol},
		{"skipped half", false, false, true, func(*raw) []byte { return slices.Concat(leaf(0), skippedMessage(1, 1)) }, ErrStalled},
		{"large skipped", false, false, true, func(*raw) []byte { return frame(kindSkipped, maxSmall+1, 0, nil) }, ErrProtocol},
		{"peers to one who did not ask", false, false, false, func(*raw) []byte { return met(1) }, ErrProtocol},
		{"peers", false, true, false, func(*raw) []byte { return met(peersAll) }, ErrStalled},
		{"too many peers", false, true, false, func(*raw) []byte { return met(peersAll + 1) }, ErrProtocol},
		{"too many peers at a time", false, true, false, func(*raw) []byte { return appendMessage(nil, kindPeers, crowd) }, ErrProtocol},
		{"nobody", false, true, false, func(*raw) []byte { return appendMessage(nil, kindPeers, &pb.Peers{}) }, ErrProtocol},
		{"own id", false, true, false, func(c *raw) []byte { return own(c.st.Conn().RemotePeer().String()) }, ErrProtocol},
		{"the source", false, true, false, func(c *raw) []byte { return own(c.st.Conn().LocalPeer().String()) }, ErrProtocol},
		{"large peers", false, true, false, func(*raw) []byte { return frame(kindPeers, maxPeers+1, 0, nil) }, ErrProtocol},
		{"peers of 2^63", false, true, false, func(*raw) []byte { return frame(kindPeers, 1<<63, 0, nil) }, ErrProtocol},
		{"peers that can not be read", false, true, false, func(*raw) []byte { return frame(kindPeers, 2, 0, []byte{0xff, 0xff}) }, ErrProtocol},
		{"acked", false, false, false, func(*raw) []byte { return appendMessage(nil, kindAcked, &pb.Acked{}) }, ErrProtocol},
		{"too many leaves", false, false, false, func(*raw) []byte { return slices.Concat(leaf(0), leaf(1), leaf(2), leaf(0)) }, ErrProtocol},
		{"a cancel", false, false, false, func(*raw) []byte { return appendMessage(nil, kindCancel, &pb.Cancel{Count: 1}) }, ErrProtocol},
		{"a swarm", false, false, false, func(*raw) []byte { return []byte{byte(kindSwarm), 0} }, ErrProtocol},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := rawServer(t, o, func(_ *pb.Challenge, a *pb.Accept) { a.Partial = tc.partial }, func(c *raw) {
				wait := []kind{kindGetLeaves}
				if tc.swarm {
					wait = append(wait, kindSwarm)
				}
				if tc.cancel {
					wait = append(wait, kindCancel)
				}
				for _, k := range wait {
					if readMessageOf(c, k) != nil {
						return
					}
				}
				c.st.Write(tc.send(c))
				c.rest()
			})
			pool := &Pool{}
			s := w.dial(t, ClientConfig{Pool: pool, Stall: stallFor(tc.want)})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if err := s.Request(0, 3); err != nil {
				t.Fatal(err)
			}
			if tc.swarm {
				s.Swarm()
			}
			if tc.cancel {
				s.Cancel(1, 2)
			}
			err := s.Run(t.Context(), Handler{Leaf: func(i int, b *Buf) error {
				defer b.Release()
				return block.Verify(o.leaves[i], b.Bytes())
			}})
			runtime.ReadMemStats(&after)
			if !errors.Is(err, tc.want) {
				t.Errorf("%v, want %v", err, tc.want)
			}
			if n := pool.InUse(); n != 0 {
				t.Errorf("%d bytes of buffers not released", n)
			}
			if grew := after.TotalAlloc - before.TotalAlloc; grew > 16<<20 {
				t.Errorf("allocated %d bytes", grew)
			}
		})
	}
}

// TestAsidesAreNoProgress: a source that only talks has stalled; one that is asked for nothing has not.
func TestAsidesAreNoProgress(t *testing.T) {
	o := newObject(1, 0, make([]int, 5000)...)
	for _, asks := range []bool{true, false} {
		w := rawServer(t, o, func(_ *pb.Challenge, a *pb.Accept) { a.Partial = true }, func(c *raw) {
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for i := range uint64(120) {
				<-tick.C
				if _, err := c.st.Write(haveMessage(i, 1)); err != nil {
					return
				}
			}
			c.st.CloseWrite()
			c.rest()
		})
		s := w.dial(t, ClientConfig{Stall: 200 * time.Millisecond})
		want := ErrLost
		if asks {
			want = ErrStalled
			if err := s.Request(0, 1); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Run(t.Context(), Handler{}); !errors.Is(err, want) {
			t.Errorf("asks %v: %v, want %v", asks, err, want)
		}
	}
}

// TestEarlyHavesAreBounded: what a source says before Run is kept, up to a point, in few words as in many.
func TestEarlyHavesAreBounded(t *testing.T) {
	for _, size := range []uint64{maxBits, 1} {
		w := rawServer(t, newObject(1, 0, 10), func(_ *pb.Challenge, a *pb.Accept) { a.Partial, a.Leaves = true, 1<<30 }, func(c *raw) {
			readMessageOf(c, kindGetNodes)
			bits := make([]byte, size)
			bits[0] = 1
			var out []byte
			for i := range 2 * maxEarly / (size + asideCost) {
				out = append(out, haveMessage(i*size*8, bits...)...)
				if len(out) < 64<<10 {
					continue
				}
				if _, err := c.st.Write(out); err != nil {
					return
				}
				out = out[:0]
			}
			c.rest()
		})
		s := w.dial(t, ClientConfig{})
		for _, err := range s.Nodes(t.Context(), w.o.nodes) {
			if !errors.Is(err, ErrProtocol) {
				t.Errorf("bits of %d bytes: %v, want ErrProtocol", size, err)
			}
		}
	}
}

// TestHostileSwarm: the messages of the swarm, out of place or malformed, end a client's session at the server.
func TestHostileSwarm(t *testing.T) {
	o := newObject(1, 3, 10, 20, 30)
	cancel := func(start, count uint64) []byte {
		return appendMessage(nil, kindCancel, &pb.Cancel{Start: start, Count: count})
	}
	swarm := func(tcp, udp uint32) []byte { return appendMessage(nil, kindSwarm, &pb.Swarm{Tcp: tcp, Udp: udp}) }
	for name, send := range map[string][]byte{
		"cancel of none":        cancel(0, 0),
		"cancel past the end":   cancel(2, 2),
		"cancel behind the end": cancel(3, 1),
		"cancel 2^64-1":         cancel(1, 1<<64-1),
		"cancel that is junk":   frame(kindCancel, 2, 0, []byte{0xff, 0xff}),
		"large cancel":          frame(kindCancel, maxSmall+1, 0, nil),
		"cancel of length 0":    {byte(kindCancel), 0},
		"swarm twice":           slices.Concat(swarm(1, 2), swarm(1, 2)),
		"port 65536":            swarm(65536, 0),
		"port 2^32-1":           swarm(0, 1<<32-1),
		"swarm that is junk":    frame(kindSwarm, 2, 0, []byte{0xff, 0xff}),
		"large swarm":           frame(kindSwarm, maxSmall+1, 0, nil),
		"short id":              appendMessage(nil, kindDone, &pb.Done{Id: make([]byte, 15)}),
		"long id":               appendMessage(nil, kindDone, &pb.Done{Id: make([]byte, 17)}),
		"have":                  haveMessage(0, 1),
		"peers":                 appendMessage(nil, kindPeers, peersOf(somePeer(1), "/ip4/127.0.0.1/tcp/1")),
		"skipped":               skippedMessage(0, 1),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, o, overTCP, func(c *ServerConfig) { c.Content = slow{o, make(chan struct{})} })
			c := w.rawDial(t)
			c.enter(w.t)
			c.st.Write(send)
			if b, reset := c.rest(); !reset || len(b) > 0 {
				t.Errorf("got %d bytes, reset %v", len(b), reset)
			}
			if err := <-w.ended; !errors.Is(err, ErrProtocol) {
				t.Errorf("ended with %v, want ErrProtocol", err)
			}
		})
	}
	w := newWorld(t, o, overTCP, nil)
	for name, m := range map[kind]proto.Message{kindCancel: &pb.Cancel{Count: 1}, kindSwarm: &pb.Swarm{}} {
		c := w.rawDial(t)
		c.message(name, m)
		if _, reset := c.rest(); !reset {
			t.Errorf("%#x before the handshake: not reset", byte(name))
		}
	}
}

// TestCancelsAreBounded: neither asking and cancelling in turn nor cutting a request into pieces makes the queue
// longer than it may be.
func TestCancelsAreBounded(t *testing.T) {
	l := Limits{}.withDefaults()
	cancel := func(td *todo, i int) error { _, err := td.cancel(i*2, 1); return err }
	for name, step := range map[string]func(*todo, int) error{
		"in turn": func(td *todo, i int) error {
			return errors.Join(td.push(request{kind: kindGetLeaves, start: i * 2, count: 1}), cancel(td, i))
		},
		"pieces": cancel,
	} {
		td := newTodo(l)
		td.push(request{kind: kindGetLeaves, start: 0, count: 1 << 20})
		var err error
		for i := 0; i < 10000 && err == nil; i++ {
			err = step(td, i)
		}
		if !errors.Is(err, ErrProtocol) || len(td.q) > l.Ranges+2 {
			t.Errorf("%s: %d pieces, %v", name, len(td.q), err)
		}
	}
}

// TestManyStreams: ten thousand streams on which nothing is said take no more than their places among the
// handshakes, and a good client still gets in.
func TestManyStreams(t *testing.T) {
	w := newWorld(t, newObject(1, 0, 10), overTCP, nil)
	w.ch.Peerstore().AddAddrs(w.t.Peer, w.t.Addrs, time.Hour)
	opened := 0
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range 10000 {
		st, err := w.ch.NewStream(t.Context(), w.t.Peer, Protocol)
		if err != nil {
			continue // the host has limits of its own
		}
		opened++
		st.Write([]byte{byte(kindHello)})
	}
	s := w.dialFrom(t, newHost(t), ClientConfig{})
	var got []int
	if err := s.Leaves(t.Context(), once([2]int{0, 1}), w.o.check(&got)); err != nil {
		t.Error(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if st := w.srv.Stats(); st.Handshakes > 8 || st.Sessions != 1 {
		t.Errorf("%d streams opened: %+v", opened, st)
	}
	if after.HeapInuse > before.HeapInuse+(64<<20) {
		t.Errorf("%d streams take %d bytes", opened, after.HeapInuse-before.HeapInuse)
	}
}

// TestDoneWhileRunning: the answer comes to Done whoever reads, the server learns the id, and a second session of a
// peer is not mixed up with the first.
func TestDoneWhileRunning(t *testing.T) {
	infos := make(chan SessionInfo, 4)
	gate := make(chan struct{})
	w := newWorld(t, newObject(1, 0, mixed(20)...), overTCP, func(c *ServerConfig) {
		c.Events.Done = func(i SessionInfo) error { infos <- i; <-gate; return nil }
	})
	const stall = 400 * time.Millisecond
	s := w.dial(t, ClientConfig{Stall: stall})
	var got []int
	if err := s.Leaves(t.Context(), every(20, 20), w.o.check(&got)); err != nil {
		t.Fatal(err)
	}
	result := make(chan error)
	go func() { result <- s.Done(t.Context(), testID) }()
	if i := <-infos; i.Download != testID || !i.Done {
		t.Errorf("%+v", i)
	}
	time.AfterFunc(2*stall, func() { close(gate) }) // recording may take longer than a leaf
	if err := <-result; err != nil {
		t.Error(err)
	}
	if err := s.Done(t.Context(), [16]byte{9}); err != nil {
		t.Error(err)
	}
	if i := w.srv.Sessions()[0]; i.Download != testID {
		t.Errorf("%+v", i)
	}
	if err := s.Leaves(t.Context(), every(20, 20), w.o.check(&got)); err != nil {
		t.Error(err)
	}
	s.Close()
	if err := <-w.ended; err != nil {
		t.Errorf("ended with %v", err)
	}
	if err := s.Done(t.Context(), testID); !errors.Is(err, ErrClosed) {
		t.Errorf("%v, want ErrClosed", err)
	}
	<-s.ended // Run has the reader until then
	if _, err := s.r.ReadByte(); err == nil || errors.Is(err, io.ErrNoProgress) {
		t.Error("the stream is still open")
	}
}
