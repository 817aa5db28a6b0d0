package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"cairn/web/api"
)

func newToken(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Make and end tokens for programs",
		Long: `Tokens let programs use the peer's HTTP API, from other machines too, where the dashboard is
served with TLS. A program sends one as "Authorization: Bearer TOKEN", never in an address.`,
		Example: `  cairn token create --name grafana
  cairn token ls`,
		GroupID: groupPeer,
		Args:    refuseSubcommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTokenCreate(e), newTokenLs(e), newTokenRevoke(e))
	return cmd
}

type tokenOptions struct {
	name, scope string
	expire      lifetime
}

func newTokenCreate(e *env) *cobra.Command {
	var o tokenOptions
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make a token",
		Long: `Make a token and print it on stdout. It is shown this once: the peer keeps no more of it than a
hash.

A token of scope read sees what the dashboard shows, but not tickets; write also adds, shares,
fetches and removes; admin also changes settings, members, invites and tokens. No token can name
paths of this machine or touch its keys.`,
		Example: `  cairn token create --name backup --scope write --expire 90d
  cairn token create --name grafana > grafana.token`,
		Args: wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return runTokenCreate(cmd.Context(), e, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.name, "name", "", "`NAME` to know it by in lists and in the audit log")
	f.StringVar(&o.scope, "scope", "read", "what it may do: read, write or admin")
	f.Var(&o.expire, "expire", "how long it works (default 30d)")
	return cmd
}

func runTokenCreate(ctx context.Context, e *env, o tokenOptions) error {
	switch o.scope {
	case "read", "write", "admin":
	default:
		return usagef("--scope %q: no scope of tokens", o.scope).WithHint("read, write or admin")
	}
	if len(o.name) > 64 {
		return usagef("--name: longer than 64 bytes")
	}
	var t api.NewToken
	err := e.withPeer(ctx, peerNeed{needHome: true}, func(ctx context.Context, p remote, _ api.Status) (err error) {
		t, err = p.CreateToken(ctx, api.TokenRequest{Name: o.name, Scope: o.scope, ExpireSeconds: int64(o.expire.d / time.Second)})
		return err
	})
	if err != nil {
		return err
	}
	if e.json {
		return e.line(t)
	}
	e.note("token %s (%s), scope %s, until %s; it is not shown again", clean(t.ID), clean(t.Name), clean(t.Scope), t.Expires.Local().Format(time.DateTime))
	return e.printf("%s\n", clean(t.Secret))
}

func newTokenLs(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "ls",
		Short: "List tokens",
		Long:  `List tokens, the newest first, with when and from where each was used last. Those that have ended stay listed for 90 days.`,
		Args:  wantArgs(0, 0),
		RunE:  func(cmd *cobra.Command, _ []string) error { return runTokenLs(cmd.Context(), e) },
	}
}

func runTokenLs(ctx context.Context, e *env) error {
	var all []api.Token
	err := e.withPeer(ctx, peerNeed{again: true, needHome: true}, func(ctx context.Context, p remote, _ api.Status) (err error) {
		all, err = p.Tokens(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if e.json {
		return eachLine(e, all)
	}
	if len(all) == 0 {
		e.note("no tokens; `cairn token create` makes one")
		return nil
	}
	now := time.Now()
	t := newTable("ID", "NAME", "SCOPE", "STATE", "EXPIRES", "LAST USED", "FROM")
	for _, x := range all {
		used := "never"
		if x.LastUsed != nil {
			used = ago(now, *x.LastUsed)
		}
		t.row(x.ID, x.Name, x.Scope, x.State, ago(now, x.Expires), used, firstOf(x.LastFrom, "-"))
	}
	return t.print(e.stdout)
}

func newTokenRevoke(e *env) *cobra.Command {
	return &cobra.Command{
		Use:     "revoke REF...",
		Short:   "End tokens at once",
		Long:    `End tokens at once. REF is the ID of one, the beginning of it, or its name.`,
		Example: `  cairn token revoke backup`,
		Args:    wantArgs(1, -1),
		RunE:    func(cmd *cobra.Command, args []string) error { return runTokenRevoke(cmd.Context(), e, args) },
	}
}

func runTokenRevoke(ctx context.Context, e *env, refs []string) error {
	return e.withPeer(ctx, peerNeed{needHome: true}, func(ctx context.Context, p remote, _ api.Status) error {
		for _, ref := range refs {
			t, err := p.RevokeToken(ctx, ref)
			if err != nil {
				return err
			}
			if e.json {
				err = e.line(t)
			} else {
				err = e.printf("ended token %s (%s)\n", clean(t.ID), clean(t.Name))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}
