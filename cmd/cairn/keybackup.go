package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"cairn/web/api"
)

type backupOptions struct {
	recipients []string
	pass       descriptor
}

func newKeyBackup(e *env) *cobra.Command {
	var o backupOptions
	c := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write an encrypted copy of all keys",
		Long: `Write all keys of this peer to a new file, encrypted with age: under a passphrase of its own,
which is asked for twice, or for the holders of age identities (--recipient). Keep it away from
this machine: without keys a store is lost, even to you.`,
		Example: `  cairn key backup /media/usb/cairn-keys.age
  cairn key backup keys.age --recipient age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p`,
		Args: wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return runKeyBackup(cmd.Context(), e, &o, args[0]) },
	}
	c.Flags().StringArrayVar(&o.recipients, "recipient", nil, "encrypt for this age `RECIPIENT` in the place of a passphrase; may be repeated")
	c.Flags().Var(&o.pass, "file-passphrase-fd", "read the backup's passphrase from this file descriptor")
	return c
}

func runKeyBackup(ctx context.Context, e *env, o *backupOptions, path string) error {
	path, err := absolute(path)
	if err != nil {
		return err
	}
	if o.pass.given && len(o.recipients) > 0 {
		return usagef("--recipient and --file-passphrase-fd do not go together")
	}
	r := api.BackupRequest{Path: path, Recipients: o.recipients}
	var res api.BackupResult
	err = e.withPeer(ctx, peerNeed{needHome: true}, func(ctx context.Context, p remote, _ api.Status) error {
		if len(r.Recipients) == 0 && r.Passphrase == "" {
			pass, err := e.filePassphrase(ctx, &o.pass, "the backup", "encrypt it with --recipient age1...")
			if err != nil {
				return err
			}
			r.Passphrase = string(pass)
		}
		var err error
		res, err = p.BackupKeys(ctx, r)
		return err
	})
	if err != nil {
		return err
	}
	if e.json {
		return e.line(res)
	}
	return e.printf("%s holds the keys %s\n", clean(res.Path), clean(strings.Join(res.Keys, ", ")))
}

// filePassphrase is the one that a new file is to be under. instead says what else would do.
func (e *env) filePassphrase(ctx context.Context, d *descriptor, what, instead string) ([]byte, error) {
	if d.given {
		return d.line()
	}
	pass, err := e.newPassphrase(ctx, "Passphrase for "+what)
	if err == nil && pass == nil {
		err = errNoTerminal("a passphrase for "+what, "--file-passphrase-fd N, or "+instead)
	}
	return pass, err
}

// keyRestore is what bringing keys back needs; doors.restoreKeys does it.
type keyRestore struct {
	home, file, identity string
	ask, passphrase      func(attempt int) ([]byte, error)
}

// keyRestored is what came of it.
type keyRestored struct {
	PeerID string   `json:"peer_id"`
	Name   string   `json:"name"`
	Keys   []string `json:"keys"`
	Same   bool     `json:"same"`
}

type keyRestoreOptions struct {
	identity string
	pass     descriptor
}

func newKeyRestore(e *env) *cobra.Command {
	var o keyRestoreOptions
	c := &cobra.Command{
		Use:   "restore FILE",
		Short: "Bring the keys back from a backup",
		Long: `Bring the keys of a peer back from a backup into a data directory without keys, while no peer
uses it: a new one, or one whose key file was lost. Keys that are there are never replaced, and
keys that do not fit the store that is there are refused.

The restored keys are under the passphrase from --passphrase-fd or the systemd credential, else
under the one that is typed at the terminal, or under none: "cairn key passwd" sets one later.`,
		Example: `  cairn key restore /media/usb/cairn-keys.age
  cairn key restore keys.age --identity key.txt`,
		Args: wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return runKeyRestore(cmd.Context(), e, &o, args[0]) },
	}
	c.Flags().StringVar(&o.identity, "identity", "", "`FILE` with the age identity that the backup was encrypted for")
	c.Flags().Var(&o.pass, "file-passphrase-fd", "read the backup's passphrase from this file descriptor")
	return c
}

// restoredPassphrase is unlock, which asks for a passphrase for the restored keys too: the keys that were backed up may have been
// under one.
func (e *env) restoredPassphrase(ctx context.Context) func(attempt int) ([]byte, error) {
	return func(attempt int) ([]byte, error) {
		p, err := e.unlock(ctx)(attempt)
		if attempt > 0 || p != nil || err != nil {
			return p, err
		}
		for {
			first, err := e.prompt(ctx, "Passphrase for the keys in "+e.home+" (empty: none)", 1)
			if err != nil || len(first) == 0 {
				return nil, err
			}
			same, err := e.repeated(ctx, first)
			if err != nil {
				return nil, err
			}
			if same {
				e.passphrase = bytes.Clone(first)
				return first, nil
			}
		}
	}
}

func runKeyRestore(ctx context.Context, e *env, o *keyRestoreOptions, path string) error {
	if o.pass.given && o.identity != "" {
		return usagef("--identity and --file-passphrase-fd do not go together")
	}
	ask := func(attempt int) ([]byte, error) {
		if o.pass.given {
			if attempt > 1 {
				return nil, nil
			}
			return o.pass.line()
		}
		return e.prompt(ctx, fmt.Sprintf("Passphrase of the backup %s", path), attempt)
	}
	res, err := e.doors.restoreKeys(ctx, keyRestore{home: e.home, file: path, identity: o.identity, ask: ask, passphrase: e.restoredPassphrase(ctx)})
	if err != nil {
		return err
	}
	if e.json {
		return e.line(res)
	}
	what := "restored"
	if res.Same {
		what = "already there"
	}
	if err := e.printf("keys of %s (%s) %s: %s\n", clean(short(res.PeerID)), clean(res.Name), what, clean(strings.Join(res.Keys, ", "))); err != nil {
		return err
	}
	if !res.Same && e.passphrase == nil {
		e.note("they are under no passphrase; `cairn key passwd` sets one")
	}
	return nil
}
