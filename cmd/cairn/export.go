package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"cairn/web/api"
)

type exportOptions struct {
	ref    string
	output string
	force  bool
}

func newExport(e *env) *cobra.Command {
	var o exportOptions
	cmd := &cobra.Command{
		Use:   "export CID|ID",
		Short: "Write an object as a CAR file",
		Long: `Write an object with all its blocks as a CAR file (version 1) to stdout, or to the file that
-o names, which appears only when it is complete. IPFS tools and "cairn import" read it.`,
		Example: `  cairn export 4kq2x7 -o photos.car
  cairn export CID | ssh host cairn import -`,
		GroupID:           groupLibrary,
		Args:              wantArgs(1, 1),
		ValidArgsFunction: completeRefs(e, 0),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.ref = args[0]
			return runExport(cmd.Context(), e, o)
		},
	}
	cmd.Flags().StringVarP(&o.output, "output", "o", "", "`FILE` to write (default: stdout)")
	cmd.Flags().BoolVar(&o.force, "force", false, "replace the file if it is there")
	return cmd
}

func runExport(ctx context.Context, e *env, o exportOptions) error {
	ref, path, err := e.reference(o.ref, false)
	switch {
	case err != nil:
		return err
	case path != "":
		return usagef("%s: names a part of an object", o.ref).WithHint("`cairn ls` shows the CID of that part")
	case o.output == "" && e.stdoutTTY:
		return usagef("export: a CAR file is not for a terminal").WithHint("name a file with -o, or redirect stdout")
	case o.output == "":
		return e.withPeer(ctx, peerNeed{needHome: true}, func(ctx context.Context, p remote, _ api.Status) error {
			return p.ExportCAR(ctx, ref, e.stdout)
		})
	}
	out, err := absolute(o.output)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(out); err == nil && !o.force {
		return api.Errorf(api.CodeConflict, "%s: is already there", out).WithHint("--force replaces it")
	}
	err = e.withPeer(ctx, peerNeed{needHome: true, again: true}, func(ctx context.Context, p remote, _ api.Status) error {
		return writeWhole(out, func(f *os.File) error { return p.ExportCAR(ctx, ref, f) })
	})
	if err != nil {
		return err
	}
	info, err := os.Stat(out)
	if err != nil {
		return err
	}
	if e.json {
		return e.line(exportEvent{"result", out, info.Size()})
	}
	e.note("%s  %s", clean(out), size(info.Size()))
	return nil
}

type exportEvent struct {
	Event string `json:"event"`
	Path  string `json:"path"`
	Size  int64  `json:"size"`
}

// writeWhole makes the file path from what write writes: synced and complete, or not at all.
func writeWhole(path string, write func(*os.File) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.cairn-part")
	if err != nil {
		var p *fs.PathError
		if errors.As(err, &p) {
			err = &fs.PathError{Op: "create", Path: path, Err: p.Err} // the temporary name says nothing to a user
		}
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if err = write(f); err != nil {
		return err
	}
	if err = f.Chmod(0o644); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err = f.Sync(); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err = f.Close(); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}
