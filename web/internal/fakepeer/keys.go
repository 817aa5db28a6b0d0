package fakepeer

import (
	"context"

	"cairn/web/api"
)

// Keys is an api.Keys in memory: a passphrase, and a count of data keys.
type Keys struct {
	Passphrase string
	DataKeys   int
}

func (k *Keys) KeyStatus(context.Context) (api.KeyStatus, error) {
	kdf := "none"
	if k.Passphrase != "" {
		kdf = "argon2id (64 MiB, 3 passes, 4 lanes)"
	}
	return api.KeyStatus{Passphrase: k.Passphrase != "", KDF: kdf, DataKeys: k.DataKeys + 1, Changed: when}, nil
}

func (k *Keys) check(pass string) error {
	if pass != k.Passphrase {
		return api.Errorf(api.CodeWrongKey, "the passphrase is wrong").WithHint("nothing was changed")
	}
	return nil
}

func (k *Keys) SetPassphrase(ctx context.Context, r api.PassphraseRequest) (api.KeyStatus, error) {
	if err := k.check(r.Old); err != nil {
		return api.KeyStatus{}, err
	}
	k.Passphrase = r.New
	return k.KeyStatus(ctx)
}

func (k *Keys) RotateKeys(ctx context.Context, r api.RotateRequest, s api.Sink) (api.RotateResult, error) {
	if err := k.check(r.Passphrase); err != nil {
		return api.RotateResult{}, err
	}
	s.Progress(api.Progress{Phase: "sealing", Done: 1, Total: 2})
	k.DataKeys++
	res := api.RotateResult{Millis: 1}
	if r.Reseal {
		k.DataKeys, res.Resealed, res.Bytes = 0, 3, 4096
	}
	res.Keys, _ = k.KeyStatus(ctx)
	return res, nil
}

func (k *Keys) BackupKeys(_ context.Context, r api.BackupRequest) (api.BackupResult, error) {
	return api.BackupResult{Path: r.Path, Keys: []string{"door", "identity", "store"}}, nil
}
