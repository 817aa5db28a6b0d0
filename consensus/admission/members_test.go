package admission

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/metrics"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	ma "github.com/multiformats/go-multiaddr"

	"cairn/consensus/membership"
)

const testProtocol = "/test/1"

// crowd starts n members besides the first, all connected with all.
func (r *realm) crowd(n int, tune func(*member)) []*member {
	r.t.Helper()
	all := []*member{r.first}
	if tune != nil {
		tune(r.first)
	}
	r.first.start()
	for i := range n {
		m := r.certified(fmt.Sprint("m", i), membership.Member)
		if tune != nil {
			tune(m)
		}
		m.start().knows(r.first)
		all = append(all, m)
	}
	waitConnected(r.t, all...)
	return all
}

func TestTwentyPeersCutOneOff(t *testing.T) {
	r := newRealm(t)
	all := r.crowd(19, nil)
	by, lost := all[0], all[19]
	rev := r.must(membership.Revoke(by.key, r.id, lost.id, "lost", time.Now()))
	began := time.Now()
	done := make(chan int, 1)
	go func() {
		told, err := by.s.Publish(t.Context(), rev)
		if err != nil {
			t.Error(err)
		}
		done <- told
	}()
	for _, m := range all[:19] {
		eventually(t, m.name+" has cut it off", 5*time.Second, func() bool {
			return len(m.host.Network().ConnsToPeer(lost.id)) == 0 && !m.gate.Admits(lost.id)
		})
	}
	t.Logf("19 members have cut one off after %v", time.Since(began).Round(time.Millisecond))
	if told := <-done; told != 18 {
		t.Errorf("%d have confirmed, want 18", told)
	}
	eventually(t, "it knows", 5*time.Second, func() bool { return lost.s.Self().State == membership.StateRevoked })
}

func TestOpenStreamsOfARevokedMemberEnd(t *testing.T) {
	r := newRealm(t)
	all := r.crowd(1, nil)
	a, b := all[0], all[1]
	got := make(chan network.Stream, 1)
	a.s.Handle(testProtocol, func(st network.Stream) { got <- st })
	st, err := b.host.NewStream(t.Context(), a.id, testProtocol)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	theirs := <-got
	if err := b.door.Connect(t.Context(), peer.AddrInfo{ID: a.door.ID(), Addrs: a.door.Addrs()}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.s.Publish(t.Context(), r.must(membership.Revoke(r.root, r.id, b.id, "lost", time.Now()))); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for name, s := range map[string]network.Stream{"its own": st, "the other's": theirs} {
		s.SetReadDeadline(time.Now().Add(5 * time.Second))
		buf := make([]byte, 8)
		var err error
		for err == nil {
			_, err = s.Read(buf)
		}
		if errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) > 3*time.Second {
			t.Errorf("%s end of the stream lives on: %v", name, err)
		}
	}
	eventually(t, "the connections end, at the door too", 3*time.Second, func() bool {
		return len(a.host.Network().ConnsToPeer(b.id)) == 0 && len(a.door.Network().ConnsToPeer(b.door.ID())) == 0
	})
	if _, err := b.host.NewStream(network.WithNoDial(t.Context(), "test"), a.id, testProtocol); err == nil {
		t.Error("it opened another stream")
	}
}

func TestStreamsBeforeAdmissionWaitAndAreReset(t *testing.T) {
	r := newRealm(t)
	r.first.tune = func(s *Service) { s.t.lobby = 100 * time.Millisecond }
	a := r.first.start()
	called := make(chan struct{}, 1)
	a.s.Handle(testProtocol, func(st network.Stream) { called <- struct{}{}; st.Reset() })
	// A member whose program does not speak the members protocol.
	key := newKey(t)
	cert := r.must(membership.Certify(a.key, r.id, idOf(t, key), "mute", membership.Terms{Role: membership.Member}, time.Now(), time.Hour))
	a.s.take([]membership.Doc{cert}, nil)
	h := newHost(t, key, nil)
	if err := h.Connect(t.Context(), peer.AddrInfo{ID: a.id, Addrs: a.host.Addrs()}); err != nil {
		t.Fatal(err)
	}
	st, err := h.NewStream(t.Context(), a.id, testProtocol)
	if err != nil {
		t.Fatal(err)
	}
	st.SetDeadline(time.Now().Add(5 * time.Second))
	st.Write([]byte("x"))
	if _, err := st.Read(make([]byte, 1)); !errors.Is(err, network.ErrReset) {
		t.Errorf("the stream was not reset: %v", err)
	}
	select {
	case <-called:
		t.Error("the handler was called over a connection that is not admitted")
	default:
	}
}

