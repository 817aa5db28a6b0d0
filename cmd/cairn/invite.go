package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"rsc.io/qr"

	"cairn/web/api"
)

type inviteOptions struct {
	role          string
	noCoordinator bool
	expire        lifetime
	uses          wholeNumber
	zone, forPeer string
	classes       []string
	qr            bool
}

func newInvite(e *env) *cobra.Command {
	o := inviteOptions{expire: lifetime{most: 30 * 24 * time.Hour}, uses: wholeNumber{most: 1000}}
	cmd := &cobra.Command{
		Use:   "invite",
		Short: "Let another machine into the network, print an invite",
		Long: `Make an invite. It is the only line on stdout; whoever has it can join the network with
"cairn join", once, within a day, unless --uses and --expire say otherwise. Send it as you
would send a password. On a terminal its QR code follows; the dashboard shows it too.

Roles: a member fetches, shows content to the others and lets in those with an invite; a
reader only fetches; an admin also makes invites, revokes members and renews certificates.
The machine that made the invite may sleep when it is used: any other member lets the
newcomer in.`,
		Example: `  cairn invite
  cairn invite --role reader --expire 1h
  cairn invite --uses 10 --zone office --class archive
  cairn invite -q | ssh nas cairn join -`,
		GroupID: groupNetwork,
		Args:    refuseSubcommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runInvite(cmd.Context(), e, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.role, "role", "member", "`ROLE` of who joins: member, admin or reader")
	f.BoolVar(&o.noCoordinator, "no-coordinator", false, "it shall never become a coordinator")
	f.Var(&o.expire, "expire", "how long the invite is good, such as 1h, 7d (default 24h, at most 30d)")
	f.Var(&o.uses, "uses", "how many peers may join by it, `N` (default 1)")
	f.StringVar(&o.zone, "zone", "", "`ZONE` of who joins: where it is")
	f.StringArrayVar(&o.classes, "class", nil, "`CLASS` of who joins: what it is for; may be repeated")
	f.StringVar(&o.forPeer, "for", "", "only the machine with this `ID` may use it (`cairn id --member` there)")
	f.BoolVar(&o.qr, "qr", false, "print the QR code although stdout is no terminal")
	mustComplete(cmd, "role", "member", "admin", "reader")
	cmd.AddCommand(newInviteLs(e), newInviteRm(e))
	return cmd
}

// mustComplete offers fixed words for a flag.
func mustComplete(cmd *cobra.Command, flag string, words ...string) {
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // a flag that is not there
	}
}

func runInvite(ctx context.Context, e *env, o inviteOptions) error {
	req := api.InviteRequest{Role: o.role, NoCoordinator: o.noCoordinator, ExpireSeconds: int64(o.expire.d / time.Second), Uses: o.uses.n,
		Zone: o.zone, Classes: o.classes, For: o.forPeer}
	switch o.role {
	case "member", "admin", "reader":
	default:
		return usagef("--role %q: not a role", o.role).WithHint("member, admin or reader")
	}
	var inv api.Invite
	var mode string
	err := e.withPeer(ctx, peerNeed{needHome: true}, func(ctx context.Context, p remote, st api.Status) (err error) {
		mode = st.Mode
		inv, err = p.Invite(ctx, req)
		return err
	})
	if err != nil {
		return err
	}
	if e.json {
		return e.line(inv)
	}
	if err := e.printf("%s\n", clean(inv.Text)); err != nil {
		return err
	}
	if o.qr || e.stdoutTTY {
		if err := e.printQR(inv.Text, o.qr); err != nil {
			return err
		}
	}
	uses := ""
	if inv.Uses > 1 {
		uses = fmt.Sprintf(", for %d peers", inv.Uses)
	}
	e.note("invite %s for %s, good until %s%s", shortID(lastOf(inv.ID)), roleNoun(inv.Role), inv.Expires.Local().Format("2006-01-02 15:04"), uses)
	e.note("on the other machine: `cairn join -` and paste it, or `cairn join FILE`")
	if mode != "up" {
		e.note("no peer stays up here: run `cairn up`, or another member lets the newcomer in")
	}
	return nil
}

