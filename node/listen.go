package node

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"cairn/swarm/transport"
	"cairn/web/api"

	"github.com/libp2p/go-libp2p/core/host"
	ma "github.com/multiformats/go-multiaddr"
)

// Files of the home in which the ports of the two hosts are kept.
const (
	doorPorts   = "ports.json"
	memberPorts = "member-ports.json"
)

// ports are what a host listened on last time, so that addresses in tickets and invites stay good.
type ports struct {
	Spec   string   `json:"spec"` // the configuration that led to them
	Listen []string `json:"listen"`
}

func (h *home) loadPorts(file string) (p ports) {
	if b, err := os.ReadFile(filepath.Join(h.dir, file)); err == nil {
		_ = json.Unmarshal(b, &p) // a damaged file only costs the old port
	}
	return p
}

func (h *home) savePorts(file string, p ports) error {
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return writeSecret(filepath.Join(h.dir, file), b)
}

// listen starts a host on what is configured. Unless that names a port, the port of the last run, which is in file, is
// taken again if it is free, then the usual one, then any.
func (n *Node) listen(c transport.Config, file string, configured []string, usual int) (host.Host, error) {
	spec := strings.Join(configured, ",")
	saved := n.home.loadPorts(file)
	var tries [][]ma.Multiaddr
	add := func(ss []string) {
		var as []ma.Multiaddr
		for _, s := range ss {
			a, err := ma.NewMultiaddr(s)
			if err != nil {
				return
			}
			as = append(as, a)
		}
		if len(as) > 0 {
			tries = append(tries, as)
		}
	}
	if saved.Spec == spec {
		add(saved.Listen)
	}
	if len(configured) > 0 {
		add(configured)
	} else {
		tries = append(tries, transport.ListenOn(usual), transport.ListenOn(0))
	}
	var h host.Host
	var err error
	for i, as := range tries {
		c.Listen = as
		if h, err = transport.New(c); err == nil {
			break
		}
		if i < len(tries)-1 {
			n.log.Debug("can not listen, trying the next", "part", "swarm", "err", err)
		}
	}
	if errors.Is(err, transport.ErrListen) {
		var at []string
		for _, a := range tries[len(tries)-1] {
			at = append(at, a.String())
		}
		flag := "--listen"
		if file == memberPorts {
			flag = "--member-listen"
		}
		return nil, api.Errorf(api.CodeFailed, "the peer can not listen on %s", strings.Join(at, ", ")).
			WithHint("another program may use the port: choose one with %s, or stop that program", flag).Because(err)
	}
	if err != nil {
		return nil, err
	}
	p := ports{Spec: spec, Listen: listening(h)}
	if strings.Join(p.Listen, ",") != strings.Join(saved.Listen, ",") || saved.Spec != spec {
		if err := n.home.savePorts(file, p); err != nil {
			h.Close()
			return nil, err
		}
	}
	return h, nil
}