func TestOverQUIC(t *testing.T) {
	r := newRealm(t)
	all := r.crowd(1, func(m *member) {
		m.opts = []libp2p.Option{libp2p.Transport(quic.NewTransport), libp2p.ListenAddrStrings("/ip4/127.0.0.1/udp/0/quic-v1")}
		m.cfg = func(c *Config) {
			h := c.Member
			c.MemberAddrs = func() []ma.Multiaddr {
				return slices.DeleteFunc(h.Addrs(), func(a ma.Multiaddr) bool { _, err := a.ValueForProtocol(ma.P_QUIC_V1); return err != nil })
			}
		}
	})
	a, b := all[0], all[1]
	for _, c := range a.host.Network().ConnsToPeer(b.id) {
		if _, err := c.RemoteMultiaddr().ValueForProtocol(ma.P_QUIC_V1); err != nil {
			t.Fatalf("connected over %s", c.RemoteMultiaddr())
		}
	}
	if _, err := a.s.Publish(t.Context(), r.must(membership.Revoke(a.key, r.id, b.id, "", time.Now()))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "b is cut off and knows why", 5*time.Second, func() bool {
		return len(a.host.Network().ConnsToPeer(b.id)) == 0 && b.s.Self().State == membership.StateRevoked
	})
}

func TestRestartIsNoCloneAndFindsItsWay(t *testing.T) {
	r := newRealm(t)
	all := r.crowd(2, func(m *member) { m.tune = hurried })
	b := all[1]
	b.stop()
	b.start() // on other ports, as another instance
	waitConnected(t, all...)
	later := time.Now().Add(2 * time.Second)
	eventually(t, "some heartbeats", 10*time.Second, func() bool { return time.Now().After(later) })
	for _, m := range all {
		m.mu.Lock()
		if len(m.cloned) > 0 {
			t.Errorf("%s takes a restart for a clone: %v", m.name, m.cloned)
		}
		m.mu.Unlock()
	}
}

// hurried makes a service's clock-work fast.
func hurried(s *Service) {
	s.t.heartbeat, s.t.answer, s.t.margin, s.t.silence = 300*time.Millisecond, 200*time.Millisecond, 200*time.Millisecond, 2*time.Second
	s.t.tick, s.t.pause = 50*time.Millisecond, 100*time.Millisecond
}

func TestClonesAreNoticedByAllThree(t *testing.T) {
	r := newRealm(t)
	all := r.crowd(2, func(m *member) { m.tune = hurried })
	a, b := all[0], all[1]
	twin := r.member("twin", b.key)
	twin.store.m = copyOf(b.store)
	twin.doorKey = b.doorKey
	twin.tune = hurried
	twin.start()
	for _, m := range []*member{a, b, twin} {
		eventually(t, m.name+" hears of the clone", 10*time.Second, func() bool {
			m.mu.Lock()
			defer m.mu.Unlock()
			return slices.ContainsFunc(m.cloned, func(c []string) bool { return c[0] == b.id.String() && len(c) == 3 })
		})
	}
}

func copyOf(s *memStore) map[string][]byte {
	out := map[string][]byte{}
	for r := range s.Records() {
		out[r.ID] = r.Data
	}
	return out
}

func TestLeave(t *testing.T) {
	r := newRealm(t)
	all := r.crowd(2, nil)
	a, b, c := all[0], all[1], all[2]
	told, err := b.s.Leave(t.Context(), "sold")
	if err != nil || told != 2 {
		t.Errorf("told %d, %v; want 2", told, err)
	}
	eventually(t, "b has no connections", 5*time.Second, func() bool { return len(b.host.Network().Conns()) == 0 })
	for _, m := range []*member{a, c} {
		if st := m.book.Peer(b.id, time.Now()).State; st != membership.StateLeft {
			t.Errorf("%s: state %v", m.name, st)
		}
	}
}

