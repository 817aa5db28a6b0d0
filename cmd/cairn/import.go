package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"cairn/web/api"
)

type importOptions struct{ file string }

func newImport(e *env) *cobra.Command {
	var o importOptions
	return &cobra.Command{
		Use:   "import FILE",
		Short: "Read a CAR file into the library",
		Long: `Read a CAR file (version 1, one root) into the store and the library and print its CID. Every
block is checked against its CID, and nothing is kept unless the object is complete. "-"
reads stdin.`,
		Example: `  cairn import photos.car
  curl -s https://example.org/data.car | cairn import -`,
		GroupID: groupLibrary,
		Args:    wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.file = args[0]
			return runImport(cmd.Context(), e, o)
		},
	}
}

func runImport(ctx context.Context, e *env, o importOptions) error {
	in, name := e.stdin, "stdin"
	if o.file != "-" {
		f, err := openRegular(o.file)
		if err != nil {
			return err
		}
		defer f.Close()
		in, name = f, strings.TrimSuffix(filepath.Base(o.file), ".car")
	}
	var res api.AddResult
	err := e.withPeer(ctx, peerNeed{}, func(ctx context.Context, p remote, _ api.Status) (err error) {
		// The client must not close what it sends: stdin is not ours to close.
		res, err = p.ImportCAR(ctx, name, io.NopCloser(in))
		return err
	})
	if err != nil {
		return err
	}
	return e.printAdded("imported", res)
}

// openRegular opens a file to read and refuses everything that is none, without ever waiting on it.
func openRegular(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, usagef("%s: is a directory", path).WithHint("`cairn add` takes directories; import reads a CAR file")
	}
	if !info.Mode().IsRegular() {
		return nil, usagef("%s: not a regular file", path).WithHint("use - to read from stdin")
	}
	return os.Open(path)
}
