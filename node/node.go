// Package node is the composition root: it builds a peer from its parts and runs it.
//
// [New] takes the home's lock, opens keys, store and libp2p host, and starts nothing that serves; [Node.Run] serves
// until its context ends or the home is handed over, and owns every goroutine. A Node is the api.Peer that the HTTP
// API speaks to. The package is the only one that knows all others; nothing imports it but commands and tests.
//
// It promises that one process at a time uses a home, that whatever a method reports as done is synced, and that
// every error it returns is an *api.Error in words for a user.
package node

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"cairn/consensus/admission"
	"cairn/node/observe"
	"cairn/storage"
	"cairn/storage/vault"
	"cairn/swarm/exchange"
	"cairn/swarm/shape"
	"cairn/swarm/ticket"
	"cairn/swarm/transport"
	"cairn/web"
	"cairn/web/api"
	"cairn/web/certs"
	"cairn/web/dashboard"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"
)

var (
	errRevoked  = exchange.ErrRevoked
	errHandover = api.Errorf(api.CodeHandover, "the peer of this home is changing").WithHint("the command goes on with the next one")
)

// Node is one peer.
type Node struct {
	cfg     Config
	log     *slog.Logger
	now     func() time.Time
	started time.Time

	home      *home
	vault     *vault.Vault
	storeKeys *storage.Keys
	scrypt    int // scryptWork; less in tests
	store     *storage.Store
	host      host.Host // the door: for strangers
	identity  *identity
	changing  sync.Mutex           // held while the peer enters or leaves a network
	current   atomic.Pointer[seat] // in its network; nil: it is in none
	changed   atomic.Bool          // something of the network has, since it was last told

	hub       *hub
	lib       *library
	trees     *trees
	swarms    *swarms
	remotes   *remotes
	journal   *journal
	transfers *transfers
	server    *exchange.Server
	pool      *exchange.Pool
	meter     *exchange.Meter
	shape     *shape.Shaper // holds back what moves
	limits    *limits
	settings  *settings
	peers     *peerRates
	sessions  *web.Sessions
	tokens    *tokens
	audit     *audit
	signer    atomic.Value // of own's certificate: the text of a network's id, "" for this peer itself
	own       *certs.Own   // the dashboard's certificate by an authority of ours; nil: another kind or none
	web       *web.Server
	metrics   *observe.Metrics
	finder    *finder

	gate     *gate
	ready    chan struct{}
	handover chan struct{} // closed when the home shall be handed over
	handOnce sync.Once
	end      context.CancelFunc // ends work that is bound to the node's life
	life     <-chan struct{}
}

