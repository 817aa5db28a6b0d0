package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"

	"cairn/web/api"
)

// SocketPath returns where the peer of a home listens. See [api.SocketPath].
func SocketPath(home string) (string, error) { return api.SocketPath(home) }

// Listen opens the entrances, so that URL is known and connections wait until Run. After an error nothing is open.
func (s *Server) Listen(ctx context.Context) error {
	if s.cfg.Home != "" {
		l, err := listenSocket(ctx, s.cfg.Home)
		if err != nil {
			return err
		}
		s.socket = &checkedListener{Listener: l, log: s.log}
	}
	if s.cfg.HTTP != "" {
		if err := s.listenTCP(ctx); err != nil {
			return errors.Join(err, s.Close())
		}
	}
	return nil
}

// Close closes what Listen opened, for a server that is not run after all.
func (s *Server) Close() error {
	var errs []error
	for _, l := range []net.Listener{s.socket, s.tcp} {
		if l != nil {
			errs = append(errs, l.Close())
		}
	}
	s.socket, s.tcp = nil, nil
	return errors.Join(errs...)
}

// listenSocket opens the socket of a home. What is left there of a peer that died is removed: whoever calls holds
// the lock of the home, so nobody listens on it.
func listenSocket(ctx context.Context, home string) (net.Listener, error) {
	path, err := api.SocketPath(home)
	if err != nil {
		return nil, err
	}
	if err := api.CheckSocketDir(path); err != nil {
		return nil, err
	}
	if info, err := os.Lstat(path); err == nil {
		if info.Mode().IsRegular() || info.IsDir() {
			return nil, api.Errorf(api.CodeFailed, "%s is in the way of the peer's socket", path).WithHint("move it elsewhere")
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("remove old socket: %w", err)
		}
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on socket: %w", err)
	}
	// Between these two lines the directory (0700) and the check of credentials keep others out.
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("protect socket: %w", err), l.Close())
	}
	return l, nil
}

func (s *Server) listenTCP(ctx context.Context) error {
	addr, err := address(s.cfg.HTTP)
	if err != nil {
		return err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return api.Errorf(api.CodeConflict, "the address %s is in use by another program", addr).
			WithHint("choose another port with --http, or --http 127.0.0.1:0 for any free one")
	}
	if err != nil {
		return api.Errorf(api.CodeFailed, "the peer cannot listen on %s", addr).WithHint("choose another address with --http")
	}
	s.port = l.Addr().(*net.TCPAddr).Port
	if s.cfg.TLS != nil {
		l = s.encrypted(l)
	}
	s.tcp = l
	return nil
}

// address checks an address to listen on and returns it with an IP, which may be the unspecified one.
func address(addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", api.Errorf(api.CodeUsage, "the address %q for HTTP is not an address with a port", addr).
			WithHint("such as 127.0.0.1:4747")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n > 65535 {
		return "", api.Errorf(api.CodeUsage, "the port of the address %q is not a number up to 65535", addr)
	}
	switch {
	case strings.EqualFold(host, "localhost"):
		host = "127.0.0.1"
	case host == "":
		host = "::" // with IPv4
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return "", api.Errorf(api.CodeUsage, "the address %q for HTTP is not an IP address with a port", addr).
			WithHint("such as 127.0.0.1:4747, or 0.0.0.0:4747 for all addresses of this machine")
	}
	return net.JoinHostPort(ip.String(), port), nil
}

// isLoopback tells whether an address that passed can be reached from this machine only.
func isLoopback(addr string) bool {
	a, err := netip.ParseAddrPort(addr)
	return err == nil && a.Addr().Unmap().IsLoopback()
}

func errPublic(addr string) error {
	return api.Errorf(api.CodeUsage, "the address %q for HTTP can be reached from other machines, and there is no TLS", addr).
		WithHint("set http.tls (network, files or acme), or use 127.0.0.1:4747 and ssh -L to reach it from elsewhere")
}
