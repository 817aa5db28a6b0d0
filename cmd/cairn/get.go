package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"cairn/web/api"
)

type getOptions struct {
	args    []string
	output  string
	force   bool
	noSwarm bool
	wait    lifetime
}

func newGet(e *env) *cobra.Command {
	o := getOptions{wait: lifetime{most: maxWait}}
	cmd := &cobra.Command{
		Use:   "get TICKET...",
		Short: "Fetch what a ticket names",
		Long: `Fetch the content that a ticket opens, check every byte of it and put it in the working
directory, or where -o says. Several tickets of the same content are several sources, used
together.

A ticket may be given as text, as @FILE, or as - for stdin; spaces and line breaks in it are
forgiven. Text on the command line can be read by other users of the machine.

Others who fetch the same with the same ticket are served at once with what is here, and
serve in turn, so that one source feeds many; --no-swarm keeps out of that. A source that goes
away is waited for.

The file appears under its name only when it is complete. After an interruption of any kind
run the same command again: it goes on where it stopped. What was under way in a peer that
stays (cairn up) when it ended is gone on with when it starts again. Content that this
machine has already, named by CID or by the ID of a library entry, is copied without a
ticket.

With --json each line is an event: "progress", "warning", and at the end "result" with
path, cid, size, fetched and resumed bytes and ms.`,
		Example: `  cairn get @ticket.txt
  cairn get - -o /data/big.iso < ticket.txt
  cairn get @from-ann.txt @from-bob.txt     two sources of one file`,
		GroupID: groupShare,
		Args:    wantArgs(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.args = args
			return runGet(cmd.Context(), e, o)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.output, "output", "o", "", "`PATH` to make; a directory that exists: put it inside")
	f.BoolVar(&o.force, "force", false, "replace what is there")
	f.BoolVar(&o.noSwarm, "no-swarm", false, "do not exchange with other downloaders")
	f.Var(&o.wait, "wait", "how long to wait for a source that went away, such as 30s, 1h; at most 7d (default 2m)")
	return cmd
}

type getEvent struct {
	Event string `json:"event"`
	api.GetResult
	BPS int64 `json:"bps"`
}

func runGet(ctx context.Context, e *env, o getOptions) error {
	req := api.GetRequest{Force: o.force, NoSwarm: o.noSwarm, WaitSeconds: int64(o.wait.d / time.Second)}
	if err := e.whatToGet(o.args, &req); err != nil {
		return err
	}
	if err := whereToGet(o.output, &req); err != nil {
		return err
	}
	var res api.GetResult
	err := e.withPeer(ctx, peerNeed{again: true}, func(ctx context.Context, p remote, _ api.Status) (err error) {
		r := e.newReporter()
		defer r.close()
		res, err = p.Get(ctx, req, r.Progress, r.Warn)
		return err
	})
	if ctx.Err() != nil && isCancelled(err) && err != nil {
		return api.Errorf(api.CodeCancelled, "get: interrupted").
			WithHint("run the same command again: it goes on where it stopped")
	}
	if err != nil {
		return err
	}
	took := time.Duration(res.Millis) * time.Millisecond
	if e.json {
		bps := int64(0)
		if took > 0 {
			bps = int64(float64(res.Fetched) / took.Seconds())
		}
		return e.line(getEvent{"result", res, bps})
	}
	e.note("%s  %s in %s, %s", clean(res.Path), size(res.Size), span(took), rate(res.Fetched, took))
	if res.Resumed > 0 {
		e.note("%s of it were there from an earlier attempt", size(res.Resumed))
	}
	return nil
}

// maxWait is the API's bound.
const maxWait = 7 * 24 * time.Hour

// whatToGet tells tickets from the name of something that this peer has.
func (e *env) whatToGet(args []string, req *api.GetRequest) (err error) {
	first := args[0]
	if first != "-" && first != "" && first[0] != '@' && !looksLikeTicket(first) {
		if len(args) > 1 {
			return usagef("get: %q is no ticket", first).WithHint("several arguments must all be tickets")
		}
		if req.Ref, _, err = e.reference(first, false); err != nil {
			return err
		}
		return nil
	}
	req.Tickets, err = e.readTickets(args)
	return err
}

// whereToGet settles the destination. The peer puts the object inside a directory that exists; a path that ends
// with a separator must be one.
func whereToGet(output string, req *api.GetRequest) (err error) {
	if output == "" {
		req.OutputDir, err = os.Getwd()
		return err
	}
	abs, err := absolute(output)
	if err != nil {
		return err
	}
	if !os.IsPathSeparator(output[len(output)-1]) {
		req.Output = abs
		return nil
	}
	info, err := os.Stat(abs)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return api.Errorf(api.CodeNotFound, "%s: no such directory", abs).
			WithHint("make it first, or leave the last %q away to give the object that name", output[len(output)-1:])
	}
	req.OutputDir = abs
	return err
}
