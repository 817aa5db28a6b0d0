package main

import (
	"context"

	"github.com/spf13/cobra"

	"cairn/web/api"
)

type restoreOptions struct{ id string }

func newRestore(e *env) *cobra.Command {
	var o restoreOptions
	return &cobra.Command{
		Use:     "restore ID",
		Short:   "Undo a removal",
		Long:    `Bring back an entry that "cairn rm" removed some minutes ago, with its tickets.`,
		Example: `  cairn restore 4kq2x7`,
		GroupID: groupLibrary,
		Args:    wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.id = args[0]
			return runRestore(cmd.Context(), e, o)
		},
	}
}

func runRestore(ctx context.Context, e *env, o restoreOptions) error {
	return e.withPeer(ctx, peerNeed{needHome: true}, func(ctx context.Context, p remote, _ api.Status) error {
		x, err := p.Restore(ctx, o.id)
		if err != nil {
			return err
		}
		if e.json {
			return e.line(x)
		}
		return e.printf("restored %s (%s)\n", clean(x.Name), size(x.Size))
	})
}
