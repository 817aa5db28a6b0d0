package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

const (
	CALife   = 10 * 365 * 24 * time.Hour
	LeafLife = 90 * 24 * time.Hour
	backdate = time.Hour // for clients whose clocks are behind
	maxNames = 64        // of one certificate
	maxCSR   = 16 << 10  // bytes of a request
)

// permittedNames are the domains that an authority vouches for: those that no public registry will ever hand out, because the
// standards reserve them. localhost and test: RFC 6761; local: RFC 6762; home.arpa: RFC 8375; internal: ICANN resolution 2024.07.29.06.
// Not lan, home or corp: used like these, but reserved by nobody.
func permittedNames() []string {
	return []string{"localhost", "local", "home.arpa", "internal", "test"}
}

// permittedRanges are the addresses that it vouches for: those that are not routed on the internet. Loopback, RFC 1918, link-local
// (RFC 3927, RFC 4291), shared (RFC 6598, where overlay networks live), unique local (RFC 4193).
func permittedRanges() []netip.Prefix {
	var out []netip.Prefix
	for _, s := range []string{"127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10",
		"::1/128", "fe80::/10", "fc00::/7"} {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// CA is a certificate authority for the names and addresses of private networks (RFC 5280, section 4.2.1.10, critical). ECDSA P-256:
// browsers take no Ed25519. It holds a secret and never prints itself. Safe for concurrent use.
type CA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// String keeps the key out of logs.
func (c *CA) String() string { return "CA " + c.cert.Subject.CommonName }

// NewCA makes an authority. name is for people who look at their list of authorities.
func NewCA(name string, now time.Time) (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key of authority: %w", err)
	}
	t := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name, Organization: []string{"Cairn"}},
		NotBefore: now.Add(-backdate).UTC(), NotAfter: now.Add(CALife).UTC(),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage:    x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},

		PermittedDNSDomainsCritical: true, PermittedDNSDomains: permittedNames(),
	}
	for _, p := range permittedRanges() {
		t.PermittedIPRanges = append(t.PermittedIPRanges, &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())})
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("sign authority: %w", err)
	}
	return &CA{cert, key}, nil
}

// ParseCA reads what CertificatePEM and KeyPEM wrote; either text may have the other's in it too. Errors wrap ErrBadCA.
func ParseCA(certPEM, keyPEM []byte) (*CA, error) {
	cert, err := ParseCertificate(certPEM)
	if err != nil {
		return nil, err
	}
	b := block(keyPEM, "PRIVATE KEY")
	if b == nil {
		return nil, fmt.Errorf("%w: there is no key in PEM form", ErrBadCA)
	}
	k, err := x509.ParsePKCS8PrivateKey(b.Bytes)
	key, ok := k.(*ecdsa.PrivateKey)
	if err != nil || !ok || !key.PublicKey.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("%w: the key is not that of the certificate", ErrBadCA)
	}
	return &CA{cert, key}, nil
}

// ParseCertificate reads the certificate of an authority. Errors wrap ErrBadCA.
func ParseCertificate(certPEM []byte) (*x509.Certificate, error) {
	b := block(certPEM, "CERTIFICATE")
	if b == nil {
		return nil, fmt.Errorf("%w: there is no certificate in PEM form", ErrBadCA)
	}
	cert, err := x509.ParseCertificate(b.Bytes)
	if err != nil || !cert.IsCA {
		return nil, fmt.Errorf("%w: this is not the certificate of an authority", ErrBadCA)
	}
	return cert, nil
}

// block is the first block of a kind.
func block(text []byte, kind string) *pem.Block {
	for {
		var b *pem.Block
		if b, text = pem.Decode(text); b == nil || b.Type == kind {
			return b
		}
	}
}

// Certificate is the public part.
func (c *CA) Certificate() *x509.Certificate { return c.cert }

// CertificatePEM is what browsers import.
func (c *CA) CertificatePEM() []byte { return toPEM("CERTIFICATE", c.cert.Raw) }

