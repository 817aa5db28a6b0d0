package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"cairn/web/api"
)

func newPeers(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "peers",
		Short: "List connected peers",
		Long: `List the peers that are connected now: address, round trip and rates. With --json each line
is one peer, its id in full.`,
		Example: `  cairn peers`,
		GroupID: groupPeer,
		Args:    wantArgs(0, 0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return runPeers(cmd.Context(), e) },
	}
}

func runPeers(ctx context.Context, e *env) error {
	var all []api.PeerInfo
	err := e.withPeer(ctx, peerNeed{again: true, needHome: true}, func(ctx context.Context, p remote, _ api.Status) (err error) {
		all, err = p.Peers(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if e.json {
		return eachLine(e, all)
	}
	if len(all) == 0 {
		e.note("no peer is connected")
		return nil
	}
	t := newTable("PEER", "ADDRESS", "DIRECTION", ">RTT", ">UP", ">DOWN", ">SENT", ">RECEIVED", "SINCE")
	now := time.Now()
	for _, x := range all {
		rtt := "-"
		if x.RTTMillis > 0 {
			rtt = fmt.Sprintf("%.1f ms", x.RTTMillis)
		}
		t.row(short(x.PeerID), x.Address, x.Direction, rtt, size(x.UpBPS)+"/s", size(x.DownBPS)+"/s",
			size(x.UpBytes), size(x.DownBytes), ago(now, x.Since))
	}
	return t.print(e.stdout)
}
