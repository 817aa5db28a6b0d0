package client_test

import (
	"testing"

	"cairn/web"
	"cairn/web/api"
	"cairn/web/internal/fakepeer"
)

// TestKeys calls each method once, and what the API refuses by itself.
func TestKeys(t *testing.T) {
	b := start(t, func(c *web.Config) { c.Keys = new(fakepeer.Keys) })
	ctx := t.Context()
	if s, err := b.KeyStatus(ctx); err != nil || s.Passphrase || s.DataKeys != 1 {
		t.Errorf("status: %+v, %v", s, err)
	}
	if s, err := b.SetPassphrase(ctx, api.PassphraseRequest{New: "correct horse"}); err != nil || !s.Passphrase {
		t.Errorf("set: %+v, %v", s, err)
	}
	if _, err := b.SetPassphrase(ctx, api.PassphraseRequest{Old: "wrong"}); code(err) != api.CodeWrongKey {
		t.Errorf("set with the wrong one: %v", err)
	}
	if _, err := b.RotateKeys(ctx, api.RotateRequest{}, nil, nil); code(err) != api.CodeWrongKey {
		t.Errorf("rotate without: %v", err)
	}
	heard := 0
	r, err := b.RotateKeys(ctx, api.RotateRequest{Reseal: true, Passphrase: "correct horse"}, func(api.Progress) { heard++ }, nil)
	if err != nil || r.Resealed != 3 || r.Keys.DataKeys != 1 || heard == 0 {
		t.Errorf("rotate: %+v, %v, %d times progress", r, err, heard)
	}
	if r, err := b.BackupKeys(ctx, api.BackupRequest{Path: "/b", Passphrase: "p"}); err != nil || len(r.Keys) != 3 {
		t.Errorf("backup: %+v, %v", r, err)
	}
	for _, r := range []api.BackupRequest{
		{Path: "relative", Passphrase: "p"}, {Path: "/b"}, {Path: "/b", Passphrase: "p", Recipients: []string{"age1x"}},
	} {
		if _, err := b.BackupKeys(ctx, r); code(err) != api.CodeUsage {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

func TestNoKeys(t *testing.T) {
	b := start(t)
	if _, err := b.KeyStatus(t.Context()); code(err) != api.CodeNotFound {
		t.Error(err)
	}
	if _, err := b.RotateKeys(t.Context(), api.RotateRequest{}, nil, nil); code(err) != api.CodeNotFound {
		t.Error(err)
	}
}
