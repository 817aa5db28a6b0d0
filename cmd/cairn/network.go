package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cairn/web/api"
)

func newNetwork(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "network",
		Short: "Show the network that this peer is in",
		Long: `Show the private network that this peer is in: its name and fingerprint, what this peer may do in
it, until when its certificate is good, and what needs somebody's attention. Compare the
fingerprint on two machines to be sure that they are in the same network.`,
		Example: `  cairn network
  cairn network --json | jq .alerts`,
		GroupID: groupNetwork,
		Args:    refuseSubcommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runNetwork(cmd.Context(), e) },
	}
	cmd.AddCommand(newRecover(e))
	return cmd
}

func runNetwork(ctx context.Context, e *env) error {
	var st api.NetworkStatus
	err := e.withPeer(ctx, peerNeed{again: true, needHome: true}, func(ctx context.Context, p remote, _ api.Status) (err error) {
		st, err = p.Network(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if e.json {
		return e.line(st)
	}
	if !st.Joined {
		if err := fields(e.stdout, "network", "none", "id", st.MemberID); err != nil {
			return err
		}
		e.note("`cairn init NAME` makes a network, `cairn join INVITE` joins one")
		return nil
	}
	return e.printNetwork(st)
}

func (e *env) printNetwork(st api.NetworkStatus) error {
	now := time.Now()
	role := "this peer is " + roleText(st.Role)
	if st.State != "valid" {
		st.Expires = nil
		role = st.State + ": " + firstOf(st.Reason, "its membership is not in force")
	}
	expires := ""
	if st.Expires != nil {
		expires = ago(now, *st.Expires) + ", renewed daily while an administrator can be reached"
	}
	created := ""
	if st.Created != nil {
		created = ago(now, *st.Created)
	}
	err := fields(e.stdout,
		"network", st.Name,
		"fingerprint", st.ID,
		"made", created,
		"name", st.SelfName,
		"id", st.MemberID,
		"role", role,
		"certificate", expires,
		"members", fmt.Sprintf("%d, %d of them administrators; %d connected", st.Members, st.Administrators, st.Connected),
	)
	if err != nil {
		return err
	}
	for _, a := range st.Addresses {
		if err := e.printf("address      %s\n", clean(a)); err != nil {
			return err
		}
	}
	for _, a := range st.Alerts {
		if err := e.printf("attention    %s\n", clean(a.Message)); err != nil {
			return err
		}
		if a.Hint != "" {
			e.note("  hint: %s", clean(a.Hint))
		}
	}
	return nil
}

// roleText is a role in a sentence.
func roleText(role string) string {
	switch role {
	case "admin":
		return "an administrator"
	case "reader":
		return "a reader: it fetches, and shows nothing to the others"
	case "member":
		return "a member"
	}
	return "of unknown role"
}

type initOptions struct {
	name, peerName, recoveryFile string
	pass                         descriptor
}

func newInit(e *env) *cobra.Command {
	var o initOptions
	cmd := &cobra.Command{
		Use:   "init NAME",
		Short: "Make a private network, with this peer as its first member",
		Long: `Make a private network. This peer becomes its first member and administrator; "cairn invite" on it
lets other machines in.

The network's root key is made, used once and not kept here. It comes out as 24 words, printed this
once, or with --recovery-file as a file that is encrypted under a passphrase (age format). Keep it
away from this machine: with it a network outlives the loss of its administrators ("cairn network
recover"), and whoever has it owns the network.`,
		Example: `  cairn init home
  cairn init home --recovery-file /media/stick/home-recovery.age`,
		GroupID: groupNetwork,
		Args:    wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = args[0]
			return runInit(cmd.Context(), e, o)
		},
	}
	cmd.Flags().StringVar(&o.peerName, "peer-name", "", "`NAME` of this peer in the network (default: its configured name)")
	cmd.Flags().StringVar(&o.recoveryFile, "recovery-file", "", "write the root key to `FILE`, encrypted, in the place of words")
	cmd.Flags().Var(&o.pass, "file-passphrase-fd", "read the passphrase of the recovery file from descriptor `N`")
	return cmd
}

func runInit(ctx context.Context, e *env, o initOptions) error {
	req := api.InitRequest{Name: o.name, PeerName: o.peerName}
	if o.recoveryFile != "" {
		path, err := absolute(o.recoveryFile)
		if err != nil {
			return err
		}
		pass, err := e.filePassphrase(ctx, &o.pass, "the recovery file", "leave --recovery-file out to get words")
		if err != nil {
			return err
		}
		req.RecoveryFile, req.Passphrase = path, string(pass)
	}
	var res api.InitResult
	var mode string
	err := e.withPeer(ctx, peerNeed{}, func(ctx context.Context, p remote, st api.Status) (err error) {
		mode = st.Mode
		res, err = p.Init(ctx, req)
		return err
	})
	if err != nil {
		return err
	}
	if e.json {
		return e.line(res)
	}
	if err := e.printf("network %s is made; this peer, %s, is its administrator\nfingerprint %s\n", clean(res.Network.Name), clean(res.Network.SelfName), res.Network.ID); err != nil {
		return err
	}
	if res.RecoveryFile != "" {
		if err := e.printf("recovery file %s\n", clean(res.RecoveryFile)); err != nil {
			return err
		}
		e.note("keep it away from this machine; whoever has it and its passphrase owns the network")
	} else {
		if err := e.printf("\n%s\n", wordGrid(res.RecoveryWords)); err != nil {
			return err
		}
		e.note("these 24 words are the network's root key, shown this once: write them down and keep them\naway from this machine. Whoever has them owns the network; nothing brings them back.")
	}
	if mode != "up" {
		e.note("next: `cairn up` keeps this peer running, `cairn invite` in another terminal lets a machine in")
	} else {
		e.note("next: `cairn invite` lets another machine in")
	}
	return nil
}

// wordGrid numbers words in four columns.
func wordGrid(words string) string {
	var b strings.Builder
	all := strings.Fields(words)
	for i, w := range all {
		fmt.Fprintf(&b, "%2d %-10s", i+1, w)
		if i%4 == 3 || i == len(all)-1 {
			b.WriteString("\n")
		}
	}
	return b.String()
}

type recoverOptions struct {
	file, name   string
	keep, revoke []string
	pass         descriptor
}

func newRecover(e *env) *cobra.Command {
	var o recoverOptions
	cmd := &cobra.Command{
		Use:   "recover [FILE|-]",
		Short: "Use the network's root key: appoint this peer administrator, settle revocations",
		Long: `Use the root key of a network, from its recovery file or from the 24 words, which are read
from stdin ("-") or asked for. This peer becomes an administrator that can make others,
whatever became of those that were there. The key is not kept.

When two administrators have revoked each other both are cut off until the root decides:
--keep NAME lifts the revocation of one. --revoke NAME revokes by the root, which nobody but
the root can undo. A peer that is in no network begins anew with the same root; --name then
says its name if there is no file.`,
		Example: `  cairn network recover /media/stick/home-recovery.age
  cairn network recover - < words.txt
  cairn network recover --keep nas --revoke laptop`,
		Args: wantArgs(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.file = args[0]
			}
			return runRecover(cmd.Context(), e, o)
		},
	}
	f := cmd.Flags()
	f.Var(&o.pass, "file-passphrase-fd", "read the passphrase of the file from descriptor `N`")
	f.StringVar(&o.name, "name", "", "`NAME` of the network, when nothing here knows it")
	f.StringArrayVar(&o.keep, "keep", nil, "`MEMBER` whose revocation does not count, may be repeated")
	f.StringArrayVar(&o.revoke, "revoke", nil, "`MEMBER` that the root revokes, may be repeated")
	completeMemberFlag(e, cmd, "keep")
	completeMemberFlag(e, cmd, "revoke")
	return cmd
}

func runRecover(ctx context.Context, e *env, o recoverOptions) error {
	req := api.RecoverRequest{Name: o.name, Keep: o.keep, Revoke: o.revoke}
	switch o.file {
	case "", "-":
		words, err := e.readWords(ctx, o.file == "-")
		if err != nil {
			return err
		}
		req.Words = words
	default:
		path, err := absolute(o.file)
		if err != nil {
			return err
		}
		pass, err := e.openingPassphrase(ctx, &o.pass, o.file)
		if err != nil {
			return err
		}
		req.File, req.Passphrase = path, string(pass)
	}
	var res api.RecoverResult
	err := e.withPeer(ctx, peerNeed{}, func(ctx context.Context, p remote, _ api.Status) (err error) {
		res, err = p.Recover(ctx, req)
		return err
	})
	if err != nil {
		return err
	}
	if e.json {
		return e.line(res)
	}
	for _, did := range res.Did {
		if err := e.printf("%s\n", clean(did)); err != nil {
			return err
		}
	}
	return nil
}

// maxWords bounds the recovery words, in bytes.
const maxWords = 1024

// readWords takes the recovery words from the terminal, or from stdin where that is asked for or there is none.
func (e *env) readWords(ctx context.Context, piped bool) (string, error) {
	if !piped {
		line, err := e.prompt(ctx, "The 24 recovery words", 1)
		if line != nil || err != nil {
			return string(line), err
		}
	}
	b, err := io.ReadAll(io.LimitReader(e.stdin, maxWords+1))
	switch {
	case err != nil:
		return "", err
	case len(b) > maxWords:
		return "", usagef("stdin: too long for 24 words")
	case len(strings.TrimSpace(string(b))) == 0:
		return "", usagef("no recovery words were given").WithHint("type them on a terminal, or pipe them to stdin")
	}
	return string(b), nil
}

// openingPassphrase is the one that a file is under.
func (e *env) openingPassphrase(ctx context.Context, d *descriptor, file string) ([]byte, error) {
	if d.given {
		return d.line()
	}
	pass, err := e.prompt(ctx, "Passphrase of "+file, 1)
	if err == nil && pass == nil {
		err = errNoTerminal("the passphrase of "+file, "--file-passphrase-fd N")
	}
	return pass, err
}
