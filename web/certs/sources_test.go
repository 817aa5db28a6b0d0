package certs

import (
	"context"
	"crypto/elliptic"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestOwn: a certificate is renewed after two thirds of its life and when other names are wanted; while its authority
// does not answer the old one stays.
func TestOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, err := NewCA("Cairn test", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		const life = 24 * time.Hour
		var mu sync.Mutex // of what the source's goroutine sees
		names, asked, down := []string{"nas.local"}, 0, errors.New("down")
		o := NewOwn(OwnConfig{Names: func() []string {
			mu.Lock()
			defer mu.Unlock()
			return names
		}, Obtain: func(_ context.Context, csr []byte, names []string) ([]byte, error) {
			mu.Lock()
			defer mu.Unlock()
			asked++
			if down != nil {
				return nil, down
			}
			return ca.Issue(csr, names, life, time.Now())
		}})
		with := func(change func()) {
			mu.Lock()
			defer mu.Unlock()
			change()
		}
		tries := func() (n int) {
			with(func() { n = asked })
			return n
		}
		if _, err := o.GetCertificate(nil); !errors.Is(err, ErrNone) {
			t.Errorf("before any: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- o.Run(ctx) }()
		time.Sleep(time.Minute)
		if n := tries(); n < 3 || n > 5 {
			t.Errorf("asked %d times in a minute without an answer", n)
		}
		with(func() { down = nil })
		time.Sleep(2 * time.Minute)
		first, err := o.GetCertificate(nil)
		if err != nil || !slices.Equal(o.Names(), names) {
			t.Fatalf("%v %v", err, o.Names())
		}
		n := tries()
		time.Sleep(life * 2 / 3 * 9 / 10)
		if c, _ := o.GetCertificate(nil); c != first || tries() != n {
			t.Errorf("renewed early")
		}
		with(func() { names = []string{"10.0.0.1", "nas.local"} })
		time.Sleep(2 * time.Minute)
		second, _ := o.GetCertificate(nil)
		if second == first || !slices.Contains(o.Names(), "10.0.0.1") {
			t.Errorf("other names: %v", o.Names())
		}
		with(func() { down = errors.New("down again") })
		time.Sleep(time.Until(o.NextRenewal()) + time.Hour)
		if c, err := o.GetCertificate(nil); c != second || err != nil {
			t.Errorf("the old one is gone: %v", err)
		}
		with(func() { down = nil })
		time.Sleep(2 * time.Hour)
		if c, _ := o.GetCertificate(nil); c == second {
			t.Error("not renewed")
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// writePair makes a certificate for a name and writes it and its key.
func writePair(t *testing.T, dir, name string, mode os.FileMode) (cert, key string) {
	t.Helper()
	ca := newTestCA(t)
	k := ecKey(t, elliptic.P256())
	chain, err := ca.Issue(request(t, k), []string{name}, 0, start)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, b := range map[string][]byte{cert: chain, key: toPEM("PRIVATE KEY", der)} {
		_ = os.Remove(path)
		if err := os.WriteFile(path, b, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func TestFiles(t *testing.T) {
	dir, now := t.TempDir(), start
	cert, key := writePair(t, dir, "a.local", 0o600)
	f, err := NewFiles(cert, key, func() time.Time { return now }, nil)
	if err != nil {
		t.Fatal(err)
	}
	is := func(want string) {
		t.Helper()
		now = now.Add(fileEvery)
		c, err := f.GetCertificate(nil)
		if err != nil || c.Leaf.DNSNames[0] != want {
			t.Errorf("%v, %v; want %s", c.Leaf.DNSNames, err, want)
		}
	}
	is("a.local")
	writePair(t, dir, "b.local", 0o600)
	is("b.local")
	if err := os.WriteFile(cert, []byte("half a fi"), 0o600); err != nil {
		t.Fatal(err)
	}
	is("b.local")
	writePair(t, dir, "c.local", 0o644) // others can read the key
	is("b.local")
	writePair(t, dir, "d.local", 0o600)
	is("d.local")
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	is("d.local")
	now = start.Add(LeafLife)
	writePair(t, dir, "e.local", 0o600) // which has ended by now
	is("d.local")
}

func TestFilesRefused(t *testing.T) {
	clock := func() time.Time { return start }
	dir := t.TempDir()
	cert, key := writePair(t, dir, "a.local", 0o644)
	if _, err := NewFiles(cert, key, clock, nil); !errors.Is(err, ErrBadFiles) || !strings.Contains(err.Error(), key) || !strings.Contains(err.Error(), "read by others") {
		t.Errorf("a key that others can read: %v", err)
	}
	writePair(t, dir, "a.local", 0o600)
	otherCert, _ := writePair(t, t.TempDir(), "b.local", 0o600)
	for name, paths := range map[string][2]string{"another's key": {otherCert, key}, "no file": {cert, filepath.Join(dir, "nothing")}, "a directory": {dir, key},
		"a key for a chain": {key, key}} {
		if _, err := NewFiles(paths[0], paths[1], clock, nil); !errors.Is(err, ErrBadFiles) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewFiles(cert, key, func() time.Time { return start.Add(LeafLife) }, nil); !errors.Is(err, ErrBadFiles) || !strings.Contains(err.Error(), "ended") {
		t.Errorf("one that has ended: %v", err)
	}
}
