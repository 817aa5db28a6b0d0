package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"cairn/web/api"
)

// What completeRefs offers besides the IDs and CIDs of entries.
const (
	withTickets = 1 << iota // IDs of open tickets
	withFiles               // file names
	withMany                // for every argument, not the first only
)

// completionWait bounds what a press of the tab key may take.
const completionWait = time.Second

// completeRefs completes the names of what the running peer has. Without a running peer it offers nothing: a key
// press must not start one.
func completeRefs(e *env, what int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		directive := cobra.ShellCompDirectiveNoFileComp
		if what&withFiles != 0 {
			directive = cobra.ShellCompDirectiveDefault
		}
		if len(args) > 0 && what&(withMany|withTickets) == 0 {
			return nil, directive
		}
		return e.complete(cmd, func(ctx context.Context, p remote) (names []string) {
			_ = eachEntry(ctx, p, func(x api.Entry) {
				about := "\t" + clean(x.Name) + ", " + size(x.Size)
				if what&withTickets == 0 {
					names = append(names, x.ID+about, x.CID+about)
					return
				}
				for _, t := range x.Tickets {
					if t.State == "open" {
						names = append(names, t.ID+"\tticket of "+clean(x.Name))
					}
				}
			})
			return names
		}), directive
	}
}

// complete asks the running peer for what the tab key offers; nil without one.
func (e *env) complete(cmd *cobra.Command, ask func(context.Context, remote) []string) []string {
	if e.findHome() != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), completionWait)
	defer cancel()
	p, _, err := e.greet(ctx)
	if err != nil {
		return nil
	}
	defer p.Close()
	return ask(ctx, p)
}

// completeTransfers completes the id of a transfer.
func completeTransfers(e *env) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return e.complete(cmd, func(ctx context.Context, p remote) (names []string) {
			all, _ := p.Transfers(ctx)
			for _, x := range all {
				names = append(names, x.ID+"\t"+x.Direction+" of "+clean(x.Name)+", "+x.State)
			}
			return names
		}), cobra.ShellCompDirectiveNoFileComp
	}
}
