// Command bench measures what Cairn promises in numbers, and in the same run what this machine could do at best:
// hashing alone, copying alone, a bare libp2p stream, ssh. It prints one markdown table per medium: memory
// (/dev/shm), so that the disk is not what is measured, and disk.
//
//	bench [-quick] [-memory DIR] [-disk DIR] [-only memory|disk]
//
// CAIRN_BIN names the binary; without it one is built. All files are its own and gone at the end. Bars are judged on
// ratios of medians, never by the absolute figures of one machine. It runs on Linux.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"

	"cairn/testnet"
)

// Sizes of what is moved.
const (
	fileSize  = 1 << 30
	treeFiles = 10_000
	treeSize  = 4 << 10
)

func main() {
	// The two ends of the bare stream are processes of this same program.
	if len(os.Args) > 1 && os.Args[1] == streamCommand {
		if err := streamMain(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "bench: stream:", err)
			os.Exit(1)
		}
		return
	}
	quick := flag.Bool("quick", false, "one run of each instead of 5 in memory and 3 on disk")
	memory := flag.String("memory", "/dev/shm", "a directory in memory")
	disk := flag.String("disk", os.TempDir(), "a directory on disk")
	only := flag.String("only", "", "memory or disk: that table alone")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	media := []medium{{"memory", *memory, 5}, {"disk", *disk, 3}}
	for _, m := range media {
		if *only != "" && *only != m.name {
			continue
		}
		if *quick {
			m.runs = 1
		}
		if err := m.measure(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
	}
}

// medium is where data lies.
type medium struct {
	name, dir string
	runs      int
}

// measure prints the table of one medium.
func (m medium) measure(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp(m.dir, "cairn-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary, err := testnet.FindBinary(ctx, dir)
	if err != nil {
		return err
	}
	b := &bench{ctx: ctx, medium: m, dir: dir, binary: binary,
		file: filepath.Join(dir, "file.bin"), tree: filepath.Join(dir, "tree")}
	if err := testnet.RandomFile(b.file, fileSize, 1); err != nil {
		return err
	}
	if err := testnet.RandomTree(b.tree, treeFiles, treeSize, 2); err != nil {
		return err
	}
	// What was made now must not be written back under a measurement.
	if err := exec.CommandContext(ctx, "sync").Run(); err != nil {
		return err
	}
	fmt.Printf("\n### Data on %s (%s, %d cores, %s)\n\n", m.name, m.dir, runtime.NumCPU(), runsText(m.runs))
	for _, step := range []func() error{b.up, b.addByReference, b.addCopy, b.getFile, b.getTree} {
		if err := step(); err != nil {
			return err
		}
	}
	b.table.print(os.Stdout)
	return nil
}

func runsText(n int) string {
	if n == 1 {
		return "1 run"
	}
	return fmt.Sprintf("median of %d runs", n)
}
