package admission

import (
	"errors"
	"log/slog"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
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
	What  string  // "joined", "refused", "renewed", "cut off", "clone"
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

// withDefaults checks a configuration and fills it in.
func (cfg Config) withDefaults() (Config, error) {
	switch {
	case cfg.Identity == nil || cfg.Book == nil || cfg.Gate == nil || cfg.Door == nil || cfg.Member == nil || cfg.Store == nil:
		return cfg, errors.New("one of Identity, Book, Gate, Door, Member and Store is missing")
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
	return cfg, nil
}
