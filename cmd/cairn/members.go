package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cairn/web/api"
)

func newMembers(e *env) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "members [MEMBER]",
		Short: "List the members of the network",
		Long: `List the members of the network: what each may do, where it is, how it is connected. Those
that were revoked or have left are listed with --all. MEMBER (name, id or the beginning or
end of one) shows one in full.`,
		Example: `  cairn members
  cairn members nas
  cairn members --json | jq -r 'select(.state=="valid").name'`,
		GroupID:           groupNetwork,
		Args:              wantArgs(0, 1),
		ValidArgsFunction: completeMembers(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return runMember(cmd.Context(), e, args[0])
			}
			return runMembers(cmd.Context(), e, all)
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "also those that were revoked or have left")
	return cmd
}

func runMembers(ctx context.Context, e *env, all bool) error {
	var list []api.Member
	err := e.withPeer(ctx, peerNeed{again: true, needHome: true}, func(ctx context.Context, p remote, _ api.Status) (err error) {
		list, err = p.Members(ctx)
		return err
	})
	if err != nil {
		return err
	}
	now := time.Now()
	t := newTable("NAME", "ROLE", "ZONE", "STATE", "CONNECTED", ">RTT", "VERSION", "SEEN", "ID")
	hidden := 0
	for _, m := range list {
		if !all && !m.Self && (m.State == "revoked" || m.State == "left") {
			hidden++
			continue
		}
		if e.json {
			if err := e.line(m); err != nil {
				return err
			}
			continue
		}
		t.row(memberRow(now, m)...)
	}
	if e.json {
		return nil
	}
	if err := t.print(e.stdout); err != nil {
		return err
	}
	if hidden > 0 {
		e.note("%s no longer in the network; --all lists them", count(int64(hidden), "peer"))
	}
	return nil
}

func memberRow(now time.Time, m api.Member) []string {
	connected, rtt, seen := "no", "-", "-"
	switch {
	case m.Self:
		connected, seen = "this peer", "now"
	case m.Connection != nil:
		connected, seen = m.Connection.Transport, "now"
		if m.Connection.RTTMillis > 0 {
			rtt = fmt.Sprintf("%.1f ms", m.Connection.RTTMillis)
		}
	case m.LastSeen != nil:
		seen = ago(now, *m.LastSeen)
	}
	state := m.State
	if m.Cloned {
		state += ", cloned"
	}
	return []string{m.Name, m.Role, m.Zone, state, connected, rtt, m.Version, seen, "…" + lastOf(m.ID)}
}

func runMember(ctx context.Context, e *env, ref string) error {
	var m api.Member
	err := e.withPeer(ctx, peerNeed{again: true, needHome: true}, func(ctx context.Context, p remote, _ api.Status) (err error) {
		m, err = p.Member(ctx, ref)
		return err
	})
	if err != nil {
		return err
	}
	if e.json {
		return e.line(m)
	}
	now := time.Now()
	when := func(t *time.Time) string {
		if t == nil {
			return ""
		}
		return ago(now, *t)
	}
	state := m.State
	if m.Reason != "" {
		state += ": " + m.Reason
	}
	cloned, coordinator, conn := "", "no", ""
	if m.Cloned {
		cloned = "two machines run with its identity; revoke it and let the right one join anew"
	}
	if m.Coordinator {
		coordinator = "yes"
	}
	if c := m.Connection; c != nil {
		conn = fmt.Sprintf("%s, %s, %.1f ms, since %s", c.Address, c.Direction, c.RTTMillis, ago(now, c.Since))
	}
	return fields(e.stdout, "name", m.Name, "id", m.ID, "role", m.Role, "state", state, "attention", cloned, "zone", m.Zone,
		"classes", strings.Join(m.Classes, ", "), "may coordinate", coordinator, "joined", when(m.Joined), "certificate ends", when(m.Expires),
		"issued by", m.IssuedBy, "revoked by", m.RevokedBy, "connected", conn, "version", m.Version, "seen", when(m.LastSeen))
}

// completeMembers completes names of members; a press of the tab key starts no peer.
func completeMembers(e *env) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return e.complete(cmd, memberNames), cobra.ShellCompDirectiveNoFileComp
	}
}

func memberNames(ctx context.Context, p remote) (names []string) {
	all, _ := p.Members(ctx)
	for _, m := range all {
		names = append(names, clean(m.Name)+"\t"+m.Role+", "+m.State)
	}
	return names
}

func completeMemberFlag(e *env, cmd *cobra.Command, flag string) {
	err := cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return e.complete(cmd, memberNames), cobra.ShellCompDirectiveNoFileComp
	})
	if err != nil {
		panic(err) // a flag that is not there
	}
}

type revokeOptions struct {
	member, reason string
	yes, void      bool
}

