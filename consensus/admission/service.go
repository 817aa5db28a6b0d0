package admission

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"cairn/consensus/membership"
)

// Config is what a Service needs. Identity, Book, Gate, Door, Member and Store are required.
type Config struct {
	Identity crypto.PrivKey // of the member host
	Book     *membership.Book
	Gate     *Gate // that of the member host
	Door     host.Host
	Member   host.Host
	Store    Store

	Redemptions Redemptions // nil: this peer's own, in Store

	DoorAddrs   func() []ma.Multiaddr // where the hosts can be dialled; nil: what they say
	MemberAddrs func() []ma.Multiaddr
	Version     string // told to members, for people

	// Extra answers the part of a renewal that is not of this package, on an administrator; nil: with nothing. An error refuses the renewal.
	Extra func(ctx context.Context, from membership.Info, request []byte) ([]byte, error)
	// Ask makes the same part of the renewals that this peer asks for by itself, and Answered takes the answer; nil: none.
	Ask      func() []byte
	Answered func([]byte)

	Now    func() time.Time // the wall clock; nil: time.Now
	Log    *slog.Logger
	Events Events
}

// Events are called from goroutines of the Service; each may be nil, must be safe for concurrent use and return at once.
type Events struct {
	Changed      func() // documents or presences have come
	Connected    func(peer.ID)
	Disconnected func(peer.ID)
	Audit        func(Audit)
	// Cloned: two processes with the keys of one member are alive. where says how they are reached, as far as known.
	Cloned func(id peer.ID, where []string)
	// Skew: a member's clock is ahead of this one by d (behind, if negative), which is more than SkewTold.
	Skew func(id peer.ID, d time.Duration)
}

// Audit is something to be written down about who came in and who did not.
type Audit struct {
	Time  time.Time
	What  string  // "joined", "refused", "revoked", "renewed", "clone"
	Peer  peer.ID // whom it is about; "" if it did not say
	Addr  string  // observed
	Proto string  // protocol, "" for a connection
	Why   string  // in plain words
	More  int     // refusals that were not told since the one before, because they were too many
}

// timing holds the durations of the package, so that tests can change them.
type timing struct {
	admission time.Duration // a connection is admitted within this or closed
	lobby     time.Duration // a stream waits so long for that
	heartbeat time.Duration
	silence   time.Duration // a connection over which nothing comes is closed
	goodbye   time.Duration // what a revoked peer has to read why
	confirm   time.Duration // what Publish waits for confirmations
	tick      time.Duration // of the loop that keeps connected
	addrs     time.Duration // between looks at the own addresses
	firstWait time.Duration // the peer with the higher id waits so long before it dials
	pause     time.Duration // before the second try, doubled with each further one
	pauseMost time.Duration
	renew     time.Duration // between looks at the age of the own certificate
	answer    time.Duration // what a process that is asked whether it lives has to answer
	margin    time.Duration // by which two processes with one key must have lived side by side to count as clones
}

func defaultTiming() timing {
	return timing{
		admission: 10 * time.Second, lobby: 3 * time.Second, heartbeat: 15 * time.Second, silence: 45 * time.Second,
		goodbye: 500 * time.Millisecond, confirm: 5 * time.Second, tick: 500 * time.Millisecond, addrs: 3 * time.Second,
		firstWait: 300 * time.Millisecond, pause: time.Second, pauseMost: 2 * time.Minute, renew: time.Minute, answer: 5 * time.Second, margin: 5 * time.Second,
	}
}

// SkewTold is by how much clocks must differ before Events.Skew is called.
const SkewTold = 10 * time.Minute

