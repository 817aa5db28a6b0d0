package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"cairn/consensus/access"
	"cairn/web"
	"cairn/web/api"
)

func openTestTokens(t *testing.T, dir string, c *auditClock) *tokens {
	t.Helper()
	x, err := openTokens(dir, fileSeal{}, c.now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func makeToken(t *testing.T, x *tokens, r api.TokenRequest) api.NewToken {
	t.Helper()
	n, err := x.create(r)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTokens(t *testing.T) {
	dir, c := t.TempDir(), &auditClock{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	x := openTestTokens(t, dir, c)
	reader := makeToken(t, x, api.TokenRequest{})
	admin := makeToken(t, x, api.TokenRequest{Name: "ops", Scope: "admin", ExpireSeconds: 3600})
	if reader.Scope != "read" || reader.Expires.Sub(c.t) != tokenLife || admin.Expires.Sub(c.t) != time.Hour {
		t.Errorf("%+v %+v", reader.Token, admin.Token)
	}
	if !regexp.MustCompile(`^cairn_[0-9A-Za-z]{49}$`).MatchString(admin.Secret) {
		t.Errorf("a secret that scanners do not know: %q", admin.Secret)
	}
	raw, err := os.ReadFile(x.path)
	if err != nil || strings.Contains(string(raw), admin.Secret) || strings.Contains(string(raw), admin.Secret[6:40]) {
		t.Errorf("the file has the secret in it: %v", err)
	}
	if fi, err := os.Stat(x.path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", fi, err)
	}
	x = openTestTokens(t, dir, c) // another process
	b, err := x.CheckToken(admin.Secret, "10.0.0.7")
	if err != nil || b.Name != "ops" || b.Scope != access.Admin {
		t.Errorf("%+v %v", b, err)
	}
	if l := x.all()[0]; l.LastUsed == nil || l.LastFrom != "10.0.0.7" || l.State != "active" {
		t.Errorf("after its use: %+v", l)
	}
	if _, err := x.create(api.TokenRequest{Name: "ops"}); code(t, err) != api.CodeConflict {
		t.Errorf("the name of another: %v", err)
	}
	if _, err := x.create(api.TokenRequest{Scope: "local"}); code(t, err) != api.CodeUsage {
		t.Errorf("a scope that is none: %v", err)
	}

	if _, err := x.revoke(admin.ID[:4]); err != nil {
		t.Fatal(err)
	}
	for _, x := range []*tokens{x, openTestTokens(t, dir, c)} {
		if b, err := x.CheckToken(admin.Secret, ""); !errors.Is(err, web.ErrTokenRevoked) || b.Name != "ops" {
			t.Errorf("revoked: %v", err)
		}
	}
	if _, err := x.revoke("ops"); code(t, err) != api.CodeConflict {
		t.Errorf("revoked twice: %v", err)
	}
	if _, err := x.revoke(reader.Secret); code(t, err) != api.CodeNotFound || strings.Contains(err.Error(), reader.Secret) {
		t.Errorf("revoked by its secret: %v", err)
	}
	makeToken(t, x, api.TokenRequest{Name: "ops"}) // the name is free again
	c.t = c.t.Add(tokenLife)
	if _, err := x.CheckToken(reader.Secret, ""); !errors.Is(err, web.ErrTokenExpired) {
		t.Errorf("expired: %v", err)
	}
	c.t = c.t.Add(tokenGrave + time.Second)
	makeToken(t, x, api.TokenRequest{Name: "new"})
	if l := x.all(); len(l) != 1 {
		t.Errorf("%d tokens are listed", len(l))
	}
	if _, err := x.CheckToken(reader.Secret, ""); !errors.Is(err, web.ErrTokenUnknown) {
		t.Errorf("forgotten: %v", err)
	}
}

// TestTokenText: one character wrong, cut or added is told from unknown.
func TestTokenText(t *testing.T) {
	x := openTestTokens(t, t.TempDir(), &auditClock{time.Unix(0, 0)})
	text := newTokenText()
	if _, err := x.CheckToken(text, ""); !errors.Is(err, web.ErrTokenUnknown) {
		t.Errorf("a well-formed one: %v", err)
	}
	bad := []string{"", "cairn_", text[:54], text + "0", strings.ToUpper(text), " " + text, "Bearer " + text}
	for i := range text {
		bad = append(bad, text[:i]+string(text[i]^1)+text[i+1:])
	}
	for _, s := range bad {
		if _, err := x.CheckToken(s, ""); !errors.Is(err, web.ErrTokenMalformed) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func FuzzTokenText(f *testing.F) {
	f.Add(newTokenText())
	f.Add("cairn_")
	f.Fuzz(func(t *testing.T, s string) {
		if _, ok := tokenHash(s); ok && (!strings.HasPrefix(s, api.TokenPrefix) || len(s) != 55) {
			t.Errorf("%q is a token", s)
		}
	})
}

// TestTokenUses: uses are written once a minute at most, and with the end of the peer.
func TestTokenUses(t *testing.T) {
	dir, c := t.TempDir(), &auditClock{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	x := openTestTokens(t, dir, c)
	n := makeToken(t, x, api.TokenRequest{})
	onDisk := func() string {
		b, err := os.ReadFile(x.path)
		var f tokenFile
		if err != nil || json.Unmarshal(b, &f) != nil {
			t.Fatalf("%v %s", err, b)
		}
		return f.Tokens[0].LastFrom
	}
	use := func(from string) {
		if _, err := x.CheckToken(n.Secret, from); err != nil {
			t.Fatal(err)
		}
		x.tick(c.t)
	}
	use("10.0.0.1")
	if got := onDisk(); got != "" {
		t.Errorf("written at once: %q", got)
	}
	c.t = c.t.Add(usesEvery)
	use("10.0.0.2")
	if got := onDisk(); got != "10.0.0.2" {
		t.Errorf("after a minute: %q", got)
	}
	c.t = c.t.Add(time.Second)
	use("10.0.0.3")
	if got := onDisk(); got != "10.0.0.2" {
		t.Errorf("a second later: %q", got)
	}
	if err := x.close(); err != nil || onDisk() != "10.0.0.3" {
		t.Errorf("at the end: %v %q", err, onDisk())
	}
}

// TestTokenFile: one that is damaged, of another version or readable by others stops the peer, and is left alone.
func TestTokenFile(t *testing.T) {
	for _, f := range []struct {
		text string
		mode os.FileMode
		code api.Code
	}{
		{`{"v":1,"tokens":[`, 0o600, api.CodeFailed},
		{``, 0o600, api.CodeFailed},
		{`{"v":2,"tokens":[]}`, 0o600, api.CodeUnavailable},
		{`{"v":1,"tokens":[]}`, 0o644, api.CodeNotPermitted},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "tokens.json")
		if err := os.WriteFile(path, []byte(f.text), f.mode); err != nil {
			t.Fatal(err)
		}
		_, err := openTokens(dir, fileSeal{}, time.Now, slog.New(slog.DiscardHandler))
		if code(t, err) != f.code {
			t.Errorf("%q: %v", f.text, err)
		}
		if b, _ := os.ReadFile(path); string(b) != f.text {
			t.Errorf("%q was replaced by %q", f.text, b)
		}
	}
}

func TestTokenLimit(t *testing.T) {
	x := openTestTokens(t, t.TempDir(), &auditClock{time.Unix(0, 0)})
	for i := range maxTokens {
		x.list = append(x.list, tokenRecord{ID: fmt.Sprintf("%08x", i), Name: fmt.Sprint(i), Hash: fmt.Sprint(i), Expires: time.Unix(1000, 0)})
	}
	if _, err := x.create(api.TokenRequest{}); code(t, err) != api.CodeTooMany {
		t.Errorf("%v", err)
	}
	if _, err := x.revoke("000000"); code(t, err) != api.CodeUsage {
		t.Errorf("the beginning of many: %v", err)
	}
	if _, err := x.revoke("7"); err != nil {
		t.Errorf("a name that others' ids begin with: %v", err)
	}
}
