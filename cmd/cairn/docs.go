package main

import (
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

type docsOptions struct{ dir string }

// newDocs makes a hidden command for those who package cairn.
func newDocs() *cobra.Command {
	var o docsOptions
	return &cobra.Command{
		Use:    "docs DIR",
		Short:  "Write manual pages",
		Long:   `Write the manual pages of all commands into a directory.`,
		Hidden: true,
		Args:   wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.dir = args[0]
			return runDocs(cmd.Root(), o)
		},
	}
}

func runDocs(root *cobra.Command, o docsOptions) error {
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	root.DisableAutoGenTag = true // the same input gives the same pages
	return doc.GenManTree(root, &doc.GenManHeader{Title: "CAIRN", Section: "1", Source: "cairn " + buildVersion(), Manual: "Cairn"}, o.dir)
}
