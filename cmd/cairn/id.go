package main

import (
	"context"

	"github.com/spf13/cobra"

	"cairn/web/api"
)

func newID(e *env) *cobra.Command {
	member := false
	cmd := &cobra.Command{
		Use:   "id",
		Short: "Print the id of this peer",
		Long: `Print the id of this peer, alone on stdout: the one that tickets name. With --member it is
the one that the members of a private network know it by, which "cairn invite --for" takes.
With --json both, its name and the addresses under which others reach it.`,
		Example: `  cairn id
  cairn id --member
  cairn id --json | jq -r '.addresses[]'`,
		GroupID: groupPeer,
		Args:    wantArgs(0, 0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return runID(cmd.Context(), e, member) },
	}
	cmd.Flags().BoolVar(&member, "member", false, "the id as a member of a network")
	return cmd
}

type idLine struct {
	PeerID    string   `json:"peer_id"`
	MemberID  string   `json:"member_id"`
	Name      string   `json:"name"`
	Addresses []string `json:"addresses"`
}

func runID(ctx context.Context, e *env, member bool) error {
	var st api.Status
	err := e.withPeer(ctx, peerNeed{again: true}, func(_ context.Context, _ remote, s api.Status) error {
		st = s
		return nil
	})
	if err != nil {
		return err
	}
	if e.json {
		return e.line(idLine{st.PeerID, st.MemberID, st.Name, st.Addresses})
	}
	if member {
		return e.printf("%s\n", clean(st.MemberID))
	}
	return e.printf("%s\n", clean(st.PeerID))
}
