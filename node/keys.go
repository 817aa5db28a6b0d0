package node

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"cairn/storage"
	"cairn/storage/vault"
	"cairn/web/api"
)

// minPassphrase is the least length of a new passphrase, in bytes. argon2id makes a guess dear; it does not save a word of four letters.
const minPassphrase = 8

var _ api.Keys = (*Node)(nil)

// KeyStatus says how the keys of this peer are protected.
func (n *Node) KeyStatus(context.Context) (api.KeyStatus, error) {
	i := n.vault.Info()
	return api.KeyStatus{Passphrase: i.Passphrase, KDF: i.KDF, DataKeys: n.storeKeys.Count(), Changed: i.Changed}, nil
}

// SetPassphrase puts the keys under another passphrase, under none if the new one is empty.
func (n *Node) SetPassphrase(ctx context.Context, r api.PassphraseRequest) (api.KeyStatus, error) {
	if err := checkPassphrase(r.New); err != nil && r.New != "" {
		return api.KeyStatus{}, err
	}
	if err := n.vault.SetPassphrase([]byte(r.Old), []byte(r.New)); err != nil {
		return api.KeyStatus{}, n.explainKeys(err)
	}
	n.log.Info("passphrase of the keys changed", "set", r.New != "")
	if err := errors.Join(n.audit.rewrite(), n.tokens.rewrite()); err != nil {
		return api.KeyStatus{}, explained(err)
	}
	return n.KeyStatus(ctx)
}

func checkPassphrase(p string) error {
	if len(p) < minPassphrase {
		return api.Errorf(api.CodeUsage, "the new passphrase is too short").WithHint("it needs at least %d characters; several words are best", minPassphrase)
	}
	return nil
}

// RotateKeys makes a new salt and key for wrapping, under the same passphrase, and a new data key that seals from now on.
// With Reseal everything in the store is sealed anew and the old data keys are forgotten.
func (n *Node) RotateKeys(ctx context.Context, r api.RotateRequest, s api.Sink) (api.RotateResult, error) {
	start := n.now()
	if err := n.vault.Rewrap([]byte(r.Passphrase)); err != nil {
		return api.RotateResult{}, n.explainKeys(err)
	}
	if err := n.store.RotateKey(r.Reseal); err != nil {
		return api.RotateResult{}, n.explainKeys(err)
	}
	n.log.Info("keys rotated", "reseal", r.Reseal)
	var res storage.ResealResult
	if r.Reseal {
		var err error
		if res, err = n.reseal(ctx, s); err != nil {
			return api.RotateResult{}, err
		}
	}
	k, err := n.KeyStatus(ctx)
	return api.RotateResult{Keys: k, Resealed: res.Values, Bytes: res.Bytes, Millis: n.now().Sub(start).Milliseconds()}, err
}

// reseal seals everything anew that is under data keys to be forgotten; nothing to do is no error.
func (n *Node) reseal(ctx context.Context, s api.Sink) (storage.ResealResult, error) {
	ctx, cancel := n.bound(ctx)
	defer cancel()
	p := newPace(n.now, s, "sealing anew")
	res, err := n.store.Reseal(ctx, func(r storage.ResealResult) { p.tell(r.Bytes, r.Total, r.Values, "") })
	if err != nil {
		e := explain(n.explainKeys(err))
		if ctx.Err() != nil || e.Code == api.CodeNoSpace {
			e = api.Errorf(e.Code, "%s; not everything is sealed anew yet, and the old keys are kept", e.Message).
				WithHint("`cairn up` goes on with it when it starts, `cairn verify` too; so does `cairn key rotate --reseal`")
		}
		return res, e
	}
	return res, nil
}

// finishReseal goes on with what was interrupted, once the peer runs.
func (n *Node) finishReseal(ctx context.Context) {
	if !n.store.Resealing() {
		return
	}
	n.log.Info("sealing the rest of the store anew", "reason", "a rotation of keys was interrupted")
	if res, err := n.reseal(ctx, nil); err != nil {
		n.log.Warn("sealing anew", "err", err)
	} else {
		n.log.Info("sealed anew, old keys forgotten", "values", res.Values, "bytes", res.Bytes)
	}
}

// BackupKeys writes an encrypted copy of all keys to a new file.
func (n *Node) BackupKeys(_ context.Context, r api.BackupRequest) (api.BackupResult, error) {
	if !filepath.IsAbs(r.Path) {
		return api.BackupResult{}, api.Errorf(api.CodeUsage, "path %q is not absolute", r.Path)
	}
	if len(r.Recipients) == 0 {
		if err := checkPassphrase(r.Passphrase); err != nil {
			return api.BackupResult{}, err
		}
	}
	if _, err := os.Lstat(r.Path); err == nil { // before the long work; writeBackup looks again
		return api.BackupResult{}, errBackupThere(r.Path)
	}
	b := backup{Format: backupFormat, Version: backupVersion, Created: n.now().UTC().Truncate(time.Second),
		PeerID: n.host.ID().String(), Name: n.settings.name(), Secrets: n.vault.All()}
	defer b.wipe()
	file, err := b.seal(r.Passphrase, r.Recipients, n.scrypt)
	if err != nil {
		return api.BackupResult{}, explained(err)
	}
	if err := writeBackup(r.Path, file); err != nil {
		return api.BackupResult{}, explained(err)
	}
	n.log.Info("keys backed up")
	return api.BackupResult{Path: r.Path, Keys: b.names()}, nil
}

// explainKeys is explain for the keys of this home.
func (n *Node) explainKeys(err error) error {
	if errors.Is(err, vault.ErrWrongPassphrase) {
		if !n.vault.Info().Passphrase {
			return api.Errorf(api.CodeWrongKey, "the keys are under no passphrase").WithHint("leave the old one out; nothing was changed")
		}
		return api.Errorf(api.CodeWrongKey, "the passphrase is wrong").WithHint("nothing was changed; try again with the right one")
	}
	if errors.Is(err, storage.ErrUnsealable) {
		return api.Errorf(api.CodeIntegrity, "%s; the old keys are kept", plain(err)).
			WithHint("`cairn verify` names what is damaged; remove it, run `cairn gc`, then rotate again")
	}
	return explained(explainVault(vaultPath(n.home.dir), err))
}