func newRevoke(e *env) *cobra.Command {
	var o revokeOptions
	cmd := &cobra.Command{
		Use:   "revoke MEMBER",
		Short: "Cut a member off for good",
		Long: `Revoke a member: every member that can be reached cuts it off within seconds, those that can
not as soon as they hear of it. That machine can come back only with a new identity and a
new invite.

Of an administrator this peer takes over what it issued: those whom it let in stay. With
--void they are cut off with it, for when it was not the rightful one who let them in.`,
		Example: `  cairn revoke laptop
  cairn revoke laptop --yes --reason "lost on the train"`,
		GroupID:           groupNetwork,
		Args:              wantArgs(1, 1),
		ValidArgsFunction: completeMembers(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.member = args[0]
			return runRevoke(cmd.Context(), e, o)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	f.BoolVar(&o.void, "void", false, "what an administrator issued ends too")
	f.StringVar(&o.reason, "reason", "", "`TEXT` that the others are shown")
	return cmd
}

func runRevoke(ctx context.Context, e *env, o revokeOptions) error {
	var res api.RevokeResult
	admin := false
	err := e.withPeer(ctx, peerNeed{needHome: true}, func(ctx context.Context, p remote, _ api.Status) error {
		m, err := p.Member(ctx, o.member)
		if err != nil {
			return err
		}
		admin = m.Role == "admin"
		if err := e.confirm(o.yes, fmt.Sprintf("Revoke %s (%s, …%s)? It can not come back with this identity.", m.Name, m.Role, lastOf(m.ID))); err != nil {
			return err
		}
		res, err = p.RevokeMember(ctx, m.ID, api.RevokeRequest{Void: o.void, Reason: o.reason})
		return err
	})
	if err != nil {
		return err
	}
	if e.json {
		return e.line(res)
	}
	if err := e.printf("revoked %s; %s told\n", clean(res.Member.Name), count(int64(res.Told), "connected member")); err != nil {
		return err
	}
	for _, m := range res.Ended {
		e.note("ended with it: %s", clean(m.Name))
	}
	for _, m := range res.Kept {
		e.note("taken over from it: %s", clean(m.Name))
	}
	if admin {
		e.note("it has the key of the authority that signed the dashboards' certificates: there is a new one now.\nBrowsers that trust the old one should be told: `cairn ca` prints the new one, and the old one is to be removed")
	}
	return nil
}

// confirm asks a question on the terminal. Where nobody can be asked, --yes is needed.
func (e *env) confirm(yes bool, question string) error {
	if yes {
		return nil
	}
	if !e.stdinTTY() {
		return usagef("this needs a yes, and there is no terminal to ask on").WithHint("add --yes")
	}
	fmt.Fprintf(e.stderr, "%s [y/N] ", clean(question))
	line, err := bufio.NewReader(e.stdin).ReadString('\n')
	if err != nil && line == "" {
		return err
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return nil
	}
	return api.Errorf(api.CodeCancelled, "nothing was done")
}

func newLeave(e *env) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "leave",
		Short: "Leave the network",
		Long: `Leave the network: the others are told, what this peer showed to them becomes private, and
it gets a new identity. Files and tickets stay. To come back it needs a new invite.`,
		Example: `  cairn leave`,
		GroupID: groupNetwork,
		Args:    wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.withPeer(cmd.Context(), peerNeed{needHome: true}, func(ctx context.Context, p remote, _ api.Status) error {
				st, err := p.Network(ctx)
				if err != nil {
					return err
				}
				if st.Joined {
					if err := e.confirm(yes, leaveQuestion(st)); err != nil {
						return err
					}
				}
				if err := p.Leave(ctx); err != nil {
					return err
				}
				if e.json {
					return e.line(map[string]string{"event": "left", "network": st.Name})
				}
				return e.printf("left %s\n", clean(st.Name))
			})
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

func leaveQuestion(st api.NetworkStatus) string {
	q := fmt.Sprintf("Leave %s? To come back this peer needs a new invite.", st.Name)
	if st.Role == "admin" && st.Administrators < 2 {
		q += " It is the only administrator: without it nobody can invite, and certificates end within 7 days unless the root key is used."
	}
	return q
}

func newRename(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "rename [MEMBER] NAME",
		Short: "Change the name of a member",
		Long: `Change the name that this peer has in the network, or, on an administrator, that of another
member. A name is part of the certificate: while no administrator can be reached it stays.`,
		Example: `  cairn rename nas
  cairn rename old-laptop kitchen`,
		GroupID:           groupNetwork,
		Args:              wantArgs(1, 2),
		ValidArgsFunction: completeMembers(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, name := "", args[len(args)-1]
			if len(args) == 2 {
				ref = args[0]
			}
			var m api.Member
			err := e.withPeer(cmd.Context(), peerNeed{needHome: true}, func(ctx context.Context, p remote, _ api.Status) error {
				st, err := p.Network(ctx)
				if err != nil {
					return err
				}
				if ref == "" {
					ref = st.MemberID
				}
				m, err = p.Rename(ctx, ref, name)
				return err
			})
			if err != nil {
				return err
			}
			if e.json {
				return e.line(m)
			}
			return e.printf("%s is now %s\n", clean(lastOf(m.ID)), clean(m.Name))
		},
	}
}
