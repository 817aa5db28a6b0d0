package node

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"cairn/consensus/access"
	"cairn/web"
	"cairn/web/api"
)

const (
	tokenLife    = 30 * 24 * time.Hour // unless asked otherwise
	tokenGrave   = 90 * 24 * time.Hour // for which one that has ended is still listed
	maxTokens    = 256                 // in force
	maxOldTokens = 1024                // that have ended; the oldest go first
	usesEvery    = time.Minute         // between writes of last uses
	tokensForm   = 1
)

// tokens are the secrets by which programs use the HTTP API. Of each only the SHA-256 is kept, in tokens.json (0600) of the
// home, replaced as a whole and synced before anything is answered. Finding one is a look-up by its hash, so its time
// tells nothing of the secrets that are there. When and from where one was used last is written once a minute.
type tokens struct {
	path string
	seal fileSeal
	now  func() time.Time
	log  *slog.Logger

	mu      sync.Mutex
	list    []tokenRecord // in the order in which they were made
	byHash  map[string]int
	used    bool      // last uses are not all on disk
	written time.Time // when they were
}

// tokenRecord is the stored form of a token.
type tokenRecord struct {
	ID       string     `json:"id"`
	Name     string     `json:"name"`
	Scope    string     `json:"scope"`
	Hash     string     `json:"sha256"`
	Created  time.Time  `json:"created"`
	Expires  time.Time  `json:"expires"`
	Revoked  *time.Time `json:"revoked,omitempty"`
	LastUsed *time.Time `json:"last_used,omitempty"`
	LastFrom string     `json:"last_from,omitempty"`
}

// tokenFile is the content of tokens.json.
type tokenFile struct {
	Version int           `json:"v"`
	Tokens  []tokenRecord `json:"tokens"`
}

// openTokens reads those of a home. A file that is damaged stops the peer: without it nobody could say which tokens were
// revoked.
func openTokens(dir string, seal fileSeal, now func() time.Time, log *slog.Logger) (*tokens, error) {
	t := &tokens{path: filepath.Join(dir, "tokens.json"), seal: seal, now: now, log: log}
	b, err := os.ReadFile(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		t.index()
		return t, nil
	}
	if err != nil {
		return nil, api.Errorf(api.CodeNotPermitted, "%s: %s", t.path, reason(err))
	}
	if err := private(t.path); err != nil {
		return nil, err
	}
	plain := len(b) > 0 && b[0] != sealedText
	var f tokenFile
	if b, err = seal.unwrap("tokens.json", b); err == nil {
		err = json.Unmarshal(b, &f)
	}
	if err != nil {
		return nil, api.Errorf(api.CodeFailed, "%s is damaged", t.path).
			WithHint("restore it, or remove it to end all tokens").Because(err)
	}
	if f.Version != tokensForm {
		return nil, api.Errorf(api.CodeUnavailable, "%s is of another version: %d", t.path, f.Version).WithHint("install a newer version of cairn")
	}
	t.list = f.Tokens
	t.index()
	if plain && seal.on() { // the process died after a passphrase was set
		if err := t.rewrite(); err != nil {
			log.Warn("the list of tokens is not sealed yet", "err", err)
		}
	}
	return t, nil
}

// index: mu is held, or nobody else knows t.
func (t *tokens) index() {
	t.byHash = make(map[string]int, len(t.list))
	for i, r := range t.list {
		t.byHash[r.Hash] = i
	}
}

// save replaces the file, and the list by what is in it: mu is held.
func (t *tokens) save(list []tokenRecord) error {
	b, err := json.MarshalIndent(tokenFile{tokensForm, list}, "", " ")
	if err != nil {
		return fmt.Errorf("write tokens: %w", err)
	}
	if b, err = t.seal.wrap("tokens.json", b); err != nil {
		return err
	}
	if err := writeSecret(t.path, append(b, '\n')); err != nil {
		return err
	}
	t.list, t.used, t.written = list, false, t.now()
	t.index()
	return nil
}

// rewrite writes the file again, sealed if the keys are under a passphrase now.
func (t *tokens) rewrite() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.list) == 0 {
		return nil
	}
	return t.save(t.list)
}

// kept is the list without those that ended long ago: mu is held.
func (t *tokens) kept() []tokenRecord {
	now := t.now()
	out := slices.DeleteFunc(slices.Clone(t.list), func(r tokenRecord) bool {
		end := r.Expires
		if r.Revoked != nil {
			end = *r.Revoked
		}
		return now.Sub(end) > tokenGrave
	})
	over := -maxOldTokens
	for _, r := range out {
		if r.state(now) != "active" {
			over++
		}
	}
	return slices.DeleteFunc(out, func(r tokenRecord) bool {
		if over > 0 && r.state(now) != "active" {
			over--
			return true
		}
		return false
	})
}

func (r tokenRecord) state(now time.Time) string {
	switch {
	case r.Revoked != nil:
		return "revoked"
	case !now.Before(r.Expires):
		return "expired"
	}
	return "active"
}

func (r tokenRecord) show(now time.Time) api.Token {
	return api.Token{ID: r.ID, Name: r.Name, Scope: r.Scope, Created: r.Created, Expires: r.Expires, LastUsed: r.LastUsed, LastFrom: r.LastFrom,
		State: r.state(now)}
}