// Service keeps a member in touch with the others.
type Service struct {
	cfg      Config
	self     peer.ID
	network  membership.NetworkID
	instance uint64
	started  time.Time
	t        timing
	keeper   *keeper
	redeems  Redemptions
	redeem   sync.Mutex // from a redemption until the book knows of it
	renewing sync.Mutex
	shakes   shakes
	lobby    lobby
	denials  denials
	floor    atomic.Int64 // Unix seconds; the present is not earlier
	life     atomic.Pointer[lifetime]
	leaving  atomic.Bool   // this peer is saying goodbye: it is not to cut itself off before it was heard
	stale    atomic.Bool   // the book has changed since the loop that keeps connected looked at it
	wake     chan struct{} // the loop that keeps connected shall look again; holds one

	mu            sync.Mutex
	links         map[network.Conn]*link
	presences     map[peer.ID]*presence
	presenceRates map[peer.ID]*bucket
	lastSeen      map[peer.ID]time.Time
	skews         map[peer.ID]time.Duration
	sightings     sightings
	cloned        map[peer.ID]time.Time // when it was told
	contacts      map[peer.ID]*contact
	known         map[membership.DocID]struct{} // documents that need not be looked at again
	acks          map[uint64]*waiter
	lastSeq       uint64
	renewTries    int
	renewNext     time.Time
	outspoken     time.Time // when this process last contradicted a presence of its own id
}

// lifetime is what goroutines are started in while Run runs.
type lifetime struct {
	ctx context.Context
	mu  sync.Mutex
	end bool
	wg  sync.WaitGroup
}

// New checks the configuration, reads what the store holds into the book, opens the gate for members and starts nothing.
func New(cfg Config) (*Service, error) {
	switch {
	case cfg.Identity == nil || cfg.Book == nil || cfg.Gate == nil || cfg.Door == nil || cfg.Member == nil || cfg.Store == nil:
		return nil, errors.New("new admission: Identity, Book, Gate, Door, Member and Store are required")
	case cfg.Now == nil:
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.DoorAddrs == nil {
		cfg.DoorAddrs = cfg.Door.Addrs
	}
	if cfg.MemberAddrs == nil {
		cfg.MemberAddrs = cfg.Member.Addrs
	}
	self, err := peer.IDFromPrivateKey(cfg.Identity)
	if err != nil {
		return nil, fmt.Errorf("new admission: %w", err)
	}
	if self != cfg.Member.ID() {
		return nil, errors.New("new admission: the member host has another key than Identity")
	}
	s := &Service{
		cfg: cfg, self: self, instance: newInstance(), started: cfg.Now(), t: defaultTiming(), keeper: newKeeper(cfg.Store), wake: make(chan struct{}, 1),
		links: map[network.Conn]*link{}, presences: map[peer.ID]*presence{}, presenceRates: map[peer.ID]*bucket{}, lastSeen: map[peer.ID]time.Time{}, skews: map[peer.ID]time.Duration{},
		sightings: sightings{}, cloned: map[peer.ID]time.Time{}, contacts: map[peer.ID]*contact{},
		known: map[membership.DocID]struct{}{}, acks: map[uint64]*waiter{},
	}
	s.network, _, _ = cfg.Book.Network()
	if err := s.load(); err != nil {
		return nil, fmt.Errorf("new admission: %w", err)
	}
	cfg.Gate.use(&judge{book: cfg.Book, now: s.time, refuse: func(id peer.ID, addr string) {
		s.refused(Audit{Peer: id, Addr: addr, Why: s.why(id)})
	}})
	return s, nil
}

// load brings book, presences and floor to where they were.
func (s *Service) load() error {
	l, err := load(s.cfg.Store)
	if err != nil {
		return err
	}
	own, err := newRedemptions(s.cfg.Store)
	if err != nil {
		return err
	}
	// The process may have ended between a redemption and its effect.
	if _, err := s.cfg.Book.Merge(append(l.docs, own.docs()...)...); err != nil {
		s.cfg.Log.Warn("some documents kept do not count", "err", err)
	}
	if s.redeems = s.cfg.Redemptions; s.redeems == nil {
		s.redeems = own
	}
	for _, b := range l.presences {
		p, err := parsePresence(b, s.network)
		if err != nil {
			s.cfg.Log.Warn("a presence kept can not be read", "err", err)
			continue
		}
		if o := s.presences[p.id]; o == nil || o.seq < p.seq {
			s.presences[p.id] = p
		}
	}
	for _, d := range s.cfg.Book.Docs() {
		s.known[d.ID()] = struct{}{}
	}
	s.raise(later(l.floor, s.cfg.Book.Floor()))
	s.sightings.saw(s.self, s.instance, "here", s.started, s.started)
	return nil
}

func newInstance() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint64(b[:]) | 1 // never 0, which is none
}

