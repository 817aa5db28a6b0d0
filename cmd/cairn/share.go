package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"cairn/web/api"
)

type shareOptions struct {
	paths     []string
	expire    lifetime
	downloads wholeNumber
	copy      bool
	preserve  bool
	noSwarm   bool
	network   bool
}

func newShare(e *env) *cobra.Command {
	o := shareOptions{downloads: wholeNumber{most: 1_000_000}}
	cmd := &cobra.Command{
		Use:   "share PATH...",
		Short: "Share files or directories, print a ticket",
		Long: `Share a file, several files or a directory. The ticket is the only line on stdout;
whoever has it can fetch the content with "cairn get TICKET" until it expires.

Nothing is copied: the peer reads your files when somebody fetches them, so leave them as
they are. Use --copy to share what they hold now whatever happens to them later.

With a running peer (cairn up) the command ends at once and the peer serves. Without one it
serves by itself until Ctrl-C, until the ticket expires or until its downloads are used up;
the ticket opens again as soon as a peer of this data directory runs.

With --json each line is an event: "progress" while files are read, "shared" with the
ticket, "update" when something changes and "end" with a reason. All but the first carry
ticket, peers (downloaders connected now), downloads and uploaded_bytes.`,
		Example: `  cairn share big.iso
  cairn share holiday/ --expire 7d --downloads 3
  cairn share -q report.pdf | ssh host cairn get -     send a file
  cairn share --json a.txt b.txt | jq -r 'select(.ticket).ticket'`,
		GroupID: groupShare,
		Args:    wantArgs(1, 1024),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.paths = args
			return runShare(cmd.Context(), e, o)
		},
	}
	f := cmd.Flags()
	f.Var(&o.expire, "expire", "how long the ticket is good, such as 30m, 24h, 7d (default 24h)")
	f.Var(&o.downloads, "downloads", "end after `N` complete downloads (default: any number)")
	f.BoolVar(&o.copy, "copy", false, "copy the content into the store instead of reading your files")
	f.BoolVar(&o.preserve, "preserve", false, "keep modes and times of files")
	f.BoolVar(&o.network, "network", false, "also let members of the network fetch it, by its CID")
	f.BoolVar(&o.noSwarm, "no-swarm", false, "do not introduce downloaders to each other")
	return cmd
}

// shareEvent is a line of share --json.
type shareEvent struct {
	Event         string     `json:"event"`
	Ticket        string     `json:"ticket"`
	TicketID      string     `json:"ticket_id"`
	EntryID       string     `json:"entry_id"`
	CID           string     `json:"cid,omitempty"`
	Name          string     `json:"name,omitempty"`
	Size          int64      `json:"size,omitempty"`
	Files         int64      `json:"files,omitempty"`
	Expires       *time.Time `json:"expires,omitempty"`
	State         string     `json:"state"`
	Peers         int        `json:"peers"`
	Downloads     int        `json:"downloads"`
	UploadedBytes int64      `json:"uploaded_bytes"`
	Reason        string     `json:"reason,omitempty"`
}

func newShareEvent(event string, t api.Ticket) shareEvent {
	return shareEvent{Event: event, Ticket: t.Text, TicketID: t.ID, EntryID: t.EntryID, Expires: t.Expires,
		State: t.State, Peers: t.Peers, Downloads: t.Downloads, UploadedBytes: t.UploadedBytes}
}

func (o shareOptions) visibility() string {
	if o.network {
		return "network"
	}
	return ""
}

