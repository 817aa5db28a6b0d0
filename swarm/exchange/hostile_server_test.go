package exchange

import (
	"context"
	"encoding/binary"
	"errors"
	"runtime"
	"testing"
	"time"

	"cairn/storage/block"
	"cairn/swarm/exchange/pb"
)

// frame makes any frame, right or wrong.
func frame(k kind, size uint64, index uint64, body []byte) []byte {
	b := binary.AppendUvarint([]byte{byte(k)}, size)
	if k == kindLeaf || k == kindNode {
		b = binary.AppendUvarint(b, index)
	}
	return append(b, body...)
}

// TestHostileServerLeaves: whatever a source that knows the ticket sends in the place of leaves 0 to 2, the client
// ends with the right error in bounded memory, and delivers nothing that is not in order.
func TestHostileServerLeaves(t *testing.T) {
	o := newObject(1, 3, 5000, 5000, 5000)
	leaf := func(i int) []byte { return frame(kindLeaf, 5000, uint64(i), o.blocks[o.leaves[i]]) }
	garbage := make([]byte, 5000)
	overlong := append([]byte{byte(kindLeaf)}, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01)
	for _, tc := range []struct {
		name string
		send [][]byte
		hang bool // keep the stream open afterwards
		want error
	}{
		{"wrong bytes", [][]byte{leaf(0), frame(kindLeaf, 5000, 1, garbage)}, false, block.ErrCorrupt},
		{"shorter", [][]byte{frame(kindLeaf, 4999, 0, o.blocks[o.leaves[0]][:4999])}, false, block.ErrCorrupt},
		{"longer", [][]byte{frame(kindLeaf, 5001, 0, append(garbage, 0))}, false, block.ErrCorrupt},
		{"empty", [][]byte{frame(kindLeaf, 0, 0, nil)}, false, block.ErrCorrupt},
		{"ends inside a leaf", [][]byte{leaf(0), leaf(1)[:3000]}, false, ErrLost},
		{"ends inside a header", [][]byte{leaf(0), leaf(1)[:2]}, false, ErrLost},
		{"ends between leaves", [][]byte{leaf(0)}, false, ErrLost},
		{"nothing", nil, false, ErrLost},
		{"unrequested index", [][]byte{leaf(2)}, true, ErrProtocol},
		{"index out of range", [][]byte{frame(kindLeaf, 10, 1<<40, garbage[:10])}, true, ErrProtocol},
		{"index 2^64-1", [][]byte{frame(kindLeaf, 10, 1<<64-1, garbage[:10])}, true, ErrProtocol},
		{"duplicate", [][]byte{leaf(0), leaf(0)}, true, ErrProtocol},
		{"backwards", [][]byte{leaf(0), leaf(2), leaf(1)}, true, ErrProtocol},
		{"just over the cap", [][]byte{frame(kindLeaf, block.MaxSize+1, 0, nil)}, true, ErrProtocol},
		{"2 GiB", [][]byte{frame(kindLeaf, 2<<30, 0, nil)}, true, ErrProtocol},
		{"2^63", [][]byte{frame(kindLeaf, 1<<63, 0, nil)}, true, ErrProtocol},
		{"2^64-1", [][]byte{frame(kindLeaf, 1<<64-1, 0, nil)}, true, ErrProtocol},
		{"overlong number", [][]byte{overlong}, true, ErrProtocol},
		{"number not in its shortest form", [][]byte{{byte(kindLeaf), 0x85, 0x00}}, true, ErrProtocol},
		{"unknown frame", [][]byte{{0x7f, 0}}, true, ErrProtocol},
		{"frame of a client", [][]byte{{byte(kindHello), 0}}, true, ErrProtocol},
		{"second accept", [][]byte{appendMessage(nil, kindAccept, &pb.Accept{Hmac: zero[:]})}, true, ErrProtocol},
		{"node", [][]byte{frame(kindNode, 3, 0, []byte("abc"))}, true, ErrProtocol},
		{"large message", [][]byte{frame(kindMissing, maxControl+1, 0, nil)}, true, ErrProtocol},
		{"unreadable message", [][]byte{frame(kindMissing, 3, 0, []byte{0xff, 0xff, 0xff})}, true, ErrProtocol},
		{"missing another", [][]byte{appendMessage(nil, kindMissing, &pb.Missing{Index: 1})}, true, ErrProtocol},
		{"missing node", [][]byte{appendMessage(nil, kindMissing, &pb.Missing{Node: true})}, true, ErrProtocol},
		{"stalls at once", nil, true, ErrStalled},
		{"stalls inside a leaf", [][]byte{leaf(0), leaf(1)[:3000]}, true, ErrStalled},
		{"refuses", [][]byte{appendMessage(nil, kindRefused, &pb.Refused{Reason: pb.Refused_EXPIRED})}, false, ErrExpired},
		{"refuses for a new reason", [][]byte{appendMessage(nil, kindRefused, &pb.Refused{Reason: 99})}, false, ErrFailed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := rawServer(t, o, nil, func(c *raw) {
				if readMessageOf(c, kindGetLeaves) != nil {
					return
				}
				for _, b := range tc.send {
					c.st.Write(b)
				}
				if tc.hang {
					c.rest()
				} else {
					c.st.CloseWrite()
					c.rest()
				}
			})
			pool := &Pool{}
			s := w.dial(t, ClientConfig{Pool: pool, Stall: stallFor(tc.want)})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			var got []int
			err := s.Leaves(t.Context(), once([2]int{0, 3}), o.check(&got))
			runtime.ReadMemStats(&after)
			if !errors.Is(err, tc.want) {
				t.Errorf("%v, want %v", err, tc.want)
			}
			for i, g := range got {
				if i != g {
					t.Errorf("delivered %v", got)
				}
			}
			if n := pool.InUse(); n != 0 {
				t.Errorf("%d bytes of buffers not released", n)
			}
			if grew := after.TotalAlloc - before.TotalAlloc; grew > 16<<20 {
				t.Errorf("allocated %d bytes", grew)
			}
			if err := s.Leaves(t.Context(), once([2]int{0, 1}), o.check(&got)); !errors.Is(err, ErrClosed) {
				t.Errorf("session can still be used: %v", err)
			}
		})
	}
}

