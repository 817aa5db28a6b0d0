package main

import (
	"context"

	"github.com/spf13/cobra"

	"cairn/web/api"
)

func newGC(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "gc",
		Short: "Give unused disk space back",
		Long: `Delete from the store what no entry of the library needs any more, and give the space back
to the disk. Your own files are never touched. It may run while the peer works.`,
		Example: `  cairn gc`,
		GroupID: groupLibrary,
		Args:    wantArgs(0, 0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return runGC(cmd.Context(), e) },
	}
}

type gcEvent struct {
	Event string `json:"event"`
	api.GCResult
}

func runGC(ctx context.Context, e *env) error {
	var res api.GCResult
	err := e.withPeer(ctx, peerNeed{again: true, needHome: true}, func(ctx context.Context, p remote, _ api.Status) (err error) {
		r := e.newReporter()
		defer r.close()
		res, err = p.GC(ctx, r.Progress, r.Warn)
		return err
	})
	if err != nil {
		return err
	}
	if e.json {
		return e.line(gcEvent{"result", res})
	}
	return e.printf("removed %s (%s) and %s; disk use %s, before %s\n", count(res.Blocks, "block"), size(res.Bytes),
		count(res.References, "reference"), size(res.DiskAfter), size(res.DiskBefore))
}
