package node

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"cairn/node/config"
	"cairn/storage/vault"
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
		ca, err := n.homeCA()
		if err != nil {
			return nil, err
		}
		for _, name := range c.Names {
			if !certs.Vouches(name) {
				return nil, api.Errorf(api.CodeUsage, "%q in http.names is a name that only a public authority can certify", name).
					WithHint("use http.tls acme or files for it, or a name that ends with .local, .internal or .home.arpa")
			}
		}
		n.leafSource = n.newLeaf(ca)
		return n.leafSource.own, n.leafSource.own.Refresh(context.Background())
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

// homeCA reads the authority of this peer, or makes it. Certificate and key are one secret of the vault.
func (n *Node) homeCA() (*certs.CA, error) {
	n.caLock.Lock()
	defer n.caLock.Unlock()
	text, err := n.vault.Get(secretCA)
	if errors.Is(err, vault.ErrNoSecret) {
		return n.newHomeCA()
	}
	if err != nil {
		return nil, err
	}
	ca, err := certs.ParseCA(text, text)
	if err != nil {
		return nil, api.Errorf(api.CodeWrongKey, "the authority for the dashboard's certificate: %s", plain(err)).
			WithHint("restore the keys from a backup, or set http.tls to files")
	}
	if end := ca.Certificate().NotAfter; n.now().After(end.Add(-certs.LeafLife)) {
		n.log.Warn("the authority for the dashboard's certificate ends soon", "ends", end)
	}
	return ca, nil
}

// newHomeCA: caLock is held.
func (n *Node) newHomeCA() (*certs.CA, error) {
	id := n.host.ID().String()
	ca, err := certs.NewCA("Cairn "+firstName(n.cfg.Name)+" "+id[len(id)-8:], n.now())
	if err != nil {
		return nil, err
	}
	key, err := ca.KeyPEM()
	if err != nil {
		return nil, err
	}
	if err := n.vault.Put(secretCA, append(ca.CertificatePEM(), key...)); err != nil {
		return nil, err
	}
	n.audit.note("peer", "", "ca.create", certs.Fingerprint(ca.Certificate()), "done", "")
	return ca, nil
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
	out = append(out, n.cfg.TLS.Names...)
	out = slices.DeleteFunc(out, func(s string) bool { return !certs.Vouches(s) })
	slices.Sort(out)
	out = slices.Compact(out)
	return out[:min(len(out), 48)]
}

// CA tells of the authority behind the dashboard's certificate.
func (n *Node) CA(context.Context) (api.CertificateAuthority, error) {
	text, err := n.caPEM()
	if errors.Is(err, vault.ErrNoSecret) {
		return api.CertificateAuthority{}, api.Errorf(api.CodeNotFound, "the dashboard of this peer has no certificate of its own authority").
			WithHint("http.tls network gives it one; on loopback it needs none")
	}
	if err != nil {
		return api.CertificateAuthority{}, explained(err)
	}
	c, err := certs.ParseCertificate(text)
	if err != nil {
		return api.CertificateAuthority{}, explained(err)
	}
	return api.CertificateAuthority{PEM: string(text), Fingerprint: certs.Fingerprint(c), Name: c.Subject.CommonName,
		Expires: c.NotAfter.UTC().Truncate(time.Second), Permitted: certs.Permitted(c)}, nil
}
