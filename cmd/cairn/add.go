package main

import (
	"context"

	"github.com/spf13/cobra"

	"cairn/web/api"
)

type addOptions struct {
	path     string
	copy     bool
	preserve bool
	private  bool
}

func newAdd(e *env) *cobra.Command {
	var o addOptions
	cmd := &cobra.Command{
		Use:   "add PATH",
		Short: "Put a file or directory into the library, print its CID",
		Long: `Put a file or a directory into this peer's library and print its CID. Your files are not
copied: the library refers to them, and notices when they change. --copy makes it keep the
content itself, whatever happens to the files.

In a private network its members may fetch it ("cairn get CID"), unless --private keeps it to this
peer and those who get a ticket. Adding it again changes that.

The CID is the one that IPFS tools compute with the profile unixfs-v1-2025.`,
		Example: `  cairn add photos/
  cairn add --copy report.pdf`,
		GroupID: groupLibrary,
		Args:    wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.path = args[0]
			return runAdd(cmd.Context(), e, o)
		},
	}
	cmd.Flags().BoolVar(&o.copy, "copy", false, "copy the content into the store")
	cmd.Flags().BoolVar(&o.private, "private", false, "do not show it to the members of the network")
	cmd.Flags().BoolVar(&o.preserve, "preserve", false, "keep modes and times of files")
	return cmd
}

func runAdd(ctx context.Context, e *env, o addOptions) error {
	path, err := absolute(o.path)
	if err != nil {
		return err
	}
	req := api.AddRequest{Path: path, Copy: o.copy, Preserve: o.preserve}
	if o.private {
		req.Visibility = "private"
	}
	var res api.AddResult
	err = e.withPeer(ctx, peerNeed{again: true}, func(ctx context.Context, p remote, _ api.Status) (err error) {
		r := e.newReporter()
		defer r.close()
		res, err = p.Add(ctx, req, r.Progress, r.Warn)
		return err
	})
	if err != nil {
		return err
	}
	return e.printAdded("added", res)
}

// addEvent is the last line with --json of what puts something into the library.
type addEvent struct {
	Event string    `json:"event"`
	CID   string    `json:"cid"`
	Entry api.Entry `json:"entry"`
}

// printAdded prints the CID alone on stdout and the rest, with the verb, as a note.
func (e *env) printAdded(verb string, r api.AddResult) error {
	if e.json {
		return e.line(addEvent{"result", r.Entry.CID, r.Entry})
	}
	e.note("%s %s (%s, %s) as %s", verb, clean(r.Entry.Name), size(r.Entry.Size), count(r.Entry.Files, "file"), shortID(r.Entry.ID))
	return e.printf("%s\n", clean(r.Entry.CID))
}
