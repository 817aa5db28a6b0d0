package admission

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"cairn/consensus/membership"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newKey(t testing.TB) crypto.PrivKey {
	t.Helper()
	k, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func idOf(t testing.TB, k crypto.PrivKey) peer.ID {
	t.Helper()
	id, err := peer.IDFromPrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func newHost(t testing.TB, key crypto.PrivKey, gate connmgr.ConnectionGater, more ...libp2p.Option) host.Host {
	t.Helper()
	opts := []libp2p.Option{
		libp2p.Identity(key), libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"),
		libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport()), libp2p.Security(libp2ptls.ID, libp2ptls.New),
		libp2p.DisableRelay(), libp2p.ForceReachabilityPrivate(), libp2p.ResourceManager(nil),
		libp2p.PrometheusRegisterer(prometheus.NewRegistry()), libp2p.DisableMetrics(),
	}
	if gate != nil {
		opts = append(opts, libp2p.ConnectionGater(gate))
	}
	h, err := libp2p.New(append(opts, more...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// memStore keeps records in memory.
type memStore struct {
	mu   sync.Mutex
	m    map[string][]byte
	hook func([]Record) error // asked by Put before anything is written
}

func (s *memStore) Put(_ context.Context, rs []Record) error {
	s.mu.Lock()
	hook := s.hook
	s.mu.Unlock()
	if hook != nil {
		if err := hook(rs); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil {
		s.m = map[string][]byte{}
	}
	for _, r := range rs {
		s.m[r.ID] = slices.Clone(r.Data)
	}
	return nil
}

func (s *memStore) Records() iter.Seq2[Record, error] {
	s.mu.Lock()
	m := maps.Clone(s.m)
	s.mu.Unlock()
	return func(yield func(Record, error) bool) {
		for id, b := range m {
			if !yield(Record{id, b}, nil) {
				return
			}
		}
	}
}

func (s *memStore) set(f func(*memStore)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

// realm is a network under test.
type realm struct {
	t       testing.TB
	root    crypto.PrivKey
	charter membership.Doc
	id      membership.NetworkID
	first   *member
}

func newRealm(t testing.TB) *realm {
	t.Helper()
	root, charter, err := membership.Found("realm", time.Now().Add(-time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	r := &realm{t: t, root: root, charter: charter, id: charter.Network()}
	key := newKey(t)
	id := idOf(t, key)
	r.first = r.member("first", key, r.must(membership.Delegate(root, r.id, id, true, time.Now())),
		r.must(membership.Certify(root, r.id, id, "first", membership.Terms{Role: membership.Admin}, time.Now(), membership.CertificateLife)))
	return r
}

func (r *realm) must(d membership.Doc, err error) membership.Doc {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}

// member is a peer under test.
type member struct {
	r            *realm
	name         string
	key, doorKey crypto.PrivKey
	id           peer.ID
	store        *memStore
	book         *membership.Book
	gate         *Gate
	door, host   host.Host
	s            *Service
	stop         func()
	now          func() time.Time
	tune         func(*Service)
	cfg          func(*Config)
	opts         []libp2p.Option // of the member host

	mu     sync.Mutex
	cloned [][]string
	skews  map[peer.ID]time.Duration
	audits []Audit
	news   chan struct{} // something has happened
}

// member makes a peer whose store holds documents; start starts it.
func (r *realm) member(name string, key crypto.PrivKey, docs ...membership.Doc) *member {
	m := &member{r: r, name: name, key: key, doorKey: newKey(r.t), id: idOf(r.t, key), store: &memStore{}, now: time.Now,
		skews: map[peer.ID]time.Duration{}, news: make(chan struct{}, 1)}
	m.store.Put(context.Background(), Records(append(docs, r.charter)...))
	return m
}

// certified makes a member with a certificate by the first, which knows it, and knows the first.
func (r *realm) certified(name string, role membership.Role) *member {
	r.t.Helper()
	key := newKey(r.t)
	cert := r.must(membership.Certify(r.first.key, r.id, idOf(r.t, key), name, membership.Terms{Role: role}, time.Now(), membership.CertificateLife))
	var docs []membership.Doc
	if r.first.book != nil {
		docs = r.first.book.Docs()
	} else {
		docs = r.first.documents()
	}
	return r.member(name, key, append(docs, cert)...)
}

func (m *member) start() *member {
	t := m.r.t
	t.Helper()
	var err error
	if m.book, err = membership.NewBook(m.r.charter); err != nil {
		t.Fatal(err)
	}
	m.gate = NewGate(m.now)
	if m.door == nil {
		m.door = newHost(t, m.doorKey, nil)
	}
	m.host = newHost(t, m.key, m.gate, m.opts...)
	cfg := Config{Identity: m.key, Book: m.book, Gate: m.gate, Door: m.door, Member: m.host, Store: m.store, Version: "test", Now: m.now,
		Events: Events{
			Changed:      m.poke,
			Connected:    func(peer.ID) { m.poke() },
			Disconnected: func(peer.ID) { m.poke() },
			Audit:        func(a Audit) { m.mu.Lock(); m.audits = append(m.audits, a); m.mu.Unlock(); m.poke() },
			Cloned: func(id peer.ID, where []string) {
				m.mu.Lock()
				m.cloned = append(m.cloned, append([]string{id.String()}, where...))
				m.mu.Unlock()
				m.poke()
			},
			Skew: func(id peer.ID, d time.Duration) { m.mu.Lock(); m.skews[id] = d; m.mu.Unlock(); m.poke() },
		}}
	if os.Getenv("ADMISSION_LOG") != "" {
		cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("at", m.name)
	}
	if m.cfg != nil {
		m.cfg(&cfg)
	}
	if m.s, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	if m.tune != nil {
		m.tune(m.s)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := m.s.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	stopped := false
	m.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		<-done
		m.host.Close()
		m.door.Close()
		m.door = nil
	}
	t.Cleanup(m.stop)
	eventually(t, m.name+" runs", 5*time.Second, func() bool { p := m.s.presenceOf(m.id); return p != nil && p.instance == m.s.instance })
	return m
}

func (m *member) poke() {
	select {
	case m.news <- struct{}{}:
	default:
	}
}

// documents are what its store holds.
func (m *member) documents() []membership.Doc {
	l, err := load(m.store)
	if err != nil {
		m.r.t.Fatal(err)
	}
	return l.docs
}

// knows gives a member what is needed to find another.
func (m *member) knows(o *member) {
	m.s.take(o.book.Docs(), nil)
	m.finds(o)
}

// finds tells a member where another is now. Hosts under test have other ports at every start.
func (m *member) finds(o *member) {
	m.r.t.Helper()
	p := o.s.presenceOf(o.id)
	if p == nil {
		m.r.t.Fatal(o.name + " has no presence yet")
	}
	m.s.takePresence(p, nil)
}

// eventually waits until a condition holds, looking again at every event of the members.
func eventually(t testing.TB, what string, within time.Duration, cond func() bool) {
	t.Helper()
	late := time.After(within)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("not within %v: %s", within, what)
		}
	}
}

func (m *member) connected(o *member) bool { return m.s.Connected(o.id) }

// waitConnected waits until all are connected with all.
func waitConnected(t testing.TB, ms ...*member) {
	t.Helper()
	for _, a := range ms {
		for _, b := range ms {
			if a != b {
				eventually(t, fmt.Sprintf("%s connected with %s", a.name, b.name), 20*time.Second, func() bool { return a.connected(b) })
			}
		}
	}
}

// invite makes an invite by an administrator whose contacts are some members.
func (m *member) invite(terms membership.InviteTerms, contacts ...*member) membership.Invite {
	t := m.r.t
	t.Helper()
	if terms.Role == 0 {
		terms.Role = membership.Member
	}
	if terms.Expires.IsZero() {
		terms.Expires = time.Now().Add(time.Hour)
	}
	if terms.Uses == 0 {
		terms.Uses = 1
	}
	var cs []membership.Contact
	for _, c := range contacts {
		cs = append(cs, membership.Contact{Door: c.door.ID(), Addrs: []ma.Multiaddr{c.door.Addrs()[0]}})
	}
	i, err := membership.NewInvite(m.key, m.r.charter, m.book.Chain(m.id), terms, cs, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// join joins with a new identity and makes a member of the answer, not started.
func (r *realm) join(ctx context.Context, i membership.Invite, name string, key crypto.PrivKey) (*member, error) {
	m := r.member(name, key)
	m.door = newHost(r.t, m.doorKey, nil)
	j, err := Join(ctx, JoinConfig{Door: m.door, Identity: key, Invite: i, Name: name})
	if err != nil {
		m.door.Close()
		return nil, err
	}
	return m, errors.Join(err, m.store.Put(ctx, j.Records()))
}
