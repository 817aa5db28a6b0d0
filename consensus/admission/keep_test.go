package admission

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"cairn/consensus/membership"
)

func TestNothingIsConfirmedBeforeItIsKept(t *testing.T) {
	r := newRealm(t)
	all := r.crowd(1, func(m *member) {
		m.tune = func(s *Service) { s.t.confirm = time.Second; s.keeper.retry = 50 * time.Millisecond }
	})
	a, b := all[0], all[1]
	broken := errors.New("disk is full")
	b.store.set(func(s *memStore) { s.hook = func([]Record) error { return broken } })
	id := idOf(t, newKey(t))
	cert := r.must(membership.Certify(a.key, r.id, id, "x", membership.Terms{Role: membership.Member}, time.Now(), time.Hour))
	if told, err := a.s.Publish(t.Context(), cert); err != nil || told != 0 {
		t.Errorf("told %d, %v; want 0: b can not keep it", told, err)
	}
	if !b.gate.Admits(id) {
		t.Error("it is not effective at b all the same")
	}
	b.store.set(func(s *memStore) { s.hook = nil })
	eventually(t, "b keeps it when it can", 5*time.Second, func() bool { _, ok := copyOf(b.store)[docID(cert)]; return ok })

	a.store.set(func(s *memStore) { s.hook = func([]Record) error { return broken } })
	rev := r.must(membership.Revoke(a.key, r.id, id, "", time.Now()))
	if _, err := a.s.Publish(t.Context(), rev); !errors.Is(err, broken) {
		t.Errorf("published although it could not be kept: %v", err)
	}
	if _, err := a.s.Publish(t.Context(), rev); !errors.Is(err, broken) {
		t.Errorf("published at the second try although it still could not be kept: %v", err)
	}
	a.store.set(func(s *memStore) { s.hook = nil })
	eventually(t, "b has cut it off all the same", 5*time.Second, func() bool { return !b.gate.Admits(id) })
}

func TestLongBooksMeet(t *testing.T) {
	r := newRealm(t)
	a, b := r.first.start(), r.certified("b", membership.Member).start()
	docs := func(m *member, n int) (out []membership.Doc) {
		for i := range n {
			out = append(out, r.must(membership.Certify(a.key, r.id, idOf(t, newKey(t)), fmt.Sprint(m.name, i), membership.Terms{Role: membership.Reader}, time.Now(), time.Hour)))
		}
		return out
	}
	a.s.take(docs(a, 600), nil) // more than one message holds
	b.s.take(docs(b, 10), nil)
	b.finds(a)
	waitConnected(t, a, b)
	eventually(t, "both books are the same", 10*time.Second, func() bool { return a.book.Digest() == b.book.Digest() })
	if n := len(b.book.Members(time.Now())); n != 612 {
		t.Errorf("%d members, want 612", n)
	}
	eventually(t, "all is kept", 5*time.Second, func() bool { return len(copyOf(b.store)) > 604 })
}

func TestNewAddressesAreToldAtOnce(t *testing.T) {
	r := newRealm(t)
	moved := ma.StringCast("/ip4/192.0.2.7/tcp/4749")
	var now atomic.Pointer[ma.Multiaddr]
	all := r.crowd(2, func(m *member) {
		m.tune = func(s *Service) { s.t.addrs = 20 * time.Millisecond; s.t.tick = 20 * time.Millisecond }
		m.cfg = func(c *Config) {
			h := c.Member
			c.MemberAddrs = func() []ma.Multiaddr {
				if a := now.Load(); a != nil && m.name == "m0" {
					return append([]ma.Multiaddr{*a}, h.Addrs()...)
				}
				return h.Addrs()
			}
		}
	})
	now.Store(&moved)
	for _, m := range []*member{all[0], all[2]} {
		eventually(t, m.name+" knows the new address", 5*time.Second, func() bool {
			for _, p := range m.s.Peers() {
				if p.ID == all[1].id {
					return len(p.Addrs) > 0 && p.Addrs[0].Equal(moved)
				}
			}
			return false
		})
	}
}

func TestPresencesCountByTheirSequence(t *testing.T) {
	r := newRealm(t)
	a := r.first.start()
	key, door := newKey(t), idOf(t, newKey(t))
	id := idOf(t, key)
	a.s.take([]membership.Doc{r.must(membership.Certify(a.key, r.id, id, "x", membership.Terms{Role: membership.Member}, time.Now(), time.Hour))}, nil)
	say := func(seq time.Duration, instance uint64) {
		p := &presence{id: id, instance: instance, door: door, seq: time.Now().Add(seq).UnixMilli()}
		if err := p.sign(key, r.id); err != nil {
			t.Fatal(err)
		}
		a.s.takePresence(p, nil)
	}
	for i, tt := range []struct {
		seq      time.Duration
		instance uint64
		want     uint64
	}{{0, 1, 1}, {time.Second, 2, 2}, {-time.Second, 3, 2}, {48 * time.Hour, 4, 2}, {2 * time.Second, 5, 5}} {
		if say(tt.seq, tt.instance); a.s.presenceOf(id).instance != tt.want {
			t.Errorf("step %d: instance %d counts, want %d", i, a.s.presenceOf(id).instance, tt.want)
		}
	}
	for i := range 1000 {
		say(time.Duration(3+i)*time.Second, uint64(10+i))
	}
	if got := a.s.presenceOf(id).instance; got > 10+presenceBurst+5 {
		t.Errorf("of 1,000 presences within a moment %d were taken", got-10)
	}
}