// stallFor is short only for a test that waits for it, so that a busy machine is not taken for a stall.
func stallFor(want error) time.Duration {
	if want == ErrStalled {
		return 100 * time.Millisecond
	}
	return patience
}

func readMessageOf(c *raw, k kind) error {
	h, err := readHeader(c.r, toServer)
	if err != nil {
		return err
	}
	if h.kind != k {
		return errors.New("another message")
	}
	_, err = c.r.Discard(h.size)
	return err
}

// TestDrip: a source that sends a byte now and then has stalled, however long it goes on.
func TestDrip(t *testing.T) {
	o := newObject(1, 0, 50000)
	w := rawServer(t, o, nil, func(c *raw) {
		readMessageOf(c, kindGetLeaves)
		body := frame(kindLeaf, 50000, 0, o.blocks[o.leaves[0]])
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for _, b := range body {
			<-tick.C
			if _, err := c.st.Write([]byte{b}); err != nil {
				return
			}
		}
	})
	s := w.dial(t, ClientConfig{Stall: 200 * time.Millisecond})
	var got []int
	if err := s.Leaves(t.Context(), once([2]int{0, 1}), o.check(&got)); !errors.Is(err, ErrStalled) {
		t.Errorf("%v, want ErrStalled", err)
	}
}

func TestHostileServerNodes(t *testing.T) {
	o := newObject(1, 2, 10)
	node := func(i, as int) []byte {
		b := o.blocks[o.nodes[i]]
		return frame(kindNode, uint64(len(b)), uint64(as), b)
	}
	for _, tc := range []struct {
		name string
		send []byte
		want error
	}{
		{"wrong bytes", frame(kindNode, 3, 0, []byte("abc")), ErrProtocol},
		{"another node", node(1, 0), ErrProtocol},
		{"out of order", node(1, 1), ErrProtocol},
		{"leaf", frame(kindLeaf, 3, 0, []byte("abc")), ErrProtocol},
		{"2 GiB", frame(kindNode, 2<<30, 0, nil), ErrProtocol},
		{"missing leaf", appendMessage(nil, kindMissing, &pb.Missing{}), ErrProtocol},
		{"stall", nil, ErrStalled},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := rawServer(t, o, nil, func(c *raw) {
				readMessageOf(c, kindGetNodes)
				c.send(tc.send)
				c.rest()
			})
			s := w.dial(t, ClientConfig{Stall: stallFor(tc.want)})
			n := 0
			for b, err := range s.Nodes(t.Context(), o.nodes) {
				n++
				if !errors.Is(err, tc.want) {
					t.Errorf("%v, %v, want %v", b.CID, err, tc.want)
				}
			}
			if n != 1 {
				t.Errorf("%d results, want one error", n)
			}
		})
	}
}

