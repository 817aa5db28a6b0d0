package web_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cairn/web"
	"cairn/web/api"
	"cairn/web/internal/fakepeer"
)

func TestAddresses(t *testing.T) {
	for _, c := range []struct {
		addr, want string
		near       bool
	}{
		{"127.0.0.1:4747", "127.0.0.1:4747", true},
		{"127.0.0.9:0", "127.0.0.9:0", true},
		{"localhost:1", "127.0.0.1:1", true},
		{"[::1]:4747", "[::1]:4747", true},
		{"[::ffff:127.0.0.1]:1", "[::ffff:127.0.0.1]:1", true},
		{"0.0.0.0:4747", "0.0.0.0:4747", false},
		{":4747", "[::]:4747", false},
		{"[::]:4747", "[::]:4747", false},
		{"192.168.1.2:4747", "192.168.1.2:4747", false},
		{"example.com:4747", "", false},
		{"127.0.0.1", "", false},
		{"127.0.0.1:http", "", false},
		{"127.0.0.1:65536", "", false},
		{"127.0.0.1:-1", "", false},
		{"127.1:80", "", false},
	} {
		got, err := web.Address(c.addr)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q: %q, %v", c.addr, got, err)
		}
		if e, ok := errors.AsType[*api.Error](err); err != nil && (!ok || e.Code != api.CodeUsage || e.Hint == "" && !strings.Contains(e.Message, "port")) {
			t.Errorf("%q: %v", c.addr, err)
		}
		if err != nil {
			continue
		}
		if web.IsLoopback(got) != c.near {
			t.Errorf("%q: loopback %v", c.addr, !c.near)
		}
		// Without TLS only loopback is served.
		_, err = web.New(web.Config{Peer: &fakepeer.Peer{}, Sessions: web.NewSessions(nil), HTTP: c.addr})
		if e, ok := errors.AsType[*api.Error](err); (err == nil) != c.near || err != nil && (!ok || e.Code != api.CodeUsage || !strings.Contains(e.Message, c.addr)) {
			t.Errorf("%q without TLS: %v", c.addr, err)
		}
	}
}

func TestPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	home := t.TempDir()
	s, err := web.New(web.Config{Peer: &fakepeer.Peer{}, Sessions: web.NewSessions(nil), Home: home, HTTP: l.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Listen(t.Context())
	if e, ok := errors.AsType[*api.Error](err); !ok || e.Code != api.CodeConflict || !strings.Contains(e.Message, l.Addr().String()) {
		t.Errorf("%v", err)
	}
	if _, err := os.Lstat(filepath.Join(home, "peer.sock")); err == nil {
		t.Error("the socket was left behind")
	}
}

func TestSocket(t *testing.T) {
	b := start(t, nil)
	path, err := web.SocketPath(b.home)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info, err)
	}
	link := filepath.Join(t.TempDir(), "other")
	if err := os.Symlink(b.home, link); err != nil {
		t.Fatal(err)
	}
	if again, err := web.SocketPath(link); err != nil || again != path {
		t.Errorf("another name of the home leads to %s, %v", again, err)
	}
	b.stop()
	if _, err := os.Lstat(path); err == nil {
		t.Error("the socket was left behind")
	}
}

// TestStaleSocket: what a killed peer left is replaced, a file of the user's is not.
func TestStaleSocket(t *testing.T) {
	home := t.TempDir()
	path, err := web.SocketPath(home)
	if err != nil {
		t.Fatal(err)
	}
	old, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	old.SetUnlinkOnClose(false)
	_ = old.Close()
	b := start(t, func(c *web.Config) { c.Home = home })
	b.home = home
	if a := b.request(t, true, b.raw("GET /v1/healthz", "")); a.StatusCode != 200 {
		t.Errorf("status %d", a.StatusCode)
	}
	b.stop()
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := web.New(web.Config{Peer: &fakepeer.Peer{}, Sessions: web.NewSessions(nil), Home: home})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(t.Context()); err == nil {
		t.Error("a file in the way was replaced")
	}
	if data, _ := os.ReadFile(path); string(data) != "mine" {
		t.Error("the file is gone")
	}
}

func TestLongHome(t *testing.T) {
	home := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	b := start(t, func(c *web.Config) { c.Home = home })
	b.home = home
	path, err := web.SocketPath(home)
	if err != nil || len(path) > 100 || strings.HasPrefix(path, home) {
		t.Fatalf("socket %s, %v", path, err)
	}
	if info, err := os.Stat(filepath.Dir(path)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory %v %v", info.Mode(), err)
	}
	if a := b.request(t, true, b.raw("GET /v1/status", "")); a.StatusCode != 200 {
		t.Errorf("status %d", a.StatusCode)
	}
	if other, _ := web.SocketPath(home + "x"); other == path {
		t.Error("two homes share a socket")
	}
}
