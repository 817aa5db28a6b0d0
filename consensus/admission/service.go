package admission

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"cairn/consensus/membership"
)

// Service keeps a member in touch with the others.
type Service struct {
	cfg      Config
	self     peer.ID
	network  membership.NetworkID
	instance uint64
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
	presenceSums  map[[32]byte]struct{} // of the envelopes in presences
	presenceRates map[peer.ID]*bucket
	doorsCut      map[peer.ID]bool // whose door's connections were ended with the membership
	lastSeen      map[peer.ID]time.Time
	skews         map[peer.ID]time.Duration
	sightings     sightings
	cloned        map[peer.ID]time.Time // when it was told
	contacts      map[peer.ID]*contact
	known         map[membership.DocID]struct{} // documents that need not be looked at again
	acks          map[uint64]*waiter
	lastSeq       uint64
	beaten        time.Time           // when the last heartbeats were sent
	renewRates    map[peer.ID]*bucket // of members that ask this peer
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
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("new admission: %w", err)
	}
	self, err := peer.IDFromPrivateKey(cfg.Identity)
	if err != nil {
		return nil, fmt.Errorf("new admission: %w", err)
	}
	if self != cfg.Member.ID() {
		return nil, errors.New("new admission: the member host has another key than Identity")
	}
	s := &Service{
		cfg: cfg, self: self, instance: newInstance(), t: defaultTiming(), keeper: newKeeper(cfg.Store), wake: make(chan struct{}, 1),
		links: map[network.Conn]*link{}, presences: map[peer.ID]*presence{}, presenceRates: map[peer.ID]*bucket{}, presenceSums: map[[32]byte]struct{}{}, renewRates: map[peer.ID]*bucket{}, doorsCut: map[peer.ID]bool{}, lastSeen: map[peer.ID]time.Time{}, skews: map[peer.ID]time.Duration{},
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
			s.put(p)
		}
	}
	docs := s.cfg.Book.Docs()
	s.know(docs)
	s.raise(later(l.floor, floorOf(docs)))
	s.sightings.saw(s.self, s.instance, "here", time.Now(), time.Now())
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