func TestHostileHandshake(t *testing.T) {
	o := newObject(1, 0, 10)
	for name, alter := range map[string]func(*pb.Challenge, *pb.Accept){
		"wrong proof":     func(_ *pb.Challenge, a *pb.Accept) { a.Hmac[0]++ },
		"no proof":        func(_ *pb.Challenge, a *pb.Accept) { a.Hmac = nil },
		"short nonce":     func(c *pb.Challenge, _ *pb.Accept) { c.ServerNonce = c.ServerNonce[1:] },
		"other nonce":     func(c *pb.Challenge, _ *pb.Accept) { c.ServerNonce = append([]byte{1}, c.ServerNonce[1:]...) },
		"impossible size": func(_ *pb.Challenge, a *pb.Accept) { a.Size = 1 << 63 },
		"2^40 leaves":     func(_ *pb.Challenge, a *pb.Accept) { a.Leaves = 1 << 40 },
	} {
		w := rawServer(t, o, alter, nil)
		if _, err := Dial(t.Context(), w.ch, w.t, ClientConfig{}); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v, want ErrProtocol", name, err)
		}
	}
	// The client's own proof sent back to it is of the wrong role.
	w := rawServer(t, o, nil, nil)
	w.sh.SetStreamHandler(Protocol, reflect(t))
	if _, err := Dial(t.Context(), w.ch, w.t, ClientConfig{}); !errors.Is(err, ErrProtocol) {
		t.Errorf("reflected proof: %v, want ErrProtocol", err)
	}
}

func TestDialUnreachable(t *testing.T) {
	o := newObject(1, 0, 10)
	w := newWorld(t, o, overTCP, nil)
	w.sh.Close()
	_, err := Dial(t.Context(), w.ch, w.t, ClientConfig{Connect: 2 * time.Second})
	var u *UnreachableError
	if !errors.Is(err, ErrUnreachable) || !errors.As(err, &u) || len(u.Tried) == 0 {
		t.Errorf("%v, want ErrUnreachable that names what was tried", err)
	}
	own := w.t
	own.Peer = w.ch.ID()
	if _, err := Dial(t.Context(), w.ch, own, ClientConfig{}); !errors.Is(err, ErrUnreachable) {
		t.Errorf("%v, want ErrUnreachable", err)
	}
	// A peer that does not speak the protocol.
	other := w.t
	deaf := newHost(t, overTCP)
	other.Peer, other.Addrs = deaf.ID(), deaf.Addrs()
	if _, err := Dial(t.Context(), w.ch, other, ClientConfig{}); !errors.Is(err, ErrUnreachable) {
		t.Errorf("%v, want ErrUnreachable", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Dial(ctx, w.ch, w.t, ClientConfig{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want the context's error", err)
	}
}
