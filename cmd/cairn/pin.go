package main

import (
	"context"

	"github.com/spf13/cobra"

	"cairn/web/api"
)

type pinOptions struct{ ref string }

func newPin(e *env) *cobra.Command {
	var o pinOptions
	return &cobra.Command{
		Use:   "pin CID|ID|TICKET",
		Short: "Keep a copy in the store",
		Long: `Copy content into the store of this peer, so that it no longer depends on your files: of an
entry of the library, or of what a ticket opens. Prints the CID. "cairn rm" gives it up.`,
		Example: `  cairn pin 4kq2x7
  cairn pin @ticket.txt`,
		GroupID:           groupLibrary,
		Args:              wantArgs(1, 1),
		ValidArgsFunction: completeRefs(e, 0),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.ref = args[0]
			return runPin(cmd.Context(), e, o)
		},
	}
}

func runPin(ctx context.Context, e *env, o pinOptions) error {
	ref, path, err := e.reference(o.ref, true)
	if err != nil {
		return err
	}
	if path != "" {
		return usagef("%s: names a part of an object", o.ref).WithHint("`cairn ls` shows the CID of that part")
	}
	var res api.AddResult
	need := peerNeed{again: true, needHome: !looksLikeTicket(ref)}
	err = e.withPeer(ctx, need, func(ctx context.Context, p remote, _ api.Status) (err error) {
		r := e.newReporter()
		defer r.close()
		res, err = p.Pin(ctx, ref, r.Progress, r.Warn)
		return err
	})
	if err != nil {
		return err
	}
	return e.printAdded("pinned", res)
}