// create makes a token and tells its secret, once.
func (t *tokens) create(q api.TokenRequest) (api.NewToken, error) {
	if q.Scope == "" {
		q.Scope = string(access.Read)
	}
	if !slices.Contains([]access.Right{access.Read, access.Write, access.Admin}, access.Right(q.Scope)) {
		return api.NewToken{}, api.Errorf(api.CodeUsage, "%q is no scope of tokens", q.Scope).WithHint("read, write or admin")
	}
	life := tokenLife
	if q.ExpireSeconds > 0 {
		life = time.Duration(q.ExpireSeconds) * time.Second
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now().UTC()
	list := t.kept()
	active := 0
	for _, r := range list {
		if r.state(now) != "active" {
			continue
		}
		if active++; r.Name == q.Name {
			return api.NewToken{}, api.Errorf(api.CodeConflict, "there is a token of the name %q already", q.Name).
				WithHint("choose another name, or end that one: cairn token revoke %s", r.ID)
		}
	}
	if active >= maxTokens {
		return api.NewToken{}, api.Errorf(api.CodeTooMany, "there are %d tokens already", active).
			WithHint("end some that nobody uses: cairn token ls, cairn token revoke")
	}
	secret := newTokenText()
	hash, _ := tokenHash(secret)
	r := tokenRecord{ID: newTokenID(), Name: q.Name, Scope: q.Scope, Hash: hex.EncodeToString(hash[:]), Created: now, Expires: now.Add(life)}
	if r.Name == "" {
		r.Name = r.ID
	}
	if err := t.save(append(list, r)); err != nil {
		return api.NewToken{}, err
	}
	return api.NewToken{Secret: secret, Token: r.show(now)}, nil
}

func newTokenID() string {
	var b [4]byte
	rand.Read(b[:]) // never fails since Go 1.24
	return hex.EncodeToString(b[:])
}

// all lists them, the newest first.
func (t *tokens) all() []api.Token {
	t.mu.Lock()
	defer t.mu.Unlock()
	now, out := t.now(), []api.Token{}
	for _, r := range slices.Backward(t.list) {
		out = append(out, r.show(now))
	}
	return out
}

// revoke ends one, by id, the beginning of it, or name.
func (t *tokens) revoke(ref string) (api.Token, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i, err := t.find(ref)
	if err != nil {
		return api.Token{}, err
	}
	now := t.now().UTC()
	if r := t.list[i]; r.state(now) != "active" {
		return api.Token{}, api.Errorf(api.CodeConflict, "the token %s has ended already: it is %s", r.Name, r.state(now))
	}
	list := slices.Clone(t.list)
	list[i].Revoked = &now
	id := list[i].ID
	if err := t.save(list); err != nil {
		return api.Token{}, err
	}
	i, err = t.find(id)
	if err != nil {
		return api.Token{}, err
	}
	return t.list[i].show(now), nil
}

// find: mu is held. One in force goes before those that have ended.
func (t *tokens) find(ref string) (int, error) {
	now := t.now()
	for _, active := range []bool{true, false} {
		var found []int
		for i, r := range t.list {
			if (r.state(now) == "active") != active {
				continue
			}
			if r.ID == ref || r.Name == ref {
				return i, nil
			}
			if len(ref) >= 2 && strings.HasPrefix(r.ID, ref) {
				found = append(found, i)
			}
		}
		switch {
		case len(found) == 1:
			return found[0], nil
		case len(found) > 1:
			return 0, api.Errorf(api.CodeUsage, "token %q: %d begin with that", api.NoSecret(ref), len(found)).WithHint("write more of the id")
		}
	}
	return 0, api.Errorf(api.CodeNotFound, "there is no token %q", api.NoSecret(ref)).WithHint("cairn token ls lists them by id and name")
}

// CheckToken is web.Bearers.
func (t *tokens) CheckToken(secret, from string) (web.Bearer, error) {
	hash, ok := tokenHash(secret)
	if !ok {
		return web.Bearer{}, web.ErrTokenMalformed
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	i, ok := t.byHash[hex.EncodeToString(hash[:])]
	if !ok {
		return web.Bearer{}, web.ErrTokenUnknown
	}
	r := &t.list[i]
	now := t.now().UTC()
	b := web.Bearer{ID: r.ID, Name: r.Name, Scope: access.Right(r.Scope)}
	switch r.state(now) {
	case "revoked":
		return b, web.ErrTokenRevoked
	case "expired":
		return b, web.ErrTokenExpired
	}
	now = now.Truncate(time.Second)
	if r.LastUsed == nil || r.LastFrom != from || !r.LastUsed.Equal(now) {
		r.LastUsed, r.LastFrom, t.used = &now, from, true
	}
	return b, nil
}

// TokenEnded is web.Bearers.
func (t *tokens) TokenEnded(id string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.IndexFunc(t.list, func(r tokenRecord) bool { return r.ID == id })
	return i < 0 || t.list[i].state(t.now()) != "active"
}

// tick writes last uses, at most once a minute. A peer that dies forgets those of the last minute.
func (t *tokens) tick(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if since := now.Sub(t.written); !t.used || since >= 0 && since < usesEvery {
		return
	}
	t.written = now // also when it fails: the disk is not tried every second
	if err := t.save(t.list); err != nil {
		t.log.Warn("last uses of tokens could not be written", "err", err)
	}
}

// close writes last uses.
func (t *tokens) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.used {
		return nil
	}
	return t.save(t.list)
}

// CreateToken makes a token for a program.
func (n *Node) CreateToken(_ context.Context, r api.TokenRequest) (api.NewToken, error) {
	x, err := n.tokens.create(r)
	return x, explained(err)
}

// Tokens lists them.
func (n *Node) Tokens(context.Context) ([]api.Token, error) { return n.tokens.all(), nil }

// RevokeToken ends one.
func (n *Node) RevokeToken(_ context.Context, ref string) (api.Token, error) {
	x, err := n.tokens.revoke(ref)
	return x, explained(err)
}
