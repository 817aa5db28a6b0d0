package fakepeer

import (
	"context"
	"slices"
	"strings"
	"sync"

	"cairn/web/api"
)

// Settings is an api.Settings in memory with a key of each sort: one that holds at once and may be changed over TCP, one
// that holds after a restart, one that opens the machine, one that is a path, and a choice. Safe for concurrent use.
type Settings struct {
	mu  sync.Mutex
	all []api.Setting
}

// NewSettings returns settings of which some are not the default.
func NewSettings() *Settings {
	return &Settings{all: []api.Setting{
		{Key: "name", Kind: "text", Value: "example", Origin: "file", Where: "/home/someone/.cairn/config.toml:1",
			Help: "name of this peer (default: the host name)", Reload: true, Remote: true},
		{Key: "http.address", Kind: "text", Value: "127.0.0.1:4747", Default: "127.0.0.1:4747", Origin: "default",
			Help: "address of the dashboard, or off; other machines reach it only with http.tls"},
		{Key: "http.tls", Kind: "text", Value: "off", Default: "off", Origin: "default", Choices: []string{"off", "network", "files", "acme"},
			Help: "where the certificate of the dashboard comes from: the network, your files, or ACME"},
		{Key: "downloads", Kind: "text", Value: "/home/someone/Downloads", Origin: "environment", Where: "CAIRN_DOWNLOADS", Path: true,
			Help: "folder for downloads started in the dashboard (default: downloads in the home)", Reload: true},
		{Key: "mdns", Kind: "switch", Value: "true", Default: "true", Origin: "default", Help: "find ticket peers on the local network"},
		{Key: "log.level", Kind: "text", Origin: "default", Help: "debug, info, warn or error, also by part: info,swarm=debug", Reload: true, Remote: true},
		{Key: "limits.connections", Kind: "number", Value: "1024", Default: "1024", Origin: "default", Help: "connections, for each host", Remote: true},
		{Key: "limits.memory_bytes", Kind: "size", Value: "512MiB", Default: "512MiB", Origin: "default",
			Help: "memory of connections and streams, for each host", Remote: true},
	}}
}

func (s *Settings) Settings(context.Context) ([]api.Setting, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.all), nil
}

func (s *Settings) SetSetting(_ context.Context, key, value string) (api.Setting, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.all, func(x api.Setting) bool { return x.Key == key })
	if i < 0 {
		return api.Setting{}, notFound("key " + key)
	}
	x := &s.all[i]
	if strings.ContainsAny(value, "\n\x1b") || len(x.Choices) > 0 && value != "" && !slices.Contains(x.Choices, value) {
		return api.Setting{}, api.Errorf(api.CodeUsage, "%s: that is not known here", key).WithHint("choose another value")
	}
	switch {
	case !x.Reload && value == "":
		x.Pending = "default"
	case !x.Reload:
		x.Pending = value
	case value == "":
		x.Value, x.Origin, x.Where = x.Default, "default", ""
	default:
		x.Value, x.Origin, x.Where = value, "file", "/home/someone/.cairn/config.toml:2"
	}
	return *x, nil
}

func (s *Settings) Reload(ctx context.Context) ([]api.Setting, error) { return s.Settings(ctx) }
