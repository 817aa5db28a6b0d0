package node

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"testing"

	"cairn/web/api"
)

// TestStartFailsInNetwork: a member whose dashboard's port is taken is told so, and can start afterwards.
func TestStartFailsInNetwork(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	home := t.TempDir()
	n, stop := start(t, home)
	if _, err := n.Init(t.Context(), api.InitRequest{Name: "home"}); err != nil {
		t.Fatal(err)
	}
	stop()
	_, err = New(t.Context(), Config{Home: home, Name: "test", Mode: ModeUp, HTTP: l.Addr().String(),
		Listen: []string{"/ip4/127.0.0.1/tcp/0"}, MemberListen: []string{"/ip4/127.0.0.1/tcp/0"}})
	if code(t, err) != api.CodeConflict {
		t.Errorf("%v", err)
	}
	if n, _ = start(t, home); !n.networkStatus().Joined {
		t.Error("it is in no network afterwards")
	}
}

// TestCloseWritesSealed: with the keys under a passphrase too, what is known at the end is written: uses of tokens, and the
// last records of the audit log.
func TestCloseWritesSealed(t *testing.T) {
	home := t.TempDir()
	pass := func(int) ([]byte, error) { return []byte("open sesame"), nil }
	n, stop := startAs(t, Config{Home: home, Passphrase: pass})
	tok, err := n.CreateToken(t.Context(), api.TokenRequest{Name: "ci"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.tokens.CheckToken(tok.Secret, "192.0.2.1"); err != nil {
		t.Fatal(err)
	}
	n.audit.mu.Lock()
	n.audit.queue = append(n.audit.queue, api.AuditRecord{Action: "last.words"}) // nobody was woken to write it
	n.audit.mu.Unlock()
	stop()
	n, _ = startAs(t, Config{Home: home, Passphrase: pass})
	if all, _ := n.Tokens(t.Context()); len(all) != 1 || all[0].LastFrom != "192.0.2.1" {
		t.Errorf("the use of a token was forgotten: %+v", all)
	}
	for r, err := range n.Audit(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Action == "last.words" {
			return
		}
	}
	t.Error("the last record was forgotten")
}

// TestSealAfterCrash: what a process that died while a passphrase was set left in the clear is sealed at the next start.
func TestSealAfterCrash(t *testing.T) {
	home := t.TempDir()
	n, stop := start(t, home)
	if _, err := n.CreateToken(t.Context(), api.TokenRequest{Name: "hidden-name"}); err != nil {
		t.Fatal(err)
	}
	n.audit.note("hidden-name", "", "test", "", "done", "")
	if err := n.audit.sync(); err != nil {
		t.Fatal(err)
	}
	if err := n.vault.SetPassphrase(nil, []byte("open sesame")); err != nil { // and nothing that comes after
		t.Fatal(err)
	}
	saved := map[string][]byte{}
	for _, f := range []string{"tokens.json", auditName} {
		b, err := os.ReadFile(filepath.Join(home, f))
		if err != nil || !bytes.Contains(b, []byte("hidden-name")) {
			t.Fatalf("%s: %v", f, err)
		}
		saved[f] = b
	}
	stop()
	for f, b := range saved {
		if err := os.WriteFile(filepath.Join(home, f), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	n, _ = startAs(t, Config{Home: home, Passphrase: func(int) ([]byte, error) { return []byte("open sesame"), nil }})
	for f := range saved {
		if b, err := os.ReadFile(filepath.Join(home, f)); err != nil || bytes.Contains(b, []byte("hidden-name")) {
			t.Errorf("%s is in the clear (%v)", f, err)
		}
	}
	if all, err := n.Tokens(t.Context()); err != nil || len(all) != 1 || all[0].Name != "hidden-name" {
		t.Errorf("%+v, %v", all, err)
	}
	for r, err := range n.Audit(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Actor == "hidden-name" {
			return
		}
	}
	t.Error("the record is gone")
}
