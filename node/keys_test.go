package node

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"cairn/node/recovery"
	"cairn/web/api"

	"filippo.io/age"
)

const passphrase = "correct horse battery"

// say answers every question for a passphrase with p.
func say(p string) func(int) ([]byte, error) {
	return func(int) ([]byte, error) { return []byte(p), nil }
}

// hashHome is what a home holds: every name, mode and byte.
func hashHome(t *testing.T, home string) string {
	t.Helper()
	h := sha256.New()
	err := filepath.WalkDir(home, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		fmt.Fprintln(h, path, info.Mode(), info.ModTime())
		if e.Type().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(h, "%x\n", sha256.Sum256(b))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// noStart starts a peer that must not start, and wants the home left as it was.
func noStart(t *testing.T, home string, ask func(int) ([]byte, error), want api.Code) *api.Error {
	t.Helper()
	before := hashHome(t, home)
	n, err := New(t.Context(), Config{Home: home, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Passphrase: ask})
	if err == nil {
		n.close()
		t.Fatal("the peer started")
	}
	if c := code(t, err); c != want {
		t.Errorf("%s: %v", c, err)
	}
	if hashHome(t, home) != before {
		t.Error("something was written")
	}
	var e *api.Error
	errors.As(err, &e)
	if e.Hint == "" {
		t.Error("no hint:", e.Message)
	}
	return e
}

func TestPassphrase(t *testing.T) {
	home := t.TempDir()
	if HomeExists(home) {
		t.Error("an empty directory is a home")
	}
	n, stop := startAs(t, Config{Home: home, Passphrase: say(passphrase)})
	id := n.PeerID()
	if s, err := n.KeyStatus(t.Context()); err != nil || !s.Passphrase || s.DataKeys != 1 || !strings.HasPrefix(s.KDF, "argon2id") {
		t.Errorf("%+v, %v", s, err)
	}
	if !HomeExists(home) {
		t.Error("no home")
	}
	stop()
	for name, ask := range map[string]func(int) ([]byte, error){
		"wrong": say("wrong"), "nobody to ask": nil,
		"nothing known": func(int) ([]byte, error) { return nil, nil },
	} {
		t.Log(name, noStart(t, home, ask, api.CodeWrongKey))
	}
	asked := 0
	n, stop = startAs(t, Config{Home: home, Passphrase: func(attempt int) ([]byte, error) {
		if asked++; attempt < 3 {
			return []byte("not yet"), nil
		}
		return []byte(passphrase), nil
	}})
	if n.PeerID() != id || asked != 3 {
		t.Errorf("peer %s, was %s, asked %d times", n.PeerID(), id, asked)
	}
	for _, r := range []api.PassphraseRequest{{Old: "wrong", New: "another passphrase"}, {New: "another passphrase"}} {
		if _, err := n.SetPassphrase(t.Context(), r); code(t, err) != api.CodeWrongKey {
			t.Error(err)
		}
	}
	if _, err := n.SetPassphrase(t.Context(), api.PassphraseRequest{Old: passphrase, New: "short"}); code(t, err) != api.CodeUsage {
		t.Error(err)
	}
	if s, err := n.SetPassphrase(t.Context(), api.PassphraseRequest{Old: passphrase}); err != nil || s.Passphrase {
		t.Error(s, err)
	}
	stop()
	start(t, home)
}

// TestKeyFile: what can be wrong with the key file is said, and nothing is written.
func TestKeyFile(t *testing.T) {
	home := t.TempDir()
	n, stop := start(t, home)
	write(t, filepath.Join(home, "..", "f"), 100)
	id := n.PeerID()
	stop()
	path := vaultPath(home)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	put := func(b []byte, mode os.FileMode) {
		t.Helper()
		if err := errors.Join(os.Remove(path), os.WriteFile(path, b, mode)); err != nil {
			t.Fatal(err)
		}
	}
	if runtime.GOOS != "windows" {
		put(good, 0o644)
		if e := noStart(t, home, nil, api.CodeNotPermitted); e.Hint != "run: chmod 600 "+path {
			t.Error(e.Hint)
		}
	}
	put(good[:len(good)/2], 0o600)
	noStart(t, home, nil, api.CodeWrongKey)
	put(bytes.Replace(good, []byte(`"version": 1`), []byte(`"version": 2`), 1), 0o600)
	noStart(t, home, nil, api.CodeFailed)

	other := t.TempDir()
	_, stop = start(t, other)
	stop()
	foreign, err := os.ReadFile(vaultPath(other))
	if err != nil {
		t.Fatal(err)
	}
	put(foreign, 0o600)
	noStart(t, home, nil, api.CodeWrongKey)

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if !HomeExists(home) {
		t.Error("a store without keys is no home")
	}
	if e := noStart(t, home, nil, api.CodeWrongKey); !strings.Contains(e.Hint, "key restore") {
		t.Error(e)
	}
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	if n, _ := start(t, home); n.PeerID() != id {
		t.Error("another peer")
	}

	old := t.TempDir()
	for _, name := range []string{"lock", "door.key"} {
		if err := os.WriteFile(filepath.Join(old, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	noStart(t, old, nil, api.CodeNoHome)
}

// TestStolenHome: a copy of a home under a passphrase tells no content of owned blocks, and no keys, names, paths or tickets.
func TestStolenHome(t *testing.T) {
	home, user := t.TempDir(), filepath.Join(t.TempDir(), "directory-of-the-user")
	n, stop := startAs(t, Config{Home: home, Passphrase: say(passphrase)})
	marker := "this-is-the-content-"
	content := []byte(strings.Repeat(marker, 10_000))
	for _, name := range []string{"name-of-a-copied-file", "name-of-a-shared-file", "name-of-a-removed-file"} {
		write(t, filepath.Join(user, name), 0)
		if err := os.WriteFile(filepath.Join(user, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	added, err := n.Add(t.Context(), api.AddRequest{Path: filepath.Join(user, "name-of-a-copied-file"), Copy: true}, sink{t})
	if err != nil {
		t.Fatal(err)
	}
	shared := share(t, n, api.TicketOptions{}, filepath.Join(user, "name-of-a-shared-file"))
	removed := share(t, n, api.TicketOptions{}, filepath.Join(user, "name-of-a-removed-file"))
	if _, err := n.Remove(t.Context(), removed.Entry.ID); err != nil {
		t.Fatal(err)
	}
	other, _ := start(t, t.TempDir())
	elsewhere := share(t, other, api.TicketOptions{}, filepath.Join(user, "name-of-a-shared-file"))
	if _, err := n.Get(t.Context(), api.GetRequest{Tickets: []string{elsewhere.Ticket.Text}, Output: filepath.Join(user, "name-of-a-target")}, sink{t}); err != nil {
		t.Fatal(err)
	}
	if _, err := n.SetLimits(t.Context(), api.Limits{Up: 1 << 30}); err != nil {
		t.Fatal(err)
	}
	made, err := n.Init(t.Context(), api.InitRequest{Name: "name-of-a-network", PeerName: "name-of-a-member"})
	if err != nil {
		t.Fatal(err)
	}
	seed, err := recovery.FromWords(made.RecoveryWords)
	if err != nil {
		t.Fatal(err)
	}
	invite, err := n.Invite(t.Context(), api.InviteRequest{})
	if err != nil {
		t.Fatal(err)
	}
	secrets := [][]byte{seed[:], []byte(invite.Text[20:60])}
	for _, s := range n.vault.All() {
		secrets = append(secrets, s)
	}
	raw, err := privateKey(n.vault, secretDoor)
	if err != nil {
		t.Fatal(err)
	}
	own, _ := raw.Raw()
	secrets = append(secrets, own[:32])
	for _, s := range []string{marker, "name-of-a", "directory-of-the-user", shared.Ticket.Text[:40], removed.Ticket.Text[20:50], elsewhere.Ticket.Text[20:50],
		added.Entry.Name, passphrase, "door", "identity", `"plain"`} {
		secrets = append(secrets, []byte(s))
	}
	stop()
	files := 0
	err = filepath.WalkDir(home, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		what := []byte(strings.TrimPrefix(path, home))
		if e.Type().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			what = append(what, b...)
			files++
		}
		for i, s := range secrets {
			if bytes.Contains(what, s) {
				t.Errorf("%s tells secret %d: %.40q", path, i, s)
			}
		}
		return nil
	})
	if err != nil || files < 6 {
		t.Fatal(files, err)
	}
}

func TestRotateKeys(t *testing.T) {
	home := t.TempDir()
	n, stop := startAs(t, Config{Home: home, Passphrase: say(passphrase)})
	src := filepath.Join(t.TempDir(), "f")
	want := write(t, src, 3<<20)
	e, err := n.Add(t.Context(), api.AddRequest{Path: src, Copy: true}, sink{t})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.RotateKeys(t.Context(), api.RotateRequest{Passphrase: "wrong"}, sink{t}); code(t, err) != api.CodeWrongKey {
		t.Error(err)
	}
	r, err := n.RotateKeys(t.Context(), api.RotateRequest{Passphrase: passphrase}, sink{t})
	if err != nil || r.Keys.DataKeys != 2 || r.Resealed != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	r, err = n.RotateKeys(t.Context(), api.RotateRequest{Passphrase: passphrase, Reseal: true}, sink{t})
	if err != nil || r.Keys.DataKeys != 1 || r.Resealed < 3 || r.Bytes < int64(len(want)) {
		t.Errorf("%+v, %v", r, err)
	}
	// One that was interrupted goes on with the next start, or with verify.
	if err := n.store.RotateKey(true); err != nil {
		t.Fatal(err)
	}
	if v, err := n.Verify(t.Context(), sink{t}); err != nil || v.Damaged != 0 || n.store.Resealing() {
		t.Errorf("%+v, %v", v, err)
	}
	if err := n.store.RotateKey(true); err != nil {
		t.Fatal(err)
	}
	stop()
	n, stop = startAs(t, Config{Home: home, Passphrase: say(passphrase)})
	eventually(t, "the reseal goes on", 20*time.Second, func() bool { return !n.store.Resealing() })
	got := new(bytes.Buffer)
	if err := n.ExportCAR(t.Context(), e.Entry.ID, got); err != nil || got.Len() < len(want) {
		t.Error(got.Len(), err)
	}
	stop()
}

func TestBackup(t *testing.T) {
	home, dir := t.TempDir(), t.TempDir()
	n, stop := start(t, home)
	n.scrypt = 10 // quick
	id := n.PeerID()
	src := filepath.Join(dir, "f")
	write(t, src, 100_000)
	e, err := n.Add(t.Context(), api.AddRequest{Path: src, Copy: true}, sink{t})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []api.BackupRequest{{Path: "relative", Passphrase: passphrase}, {Path: filepath.Join(dir, "b"), Passphrase: "short"},
		{Path: filepath.Join(dir, "b"), Recipients: []string{"age1wrong"}}} {
		if _, err := n.BackupKeys(t.Context(), r); code(t, err) != api.CodeUsage {
			t.Error(err)
		}
	}
	path := filepath.Join(dir, "backup.age")
	r, err := n.BackupKeys(t.Context(), api.BackupRequest{Path: path, Passphrase: passphrase})
	if err != nil || len(r.Keys) != 3 {
		t.Fatal(r, err)
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	if _, err := n.BackupKeys(t.Context(), api.BackupRequest{Path: path, Passphrase: passphrase}); code(t, err) != api.CodeConflict {
		t.Error(err)
	}
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	idFile := filepath.Join(dir, "identity")
	if err := os.WriteFile(idFile, []byte(key.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	forKey := filepath.Join(dir, "forkey.age")
	if _, err := n.BackupKeys(t.Context(), api.BackupRequest{Path: forKey, Recipients: []string{key.Recipient().String()}}); err != nil {
		t.Fatal(err)
	}
	restore := func(r KeyRestore) (KeyRestored, error) { return RestoreKeys(t.Context(), r) }
	if _, err := restore(KeyRestore{Home: home, File: path, Ask: say(passphrase)}); code(t, err) != api.CodeLocked {
		t.Error("while the peer runs:", err)
	}
	stop()
	if got, err := restore(KeyRestore{Home: home, File: path, Ask: say(passphrase)}); err != nil || !got.Same || got.PeerID != id.String() {
		t.Error(got, err)
	}

	// The key file is lost, the store is there.
	if err := os.Remove(vaultPath(home)); err != nil {
		t.Fatal(err)
	}
	before := hashHome(t, home)
	for name, r := range map[string]KeyRestore{
		"wrong passphrase":     {File: path, Ask: say("wrong")},
		"nobody to ask":        {File: path},
		"no passphrase needed": {File: forKey, Ask: say(passphrase)},
		"no identity needed":   {File: path, Identity: idFile},
	} {
		r.Home = home
		if _, err := restore(r); code(t, err) != api.CodeWrongKey {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := restore(KeyRestore{Home: home, File: src, Ask: say(passphrase)}); code(t, err) != api.CodeIntegrity {
		t.Error(err)
	}
	if _, err := restore(KeyRestore{Home: home, File: filepath.Join(dir, "none")}); code(t, err) != api.CodeNotFound {
		t.Error(err)
	}
	if hashHome(t, home) != before {
		t.Error("a refused restore wrote something")
	}
	if got, err := restore(KeyRestore{Home: home, File: forKey, Identity: idFile, Passphrase: say("a new passphrase")}); err != nil || got.Same {
		t.Error(got, err)
	}
	n, stop = startAs(t, Config{Home: home, Passphrase: say("a new passphrase")})
	if _, err := n.Entry(t.Context(), e.Entry.ID); err != nil || n.PeerID() != id {
		t.Error(n.PeerID(), err)
	}
	// After a rotation the backup is of no use any more, and that is said.
	if err := n.store.RotateKey(false); err != nil {
		t.Fatal(err)
	}
	stop()
	if _, err := restore(KeyRestore{Home: home, File: path, Ask: say(passphrase), Passphrase: say("a new passphrase")}); code(t, err) != api.CodeConflict {
		t.Error("over newer keys:", err)
	}
	if err := os.Remove(vaultPath(home)); err != nil {
		t.Fatal(err)
	}
	if _, err := restore(KeyRestore{Home: home, File: path, Ask: say(passphrase)}); code(t, err) != api.CodeWrongKey {
		t.Error("older keys:", err)
	}

	// On a new machine the peer is itself again, with an empty store.
	fresh := filepath.Join(dir, "fresh")
	if got, err := restore(KeyRestore{Home: fresh, File: path, Ask: say(passphrase)}); err != nil || got.Same {
		t.Fatal(got, err)
	}
	n, _ = start(t, fresh)
	if n.PeerID() != id {
		t.Error("another peer")
	}
	// Keys of another peer do not fit, nor do they replace any.
	other := t.TempDir()
	_, stop = start(t, other)
	stop()
	if _, err := restore(KeyRestore{Home: other, File: path, Ask: say(passphrase)}); code(t, err) != api.CodeConflict {
		t.Error(err)
	}
	if err := os.Remove(vaultPath(other)); err != nil {
		t.Fatal(err)
	}
	before = hashHome(t, other)
	if _, err := restore(KeyRestore{Home: other, File: path, Ask: say(passphrase)}); code(t, err) != api.CodeWrongKey {
		t.Error(err)
	}
	if hashHome(t, other) != before {
		t.Error("a refused restore wrote something")
	}
}

func FuzzDecodeBackup(f *testing.F) {
	f.Add([]byte(`{"format":"cairn-key-backup","version":1,"secrets":{"door":"AAAA"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, err := decodeBackup(b); err == nil {
			v.names()
			v.wipe()
		}
	})
}
