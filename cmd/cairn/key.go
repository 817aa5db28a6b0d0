package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"cairn/web/api"
)

func newKey(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "key",
		Short: "Protect, back up and change the keys of this peer",
		Long: `The file "keys" in the data directory holds everything secret: who this peer is, and the keys
under which its store is sealed. With a passphrase a stolen copy of the data directory gives no
content of the store, no keys, names, paths or tickets. Not covered: files that you downloaded
or refer to, the hashes and sizes of blocks, config.toml, ports, limits of bandwidth, and the
keys of certificates from ACME.

A peer under a passphrase asks for it when it starts. Where nobody can be asked it comes from
a file descriptor (--passphrase-fd N) or the systemd credential cairn.passphrase, never from the
environment.`,
		Example: `  cairn key passwd
  cairn key backup /media/usb/cairn-keys.age`,
		GroupID: groupPeer,
		Args:    refuseSubcommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(newKeyStatus(e), newKeyPasswd(e), newKeyRotate(e), newKeyBackup(e), newKeyRestore(e))
	return c
}

func newKeyStatus(e *env) *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "Show how the keys are protected",
		Long:    `Show whether the keys are under a passphrase, and how many keys the store may be sealed under.`,
		Example: `  cairn key status`,
		Args:    wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s api.KeyStatus
			err := e.withPeer(cmd.Context(), peerNeed{again: true, needHome: true}, func(ctx context.Context, p remote, _ api.Status) (err error) {
				s, err = p.KeyStatus(ctx)
				return err
			})
			if err != nil {
				return err
			}
			return e.printKeys(s)
		},
	}
}

func (e *env) printKeys(s api.KeyStatus) error {
	if e.json {
		return e.line(s)
	}
	protected := "no"
	if s.Passphrase {
		protected = "yes, " + s.KDF
	}
	return fields(e.stdout, "passphrase", protected, "data keys", count(int64(s.DataKeys), "key"), "changed", s.Changed.Local().Format(time.DateTime))
}

type passwdOptions struct {
	remove bool
	next   descriptor
}

func newKeyPasswd(e *env) *cobra.Command {
	var o passwdOptions
	c := &cobra.Command{
		Use:   "passwd",
		Short: "Set, change or remove the passphrase of the keys",
		Long: `Put the keys under a passphrase, change it, or remove it (--remove). The present one is asked
for. Nothing in the store is written anew: what was copied before the first passphrase was set
can still be read by who has the copy, until "cairn key rotate --reseal".`,
		Example: `  cairn key passwd
  cairn key passwd --new-passphrase-fd 3 3<new.txt
  cairn key passwd --remove`,
		Args: wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.remove && o.next.given {
				return usagef("--remove and --new-passphrase-fd do not go together")
			}
			return runKeyPasswd(cmd.Context(), e, &o)
		},
	}
	c.Flags().BoolVar(&o.remove, "remove", false, "keep the keys without a passphrase from now on")
	c.Flags().Var(&o.next, "new-passphrase-fd", "read the new passphrase from this file descriptor")
	return c
}

func runKeyPasswd(ctx context.Context, e *env, o *passwdOptions) error {
	var s api.KeyStatus
	err := e.withPeer(ctx, peerNeed{needHome: true}, func(ctx context.Context, p remote, _ api.Status) error {
		now, err := p.KeyStatus(ctx)
		if err != nil {
			return err
		}
		if o.remove && !now.Passphrase {
			return api.Errorf(api.CodeConflict, "the keys are under no passphrase")
		}
		// The present one first: who does not know it need not think of another.
		return e.proving(ctx, now, func(old string) error {
			next, err := e.nextPassphrase(ctx, o)
			if err != nil {
				return err
			}
			s, err = p.SetPassphrase(ctx, api.PassphraseRequest{Old: old, New: next})
			return err
		})
	})
	if err != nil {
		return err
	}
	if !s.Passphrase {
		e.note("the keys are no longer under a passphrase")
	}
	return e.printKeys(s)
}

// nextPassphrase is the one to set, "" for none; what it found is kept for the next try.
func (e *env) nextPassphrase(ctx context.Context, o *passwdOptions) (string, error) {
	var next []byte
	var err error
	switch {
	case o.remove:
		return "", nil
	case e.nextPass != nil:
		return string(e.nextPass), nil
	case o.next.given:
		next, err = o.next.line()
	default:
		next, err = e.newPassphrase(ctx, "New passphrase")
	}
	if err == nil && next == nil {
		err = errNoTerminal("a new passphrase", "--new-passphrase-fd N")
	}
	e.nextPass = next
	return string(next), err
}

// proving runs work with the passphrase of the keys, again where it is wrong and another can be asked for.
func (e *env) proving(ctx context.Context, s api.KeyStatus, work func(pass string) error) error {
	if !s.Passphrase {
		return work("")
	}
	for attempt := 1; ; attempt++ {
		pass, err := e.presentPassphrase(ctx, attempt)
		if err != nil {
			return err
		}
		err = work(string(pass))
		clear(pass)
		var x *api.Error
		if !errors.As(err, &x) || x.Code != api.CodeWrongKey || attempt == passphraseTries {
			return err
		}
	}
}

func newKeyRotate(e *env) *cobra.Command {
	var reseal bool
	c := &cobra.Command{
		Use:   "rotate",
		Short: "Make new keys, and seal everything anew after a theft",
		Long: `Make a new key for the key file and a new data key, which seals whatever is stored from now on.
What is in the store stays readable under the keys that sealed it.

After somebody may have got hold of the keys, --reseal writes everything in the store anew under
the new data key and forgets the old ones. It takes as long as reading and writing all of it, the
peer works meanwhile, and it may be interrupted: "cairn up" and "cairn verify" go on with it. The
identity of the peer stays. Make a new backup afterwards: older ones no longer fit.`,
		Example: `  cairn key rotate
  cairn key rotate --reseal`,
		Args: wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return runKeyRotate(cmd.Context(), e, reseal) },
	}
	c.Flags().BoolVar(&reseal, "reseal", false, "seal everything anew and forget the old data keys")
	return c
}

type rotateEvent struct {
	Event string `json:"event"`
	api.RotateResult
}

func runKeyRotate(ctx context.Context, e *env, reseal bool) error {
	var res api.RotateResult
	err := e.withPeer(ctx, peerNeed{needHome: true}, func(ctx context.Context, p remote, _ api.Status) error {
		now, err := p.KeyStatus(ctx)
		if err != nil {
			return err
		}
		return e.proving(ctx, now, func(pass string) (err error) {
			r := e.newReporter()
			defer r.close()
			res, err = p.RotateKeys(ctx, api.RotateRequest{Reseal: reseal, Passphrase: pass}, r.Progress, r.Warn)
			return err
		})
	})
	if err != nil {
		return err
	}
	if e.json {
		return e.line(rotateEvent{"result", res})
	}
	e.note("backups made before no longer fit: make a new one with `cairn key backup FILE`")
	if reseal {
		return e.printf("new keys; sealed %s (%s) anew in %s, the old keys are forgotten\n", count(res.Resealed, "value"), size(res.Bytes),
			span(time.Duration(res.Millis)*time.Millisecond))
	}
	return e.printf("new keys; the store may be sealed under %s\n", count(int64(res.Keys.DataKeys), "data key"))
}
