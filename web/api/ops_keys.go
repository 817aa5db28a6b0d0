package api

import "context"

// keys registers what concerns the keys of the peer. All of it is for the socket: passphrases go no further than this machine.
func (s *service) keys() {
	call(s, op("GET", "/v1/local/keys", "local-keys", "local", "How the keys of this peer are protected"),
		func(ctx context.Context, _ *none) (KeyStatus, error) {
			k, err := s.theKeys()
			if err != nil {
				return KeyStatus{}, err
			}
			return k.KeyStatus(ctx)
		})
	call(s, op("POST", "/v1/local/keys/passphrase", "local-set-passphrase", "local", "Put the keys under another passphrase, or under none"),
		func(ctx context.Context, in *struct{ Body PassphraseRequest }) (KeyStatus, error) {
			k, err := s.theKeys()
			if err != nil {
				return KeyStatus{}, err
			}
			return k.SetPassphrase(ctx, in.Body)
		})
	work(s, op("POST", "/v1/local/keys/rotate", "local-rotate-keys", "local", "Make new keys, and seal everything anew if asked"), "RotateStream",
		func(*struct{ Body RotateRequest }) error { _, err := s.theKeys(); return err },
		func(ctx context.Context, in *struct{ Body RotateRequest }, k Sink) (RotateResult, error) {
			return s.Keys.RotateKeys(ctx, in.Body, k)
		})
	call(s, op("POST", "/v1/local/keys/backup", "local-backup-keys", "local", "Write an encrypted copy of all keys to a file of this machine"),
		func(ctx context.Context, in *struct{ Body BackupRequest }) (out BackupResult, err error) {
			k, err := s.theKeys()
			if err == nil {
				err = checkBackup(in.Body)
			}
			if err != nil {
				return out, err
			}
			return k.BackupKeys(ctx, in.Body)
		})
}

// theKeys fails for a peer that was built without any.
func (s *service) theKeys() (Keys, error) {
	if s.Keys == nil {
		return nil, Errorf(CodeNotFound, "this peer keeps no keys")
	}
	return s.Keys, nil
}

func checkBackup(r BackupRequest) error {
	if (r.Passphrase == "") == (len(r.Recipients) == 0) {
		return Errorf(CodeUsage, "a backup is encrypted either under a passphrase or for recipients").WithHint("set passphrase or recipients, not both")
	}
	return absolute(r.Path)
}
