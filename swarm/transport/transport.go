// Package transport builds the libp2p host through which peers reach each other: TCP and QUIC, TLS 1.3 before
// Noise, a muxer and dial order tuned for moving bytes, and explicit limits on everything a stranger can open.
//
// It promises that the host answers on every address it was asked to listen on (or [New] fails and says which
// one), that nobody else's process shares its TCP ports, and that apart from identify and ping it serves no
// protocol: no relay, no AutoNAT, no hole punching, no DHT. It registers no metrics. It does not decide who may
// connect (see Config.Gater) and knows none of the protocols spoken over it.
//
// Goroutines belong to the host and end with its Close.
package transport

import (
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	netconnmgr "github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/prometheus/client_golang/prometheus"
)

// DefaultPort is the port of TCP and QUIC unless another is asked for.
const DefaultPort = 4748

// UserAgent is what identify tells other peers; it names no version.
const UserAgent = "cairn"

// ErrListen: an address could not be listened on.
var ErrListen = errors.New("can not listen")

// Config is what a host needs. Key is required.
type Config struct {
	Key crypto.PrivKey // Ed25519

	// Listen is where to listen; nil means ListenOn(DefaultPort). With NoListen the host only dials. Addresses
	// with port 0 all get the same free port.
	Listen   []ma.Multiaddr
	NoListen bool

	Limits Limits                  // zero fields mean the default
	Gater  connmgr.ConnectionGater // optional
}

// New builds and starts a host. The caller closes it.
func New(cfg Config) (host.Host, error) {
	if cfg.Key == nil {
		return nil, errors.New("new host: an identity key is required")
	}
	lim := cfg.Limits.withDefaults()
	rm, err := lim.manager()
	if err != nil {
		return nil, fmt.Errorf("new host: %w", err)
	}
	cm, err := netconnmgr.NewConnManager(lim.ConnsLow, lim.ConnsHigh, netconnmgr.WithGracePeriod(30*time.Second))
	if err != nil {
		rm.Close()
		return nil, fmt.Errorf("new host: %w", err)
	}
	opts := []libp2p.Option{
		libp2p.Identity(cfg.Key),
		libp2p.UserAgent(UserAgent),
		libp2p.Transport(newTCP),
		libp2p.Transport(quic.NewTransport),
		libp2p.Security(libp2ptls.ID, libp2ptls.New), // preferred: hardware AES, about 1.5 times Noise
		libp2p.Security(noise.ID, noise.New),
		libp2p.Muxer("/yamux/1.0.0", muxer()),
		libp2p.SwarmOpts(swarm.WithDialRanker(rank)),
		libp2p.ResourceManager(rm),
		libp2p.ConnectionManager(cm),
		libp2p.NoListenAddrs, // listened on below, one by one, so that each failure is seen
		libp2p.DisableRelay(),
		libp2p.ForceReachabilityPrivate(), // no AutoNAT client asking strangers to dial back
		libp2p.Ping(true),
		// The event bus counts even with metrics disabled: then on a registry of its own. Only in this order.
		libp2p.PrometheusRegisterer(prometheus.NewRegistry()),
		libp2p.DisableMetrics(),
	}
	if cfg.Gater != nil {
		opts = append(opts, libp2p.ConnectionGater(cfg.Gater))
	}
	h, err := libp2p.New(opts...)
	if err != nil {
		return nil, fmt.Errorf("new host: %w", err) // libp2p.New has closed what it was given
	}
	if cfg.NoListen {
		return h, nil
	}
	addrs := cfg.Listen
	if addrs == nil {
		addrs = ListenOn(DefaultPort)
	}
	if err := listen(h.Network(), addrs, cfg.Listen == nil); err != nil {
		h.Close()
		return nil, fmt.Errorf("new host: %w", err)
	}
	return h, nil
}