// lastOf is the telling end of a peer id: ids of one kind begin alike.
func lastOf(id string) string { return id[max(len(id)-8, 0):] }

func roleNoun(role string) string {
	switch role {
	case "admin":
		return "an administrator"
	case "reader":
		return "a reader"
	}
	return "a member"
}

// printQR prints a code in half blocks: two modules a character. Text is written in upper case, which takes less room and
// means the same.
func (e *env) printQR(text string, force bool) error {
	code, err := qr.Encode(strings.ToUpper(text), qr.L)
	if err != nil {
		return fmt.Errorf("make QR code: %w", err)
	}
	const quiet = 2
	side := code.Size + 2*quiet
	if f, ok := e.stdout.(*os.File); ok && !force {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w < side {
			e.note("the terminal is too narrow for the QR code: %d columns are needed", side)
			return nil
		}
	}
	var b strings.Builder
	for y := 0; y < side; y += 2 {
		for x := range side {
			upper, lower := !code.Black(x-quiet, y-quiet), !code.Black(x-quiet, y+1-quiet)
			switch { // light modules are drawn, so that it can be read on a dark terminal
			case upper && lower:
				b.WriteString("█")
			case upper:
				b.WriteString("▀")
			case lower:
				b.WriteString("▄")
			default:
				b.WriteString(" ")
			}
		}
		b.WriteString("\n")
	}
	return e.printf("%s", b.String())
}

func newInviteLs(e *env) *cobra.Command {
	return &cobra.Command{
		Use:     "ls",
		Short:   "List the invites that this peer made",
		Long:    "List the invites that this peer made, newest first. With --json each line is one, its text included.",
		Example: `  cairn invite ls`,
		Args:    wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var all []api.Invite
			err := e.withPeer(cmd.Context(), peerNeed{again: true, needHome: true}, func(ctx context.Context, p remote, _ api.Status) (err error) {
				all, err = p.Invites(ctx)
				return err
			})
			if err != nil {
				return err
			}
			if e.json {
				return eachLine(e, all)
			}
			if len(all) == 0 {
				e.note("no invites; `cairn invite` makes one")
				return nil
			}
			t := newTable("INVITE", "ROLE", "STATE", ">USED", "EXPIRES", "ZONE", "CLASSES")
			for _, i := range all {
				t.row(lastOf(i.ID), i.Role, i.State, fmt.Sprintf("%d of %d", len(i.Used), i.Uses), ago(time.Now(), i.Expires), i.Zone, strings.Join(i.Classes, ","))
			}
			return t.print(e.stdout)
		},
	}
}

func newInviteRm(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "rm INVITE",
		Short: "End an invite",
		Long: `End an invite: nobody can join by it any more. Those who have joined by it stay. INVITE is
its text, its id, or the part of the id that "cairn invite ls" shows.`,
		Example: `  cairn invite rm a1b2c3d4`,
		Args:    wantArgs(1, 1),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			return e.complete(cmd, func(ctx context.Context, p remote) (names []string) {
				all, _ := p.Invites(ctx)
				for _, i := range all {
					if i.State == "open" {
						names = append(names, lastOf(i.ID)+"\t"+i.Role+", expires "+ago(time.Now(), i.Expires))
					}
				}
				return names
			}), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var inv api.Invite
			err := e.withPeer(cmd.Context(), peerNeed{needHome: true}, func(ctx context.Context, p remote, _ api.Status) (err error) {
				inv, err = p.RevokeInvite(ctx, strings.TrimSpace(args[0]))
				return err
			})
			if err != nil {
				return err
			}
			if e.json {
				return e.line(inv)
			}
			return e.printf("ended invite %s\n", clean(lastOf(inv.ID)))
		},
	}
}

type joinOptions struct{ invite, name string }

