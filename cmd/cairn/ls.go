package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"cairn/web/api"
)

type lsOptions struct{ ref string }

func newLs(e *env) *cobra.Command {
	var o lsOptions
	return &cobra.Command{
		Use:   "ls [CID|TICKET|ID]",
		Short: "List the library, or a directory",
		Long: `Without an argument, list the library: what was shared, added and fetched with this data
directory, newest first. With a CID, a ticket or the ID of an entry, list that directory; a
directory below it is named by its path: CID/docs.

With --json each line is one entry of the library, or one name of the directory.`,
		Example: `  cairn ls
  cairn ls @ticket.txt         look before fetching
  cairn ls bafybei.../docs`,
		GroupID:           groupLibrary,
		Args:              wantArgs(0, 1),
		ValidArgsFunction: completeRefs(e, 0),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.ref = args[0]
				return runLs(cmd.Context(), e, o)
			}
			return runLibrary(cmd.Context(), e)
		},
	}
}

func runLs(ctx context.Context, e *env, o lsOptions) error {
	ref, path, err := e.reference(o.ref, true)
	if err != nil {
		return err
	}
	var list api.Listing
	need := peerNeed{again: true, needHome: !looksLikeTicket(ref)}
	err = e.withPeer(ctx, need, func(ctx context.Context, p remote, _ api.Status) (err error) {
		list, err = p.List(ctx, ref, path)
		return err
	})
	if err != nil {
		return err
	}
	if list.Kind != "directory" && len(list.Entries) == 0 {
		list.Entries = []api.DirEntry{{Name: list.CID, Kind: list.Kind, Size: list.Size, CID: list.CID}}
	}
	if e.json {
		for _, d := range list.Entries {
			if err := e.line(d); err != nil {
				return err
			}
		}
		return nil
	}
	t := newTable("KIND", ">SIZE", "CID", "NAME")
	for _, d := range list.Entries {
		name := d.Name
		if d.Target != "" {
			name += " -> " + d.Target
		}
		t.row(d.Kind, size(d.Size), short(d.CID), name)
	}
	if len(t.rows) == 0 {
		e.note("empty")
		return nil
	}
	return t.print(e.stdout)
}

// runLibrary lists the entries of the peer.
func runLibrary(ctx context.Context, e *env) error {
	var all []api.Entry
	need := peerNeed{again: true, needHome: true}
	err := e.withPeer(ctx, need, func(ctx context.Context, p remote, _ api.Status) error {
		all = all[:0]
		return eachEntry(ctx, p, func(x api.Entry) { all = append(all, x) })
	})
	if err != nil {
		return err
	}
	if e.json {
		return eachLine(e, all)
	}
	if len(all) == 0 {
		e.note("the library is empty; `cairn add` and `cairn share` put things into it")
		return nil
	}
	t := newTable("ID", ">SIZE", ">FILES", "ORIGIN", "STATE", "TICKETS", "CREATED", "CID", "NAME")
	now := time.Now()
	for _, x := range all {
		t.row(shortID(x.ID), size(x.Size), fmt.Sprint(x.Files), x.Origin, entryState(x), openTickets(x), ago(now, x.Created), short(x.CID), x.Name)
	}
	return t.print(e.stdout)
}

// eachEntry visits all entries, page after page.
func eachEntry(ctx context.Context, p remote, visit func(api.Entry)) error {
	q := api.EntryQuery{Limit: 500}
	for {
		page, err := p.Entries(ctx, q)
		if err != nil {
			return err
		}
		for _, x := range page.Entries {
			visit(x)
		}
		if page.Next == "" || page.Next == q.Cursor {
			return nil
		}
		q.Cursor = page.Next
	}
}

func entryState(x api.Entry) string {
	if x.State == "ok" && x.Owned {
		return "owned"
	}
	return x.State
}

func openTickets(x api.Entry) string {
	open := 0
	for _, t := range x.Tickets {
		if t.State == "open" {
			open++
		}
	}
	if open == 0 {
		return "-"
	}
	return fmt.Sprintf("%d open", open)
}
