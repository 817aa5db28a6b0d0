package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
)

// ACMEConfig is what an ACME works with.
type ACMEConfig struct {
	Domains   []string // public names, each of which leads to this machine
	Email     string   // for the authority's messages; "": none
	Directory string   // URL of the authority's directory; "": Let's Encrypt
	Agree     bool     // its terms are agreed to
	Dir       string   // for account and certificates, made 0700
	Roots     *x509.CertPool
	TLSPort   int // on which TLS-ALPN-01 is answered, if that is not 443; connections to 443 have to be led there
	HTTPPort  int // on which HTTP-01 is answered, if that is not 80
	Log       *slog.Logger
}

// ACME keeps certificates of a public authority (RFC 8555), by certmagic. Challenges are answered on the HTTPS port itself (TLS-ALPN-01, RFC
// 8737) and, while one is under way, on port 80 (HTTP-01).
type ACME struct {
	domains []string
	cache   *certmagic.Cache
	magic   *certmagic.Config
	issuer  *certmagic.ACMEIssuer
}

// NewACME checks cfg. It asks nobody for anything; Run does.
func NewACME(cfg ACMEConfig) (*ACME, error) {
	switch {
	case len(cfg.Domains) == 0:
		return nil, fmt.Errorf("%w: no domain is named for ACME", ErrName)
	case !cfg.Agree:
		return nil, fmt.Errorf("%w: the terms of the ACME authority are not agreed to", ErrName)
	}
	for _, d := range cfg.Domains {
		if !isName(d) || !strings.Contains(d, ".") || Vouches(d) {
			return nil, fmt.Errorf("%w: no public authority certifies %q", ErrName, d)
		}
	}
	if cfg.Directory == "" {
		cfg.Directory = certmagic.LetsEncryptProductionCA
	}
	if u, err := url.Parse(cfg.Directory); err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%w: the directory %q is not an https URL", ErrName, cfg.Directory)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	a := &ACME{domains: slices.Clone(cfg.Domains)}
	quiet := zap.NewNop() // what matters comes as events
	a.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return a.magic, nil }, Logger: quiet,
	})
	a.magic = certmagic.New(a.cache, certmagic.Config{
		Storage: &certmagic.FileStorage{Path: cfg.Dir}, DefaultServerName: cfg.Domains[0], Logger: quiet,
		OnEvent: func(_ context.Context, event string, data map[string]any) error {
			switch event {
			case "cert_obtained":
				cfg.Log.Info("the ACME authority gave a certificate", "domain", data["identifier"])
			case "cert_failed":
				cfg.Log.Warn("the ACME authority gave no certificate", "domain", data["identifier"], "err", data["error"])
			}
			return nil
		},
	})
	a.issuer = certmagic.NewACMEIssuer(a.magic, certmagic.ACMEIssuer{
		CA: cfg.Directory, Email: cfg.Email, Agreed: true, TrustedRoots: cfg.Roots, AltTLSALPNPort: cfg.TLSPort, AltHTTPPort: cfg.HTTPPort,
		Logger: quiet,
	})
	a.magic.Issuers = []certmagic.Issuer{a.issuer}
	return a, nil
}

// GetCertificate is for crypto/tls. It answers challenges as well.
func (a *ACME) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return a.magic.GetCertificate(hello)
}

// Protocols are what TLS has to offer besides HTTP.
func (a *ACME) Protocols() []string { return []string{"acme-tls/1"} }

// NextRenewal is when two thirds of the life of the first certificate that ends are over.
func (a *ACME) NextRenewal() (next time.Time) {
	for _, d := range a.domains {
		for _, c := range a.cache.AllMatchingCertificates(d) {
			if c.Leaf == nil {
				continue
			}
			at := c.Leaf.NotBefore.Add(c.Leaf.NotAfter.Sub(c.Leaf.NotBefore) * 2 / 3)
			if next.IsZero() || at.Before(next) {
				next = at
			}
		}
	}
	return next
}

// Names are the domains, also of those that are still to be certified.
func (a *ACME) Names() []string { return slices.Clone(a.domains) }

// Trusted is true.
func (a *ACME) Trusted() bool { return true }

// Run obtains and renews until ctx ends. What fails is tried again after growing pauses.
func (a *ACME) Run(ctx context.Context) error {
	defer a.cache.Stop()
	if err := a.magic.ManageAsync(ctx, a.domains); err != nil && ctx.Err() == nil {
		return fmt.Errorf("manage certificates: %w", err)
	}
	<-ctx.Done()
	return nil
}