// New builds a peer in the order in which its parts need each other. On error everything opened before is closed.
// Errors are *api.Error.
func New(ctx context.Context, cfg Config) (_ *Node, err error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Mode == ModeCommand {
		cfg.HTTP = "" // it is gone before anyone could look at a page
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	n := &Node{cfg: cfg, log: cfg.Log, scrypt: scryptWork, now: cfg.Now, started: cfg.Now(), gate: newGate(), ready: make(chan struct{}), handover: make(chan struct{})}
	life, end := context.WithCancel(context.Background())
	n.end, n.life = end, life.Done()
	defer func() {
		if err != nil {
			n.close()
			err = explained(err)
			n.note("start", err)
		}
	}()

	if n.home, err = openHome(cfg.Home); err != nil {
		return nil, err
	}
	if n.vault, err = openVault(n.home.dir, cfg.Passphrase); err != nil {
		return nil, err
	}
	id, err := privateKey(n.vault, secretDoor)
	if err != nil {
		return nil, err
	}
	if n.store, n.storeKeys, err = openStore(n.home.dir, n.vault, cfg); err != nil {
		return nil, err
	}
	n.home.claim()
	if n.identity, err = newIdentity(n.vault); err != nil {
		return nil, err
	}
	if n.audit, err = openAudit(n.home.dir, fileSeal{n.vault}, auditLimits{cfg.AuditAge, cfg.AuditSize}, n.now, n.log.With("part", "audit")); err != nil {
		return nil, err
	}
	if n.tokens, err = openTokens(n.home.dir, fileSeal{n.vault}, n.now, n.log.With("part", "web")); err != nil {
		return nil, err
	}
	n.hub = newHub(n.now)
	n.shape = shape.New(n.now)
	n.settings = newSettings(cfg, n.tellStatus, n.audit.limit, n.log.With("part", "config"))
	n.limits = newLimits(n.home.dir, n.shape, n.log)
	n.transfers = newTransfers(n.hub, n.now, newID)
	if n.host, err = n.listen(transport.Config{Key: id, Gater: admission.NewDoorGate(n.now), Limits: cfg.Limits}, doorPorts, cfg.Listen, DefaultPort); err != nil {
		return nil, err
	}
	if n.lib, err = newLibrary(n.store, n.hub, n.now, n.self); err != nil {
		return nil, err
	}
	n.trees = newTrees(n.store, n.lib.sizeOf)
	n.pool, n.meter = &exchange.Pool{}, &exchange.Meter{}
	n.peers = newPeerRates(n.meter)
	n.swarms = newSwarms(n.lib, n.trees, n.store, n.now)
	n.remotes = newRemotes(n.connect, remoteIdle)
	n.journal = newJournal(n)
	ups := newUploads(n.lib, n.swarms, n.transfers)
	n.server, err = exchange.NewServer(exchange.ServerConfig{Rights: n.swarms, Content: n.swarms, Events: ups.events(), Pool: n.pool,
		Meter: n.meter, Shape: n.shape, Log: n.log.With("part", "exchange"), Now: n.now})
	if err != nil {
		return nil, err
	}
	ups.drop = n.server.DropSession
	n.finder = newFinder(n.host, n.log.With("part", "mdns"))
	n.finder.found = n.sighted
	n.metrics = observe.New(observe.Sources{Store: n.store.Stats, Exchange: n.server.Stats, Meter: n.meter.Total,
		Peers: n.countPeers, Transfers: n.transfers.active, Pool: n.pool.InUse}, cfg.Version)
	seat, err := n.newSeat()
	if err != nil {
		return nil, err
	}
	n.current.Store(seat)
	n.sessions = web.NewSessions(n.now)
	source, err := n.tlsSource()
	if err != nil {
		return nil, err
	}
	n.web, err = web.New(web.Config{TLS: source, Names: cfg.TLS.Names, Tokens: n.tokens, Audit: n.audited,
		Peer: n, Network: n, Keys: n, Settings: n.settings, Sessions: n.sessions, Home: n.home.dir, HTTP: cfg.HTTP, Dashboard: dashboard.FS(),
		Metrics: n.metrics.Handler(), Log: n.log.With("part", "web"), Now: n.now, Begin: n.request})
	if err != nil {
		return nil, err
	}
	if err := n.web.Listen(ctx); err != nil {
		return nil, err
	}
	return n, nil
}

// openStore opens the store below the home with the keys in the vault.
func openStore(dir string, v *vault.Vault, cfg Config) (*storage.Store, *storage.Keys, error) {
	k, err := storage.OpenKeys(storeEnvelope{v})
	if err != nil {
		return nil, nil, err
	}
	s, err := storage.Open(storage.Config{Dir: storeDir(dir), Keys: k, Reserve: cfg.Reserve, Log: cfg.Log.With("part", "storage")})
	return s, k, err
}

// self is a ticket that names this peer.
func (n *Node) self() ticket.Ticket {
	as := transport.Dialable(n.host)
	if len(as) > ticket.MaxAddrs {
		as = as[:ticket.MaxAddrs]
	}
	return ticket.Ticket{Peer: n.host.ID(), Addrs: as}
}

// Run serves until ctx ends or another process takes the home over; then it returns nil, with everything closed.
func (n *Node) Run(ctx context.Context) error {
	defer n.close()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	g, ctx := errgroup.WithContext(ctx)
	n.host.SetStreamHandler(exchange.Protocol, n.server.Handle)
	n.start(n.seat())
	g.Go(func() error { return n.web.Run(ctx) }) // it listens since New: who dials now is answered
	close(n.ready)
	g.Go(func() error { n.audit.run(ctx); return nil })
	g.Go(func() error { n.tick(ctx); return nil })
	if n.cfg.Mode == ModeUp {
		g.Go(func() error { n.journal.resume(ctx); return nil })
		g.Go(func() error { n.finishReseal(ctx); return nil })
	}
	if n.cfg.MDNS {
		g.Go(func() error { n.finder.run(ctx); return nil })
	}
	g.Go(func() error {
		select {
		case <-n.handover:
			n.log.Info("handing the home over")
		case <-ctx.Done():
		}
		n.end() // ends gets and watches, so that the web server's requests can finish
		stop()
		return nil
	})
	err := g.Wait()
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	err = explained(err)
	n.note("run", err)
	return err
}

// close ends the parts in the reverse of the order in which they need each other: strangers first (no new work from
// outside), then the store (so that nothing writes to it), and the lock last (so that the next process finds all
// of it closed).
func (n *Node) close() {
	n.end()
	if n.web != nil {
		if err := n.web.Close(); !errors.Is(err, net.ErrClosed) { // Run has closed what it served
			n.warn("close web server", err)
		}
	}
	if n.remotes != nil {
		n.remotes.close()
	}
	n.warn("leave the members", n.current.Swap(nil).close())
	if n.host != nil {
		n.host.RemoveStreamHandler(exchange.Protocol)
	}
	if n.server != nil {
		n.warn("close exchange", n.server.Close())
	}
	if n.swarms != nil {
		n.swarms.close()
	}
	if n.host != nil {
		n.warn("close host", n.host.Close())
	}
	if n.store != nil {
		n.warn("close store", n.store.Close())
	}
	if n.tokens != nil {
		n.warn("write uses of tokens", n.tokens.close())
	}
	if n.audit != nil { // after everybody who has something to say
		n.warn("close audit log", n.audit.close())
	}
	if n.vault != nil { // after those two, whose files are sealed with one of its keys
		n.vault.Close()
	}
	if n.home != nil {
		n.warn("release lock", n.home.close())
	}
}

func (n *Node) warn(what string, err error) {
	if err != nil {
		n.log.Warn(what, "err", err)
	}
}

// tick keeps rates and announces them once a second while anything changes.
func (n *Node) tick(ctx context.Context) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	swept := n.now()
	var last api.Rates
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		now := n.now()
		n.transfers.tick(now)
		n.staleConns()
		n.tickLimits(now)
		n.tokens.tick(now)
		if r := n.peers.tick(now); r != last {
			last = r
			n.hub.send(api.Event{Type: "rates", Rates: &r})
			n.hub.send(api.Event{Type: "peers", Peers: n.connected()})
		} else if n.peers.changed(n.hosts()) {
			n.hub.send(api.Event{Type: "peers", Peers: n.connected()})
		}
		n.tellNetwork()
		if now.Sub(swept) > sweepEvery {
			swept = now
			n.warn("sweep removed entries", n.lib.sweep(undoFor))
			n.swarms.sweep()
			n.warn("forget ended invites", n.sweepInvites(ctx))
		}
	}
}

// bound is ctx, ended early when the node ends.
func (n *Node) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-n.life:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// leaving tells whether the node is on its way out.
func (n *Node) leaving() bool {
	select {
	case <-n.life:
		return true
	default:
		return false
	}
}

// request counts the requests on the socket.
func (n *Node) request(local bool) func() {
	if !local {
		return func() {}
	}
	n.gate.enter()
	return n.gate.leave
}

// Ready is closed when the socket answers.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// Idle returns a channel that is closed as soon as no request is under way on the socket, which may be now.
func (n *Node) Idle() <-chan struct{} { return n.gate.wait() }

// InFlight is the number of requests under way on the socket.
func (n *Node) InFlight() int { return n.gate.count() }

// PeerID is this peer's id.
func (n *Node) PeerID() peer.ID { return n.host.ID() }

// Addresses are the multiaddrs under which others reach this peer, its id included.
func (n *Node) Addresses() []string {
	return addressesOf(n.host)
}

// explained is explain for return values: a nil *api.Error must not become a non-nil error.
func explained(err error) error {
	if err == nil {
		return nil
	}
	return explain(err)
}
