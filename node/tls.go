package node

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

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
		own := certs.NewOwn(certs.OwnConfig{Names: n.httpNames, Now: n.now, Log: n.log.With("part", "web"),
			Obtain: func(_ context.Context, csr []byte, names []string) ([]byte, error) {
				return ca.Issue(csr, names, certs.LeafLife, n.now())
			}})
		n.ca = func() ([]byte, error) { return ca.CertificatePEM(), nil }
		return own, own.Refresh(context.Background())
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

// homeCA reads the authority of this peer, or makes it. The key is written first: a certificate without one would be
// trusted by somebody and be of no use.
func (n *Node) homeCA() (*certs.CA, error) {
	certPath, keyPath := filepath.Join(n.home.dir, "ca.pem"), filepath.Join(n.home.dir, "ca.key")
	certPEM, err := os.ReadFile(certPath)
	if errors.Is(err, fs.ErrNotExist) {
		return n.newHomeCA(certPath, keyPath)
	}
	var keyPEM []byte
	if err == nil {
		keyPEM, err = os.ReadFile(keyPath)
	}
	if err != nil {
		return nil, api.Errorf(api.CodeNotPermitted, "the authority of this peer can not be read: %s", reason(err)).
			WithHint("restore ca.pem and ca.key, or remove both to make another, which browsers then have to be told of")
	}
	if err := private(keyPath); err != nil {
		return nil, err
	}
	ca, err := certs.ParseCA(certPEM, keyPEM)
	if err != nil {
		return nil, api.Errorf(api.CodeWrongKey, "%s: %s", certPath, plain(err)).
			WithHint("restore ca.pem and ca.key, or remove both to make another, which browsers then have to be told of")
	}
	if end := ca.Certificate().NotAfter; n.now().After(end.Add(-certs.LeafLife)) {
		n.log.Warn("the authority of this peer ends soon: remove ca.pem and ca.key to make another", "ends", end)
	}
	return ca, nil
}

func (n *Node) newHomeCA(certPath, keyPath string) (*certs.CA, error) {
	ca, err := certs.NewCA("Cairn "+firstName(n.settings.name())+" "+n.host.ID().ShortString(), n.now())
	if err != nil {
		return nil, err
	}
	key, err := ca.KeyPEM()
	if err != nil {
		return nil, err
	}
	if err := writeSecret(keyPath, key); err != nil {
		return nil, err
	}
	if err := writeSecret(certPath, ca.CertificatePEM()); err != nil {
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
	read := n.ca
	if read == nil { // a peer of a command serves no dashboard
		read = func() ([]byte, error) { return os.ReadFile(filepath.Join(n.home.dir, "ca.pem")) }
	}
	text, err := read()
	if errors.Is(err, fs.ErrNotExist) {
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