// KeyPEM is the secret (PKCS #8).
func (c *CA) KeyPEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(c.key)
	if err != nil {
		return nil, fmt.Errorf("encode key of authority: %w", err)
	}
	return toPEM("PRIVATE KEY", der), nil
}

// Fingerprint is the SHA-256 of a certificate, in hex.
func Fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// Permitted lists in words what the authority of a certificate vouches for.
func Permitted(c *x509.Certificate) (out []string) {
	out = append(out, c.PermittedDNSDomains...)
	for _, r := range c.PermittedIPRanges {
		out = append(out, r.String())
	}
	return out
}

// Vouches tells whether an authority made here may certify a name or an IP address.
func Vouches(name string) bool {
	if ip, err := netip.ParseAddr(name); err == nil {
		return ip.Zone() == "" && slices.ContainsFunc(permittedRanges(), func(p netip.Prefix) bool { return p.Contains(ip.Unmap()) })
	}
	return isName(name) && slices.ContainsFunc(permittedNames(), func(d string) bool {
		return strings.EqualFold(name, d) || len(name) > len(d) && strings.EqualFold(name[len(name)-len(d)-1:], "."+d)
	})
}

// isName tells whether s is a host name (RFC 1123): letters, digits and dashes between dots.
func isName(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' || strings.ContainsFunc(label, func(r rune) bool {
			return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
		}) {
			return false
		}
	}
	return true
}

// Issue certifies the key of a request (PKCS #10, DER) for names and IP addresses: those given here, whatever the request says. It
// returns the chain in PEM form, the leaf first. life is cut to LeafLife and to what is left of the authority's own. Errors wrap ErrName or ErrRequest.
func (c *CA) Issue(csr []byte, names []string, life time.Duration, now time.Time) ([]byte, error) {
	if len(csr) > maxCSR {
		return nil, fmt.Errorf("%w: %d bytes", ErrRequest, len(csr))
	}
	req, err := x509.ParseCertificateRequest(csr)
	if err == nil {
		err = req.CheckSignature()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	switch k := req.PublicKey.(type) {
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P224() {
			return nil, fmt.Errorf("%w: its key is too weak", ErrRequest)
		}
	case *rsa.PublicKey:
		if k.N.BitLen() < 2048 || k.N.BitLen() > 8192 {
			return nil, fmt.Errorf("%w: an RSA key of %d bits", ErrRequest, k.N.BitLen())
		}
	default:
		return nil, fmt.Errorf("%w: browsers do not take a key of its kind", ErrRequest)
	}
	if len(names) == 0 || len(names) > maxNames {
		return nil, fmt.Errorf("%w: %d names", ErrRequest, len(names))
	}
	if life <= 0 || life > LeafLife {
		life = LeafLife
	}
	end := now.Add(life)
	if end.After(c.cert.NotAfter) {
		end = c.cert.NotAfter
	}
	t := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: names[0]}, NotBefore: now.Add(-backdate).UTC(), NotAfter: end.UTC(),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	if len(names[0]) > 64 { // the bound of a common name, which nobody reads any more
		t.Subject = pkix.Name{}
	}
	for _, n := range names {
		if !Vouches(n) {
			return nil, fmt.Errorf("%w: %q", ErrName, n)
		}
		if ip, err := netip.ParseAddr(n); err == nil {
			t.IPAddresses = append(t.IPAddresses, ip.Unmap().AsSlice())
		} else {
			t.DNSNames = append(t.DNSNames, strings.ToLower(n))
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, c.cert, req.PublicKey, c.key)
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	return append(toPEM("CERTIFICATE", der), c.CertificatePEM()...), nil
}

func toPEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// serial is random (128 bits, positive).
func serial() *big.Int {
	var b [16]byte
	rand.Read(b[:]) // never fails since Go 1.24
	b[0] = b[0]&0x7f | 1
	return new(big.Int).SetBytes(b[:])
}
