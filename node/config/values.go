package config

import (
	"log/slog"
	"time"

	"cairn/swarm/transport"
)

// Ports on which a peer listens unless configured, TCP and QUIC.
const (
	DoorPort   = transport.DefaultPort // of the door host
	MemberPort = 4749                  // of the member host
)

// Where the certificate of the dashboard comes from.
const (
	TLSOff     = "off"     // none: loopback only
	TLSNetwork = "network" // the network's own authority, or this peer's while it is in none
	TLSFiles   = "files"   // the user's files
	TLSACME    = "acme"    // an authority that speaks ACME
)

// Config is everything that decides how a peer runs. The zero value of each field means its default.
type Config struct {
	Home         string   // data directory, absolute
	Name         string   // what people call this peer; default: the host name
	Listen       []string // multiaddrs; default: DoorPort on all interfaces, another port if that is taken
	MemberListen []string // multiaddrs of the member host; default: MemberPort on all interfaces, another port if that is taken
	HTTP         string   // host:port of the dashboard; "" for none
	TLS          TLS
	ACME         ACME
	Downloads    string        // where the dashboard's downloads go; default: HOME/downloads
	Reserve      int64         // bytes kept free on the store's file system; 0: the store's default
	MDNS         bool          // announce and look for ticket peers on the local network
	AuditAge     time.Duration // how long records of the audit log are kept; 0: for ever
	AuditSize    int64         // bytes of the audit log that are kept; 0: all
	LogLevel     string
	LogFormat    string
	Limits       transport.Limits // of each host; zero fields mean the default

	// From is where the values came from, for loading them again, and Settings every key with its value and origin.
	From     Source
	Settings []Setting
	// What follows is not configured: the process that becomes the peer sets it.

	// SetLogLevel makes a level hold from now on; nil: the level stays.
	SetLogLevel func(level string) error

	Mode    string
	Version string
	Log     *slog.Logger
	Now     func() time.Time // the wall clock; nil: time.Now. Another one in tests

	// Passphrase is asked for what the keys are under: with 1, 2, 3 while it is wrong, with 0 for keys that are about to be
	// made. nil and no error: there is none. The bytes are overwritten after use. A nil func is one that has none.
	Passphrase func(attempt int) ([]byte, error)
}

// TLS is how the dashboard is encrypted.
type TLS struct {
	Mode      string   // "": TLSOff
	Cert, Key string   // absolute paths of PEM files, for TLSFiles
	Names     []string // host names and addresses under which the dashboard is reached besides its own
}

// ACME is what an authority is asked for, and told, for TLSACME.
type ACME struct {
	Domains   []string
	Email     string
	Directory string // URL; "": Let's Encrypt
	Agree     bool   // the user has agreed to the authority's terms
}
