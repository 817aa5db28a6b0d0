package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"
)

// pebble runs Let's Encrypt's test authority in this process. It validates every domain at 127.0.0.1 and the ports
// given, and answers for the directory at the URL that it returns.
func pebble(t *testing.T, httpPort, tlsPort int) (directory string, roots *x509.CertPool) {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	t.Setenv("PEBBLE_WFE_NONCEREJECT", "10") // percent of good nonces that are refused, as real ones do
	quiet := log.New(io.Discard, "", 0)
	store := db.NewMemoryStore()
	authority := ca.New(quiet, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {Description: "default", ValidityPeriod: 3600 * 24 * 90}})
	web := wfe.New(quiet, store, va.New(quiet, httpPort, tlsPort, false, resolver(t), store), authority, []string{"pebble.test"}, false, false, 1, 1)
	s := httptest.NewTLSServer(web.Handler())
	t.Cleanup(s.Close)
	roots = x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return s.URL + wfe.DirectoryPath, roots
}

// resolver answers over TCP, as Pebble asks, for every name with 127.0.0.1.
func resolver(t *testing.T) string {
	t.Helper()
	l, _ := freePort(t)
	s := &dns.Server{Listener: l, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		if len(q.Question) == 1 && q.Question[0].Qtype == dns.TypeA {
			m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}, A: net.IPv4(127, 0, 0, 1)}}
		}
		_ = w.WriteMsg(m)
	})}
	ended := make(chan struct{})
	ready := make(chan struct{})
	s.NotifyStartedFunc = func() { close(ready) }
	go func() { defer close(ended); _ = s.ActivateAndServe() }()
	<-ready
	t.Cleanup(func() { _ = s.Shutdown(); <-ended })
	return l.Addr().String()
}

func freePort(t *testing.T) (net.Listener, int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l, l.Addr().(*net.TCPAddr).Port
}

// TestACME obtains a certificate from Pebble: once by TLS-ALPN-01 through the port that serves, once by HTTP-01.
func TestACME(t *testing.T) {
	for _, way := range []string{"tls-alpn-01", "http-01"} {
		t.Run(way, func(t *testing.T) {
			l, port := freePort(t)
			spare, httpPort := freePort(t)
			_ = spare.Close()
			directory, roots := pebble(t, httpPort, port)
			dir := filepath.Join(t.TempDir(), "acme")
			a, err := NewACME(ACMEConfig{Domains: []string{"files.example.org"}, Directory: directory, Agree: true, Dir: dir, Roots: roots, TLSPort: port, HTTPPort: httpPort})
			if err != nil {
				t.Fatal(err)
			}
			a.issuer.DisableHTTPChallenge, a.issuer.DisableTLSALPNChallenge = way != "http-01", way == "http-01" // it would try them in any order
			s := &http.Server{Handler: http.NotFoundHandler(), ErrorLog: log.New(io.Discard, "", 0)}
			serving := make(chan struct{})
			go func() {
				defer close(serving)
				_ = s.Serve(tls.NewListener(l, &tls.Config{GetCertificate: a.GetCertificate, NextProtos: append([]string{"http/1.1"}, a.Protocols()...)}))
			}()
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- a.Run(ctx) }()
			defer func() {
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
				_ = s.Close()
				<-serving
			}()
			leaf := waitForCertificate(t, l.Addr().String())
			if !slices.Equal(leaf.DNSNames, []string{"files.example.org"}) {
				t.Errorf("names %v", leaf.DNSNames)
			}
			if n := a.NextRenewal(); !n.After(time.Now()) || !n.Before(leaf.NotAfter) {
				t.Errorf("next renewal %v", n)
			}
			if err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
				if err != nil {
					return err
				}
				fi, err := d.Info()
				if err == nil && fi.Mode().Perm()&0o077 != 0 {
					t.Errorf("%s: %v", path, fi.Mode())
				}
				return err
			}); err != nil {
				t.Error(err)
			}
		})
	}
}

// waitForCertificate connects until the handshake ends well: an authority takes its time, and tells nobody when it is done.
func waitForCertificate(t *testing.T, addr string) *x509.Certificate {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	end := time.After(30 * time.Second)
	for {
		c, err := tls.Dial("tcp", addr, &tls.Config{ServerName: "files.example.org", InsecureSkipVerify: true})
		if err == nil {
			defer c.Close()
			return c.ConnectionState().PeerCertificates[0]
		}
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("no certificate: %v", err)
		}
	}
}

func TestACMERefused(t *testing.T) {
	good := ACMEConfig{Domains: []string{"files.example.org"}, Agree: true, Dir: t.TempDir()}
	for name, change := range map[string]func(*ACMEConfig){
		"no domain":       func(c *ACMEConfig) { c.Domains = nil },
		"no agreement":    func(c *ACMEConfig) { c.Agree = false },
		"a private name":  func(c *ACMEConfig) { c.Domains = []string{"nas.local"} },
		"one label":       func(c *ACMEConfig) { c.Domains = []string{"nas"} },
		"an address":      func(c *ACMEConfig) { c.Domains = []string{"192.168.1.5"} },
		"a wildcard":      func(c *ACMEConfig) { c.Domains = []string{"*.example.org"} },
		"plain directory": func(c *ACMEConfig) { c.Directory = "http://acme.example.org/dir" },
		"no directory":    func(c *ACMEConfig) { c.Directory = "letsencrypt" },
	} {
		c := good
		change(&c)
		if _, err := NewACME(c); !errors.Is(err, ErrName) {
			t.Errorf("%s: %v", name, err)
		}
	}
	a, err := NewACME(good)
	if err != nil {
		t.Fatal(err)
	}
	if n := a.NextRenewal(); !n.IsZero() || !slices.Equal(a.Names(), good.Domains) {
		t.Errorf("before any certificate: %v %v", n, a.Names())
	}
	a.cache.Stop()
}
