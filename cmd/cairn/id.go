package main

import (
	"context"

	"github.com/spf13/cobra"

	"cairn/web/api"
)

func newID(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "id",
		Short: "Print the id of this peer",
		Long: `Print the id of this peer, alone on stdout. With --json also its name and the addresses under
which others reach it.`,
		Example: `  cairn id
  cairn id --json | jq -r '.addresses[]'`,
		GroupID: groupPeer,
		Args:    wantArgs(0, 0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return runID(cmd.Context(), e) },
	}
}

type idLine struct {
	PeerID    string   `json:"peer_id"`
	Name      string   `json:"name"`
	Addresses []string `json:"addresses"`
}

func runID(ctx context.Context, e *env) error {
	var st api.Status
	err := e.withPeer(ctx, peerNeed{again: true}, func(_ context.Context, _ remote, s api.Status) error {
		st = s
		return nil
	})
	if err != nil {
		return err
	}
	if e.json {
		return e.line(idLine{st.PeerID, st.Name, st.Addresses})
	}
	return e.printf("%s\n", clean(st.PeerID))
}
