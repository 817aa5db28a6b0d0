package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// certmagic keeps a goroutine for each account for the life of the process, and one for five seconds after each lock
		// of its storage; Pebble has no end.
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.(*RingBufferRateLimiter).loop"),
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"),
		goleak.IgnoreAnyFunction("github.com/letsencrypt/pebble/v2/va.VAImpl.processTasks"))
}

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func newTestCA(t *testing.T) *CA {
	t.Helper()
	ca, err := NewCA("Cairn test", start)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func request(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	// What the request asks for must not matter.
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{"bank.example"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return csr
}

func ecKey(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func parse(t *testing.T, chain []byte) *x509.Certificate {
	t.Helper()
	b, rest := pem.Decode(chain)
	if b == nil || !strings.Contains(string(rest), "BEGIN CERTIFICATE") {
		t.Fatalf("no chain: %s", chain)
	}
	c, err := x509.ParseCertificate(b.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestIssue(t *testing.T) {
	ca := newTestCA(t)
	key := ecKey(t, elliptic.P256())
	chain, err := ca.Issue(request(t, key), []string{"NAS.local", "192.168.1.5", "fd00::5"}, 0, start)
	if err != nil {
		t.Fatal(err)
	}
	c := parse(t, chain)
	if !slices.Equal(namesOf(c), []string{"nas.local", "192.168.1.5", "fd00::5"}) || c.NotAfter.Sub(start) != LeafLife || c.IsCA || !key.PublicKey.Equal(c.PublicKey) {
		t.Errorf("%v until %v, CA %v", namesOf(c), c.NotAfter, c.IsCA)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.Certificate())
	for _, name := range []string{"nas.local", "192.168.1.5"} {
		if _, err := c.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: start.Add(time.Hour)}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	late, err := ca.Issue(request(t, key), []string{"nas.local"}, 0, ca.Certificate().NotAfter.Add(-time.Hour))
	if err != nil || !parse(t, late).NotAfter.Equal(ca.Certificate().NotAfter) {
		t.Errorf("outlives its authority: %v", err)
	}
}

func TestIssueRefuses(t *testing.T) {
	ca := newTestCA(t)
	good := request(t, ecKey(t, elliptic.P256()))
	for _, n := range []string{"bank.example", "local.example.com", "nas", "notlocal", "", ".local", "a..local", "-a.local", "*.local", "a b.local", "8.8.8.8",
		"172.32.0.1", "100.128.0.1", "2001:db8::1", "0.0.0.0", "fe80::1%eth0", "a.local\x00", strings.Repeat("a", 64) + ".local", "a.local."} {
		if _, err := ca.Issue(good, []string{"ok.local", n}, 0, start); !errors.Is(err, ErrName) {
			t.Errorf("%q: %v", n, err)
		}
	}
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ca.Issue(request(t, weak), []string{"a.local"}, 0, start); err != nil {
		t.Errorf("RSA of 2048 bits: %v", err)
	}
	_, edKey, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	forged := slices.Clone(good)
	forged[len(forged)-1] ^= 1
	for name, csr := range map[string][]byte{"Ed25519": request(t, edKey), "P-224": request(t, ecKey(t, elliptic.P224())), "none": nil, "a forged signature": forged,
		"a huge one": make([]byte, maxCSR+1)} {
		if _, err := ca.Issue(csr, []string{"a.local"}, 0, start); !errors.Is(err, ErrRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ca.Issue(good, nil, 0, start); !errors.Is(err, ErrRequest) {
		t.Errorf("no names: %v", err)
	}
}

// TestConstraints: a stolen key of an authority is worth nothing for public names and addresses, nor for anything but servers.
func TestConstraints(t *testing.T) {
	ca := newTestCA(t)
	roots := x509.NewCertPool()
	roots.AddCert(ca.Certificate())
	key := ecKey(t, elliptic.P256())
	for _, c := range []struct {
		name  string
		usage x509.ExtKeyUsage
		ok    bool
	}{
		{"nas.local", x509.ExtKeyUsageServerAuth, true},
		{"a.b.home.arpa", x509.ExtKeyUsageServerAuth, true},
		{"localhost", x509.ExtKeyUsageServerAuth, true},
		{"100.64.1.1", x509.ExtKeyUsageServerAuth, true},
		{"::1", x509.ExtKeyUsageServerAuth, true},
		{"bank.example", x509.ExtKeyUsageServerAuth, false},
		{"xlocal", x509.ExtKeyUsageServerAuth, false},
		{"8.8.8.8", x509.ExtKeyUsageServerAuth, false},
		{"2606:4700::1", x509.ExtKeyUsageServerAuth, false},
		{"nas.local", x509.ExtKeyUsageCodeSigning, false},
	} {
		// As a thief would do it: without the checks of Issue.
		tpl := &x509.Certificate{SerialNumber: serial(), NotBefore: start, NotAfter: start.Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{c.usage}}
		if ip := net.ParseIP(c.name); ip != nil {
			tpl.IPAddresses = []net.IP{ip}
		} else {
			tpl.DNSNames = []string{c.name}
		}
		der, err := x509.CreateCertificate(rand.Reader, tpl, ca.cert, key.Public(), ca.key)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: c.name, CurrentTime: start, KeyUsages: []x509.ExtKeyUsage{c.usage}})
		if (err == nil) != c.ok {
			t.Errorf("%s (%v): %v", c.name, c.usage, err)
		}
	}
	critical := slices.ContainsFunc(ca.cert.Extensions, func(e pkix.Extension) bool { return e.Id.String() == "2.5.29.30" && e.Critical })
	if !critical || !ca.cert.MaxPathLenZero || ca.cert.NotAfter.Sub(start) != CALife {
		t.Errorf("constraints critical %v, path %v, until %v", critical, ca.cert.MaxPathLenZero, ca.cert.NotAfter)
	}
}

func TestParseCA(t *testing.T) {
	ca, other := newTestCA(t), newTestCA(t)
	key, err := ca.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseCA(ca.CertificatePEM(), key)
	if err != nil || !again.key.Equal(ca.key) {
		t.Errorf("%v", err)
	}
	chain, err := ca.Issue(request(t, ecKey(t, elliptic.P256())), []string{"a.local"}, 0, start)
	if err != nil {
		t.Fatal(err)
	}
	for name, in := range map[string][2][]byte{"another's key": {other.CertificatePEM(), key}, "nothing": {}, "a key for a certificate": {key, key},
		"no authority": {chain, key}, "a cut one": {ca.CertificatePEM()[:200], key}} {
		if _, err := ParseCA(in[0], in[1]); !errors.Is(err, ErrBadCA) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s := fmt.Sprintf("%v %s", ca, ca); strings.Contains(s, "D:") || len(s) > 100 {
		t.Errorf("prints itself: %.200s", s)
	}
}

func FuzzIssue(f *testing.F) {
	ca, err := NewCA("fuzz", start)
	if err != nil {
		f.Fatal(err)
	}
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, k)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(csr, "a.local")
	f.Add([]byte{}, "10.0.0.1")
	f.Fuzz(func(t *testing.T, csr []byte, name string) {
		chain, err := ca.Issue(csr, []string{name}, 0, start)
		if err != nil {
			return
		}
		if _, err := tls.X509KeyPair(chain, nil); err == nil {
			t.Error("a key came along")
		}
		if c := parse(t, chain); !Vouches(namesOf(c)[0]) {
			t.Errorf("certified %q", namesOf(c))
		}
	})
}
