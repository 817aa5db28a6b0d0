package node

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strconv"
	"strings"

	"cairn/web/api"

	"github.com/dustin/go-humanize"
	"github.com/knadh/koanf/parsers/toml/v2"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
	ma "github.com/multiformats/go-multiaddr"
)

// Modes of a peer.
const (
	ModeUp      = "up"      // stays until it is told to end
	ModeCommand = "command" // ends with the commands that use it
)

// DefaultPort is where the door host listens unless configured, TCP and QUIC.
const DefaultPort = 4748

// Config is everything that decides how a peer runs. The zero value of each field means its default.
type Config struct {
	Home      string   // data directory, absolute
	Name      string   // what people call this peer; default: the host name
	Listen    []string // multiaddrs; default: DefaultPort on all interfaces, another port if that is taken
	HTTP      string   // host:port of the dashboard; "" for none
	Downloads string   // where the dashboard's downloads go; default: HOME/downloads
	Reserve   int64    // bytes kept free on the store's file system; 0: the store's default
	MDNS      bool     // announce and look for ticket peers on the local network
	LogLevel  string
	LogFormat string
	TLS       TLSConfig // what HTTP is encrypted with
	AuditKeep int64     // bytes of the audit log that are kept; 0: 64 MiB

	Mode    string
	Version string
	Log     *slog.Logger
}

// key is one configuration key; the table is the one source of names, defaults and help.
type key struct {
	name, def, help string
}

func keys() []key {
	return []key{
		{"name", "", "name of this peer (default: the host name)"},
		{"listen", "", "comma-separated multiaddrs to listen on (default: port 4748, TCP and QUIC)"},
		{"http", "127.0.0.1:4747", "address of the dashboard, on loopback; off for none"},
		{"downloads", "", "folder for downloads started in the dashboard (default: downloads in the home)"},
		{"reserve", "", "space never used on the disk of the store, such as 2GiB (default: chosen from the disk's size)"},
		{"mdns", "true", "find ticket peers on the local network"},
		{"log.level", "", "debug, info, warn or error, also by part: info,swarm=debug"},
		{"log.format", "", "text or json"},
	}
}

// DefaultHome is CAIRN_HOME, or cairn in the user's data directory (XDG_DATA_HOME on Unix).
func DefaultHome() string {
	if h := os.Getenv("CAIRN_HOME"); h != "" {
		return h
	}
	if h := os.Getenv("XDG_DATA_HOME"); h != "" && filepath.IsAbs(h) {
		return filepath.Join(h, "cairn")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "cairn-home"
	}
	switch runtime.GOOS {
	case "windows":
		return filepath.Join(home, "AppData", "Local", "cairn")
	case "darwin":
		return filepath.Join(home, "Library", "Application Support", "cairn")
	}
	return filepath.Join(home, ".local", "share", "cairn")
}

