package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"cairn/web/api"
)

type unshareOptions struct{ refs []string }

func newUnshare(e *env) *cobra.Command {
	var o unshareOptions
	return &cobra.Command{
		Use:   "unshare REF...",
		Short: "End tickets",
		Long: `End tickets: nobody can fetch with them any more, and running downloads of them are cut.
REF is the path that was shared, a ticket or its ID, or an entry's ID or CID, which ends all
its tickets. Neither your files nor the library entry are touched.`,
		Example: `  cairn unshare big.iso
  cairn unshare @ticket.txt`,
		GroupID:           groupShare,
		Args:              wantArgs(1, -1),
		ValidArgsFunction: completeRefs(e, withTickets|withFiles),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.refs = args
			return runUnshare(cmd.Context(), e, o)
		},
	}
}

func runUnshare(ctx context.Context, e *env, o unshareOptions) error {
	refs := make([][]string, len(o.refs))
	for i, arg := range o.refs {
		var err error
		if refs[i], err = e.shareNames(arg); err != nil {
			return err
		}
	}
	return e.withPeer(ctx, peerNeed{needHome: true}, func(ctx context.Context, p remote, _ api.Status) error {
		for i, names := range refs {
			ended, err := revokeFirst(ctx, p, names)
			if err != nil {
				return err
			}
			for _, t := range ended {
				if e.json {
					err = e.line(t)
				} else {
					err = e.printf("ended ticket %s after %s\n", clean(t.ID), count(int64(t.Downloads), "download"))
				}
				if err != nil {
					return err
				}
			}
			if len(ended) == 0 {
				e.note("%s: no open ticket", clean(o.refs[i]))
			}
		}
		return nil
	})
}

// shareNames lists what the argument may mean, the likeliest first: a name without a separator may be an ID or a
// file of the working directory.
func (e *env) shareNames(arg string) ([]string, error) {
	if arg == "-" || strings.HasPrefix(arg, "@") || looksLikeTicket(arg) {
		ref, _, err := e.reference(arg, true)
		return []string{ref}, err
	}
	abs, err := absolute(arg)
	if err != nil {
		return nil, err
	}
	if strings.ContainsRune(arg, filepath.Separator) || strings.Contains(arg, "/") {
		return []string{abs}, nil
	}
	return []string{arg, abs}, nil
}

// revokeFirst ends the tickets of the first name that the peer knows.
func revokeFirst(ctx context.Context, p remote, names []string) ([]api.Ticket, error) {
	var unknown error
	for _, name := range names {
		ended, err := p.Revoke(ctx, name)
		var x *api.Error
		if !errors.As(err, &x) || x.Code != api.CodeNotFound {
			return ended, err
		}
		if unknown == nil {
			unknown = err // the likeliest meaning is the one to talk about
		}
	}
	return nil, unknown
}
