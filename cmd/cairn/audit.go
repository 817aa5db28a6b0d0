package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cairn/web/api"
)

const auditEvery = time.Second // between looks of --follow

type auditOptions struct {
	follow bool
	last   wholeNumber
}

func newAudit(e *env) *cobra.Command {
	o := auditOptions{last: wholeNumber{most: 100000}}
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Show who did what, and what was denied",
		Long: `Show the audit log, the newest record last: logins, tokens, invites, members, keys and settings
that were made, changed or ended, and requests that were denied. Of many equal denials the first
ones are recorded and the rest counted.

The log is audit.log in the data directory, one JSON object per line, each with the SHA-256 of
the line before.`,
		Example: `  cairn audit -n 200
  cairn audit --follow --json`,
		GroupID: groupPeer,
		Args:    wantArgs(0, 0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return runAudit(cmd.Context(), e, o) },
	}
	cmd.Flags().VarP(&o.last, "last", "n", "how many records (default 50)")
	cmd.Flags().BoolVar(&o.follow, "follow", false, "go on with new ones until Ctrl-C")
	return cmd
}

func runAudit(ctx context.Context, e *env, o auditOptions) error {
	want := o.last.n
	if want == 0 {
		want = 50
	}
	return e.withPeer(ctx, peerNeed{running: o.follow, needHome: true}, func(ctx context.Context, p remote, _ api.Status) error {
		newest, err := e.printAudit(ctx, p, want, 0)
		if err == nil && newest == 0 && !o.follow {
			e.note("nothing has been recorded yet")
		}
		for err == nil && o.follow {
			if err = pause(ctx, auditEvery); err == nil {
				newest, err = e.printAudit(ctx, p, 100000, newest)
			}
		}
		if o.follow && ctx.Err() != nil {
			return nil // Ctrl-C is how it ends
		}
		return err
	})
}

// printAudit prints the newest records after one, at most so many, the oldest first, and returns the id of the last.
func (e *env) printAudit(ctx context.Context, p remote, most int, after uint64) (newest uint64, err error) {
	var all []api.AuditRecord
	for before, more := uint64(0), true; more; {
		page, err := p.Audit(ctx, before, min(most-len(all), 1000))
		if err != nil {
			return after, err
		}
		more = page.Next > 0
		for _, r := range page.Records {
			if r.ID <= after {
				more = false
				break
			}
			all = append(all, r)
		}
		before = page.Next
		more = more && len(all) < most
	}
	newest = after
	for _, r := range slices.Backward(all) {
		if e.json {
			err = e.line(r)
		} else {
			err = e.printf("%s\n", auditText(r))
		}
		if err != nil {
			return newest, err
		}
		newest = r.ID
	}
	return newest, nil
}

// auditText is a record for people.
func auditText(r api.AuditRecord) string {
	var b strings.Builder
	b.WriteString(r.Time.Local().Format(time.DateTime) + "  " + r.Outcome + "  " + r.Action)
	if r.Subject != "" {
		b.WriteString(" " + r.Subject)
	}
	b.WriteString("  by " + firstOf(r.Actor, "nobody"))
	if r.From != "" {
		b.WriteString(" from " + r.From)
	}
	if r.Detail != "" {
		b.WriteString(": " + r.Detail)
	}
	return clean(b.String())
}
