package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"cairn/web/api"
)

type catOptions struct {
	ref  string
	part byteRange
}

func newCat(e *env) *cobra.Command {
	var o catOptions
	cmd := &cobra.Command{
		Use:   "cat CID|TICKET",
		Short: "Print a file",
		Long: `Print the content of a file: of one that this peer has, named by CID or by the ID of a
library entry, or of one that a ticket opens. The first bytes are printed before the last
are fetched, and with --range only what was asked for is fetched. A file in a directory is
named by its path below it: CID/docs/readme.txt.`,
		Example: `  cairn cat @ticket.txt | tar x
  cairn cat bafybei.../docs/readme.txt
  cairn cat CID --range 0-1023      the first 1024 bytes
  cairn cat CID --range -100        the last 100 bytes`,
		GroupID:           groupLibrary,
		Args:              wantArgs(1, 1),
		ValidArgsFunction: completeRefs(e, 0),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.ref = args[0]
			return runCat(cmd.Context(), e, o)
		},
	}
	cmd.Flags().Var(&o.part, "range", "bytes to print: `A-B` (both included), A- or -N")
	return cmd
}

func runCat(ctx context.Context, e *env, o catOptions) error {
	ref, path, err := e.reference(o.ref, true)
	if err != nil {
		return err
	}
	var off, length, written int64
	known := false // off and length
	need := peerNeed{again: true, needHome: !looksLikeTicket(ref)}
	return e.withPeer(ctx, need, func(ctx context.Context, p remote, _ api.Status) error {
		if !known {
			if off, length, err = o.part.ask(ctx, p, ref, path); err != nil {
				return err
			}
			known = true
		}
		if length == 0 {
			return nil
		}
		// After the loss of one peer the next goes on behind what is out already.
		f, err := p.Open(ctx, ref, path, off+written, length)
		if err != nil {
			return err
		}
		defer f.Close()
		if length < 0 || off+written+length > f.size {
			length = f.size - off - written
		}
		n, err := io.CopyN(e.stdout, f, length)
		written, length = written+n, length-n
		if err == io.EOF {
			return api.Errorf(api.CodeIntegrity, "%s: the content ended %d bytes early", short(ref), length)
		}
		return err
	})
}

// ask turns the range into an offset and a length; the whole file is 0 and -1.
func (r byteRange) ask(ctx context.Context, p remote, ref, path string) (off, length int64, err error) {
	if !r.set {
		return 0, -1, nil
	}
	list, err := p.List(ctx, ref, path)
	if err != nil {
		return 0, 0, err
	}
	if list.Kind != "file" {
		return 0, 0, usagef("%s: a %s, not a file", short(ref), list.Kind).WithHint("`cairn ls` lists a directory; name a file in it")
	}
	return r.within(list.Size)
}