func runShare(ctx context.Context, e *env, o shareOptions) error {
	req := api.ShareRequest{Copy: o.copy, Preserve: o.preserve, Visibility: o.visibility(), TicketOptions: api.TicketOptions{
		ExpireSeconds: int64(o.expire.d / time.Second), Downloads: o.downloads.n, NoSwarm: o.noSwarm}}
	for _, p := range o.paths {
		abs, err := absolute(p)
		if err != nil {
			return err
		}
		req.Paths = append(req.Paths, abs)
	}
	var issued *api.Ticket // once there is one, only watching is left to do
	err := e.withPeer(ctx, peerNeed{again: true}, func(ctx context.Context, p remote, st api.Status) error {
		if issued == nil {
			r := e.newReporter()
			res, err := p.Share(ctx, req, r.Progress, r.Warn)
			r.close()
			if err != nil {
				return err
			}
			if err := e.printShare(res, st.Mode); err != nil {
				return err
			}
			issued = &res.Ticket
			if st.Mode == "up" {
				return nil
			}
		}
		return watchShare(ctx, e, p, issued)
	})
	if issued != nil && ctx.Err() != nil && context.Cause(ctx) == errInterrupted && isCancelled(err) {
		e.note("stopped; the ticket opens again while `cairn up` runs, `cairn unshare %s` ends it", issued.ID)
		return nil // Ctrl-C is how a share ends
	}
	return err
}

// printShare prints the ticket alone on stdout.
func (e *env) printShare(r api.ShareResult, mode string) error {
	if e.json {
		ev := newShareEvent("shared", r.Ticket)
		ev.CID, ev.Name, ev.Size, ev.Files = r.Entry.CID, r.Entry.Name, r.Entry.Size, r.Entry.Files
		return e.line(ev)
	}
	e.note("sharing %s (%s, %s)%s", clean(r.Entry.Name), size(r.Entry.Size), count(r.Entry.Files, "file"), bounds(r.Ticket))
	if err := e.printf("%s\n", clean(r.Ticket.Text)); err != nil {
		return err
	}
	if mode == "up" {
		e.note("the running peer serves it; `cairn unshare %s` ends it", clean(r.Ticket.ID))
	} else {
		e.note("on the other machine: cairn get TICKET; keep this one running, Ctrl-C stops")
	}
	return nil
}

// bounds says in words when a ticket ends.
func bounds(t api.Ticket) string {
	s := ""
	if t.Expires != nil {
		s = ", until " + t.Expires.Local().Format("2006-01-02 15:04")
	}
	if t.MaxDownloads > 0 {
		s += ", for " + count(int64(t.MaxDownloads), "download")
	}
	return s
}

// watchShare follows the ticket until it ends. It keeps *t up to date.
func watchShare(ctx context.Context, e *env, p remote, t *api.Ticket) error {
	for u, err := range p.Watch(ctx, t.ID) {
		if err != nil {
			return err
		}
		if u.Reason == "handover" {
			return errGone
		}
		before := *t
		*t = u.Ticket
		if err := e.printUpdate(before, u); err != nil {
			return err
		}
		if u.Reason != "" {
			return nil
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return errGone // a watch ends with a reason or with its peer
}

func (e *env) printUpdate(before api.Ticket, u api.ShareUpdate) error {
	if e.json {
		ev := newShareEvent("update", u.Ticket)
		if u.Reason != "" {
			ev.Event, ev.Reason = "end", u.Reason
		}
		return e.line(ev)
	}
	if u.Ticket.Downloads > before.Downloads {
		e.note("%s complete, %s sent", count(int64(u.Ticket.Downloads), "download"), size(u.Ticket.UploadedBytes))
	}
	switch u.Reason {
	case "":
	case "expired":
		e.note("the ticket has expired")
	case "used":
		e.note("all downloads of the ticket are done")
	case "revoked":
		e.note("the ticket was revoked")
	default:
		e.note("the share ended: %s", clean(u.Reason))
	}
	return nil
}

// isCancelled tells whether err is what an interrupt leads to, nil included.
func isCancelled(err error) bool {
	var x *api.Error
	return err == nil || errors.Is(err, errInterrupted) || errors.Is(err, context.Canceled) ||
		errors.As(err, &x) && x.Code == api.CodeCancelled
}