func TestMembersAdmittedApartTheEarlierStays(t *testing.T) {
	r := newRealm(t)
	a := r.first.start()
	b, c := r.certified("b", membership.Member).start(), r.certified("c", membership.Member).start()
	b.knows(a)
	c.knows(a)
	waitConnected(t, a, b, c)
	i := a.invite(membership.InviteTerms{}, b)
	a.stop()
	c.stop()
	x, err := r.join(t.Context(), i, "x", newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	x.start()
	waitConnected(t, b, x)
	x.stop()
	b.stop()
	c.now = func() time.Time { return time.Now().Add(2 * time.Second) } // documents count in whole seconds
	c.start()
	i.Contacts = a.inviteContacts(c)
	y, err := r.join(t.Context(), i, "y", newKey(t))
	if err != nil {
		t.Fatalf("c could not know: %v", err)
	}
	y.start()
	waitConnected(t, c, y)
	b.start().finds(c)
	waitConnected(t, b, c)
	for _, m := range []*member{b, c, y} {
		eventually(t, m.name+" knows that y came too late", 5*time.Second, func() bool {
			return m.book.Peer(y.id, time.Now().Add(5*time.Second)).State == membership.StateVoid
		})
	}
	eventually(t, "y is cut off", 5*time.Second, func() bool { return len(c.host.Network().ConnsToPeer(y.id)) == 0 })
	if st := c.book.Peer(x.id, time.Now()).State; st != membership.StateValid {
		t.Errorf("the earlier one: state %v", st)
	}
}

func TestRestartBetweenRedemptionAndAnswer(t *testing.T) {
	r := newRealm(t)
	a := r.first.start()
	i := a.invite(membership.InviteTerms{}, a)
	// From the redemption on nothing is written any more, as if the machine had gone down.
	var mu sync.Mutex
	var kept [][]byte
	down := false
	a.store.set(func(s *memStore) {
		s.hook = func(rs []Record) error {
			mu.Lock()
			defer mu.Unlock()
			if down {
				return errors.New("down")
			}
			if len(rs) == 1 && len(rs[0].ID) > len(redemptionPrefix) && rs[0].ID[:len(redemptionPrefix)] == redemptionPrefix {
				kept = append(kept, rs[0].Data)
				down = true
			}
			return nil
		}
	})
	key := newKey(t)
	if _, err := r.join(t.Context(), i, "x", key); !errors.Is(err, ErrFailed) {
		t.Fatalf("answered although nothing was kept: %v", err)
	}
	a.stop()
	a.store.set(func(s *memStore) { s.hook = nil })
	a.start()
	i.Contacts = a.inviteContacts(a)
	if _, err := r.join(t.Context(), i, "other", newKey(t)); !errors.Is(err, membership.ErrUsed) {
		t.Errorf("somebody else after the restart: %v", err)
	}
	x, err := r.join(t.Context(), i, "x", key)
	if err != nil {
		t.Fatalf("the winner's retry: %v", err)
	}
	x.start()
	waitConnected(t, a, x)
	if len(kept) != 1 {
		t.Errorf("%d redemptions were written", len(kept))
	}
}

// inviteContacts are the contacts of an invite at members.
func (m *member) inviteContacts(at ...*member) []membership.Contact {
	var out []membership.Contact
	for _, o := range at {
		out = append(out, membership.Contact{Door: o.door.ID(), Addrs: o.door.Addrs()[:1]})
	}
	return out
}

// TestIdleTraffic counts what ten members that have nothing to say put on the wire. Heartbeats are ten times as frequent as they are otherwise, so
// what is counted is divided by ten; what TLS, TCP and IP add to each message is added.
func TestIdleTraffic(t *testing.T) {
	const faster, perMessage = 10, 12 + 22 + 52 + 52 // yamux header, TLS record, TCP and IP headers of it and of its acknowledgement
	r := newRealm(t)
	counter := &counter{}
	all := r.crowd(9, func(m *member) {
		m.tune = func(s *Service) { s.t.heartbeat /= faster }
		if m == r.first {
			m.opts = []libp2p.Option{libp2p.BandwidthReporter(counter)}
		}
	})
	settled := time.Now().Add(5 * time.Second)
	eventually(t, "it is quiet", 10*time.Second, func() bool { return time.Now().After(settled) })
	before, began := counter.n.Load(), time.Now()
	until := began.Add(4 * time.Second)
	eventually(t, "some heartbeats", 10*time.Second, func() bool { return time.Now().After(until) })
	after := counter.n.Load()
	took := time.Since(began).Seconds()
	beats := took / defaultTiming().heartbeat.Seconds() * faster * float64(len(all)-1) * 2
	rate := (float64(after-before) + beats*perMessage) / took / faster
	t.Logf("idle: %.0f bytes a second", rate)
	if rate > 2000 {
		t.Errorf("%.0f bytes a second, at most 2000 are allowed", rate)
	}
}

// counter counts the bytes of streams.
type counter struct {
	metrics.Reporter // not asked
	n                atomic.Int64
}

func (*counter) LogSentMessage(int64) {}
func (*counter) LogRecvMessage(int64) {}

func (c *counter) LogSentMessageStream(n int64, p protocol.ID, _ peer.ID) { c.count(n, p) }
func (c *counter) LogRecvMessageStream(n int64, p protocol.ID, _ peer.ID) { c.count(n, p) }

func (c *counter) count(n int64, p protocol.ID) {
	if p == MembersProtocol {
		c.n.Add(n)
	}
}
