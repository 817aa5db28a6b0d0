// Package certs is where the certificates of a peer's HTTPS port come from: an authority of the peer or its network
// ([CA], asked through [Own]), files of the user ([Files]), or a public authority by ACME ([ACME]).
//
// Each is a [Source]. It promises that a certificate is renewed long before it ends, that one which can not be renewed is used
// until then, that a key which others can read is refused, and that an authority made here vouches for private names and
// addresses only: a browser that trusts it can not be lied to about anything else. CA does no I/O. Run owns a source's
// goroutines; the other methods may be called before, during and after it, from anywhere.
package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/netip"
	"time"
)

// Source keeps one certificate.
type Source interface {
	// GetCertificate is for crypto/tls. The error ErrNone says that there is none yet.
	GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// NextRenewal is when it will be renewed or read again; zero: nobody knows.
	NextRenewal() time.Time
	// Names are those and the IP addresses that it is good for, as text.
	Names() []string
	// Trusted tells whether browsers are expected to trust it without help.
	Trusted() bool
	// Run keeps it fresh until ctx ends.
	Run(ctx context.Context) error
}

// Conditions that callers branch on.
var (
	ErrNone     = errors.New("there is no certificate yet")
	ErrName     = errors.New("a name that this authority does not vouch for")
	ErrRequest  = errors.New("a malformed certificate request")
	ErrBadCA    = errors.New("a damaged certificate authority")
	ErrBadFiles = errors.New("unusable certificate files")
)

// namesOf are what a certificate is good for.
func namesOf(c *x509.Certificate) (out []string) {
	if c == nil {
		return nil
	}
	out = append(out, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		if a, ok := netip.AddrFromSlice(ip); ok {
			out = append(out, a.Unmap().String())
		}
	}
	return out
}
