package web

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"cairn/web/api"
)

// encrypted puts TLS on a listener. 1.2 with forward secrecy is the least, 1.3 what everybody speaks. HTTP/1.1 only: the
// deadlines and limits of this package are about connections, and browsers' six of them are enough for one page.
func (s *Server) encrypted(l net.Listener) net.Listener {
	protocols := []string{"http/1.1"}
	if p, ok := s.cfg.TLS.(interface{ Protocols() []string }); ok {
		protocols = append(protocols, p.Protocols()...)
	}
	return &tlsListener{Listener: l, server: s, config: &tls.Config{
		MinVersion: tls.VersionTLS12, GetCertificate: s.cfg.TLS.GetCertificate, NextProtos: protocols,
	}}
}

// tlsListener is tls.NewListener for connections that tell those who speak plain HTTP what is wrong.
type tlsListener struct {
	net.Listener
	server *Server
	config *tls.Config
}

func (l *tlsListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return tls.Server(&firstByte{Conn: c, server: l.server}, l.config), nil
}

// firstByte answers a client that begins like HTTP and unlike TLS.
type firstByte struct {
	net.Conn
	server *Server
	seen   atomic.Bool
}

var errPlain = errors.New("plain HTTP on a port with TLS")

// plainTime is for taking that answer.
const plainTime = 2 * time.Second

func (f *firstByte) Read(p []byte) (int, error) {
	n, err := f.Conn.Read(p)
	if n == 0 || f.seen.Swap(true) || p[0] < 'A' || p[0] > 'Z' { // a TLS record begins with 22, a request with its method
		return n, err
	}
	f.server.answerPlain(f.Conn)
	return 0, errPlain
}

func (s *Server) answerPlain(c net.Conn) {
	fault := api.NewFault(http.StatusBadRequest, "this port speaks HTTPS, and the request came in plain HTTP").
		WithHint("use %s", s.URL())
	text, err := json.Marshal(fault.Body(context.Background()))
	if err != nil {
		return // it always can be written
	}
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 400 Bad Request\r\nCairn-Api: " + api.Version + "\r\nContent-Type: application/json\r\nX-Content-Type-Options: nosniff\r\n" +
		"Cache-Control: no-store\r\nConnection: close\r\nContent-Length: " + strconv.Itoa(len(text)) + "\r\n\r\n")
	b.Write(text)
	_ = c.SetDeadline(time.Now().Add(plainTime))
	if _, err := c.Write(b.Bytes()); err == nil {
		if t, ok := c.(*net.TCPConn); ok && t.CloseWrite() == nil {
			// What it still sends is taken, within the deadline: a reset would take our answer away from it.
			_, _ = io.CopyN(io.Discard, c, maxHeaderBytes)
		}
	}
}

// servedAs tells whether the Host of a request is a name of ours: loopback, the address that the connection came to,
// a configured name or one of the certificate's. Any other is DNS rebinding, or a proxy that nobody told us of.
func (s *Server) servedAs(r *http.Request) bool {
	host, port := r.Host, ""
	if h, p, err := net.SplitHostPort(r.Host); err == nil {
		host, port = h, p
	} else {
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	usual := "80"
	if s.cfg.TLS != nil {
		usual = "443"
	}
	if want := strconv.Itoa(s.port); port != want && (port != "" || want != usual) {
		return false
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return s.servedAt(r, ip)
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	return host == "localhost" || contains(s.cfg.Names, host) || s.cfg.TLS != nil && contains(s.cfg.TLS.Names(), host)
}

func (s *Server) servedAt(r *http.Request, ip netip.Addr) bool {
	if ip == netip.MustParseAddr("127.0.0.1") || ip == netip.IPv6Loopback() {
		return true
	}
	if to, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		if a, err := netip.ParseAddrPort(to.String()); err == nil && a.Addr().Unmap().WithZone("") == ip.Unmap().WithZone("") {
			return true
		}
	}
	return contains(s.cfg.Names, ip.String()) || s.cfg.TLS != nil && contains(s.cfg.TLS.Names(), ip.String())
}

func contains(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool {
		if rest, ok := strings.CutPrefix(n, "*."); ok { // of a certificate: one label
			_, domain, _ := strings.Cut(name, ".")
			return strings.EqualFold(domain, rest)
		}
		return strings.EqualFold(n, name)
	})
}

// URL is the address of the dashboard, "" without one. It is known after Listen.
func (s *Server) URL() string {
	if s.tcp == nil {
		return ""
	}
	scheme, usual := "http", 80
	if s.cfg.TLS != nil {
		scheme, usual = "https", 443
	}
	host := s.tcp.Addr().(*net.TCPAddr).IP.String()
	if s.tcp.Addr().(*net.TCPAddr).IP.IsUnspecified() || s.cfg.TLS != nil && len(s.cfg.Names) > 0 {
		host = s.bestName()
	}
	if s.port == usual {
		return scheme + "://" + strings.TrimSuffix(net.JoinHostPort(host, ""), ":")
	}
	return scheme + "://" + net.JoinHostPort(host, strconv.Itoa(s.port))
}

// bestName is one that a browser can open: configured, of the certificate, or that of this machine itself.
func (s *Server) bestName() string {
	if len(s.cfg.Names) > 0 {
		return s.cfg.Names[0]
	}
	if s.cfg.TLS != nil && !contains(s.cfg.TLS.Names(), "localhost") {
		for _, n := range s.cfg.TLS.Names() {
			if !strings.HasPrefix(n, "*.") {
				return n
			}
		}
	}
	return "localhost"
}
