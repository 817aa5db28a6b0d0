package config

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"cairn/swarm/transport"
)

// Kind is what a value is.
type Kind string

// The kinds.
const (
	Text   Kind = "text"
	List   Kind = "list"   // of texts; outside of the file they stand between commas
	Switch Kind = "switch" // true or false
	Number Kind = "number" // whole
	Size   Kind = "size"   // bytes, such as 2GiB
)

// Key is one row of the table. A value is one text wherever it comes from, that of a list with commas between the
// items; an empty one is as good as none.
type Key struct {
	Name    string
	Kind    Kind
	Default string   // shown and used; "": as Help says
	Choices []string // nil: any value that check takes
	Help    string   // a phrase without a full stop
	Example string   // a value, for the documentation
	Flag    string   // of `cairn up`; "": none
	Alias   string   // another name that is understood; "": none
	Reload  bool     // a change holds without a restart
	Browser bool     // may be set over TCP
	Path    bool     // holds paths of this machine, which are told on the socket only

	check func(string) (string, error) // returns the value as it is shown
}

// Env is the variable of the key.
func (k Key) Env() string { return envName(k.Name) }

func envName(name string) string {
	return "CAIRN_" + strings.ToUpper(strings.ReplaceAll(name, ".", "_"))
}

// Check returns a value as it is shown, or an *api.Error of what is wrong with it, without the key's name.
func (k Key) Check(value string) (string, error) {
	if value == "" {
		return "", nil
	}
	if len(value) > maxValue {
		return "", bad("the value is longer than %d bytes", maxValue).WithHint("no key needs that much")
	}
	if !utf8.ValidString(value) {
		return "", bad("%s is not UTF-8 text", quote(value)).WithHint("a configuration file can hold no other")
	}
	return k.check(value)
}

// maxValue is the longest value in bytes; 64 multiaddrs fit.
const maxValue = 8 << 10

// Keys is the table, in the order in which it is shown.
func Keys() []Key {
	keys := []Key{
		{Name: "name", Kind: Text, Help: "name of this peer (default: the host name)", Example: "attic",
			Flag: "name", Reload: true, Browser: true, check: checkName},
		{Name: "listen", Kind: List, Help: "multiaddrs to listen on (default: port 4748, TCP and QUIC)",
			Example: "/ip4/0.0.0.0/tcp/4748,/ip4/0.0.0.0/udp/4748/quic-v1", Flag: "listen", check: each(checkMultiaddr)},
		{Name: "member.listen", Kind: List, Help: "multiaddrs to listen on for members of the network (default: port 4749, TCP and QUIC)",
			Example: "/ip4/0.0.0.0/tcp/4749,/ip4/0.0.0.0/udp/4749/quic-v1", Flag: "member-listen", check: each(checkMultiaddr)},
		{Name: "http.address", Alias: "http", Kind: Text, Default: "127.0.0.1:4747", Help: "address of the dashboard, or off; other machines reach it only with http.tls",
			Example: "0.0.0.0:4747", Flag: "http", check: checkAddress},
		{Name: "http.tls", Kind: Text, Default: TLSOff, Choices: []string{TLSOff, TLSNetwork, TLSFiles, TLSACME},
			Help:    "where the certificate of the dashboard comes from: the network, your files, or ACME",
			Example: TLSNetwork, Flag: "tls"},
		{Name: "http.cert", Kind: Text, Help: "certificate file (PEM, with its chain), for http.tls = \"files\"",
			Example: "/etc/cairn/tls.crt", Flag: "cert", Path: true, check: checkPath},
		{Name: "http.key", Kind: Text, Help: "key file (PEM, readable by you alone), for http.tls = \"files\"",
			Example: "/etc/cairn/tls.key", Flag: "key", Path: true, check: checkPath},
		{Name: "http.names", Kind: List, Help: "host names and addresses under which the dashboard is reached besides its own",
			Example: "attic.home.arpa,192.168.1.5", Flag: "http-name", check: each(checkHost)},
		{Name: "acme.domains", Kind: List, Help: "domain names to ask a certificate for, for http.tls = \"acme\"",
			Example: "attic.example.com", Flag: "acme-domain", check: each(checkDomain)},
		{Name: "acme.email", Kind: Text, Help: "where the authority may write to", Example: "me@example.com", Flag: "acme-email", check: checkEmail},
		{Name: "acme.directory", Kind: Text, Help: "URL of the authority's directory (default: Let's Encrypt)",
			Example: "https://acme-v02.api.letsencrypt.org/directory", Flag: "acme-directory", check: checkURL},
		{Name: "acme.agree", Kind: Switch, Default: "false", Help: "you have read the authority's terms and agree", Example: "true", Flag: "acme-agree", check: checkSwitch},
		{Name: "downloads", Kind: Text, Help: "folder for downloads started in the dashboard (default: downloads in the home)",
			Example: "/srv/downloads", Flag: "downloads", Reload: true, Path: true, check: checkPath},
		{Name: "reserve", Kind: Size, Help: "space never used on the disk of the store (default: chosen from the disk's size)",
			Example: "2GiB", Flag: "reserve", check: checkSize(0, 1<<60)},
		{Name: "mdns", Kind: Switch, Default: "true", Help: "find ticket peers on the local network", Example: "false", Flag: "mdns", check: checkSwitch},
		{Name: "audit.keep", Kind: Text, Default: "365d,64MiB", Help: "how much of the audit log is kept: an age, a size, or both; none for all of it",
			Example: "90d,16MiB", Reload: true, check: checkKeep},
		{Name: "log.level", Kind: Text, Help: "debug, info, warn or error, also by part: info,swarm=debug (default: info for cairn up, error for other commands)",
			Example: "info,swarm=debug", Reload: true, Browser: true, check: checkLevels},
		{Name: "log.format", Kind: Text, Help: "text or json (default: text)", Choices: []string{"text", "json"}, Example: "json"},
	}
	for i := range keys {
		if k := &keys[i]; k.Choices != nil {
			k.check = checkChoice(k.Choices)
		}
	}
	for _, l := range limitRows() {
		keys = append(keys, l.key())
	}
	return keys
}

