package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cairn/web/api"
)

func newStatus(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show how the peer is",
		Long: `Show the peer of this data directory: its id, addresses, dashboard, storage, rates and
limits. Without a running peer the command becomes one for a moment and shows that; the field
"mode" is then "command" instead of "up".`,
		Example: `  cairn status
  cairn status --json | jq .store.free_bytes`,
		GroupID: groupPeer,
		Args:    wantArgs(0, 0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return runStatus(cmd.Context(), e) },
	}
}

func runStatus(ctx context.Context, e *env) error {
	var st api.Status
	err := e.withPeer(ctx, peerNeed{again: true, needHome: true}, func(_ context.Context, _ remote, s api.Status) error {
		st = s
		return nil
	})
	if err != nil {
		return err
	}
	if e.json {
		return e.line(st)
	}
	now := time.Now()
	peer := "up since " + ago(now, st.Started)
	if st.Mode != "up" {
		peer = "here while commands use it (`cairn up` keeps one running)"
	}
	s := st.Store
	accepting := "yes"
	if !s.Accepting {
		accepting = "no: " + firstOf(s.Reason, "no reason given")
	}
	damaged := ""
	if s.CorruptBlocks > 0 {
		damaged = count(s.CorruptBlocks, "block") + " found since start; run `cairn verify`"
	}
	limits := make([]string, len(st.Limits))
	for i, l := range st.Limits {
		limits[i] = fmt.Sprintf("%s %d", l.Name, l.Value)
	}
	err = fields(e.stdout,
		"peer", peer,
		"name", st.Name,
		"id", st.PeerID,
		"home", st.Home,
		"version", fmt.Sprintf("%s, API %s", orUnknown(st.Version), st.APIVersion),
		"dashboard", firstOf(st.HTTP, "off"),
		"connected", count(int64(st.Peers), "peer"),
		"transfers", fmt.Sprintf("%d active, %s/s down, %s/s up", st.Transfers, size(st.Rates.DownBPS), size(st.Rates.UpBPS)),
		"library", count(int64(s.Entries), "item"),
		"owned", fmt.Sprintf("%s in %s", size(s.OwnedBytes), count(s.OwnedBlocks, "block")),
		"referenced", fmt.Sprintf("%s in %s", size(s.ReferencedBytes), count(s.ReferencedFiles, "file")),
		"disk", fmt.Sprintf("%s free, %s of it kept free", size(s.FreeBytes), size(s.ReserveBytes)),
		"accepts", accepting,
		"damaged", damaged,
		"limits", strings.Join(limits, ", "),
	)
	if err != nil {
		return err
	}
	for _, a := range st.Addresses {
		if err := e.printf("address     %s\n", clean(a)); err != nil {
			return err
		}
	}
	return nil
}

// orUnknown is for a version that its binary does not know.
func orUnknown(v string) string { return firstOf(v, "of unknown version") }
