package exchange

import (
	"errors"
	"sync"
	"testing"

	"github.com/libp2p/go-libp2p/core/peerstore"
)

func TestSessionLimits(t *testing.T) {
	w := newWorld(t, newObject(1, 0, 10), overTCP, func(c *ServerConfig) { c.Limits.Sessions, c.Limits.SessionsPerPeer = 3, 2 })
	w.dial(t, ClientConfig{})
	mine := w.dial(t, ClientConfig{})
	if _, err := Dial(t.Context(), w.ch, w.t, ClientConfig{}); !errors.Is(err, ErrBusy) {
		t.Errorf("third session of a peer: %v, want ErrBusy", err)
	}
	other := newHost(t)
	s, err := Dial(t.Context(), other, w.t, ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := Dial(t.Context(), newHost(t), w.t, ClientConfig{}); !errors.Is(err, ErrBusy) {
		t.Errorf("fourth session: %v, want ErrBusy", err)
	}
	mine.Close()
	<-w.ended
	if s, err := Dial(t.Context(), w.ch, w.t, ClientConfig{}); err != nil {
		t.Errorf("place was not given back: %v", err)
	} else {
		s.Close()
	}
}

// TestHandshakeLimits: streams that say nothing take places among the handshakes only, and those of one peer leave
// places for others.
func TestHandshakeLimits(t *testing.T) {
	w := newWorld(t, newObject(1, 0, 10), overTCP, func(c *ServerConfig) { c.Limits.Handshakes, c.Limits.HandshakesPeer = 3, 2 })
	id := w.t.Key().ID()
	w.rawDial(t).hello(id)
	w.rawDial(t).hello(id)
	c := w.rawDial(t)
	c.st.Write([]byte{byte(kindHello)})
	if _, reset := c.rest(); !reset {
		t.Error("third handshake of a peer was not turned away")
	}
	s, err := Dial(t.Context(), newHost(t), w.t, ClientConfig{})
	if err != nil {
		t.Fatalf("another peer: %v", err)
	}
	defer s.Close()
	if n := w.srv.Stats().Turned; n != 1 {
		t.Errorf("%d turned away, want 1", n)
	}
}

// TestReadAheadIsShared: many sessions that do not read share the memory for reading ahead; each still gets its
// turn.
func TestReadAheadIsShared(t *testing.T) {
	sizes := make([]int, 12)
	for i := range sizes {
		sizes[i] = 1 << 20
	}
	const sessions = 8
	pool := &Pool{}
	w := newWorld(t, newObject(1, 0, sizes...), overTCP, func(c *ServerConfig) {
		c.Pool, c.Limits.ReadAheadAll = pool, 4<<20
	})
	w.ch.Peerstore().AddAddrs(w.t.Peer, w.t.Addrs, peerstore.PermanentAddrTTL)
	var wg sync.WaitGroup
	var mu sync.Mutex
	most := int64(0)
	for range sessions {
		s := w.dial(t, ClientConfig{})
		wg.Go(func() {
			err := s.Leaves(t.Context(), every(12, 12), func(i int, b *Buf) error {
				b.Release()
				mu.Lock()
				defer mu.Unlock()
				most = max(most, pool.InUse())
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	// one leaf each, what is read ahead, and the small write buffers
	if limit := int64(sessions*(1<<20+headRoom+writeBuffer+headRoom) + 8<<20); most > limit {
		t.Errorf("%d bytes of buffers in use, at most %d were expected", most, limit)
	}
}
