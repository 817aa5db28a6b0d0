package node

import (
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cairn/node/config"
	"cairn/web/api"
	"cairn/web/certs"
)

// tlsSource makes the source of certificates that is configured; nil: none. It starts nothing.
func (n *Node) tlsSource() (certs.Source, error) {
	c := n.cfg.TLS
	if n.cfg.HTTP == "" {
		return nil, nil
	}
	switch c.Mode {
	case "", config.TLSOff:
		return nil, nil
	case config.TLSNetwork:
		for _, name := range c.Names {
			if !certs.Vouches(name) {
				return nil, api.Errorf(api.CodeUsage, "%q in http.names is a name that only a public authority can certify", name).
					WithHint("use http.tls acme or files for it, or a name that ends with .local, .internal or .home.arpa")
			}
		}
		n.own = certs.NewOwn(certs.OwnConfig{Names: n.httpNames, Now: n.now, Log: n.log.With("part", "web"), Obtain: n.obtain,
			Better: n.betterCertificate, Kept: n.keptCertificate, Keep: n.keepCertificate})
		return n.own, n.own.Refresh(context.Background())
	case config.TLSFiles:
		f, err := certs.NewFiles(c.Cert, c.Key, n.now, n.log.With("part", "web"))
		if err != nil {
			return nil, api.Errorf(api.CodeUsage, "%s", plain(err)).WithHint("http.cert and http.key name the chain and its key, in PEM form")
		}
		return f, nil
	case config.TLSACME:
		a := certs.ACMEConfig{Domains: n.cfg.ACME.Domains, Email: n.cfg.ACME.Email, Directory: n.cfg.ACME.Directory, Agree: n.cfg.ACME.Agree}
		a.Dir, a.Log = filepath.Join(n.home.dir, "acme"), n.log.With("part", "web")
		s, err := certs.NewACME(a)
		if err != nil {
			return nil, api.Errorf(api.CodeUsage, "%s", plain(err)).WithHint("see acme.domains, acme.agree and acme.directory")
		}
		return s, nil
	}
	return nil, api.Errorf(api.CodeUsage, "http.tls %q is no source of certificates", c.Mode).WithHint("off, network, files or acme")
}

func firstName(host string) string {
	name, _, _ := strings.Cut(host, ".")
	return name
}

// httpNames are what the dashboard's own certificate is good for: this machine's loopback names, the addresses on which it
// listens, its host name as the local network knows it, and what is configured.
func (n *Node) httpNames() []string {
	out := []string{"localhost", "127.0.0.1", "::1"}
	host, _, _ := net.SplitHostPort(n.cfg.HTTP)
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		addrs, _ := net.InterfaceAddrs() // none: then the names are all there is
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && !p.Addr().IsLoopback() {
				out = append(out, p.Addr().WithZone("").String())
			}
		}
	} else if err == nil {
		out = append(out, ip.WithZone("").String())
	}
	if name, err := os.Hostname(); err == nil && name != "" {
		out = append(out, strings.ToLower(firstName(name))+".local", strings.ToLower(name))
	}
	if p := n.seat(); p != nil {
		if name := strings.ToLower(firstName(p.nameOf(p.id))); name != "" {
			out = append(out, name+".local")
		}
	}
	out = append(out, n.cfg.TLS.Names...)
	out = slices.DeleteFunc(out, func(s string) bool { return !certs.Vouches(s) })
	slices.Sort(out)
	out = slices.Compact(out)
	return out[:min(len(out), 48)]
}