// LoadConfig reads the configuration of a home: defaults, then config.toml, then CAIRN_* of the environment, then
// flags (by key name; only those that the user gave). Errors are *api.Error of CodeUsage.
func LoadConfig(home string, flags map[string]any) (Config, error) {
	abs, err := filepath.Abs(home)
	if err != nil {
		return Config{}, api.Errorf(api.CodeUsage, "home %q: %v", home, err)
	}
	k := koanf.New(".")
	defaults := map[string]any{}
	for _, e := range keys() {
		defaults[e.name] = e.def
	}
	if err := k.Load(confmap.Provider(defaults, "."), nil); err != nil {
		return Config{}, fmt.Errorf("load defaults: %w", err)
	}
	path := filepath.Join(abs, "config.toml")
	if _, err := os.Stat(path); err == nil {
		if err := loadFile(k, path); err != nil {
			return Config{}, err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return Config{}, api.Errorf(api.CodeNotPermitted, "%s: %v", path, reason(err))
	}
	known := map[string]string{}
	for _, e := range keys() {
		known["CAIRN_"+strings.ToUpper(strings.ReplaceAll(e.name, ".", "_"))] = e.name
	}
	err = k.Load(env.Provider(".", env.Opt{Prefix: "CAIRN_", TransformFunc: func(n, v string) (string, any) {
		return known[n], v // an empty name is left out: other CAIRN_ variables are not ours to judge
	}}), nil)
	if err != nil {
		return Config{}, fmt.Errorf("load environment: %w", err)
	}
	if err := k.Load(confmap.Provider(flags, "."), nil); err != nil {
		return Config{}, fmt.Errorf("load flags: %w", err)
	}
	return build(abs, k)
}

func loadFile(k *koanf.Koanf, path string) error {
	f := koanf.New(".")
	if err := f.Load(file.Provider(path), toml.Parser()); err != nil {
		line, _, _ := strings.Cut(err.Error(), "\n")
		return api.Errorf(api.CodeUsage, "%s: %s", path, line).WithHint("correct the file, or move it away to run with defaults")
	}
	names := map[string]bool{}
	for _, e := range keys() {
		names[e.name] = true
	}
	for _, n := range f.Keys() {
		if !names[n] {
			return api.Errorf(api.CodeUsage, "%s:%d: unknown key %q", path, lineOf(path, n), n).WithHint("%s", suggest(n))
		}
	}
	return k.Merge(f)
}

// lineOf finds where a key stands in a TOML file, for messages; 1 when it can not tell.
func lineOf(path, name string) int {
	b, err := os.ReadFile(path)
	if err != nil {
		return 1
	}
	last := name[strings.LastIndexByte(name, '.')+1:]
	for i, l := range strings.Split(string(b), "\n") {
		if strings.HasPrefix(strings.TrimSpace(l), last) {
			return i + 1
		}
	}
	return 1
}

// suggest names the known keys, the nearest first.
func suggest(name string) string {
	var all []string
	for _, e := range keys() {
		all = append(all, e.name)
	}
	sort.SliceStable(all, func(i, j int) bool { return common(all[i], name) > common(all[j], name) })
	if common(all[0], name) > 0 {
		return fmt.Sprintf("did you mean %q?", all[0])
	}
	return "known keys: " + strings.Join(all, ", ")
}

// common counts letters of a that stand in b in order: a crude closeness that is enough for a hint.
func common(a, b string) int {
	n, j := 0, 0
	for i := range len(a) {
		if k := strings.IndexByte(b[j:], a[i]); k >= 0 && k < 3 {
			n, j = n+1, j+k+1
		}
	}
	if n*2 < len(b) {
		return 0
	}
	return n
}

func build(home string, k *koanf.Koanf) (Config, error) {
	c := Config{
		Home:      home,
		Name:      k.String("name"),
		HTTP:      k.String("http"),
		Downloads: k.String("downloads"),
		LogLevel:  k.String("log.level"),
		LogFormat: k.String("log.format"),
		Mode:      ModeCommand,
	}
	bad := func(name, format string, args ...any) error {
		return api.Errorf(api.CodeUsage, "configuration key %q: %s", name, fmt.Sprintf(format, args...))
	}
	c.Listen = k.Strings("listen")
	if len(c.Listen) == 0 {
		for _, s := range strings.Split(k.String("listen"), ",") {
			if s = strings.TrimSpace(s); s != "" {
				c.Listen = append(c.Listen, s)
			}
		}
	}
	for _, s := range c.Listen {
		if _, err := ma.NewMultiaddr(s); err != nil {
			return c, api.Errorf(api.CodeUsage, "%q is not a multiaddr", s).WithHint("write it like /ip4/0.0.0.0/tcp/4748")
		}
	}
	if s := k.String("reserve"); s != "" {
		n, err := humanize.ParseBytes(s)
		if err != nil || n > 1<<60 {
			return c, bad("reserve", "%q is not a size such as 2GiB", s)
		}
		c.Reserve = int64(n)
	}
	mdns, err := strconv.ParseBool(k.String("mdns"))
	if err != nil {
		return c, bad("mdns", "%q is neither true nor false", k.String("mdns"))
	}
	c.MDNS = mdns
	if c.HTTP == "off" {
		c.HTTP = ""
	}
	if c.Name == "" {
		c.Name, _ = os.Hostname()
	}
	if c.Downloads == "" {
		c.Downloads = filepath.Join(home, "downloads")
	} else if !filepath.IsAbs(c.Downloads) {
		return c, bad("downloads", "%q is not an absolute path", c.Downloads)
	}
	return c, nil
}