// time is the present for verdicts: the clock, but not before the floor.
func (s *Service) time() time.Time {
	return later(s.cfg.Now(), time.Unix(s.floor.Load(), 0))
}

// raise lifts the floor and tells whether it was lower.
func (s *Service) raise(t time.Time) bool {
	for {
		old := s.floor.Load()
		if t.IsZero() || t.Unix() <= old {
			return false
		}
		if s.floor.CompareAndSwap(old, t.Unix()) {
			return true
		}
	}
}

// Self is what the book says of this peer now.
func (s *Service) Self() membership.Info { return s.cfg.Book.Peer(s.self, s.time()) }

func (s *Service) party() party {
	return party{key: s.cfg.Identity, network: s.network, now: s.time}
}

// Run serves joins and hellos at the door, keeps connected with the members, and returns when ctx has ended and all of its goroutines
// have. It is called once.
func (s *Service) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	l := &lifetime{ctx: ctx}
	s.life.Store(l)
	// The keeper outlives the others, whose last words it writes.
	kept, end := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.keeper.run(kept, func(err error) { s.cfg.Log.Error("membership can not be written", "err", err) })
	}()
	s.cfg.Member.SetStreamHandler(MembersProtocol, s.served(s.serveMembers))
	s.Handle(RenewProtocol, s.served(s.serveRenew))
	s.cfg.Door.SetStreamHandler(JoinProtocol, s.served(s.serveJoin))
	s.cfg.Door.SetStreamHandler(HelloProtocol, s.served(s.serveHello))
	n := &network.NotifyBundle{ConnectedF: s.connected, DisconnectedF: s.disconnected}
	s.cfg.Member.Network().Notify(n)
	for _, c := range s.cfg.Member.Network().Conns() {
		s.connected(s.cfg.Member.Network(), c)
	}
	s.announce()
	s.keepConnected(ctx)

	s.cfg.Door.RemoveStreamHandler(JoinProtocol)
	s.cfg.Door.RemoveStreamHandler(HelloProtocol)
	s.cfg.Member.RemoveStreamHandler(RenewProtocol)
	s.cfg.Member.RemoveStreamHandler(MembersProtocol)
	s.cfg.Member.Network().StopNotify(n)
	s.closeLinks()
	l.mu.Lock()
	l.end = true
	l.mu.Unlock()
	l.wg.Wait()
	end()
	<-done
	return nil
}

// spawn runs f in a goroutine of Run's; false: Run has not begun or is over.
func (s *Service) spawn(f func(ctx context.Context)) bool {
	l := s.life.Load()
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.end {
		return false
	}
	l.wg.Go(func() { f(l.ctx) })
	return true
}

// served makes a stream handler whose calls Run waits for, and whose streams end with it.
func (s *Service) served(f func(context.Context, network.Stream)) network.StreamHandler {
	return func(st network.Stream) {
		done := make(chan struct{})
		if !s.spawn(func(ctx context.Context) {
			defer close(done)
			defer context.AfterFunc(ctx, func() { st.Reset() })()
			f(ctx, st)
		}) {
			st.Reset()
			return
		}
		<-done
	}
}

func (s *Service) changed() {
	if s.cfg.Events.Changed != nil {
		s.cfg.Events.Changed()
	}
	s.stale.Store(true)
	s.look()
}

// look makes the loop that keeps connected look again.
func (s *Service) look() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Now is the present for verdicts: the clock, but not before the time floor.
func (s *Service) Now() time.Time { return s.time() }
