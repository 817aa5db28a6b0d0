package main

import (
	"context"

	"github.com/spf13/cobra"

	"cairn/web/api"
)

type rmOptions struct{ refs []string }

func newRm(e *env) *cobra.Command {
	var o rmOptions
	return &cobra.Command{
		Use:   "rm ID|CID...",
		Short: "Remove entries from the library",
		Long: `Remove entries from the library and end their tickets. Your own files are never touched;
content that the store keeps goes with the next "cairn gc". "cairn restore ID" undoes it for
some minutes.`,
		Example: `  cairn rm 4kq2x7
  cairn restore 4kq2x7`,
		GroupID:           groupLibrary,
		Args:              wantArgs(1, -1),
		ValidArgsFunction: completeRefs(e, withMany),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.refs = args
			return runRm(cmd.Context(), e, o)
		},
	}
}

func runRm(ctx context.Context, e *env, o rmOptions) error {
	for _, arg := range o.refs {
		_, path, err := e.reference(arg, false)
		if err != nil {
			return err
		}
		if path != "" {
			return usagef("%s: names a part of an entry", arg).WithHint("whole entries can be removed: give an ID from `cairn ls`")
		}
	}
	return e.withPeer(ctx, peerNeed{needHome: true}, func(ctx context.Context, p remote, _ api.Status) error {
		for _, ref := range o.refs {
			x, err := p.Remove(ctx, ref)
			if err != nil {
				return err
			}
			if e.json {
				err = e.line(x)
			} else {
				err = e.printf("removed %s (%s); undo: cairn restore %s\n", clean(x.Name), size(x.Size), clean(x.ID))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}