func newJoin(e *env) *cobra.Command {
	var o joinOptions
	cmd := &cobra.Command{
		Use:   "join INVITE|-|FILE",
		Short: "Join a private network with an invite",
		Long: `Join the network that an invite is for. The invite is read from stdin ("-"), from a file, or taken
as it is; spaces and line breaks in it do no harm. The command ends when this peer is a member:
"cairn up" then keeps it connected.

Asked again with the same invite after a lost answer, the network gives the same answer.`,
		Example: `  cairn join - 
  cairn join invite.txt --name nas`,
		GroupID: groupNetwork,
		Args:    wantArgs(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if o.invite, err = e.readInvite(args); err != nil {
				return err
			}
			return runJoin(cmd.Context(), e, o)
		},
	}
	cmd.Flags().StringVar(&o.name, "name", "", "`NAME` of this peer in the network (default: its configured name)")
	return cmd
}

// inviteStart matches where an invite begins.
var inviteStart = regexp.MustCompile(`(?i)^\s*cairninvite`)

const maxInviteText = 64 << 10 // bytes of a file or of stdin

// readInvite takes an invite from the arguments, which a shell may have cut at spaces.
func (e *env) readInvite(args []string) (string, error) {
	if inviteStart.MatchString(args[0]) {
		if !e.quiet {
			e.warn("an invite on the command line can be read by other users of this machine; - (stdin) or a file keeps it private")
		}
		return strings.Join(args, " "), nil
	}
	if len(args) > 1 {
		return "", usagef("join: %q is one argument too many", args[1]).WithHint("usage: cairn join INVITE|-|FILE")
	}
	r, name := e.stdin, "stdin"
	if args[0] != "-" {
		path := strings.TrimPrefix(args[0], "@")
		f, err := os.Open(path)
		if err != nil {
			var x *os.PathError
			if errors.As(err, &x) && errors.Is(err, os.ErrNotExist) && looksLikeTicket(args[0]) {
				return "", usagef("this is a ticket, not an invite").WithHint("`cairn get` fetches with a ticket; invites begin with cairninvite1")
			}
			return "", err
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil && !info.Mode().IsRegular() && info.Mode()&os.ModeNamedPipe == 0 {
			return "", usagef("%s: not a file with an invite", path)
		}
		r, name = f, path
	} else if e.stdinTTY() {
		e.note("paste the invite, then Enter")
		return e.readInviteLine()
	}
	b, err := io.ReadAll(io.LimitReader(r, maxInviteText+1))
	if err != nil {
		return "", err
	}
	switch text := strings.TrimSpace(string(b)); {
	case len(b) > maxInviteText:
		return "", usagef("%s: too long for an invite", name)
	case text == "":
		return "", usagef("%s: no invite in it", name).WithHint("`cairn invite` on a member prints one")
	case !inviteStart.MatchString(text) && looksLikeTicket(text):
		return "", usagef("%s holds a ticket, not an invite", name).WithHint("`cairn get` fetches with a ticket; invites begin with cairninvite1")
	default:
		return text, nil
	}
}

// readInviteLine reads what was pasted into a terminal up to the end of its line.
func (e *env) readInviteLine() (string, error) {
	var line []byte
	b := make([]byte, 1)
	for len(line) <= maxInviteText {
		n, err := e.stdin.Read(b)
		if n > 0 && b[0] == '\n' && len(strings.TrimSpace(string(line))) > 0 || err != nil {
			break
		}
		line = append(line, b[:n]...)
	}
	if strings.TrimSpace(string(line)) == "" {
		return "", usagef("no invite was given").WithHint("`cairn invite` on a member prints one")
	}
	return string(line), nil
}

func (e *env) stdinTTY() bool { return isTerminal(e.stdin) }

func runJoin(ctx context.Context, e *env, o joinOptions) error {
	var st api.NetworkStatus
	var mode string
	err := e.withPeer(ctx, peerNeed{again: true}, func(ctx context.Context, p remote, s api.Status) (err error) {
		mode = s.Mode
		st, err = p.Join(ctx, api.JoinRequest{Invite: o.invite, Name: o.name})
		return err
	})
	if err != nil {
		return err
	}
	if e.json {
		return e.line(st)
	}
	if err := e.printf("joined %s as %s; %s, %s\n", clean(st.Name), clean(st.SelfName), roleText(st.Role), count(int64(st.Members), "member")); err != nil {
		return err
	}
	e.note("fingerprint of the network: %s (`cairn network` shows it on every member)", st.ID)
	if mode != "up" {
		e.note("next: `cairn up` keeps this peer connected")
	}
	return nil
}
