package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cairn/web/api"
)

func newTransfers(e *env) *cobra.Command {
	var cancel bool
	cmd := &cobra.Command{
		Use:   "transfers [ID]",
		Short: "Show what is moving, and who serves whom",
		Long: `List downloads and uploads of this peer, the newest first; ended ones stay listed for a
while. With an ID, which may be shortened, show one transfer: which pieces are here, and for
every peer of it the connection, why that one, the share of the object that it has, and its
rate.

A peer marked "part" is another downloader of the same object: it serves what it has.

With --json each line is one transfer.`,
		Example: `  cairn transfers
  cairn transfers 4f2a
  cairn transfers 4f2a --cancel`,
		GroupID: groupPeer,
		Args:    wantArgs(0, 1),

		ValidArgsFunction: completeTransfers(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				if cancel {
					return usagef("transfers: name the transfer to cancel").WithHint("`cairn transfers` lists them")
				}
				return runTransfers(cmd.Context(), e)
			}
			return runTransfer(cmd.Context(), e, args[0], cancel)
		},
	}
	cmd.Flags().BoolVar(&cancel, "cancel", false, "end it; what was fetched stays for another try")
	return cmd
}

func (e *env) transfers(ctx context.Context) (all []api.Transfer, err error) {
	err = e.withPeer(ctx, peerNeed{again: true, needHome: true}, func(ctx context.Context, p remote, _ api.Status) (err error) {
		all, err = p.Transfers(ctx)
		return err
	})
	return all, err
}

func runTransfers(ctx context.Context, e *env) error {
	all, err := e.transfers(ctx)
	if err != nil {
		return err
	}
	if e.json {
		return eachLine(e, all)
	}
	if len(all) == 0 {
		e.note("nothing is moving, and nothing has been since the peer started")
		return nil
	}
	t := newTable("ID", "DIRECTION", "NAME", "STATE", ">DONE", ">OF", ">RATE", ">LEFT", ">PEERS")
	for _, x := range all {
		t.row(short(x.ID), x.Direction, clean(x.Name), x.State, size(x.Done), size(x.Total), size(x.BPS)+"/s", left(x), fmt.Sprint(len(x.Sources)))
	}
	return t.print(e.stdout)
}

// left is the time that a transfer still needs, for people.
func left(x api.Transfer) string {
	if x.ETAMillis <= 0 {
		return "-"
	}
	return span(time.Duration(x.ETAMillis) * time.Millisecond)
}

// findTransfer resolves a shortened id.
func findTransfer(all []api.Transfer, id string) (api.Transfer, error) {
	var found []api.Transfer
	for _, x := range all {
		if x.ID == id {
			return x, nil
		}
		if id != "" && strings.HasPrefix(x.ID, id) {
			found = append(found, x)
		}
	}
	switch len(found) {
	case 0:
		return api.Transfer{}, api.Errorf(api.CodeNotFound, "no transfer %q", clean(id)).WithHint("`cairn transfers` lists them")
	case 1:
		return found[0], nil
	}
	return api.Transfer{}, usagef("transfer %q: %d begin with that", clean(id), len(found)).WithHint("write more of the id")
}

func runTransfer(ctx context.Context, e *env, id string, cancel bool) error {
	all, err := e.transfers(ctx)
	if err != nil {
		return err
	}
	x, err := findTransfer(all, id)
	if err != nil {
		return err
	}
	var pieces api.Pieces
	err = e.withPeer(ctx, peerNeed{again: true, needHome: true}, func(ctx context.Context, p remote, _ api.Status) (err error) {
		if cancel {
			x, err = p.Cancel(ctx, x.ID)
			return err
		}
		pieces, err = p.Pieces(ctx, x.ID)
		return err
	})
	if err != nil {
		return err
	}
	if e.json {
		return eachLine(e, []api.Transfer{x})
	}
	if cancel {
		e.note("cancelled: %s %s", x.Direction, clean(x.Name))
		return nil
	}
	return e.printTransfer(x, pieces)
}

func (e *env) printTransfer(x api.Transfer, pieces api.Pieces) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s  %s\n", x.Direction, clean(x.Name), x.State)
	if x.Reason != "" {
		fmt.Fprintln(&b, clean(x.Reason))
	}
	fmt.Fprintf(&b, "%s of %s, %s/s, %s left\n", size(x.Done), size(x.Total), size(x.BPS), left(x))
	if pieces.Leaves > 0 {
		fmt.Fprintf(&b, "%s  %s\n", bar(pieces.Done, 60), count(int64(pieces.Leaves), "piece"))
	}
	if err := e.printf("%s", b.String()); err != nil || len(x.Sources) == 0 {
		return err
	}
	t := newTable("PEER", "ROLE", "STATE", ">HAS", ">RATE", ">BYTES", "CONNECTION")
	for _, s := range x.Sources {
		role, has := s.Role, "-"
		if s.Role == "source" {
			has = fmt.Sprintf("%.0f %%", s.Have*100)
		}
		if s.Partial {
			role = "part"
		}
		t.row(short(s.PeerID), role, s.State, has, size(s.BPS)+"/s", size(s.Bytes), clean(firstOf(s.Reason, s.Why, s.Transport)))
	}
	return t.print(e.stdout)
}

// bar draws the cells of a piece map, each 0 to 100 percent full, in width characters.
func bar(cells []byte, width int) string {
	if len(cells) == 0 {
		return ""
	}
	width = min(width, len(cells))
	var b strings.Builder
	for i := range width {
		lo, hi := i*len(cells)/width, (i+1)*len(cells)/width
		sum := 0
		for _, c := range cells[lo:hi] {
			sum += int(c)
		}
		b.WriteString([]string{"·", "░", "▒", "▓", "█"}[sum/(hi-lo)/25])
	}
	return b.String()
}