// limitRow ties a resource limit to its key.
type limitRow struct {
	name, help  string
	bytes       bool
	least, most int64
	set         func(*transport.Limits, int64)
}

func (r limitRow) key() Key {
	k := Key{Name: "limits." + r.name, Help: r.help + ", for each host", Browser: true}
	for _, l := range (transport.Limits{}).List() {
		if l.Name == r.name {
			k.Default = fmt.Sprint(l.Value)
			if r.bytes {
				k.Default = sizeText(l.Value)
			}
		}
	}
	k.Example = k.Default
	if r.bytes {
		k.Kind, k.check = Size, checkSize(r.least, r.most)
	} else {
		k.Kind, k.check = Number, checkNumber(r.least, r.most)
	}
	return k
}

// limitRows has a row for each name of transport.Limits.List.
func limitRows() []limitRow {
	const many, mem = 1 << 20, 1 << 40
	return []limitRow{
		{"connections", "connections", false, 8, many, func(l *transport.Limits, n int64) { l.Conns = int(n) }},
		{"connections_inbound", "connections opened by others", false, 4, many, func(l *transport.Limits, n int64) { l.ConnsInbound = int(n) }},
		{"connections_opening", "connections that are not yet authenticated", false, 4, many, func(l *transport.Limits, n int64) { l.ConnsOpening = int(n) }},
		{"connections_per_peer", "connections with one peer", false, 2, many, func(l *transport.Limits, n int64) { l.ConnsPerPeer = int(n) }},
		{"connections_per_address", "connections with one IPv4 address or IPv6 /64", false, 1, many, func(l *transport.Limits, n int64) { l.ConnsPerIP = int(n) }},
		{"new_connections_per_address_and_second", "new connections from one address each second, after a burst", false, 1, many, func(l *transport.Limits, n int64) { l.ConnRatePerIP = float64(n) }},
		{"connections_trim_above", "idle connections beyond which the oldest are closed", false, 2, many, func(l *transport.Limits, n int64) { l.ConnsHigh = int(n) }},
		{"connections_trim_to", "idle connections that are left then", false, 1, many, func(l *transport.Limits, n int64) { l.ConnsLow = int(n) }},
		{"streams", "streams", false, 64, 1 << 24, func(l *transport.Limits, n int64) { l.Streams = int(n) }},
		{"streams_per_peer", "streams with one peer", false, 16, 1 << 24, func(l *transport.Limits, n int64) { l.StreamsPerPeer = int(n) }},
		{"memory_bytes", "memory of connections and streams", true, 64 << 20, mem, func(l *transport.Limits, n int64) { l.Memory = n }},
		{"memory_per_peer_bytes", "memory of connections and streams with one peer", true, 32 << 20, mem, func(l *transport.Limits, n int64) { l.MemoryPerPeer = n }},
		{"file_descriptors", "file descriptors of connections", false, 16, many, func(l *transport.Limits, n int64) { l.FD = int(n) }},
	}
}

// Find returns the key of a name or alias.
func Find(name string) (Key, bool) {
	for _, k := range Keys() {
		if k.Name == name || k.Alias == name && name != "" {
			return k, true
		}
	}
	return Key{}, false
}
