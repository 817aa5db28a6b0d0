// Command bench measures what Cairn promises in numbers, and in the same run what this machine could do at best or
// what a user would take instead: hashing alone, copying alone, a bare libp2p stream, ssh, rsync, libtorrent, one TCP
// stream. It prints one markdown table per group:
//
//	memory   the single peer and the pair, data in memory (/dev/shm), so that the disk is not what is measured
//	disk     the same with data on disk
//	swarm    one source and four downloaders, a source that is killed; in memory, on loopback
//	lab      machines with links of their own: a room of downloaders, unequal sources, loss, a pulled plug (root)
//	network  members: joining, revocation, strangers at the doors, traffic of those that are idle (root)
//	sparse   an object of 20 GiB, on disk
//
//	bench [-quick] [-runs N] [-memory DIR] [-disk DIR] [-only NAME,...]
//
// -only takes groups, rows ("get", "lab/loss") and several of them; -list names them all. CAIRN_BIN names the binary;
// without it one is built. What it compares with comes from Debian's packages, which it installs if root runs it;
// what can not be had is a row that says why. All files, processes and namespaces are its own and gone at the end,
// also after Ctrl-C. Bars are judged on ratios of medians, never by the absolute figures of one machine. It runs on
// Linux.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"cairn/testnet"
)

// Sizes of what is moved.
const (
	fileSize  = 1 << 30
	treeFiles = 10_000
	treeSize  = 4 << 10
)

// group is a table: rows that are measured one after the other where data lies on one medium.
type group struct {
	name, title string
	dir         string
	runs        int
	rows        []row
}

// row is a step that adds lines to the table; it may add several.
type row struct {
	name string
	run  func(*bench) error
}

// groups in the order in which they are measured.
func groups(memory, disk string) []group {
	pair := []row{{"up", (*bench).up}, {"add", (*bench).addByReference}, {"copy", (*bench).addCopy}, {"get", (*bench).getFile}, {"tree", (*bench).getTree}}
	return []group{
		{"memory", "Data on memory", memory, 5, pair},
		{"disk", "Data on disk", disk, 3, pair},
		{"swarm", "Several peers on loopback", memory, 5, []row{{"crowd", (*bench).crowd}, {"killed", (*bench).killed}}},
		{"lab", "Machines with links of their own", memory, 5, []row{
			{"room", onLinks(roomWork, roomBar, 9, 64<<20, room)},
			{"unequal", onLinks(pairWork, pairBar, 3, 256<<20, unequal)},
			{"unplugged", onLinks(plugWork, plugBar, 3, 128<<20, unplugged)},
			{"loss-1", onLinks(lossWork(0.01), lossBar, 2, 4<<20, lossy(0.01))},
			{"loss-5", onLinks(lossWork(0.05), lossBar, 2, 1<<20, lossy(0.05))},
		}},
		{"network", "A private network", memory, 1, networkRows()},
		{"sparse", "A large object on disk", disk, 1, []row{{"object", (*bench).sparse}}},
	}
}

func main() {
	// What has to be a process of its own is one of this same program.
	parts := map[string]func([]string) error{streamCommand: streamMain, floodCommand: floodMain, probeCommand: probeMain}
	if len(os.Args) > 1 && parts[os.Args[1]] != nil {
		if err := parts[os.Args[1]](os.Args[2:]); err != nil {
			fmt.Fprintf(os.Stderr, "bench: %s: %v\n", os.Args[1], err)
			os.Exit(1)
		}
		return
	}
	quick := flag.Bool("quick", false, "one run of each instead of 5, and 3 on disk")
	runs := flag.Int("runs", 0, "`N` runs of each")
	memory := flag.String("memory", "/dev/shm", "a directory in memory")
	disk := flag.String("disk", os.TempDir(), "a directory on disk")
	only := flag.String("only", "", "these groups and rows alone: `NAME,...`")
	list := flag.Bool("list", false, "print the names of groups and rows")
	flag.Parse()
	if *quick {
		*runs = 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := measureAll(ctx, groups(*memory, *disk), *only, *runs, *list); err != nil {
		if ctx.Err() != nil { // then whatever was under way failed, which is of no interest
			err = errors.New("interrupted")
		}
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

// measureAll goes through the groups that are wanted.
func measureAll(ctx context.Context, all []group, only string, runs int, list bool) error {
	all, err := choose(all, only)
	if err != nil {
		return err
	}
	for _, g := range all {
		if list {
			for _, r := range g.rows {
				fmt.Println(g.name + "/" + r.name)
			}
			continue
		}
		if runs > 0 {
			g.runs = runs
		}
		if err := g.measure(ctx); err != nil {
			return err
		}
	}
	return nil
}

// choose leaves the groups and rows that names are given of; all of them when there is no name.
func choose(all []group, only string) (chosen []group, err error) {
	if only == "" {
		return all, nil
	}
	names := make(map[string]bool) // false: not found yet
	for name := range strings.SplitSeq(only, ",") {
		names[name] = false
	}
	for _, g := range all {
		rows := g.rows
		g.rows = nil
		for _, r := range rows {
			wanted := false
			for _, name := range []string{g.name, r.name, g.name + "/" + r.name} {
				if _, ok := names[name]; ok {
					names[name], wanted = true, true
				}
			}
			if wanted {
				g.rows = append(g.rows, r)
			}
		}
		if len(g.rows) > 0 {
			chosen = append(chosen, g)
		}
	}
	for name, found := range names {
		if !found {
			return nil, fmt.Errorf("there is no group or row %q: -list names them", name)
		}
	}
	return chosen, nil
}

// measure prints the table of a group; what was measured before an error too.
func (g group) measure(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp(g.dir, "cairn-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	binary, err := testnet.FindBinary(ctx, dir)
	if err != nil {
		return err
	}
	b := &bench{ctx: ctx, group: g.name, runs: g.runs, dir: dir, binary: binary,
		file: filepath.Join(dir, "seed", "file.bin"), tree: filepath.Join(dir, "tree")}
	fmt.Printf("\n### %s (%s, %d cores, %s)\n\n", g.title, g.dir, runtime.NumCPU(), runsText(g.runs))
	defer b.table.print(os.Stdout)
	for _, r := range g.rows {
		fmt.Fprintf(os.Stderr, "measuring %s/%s\n", g.name, r.name)
		if err := r.run(b); err != nil {
			return fmt.Errorf("%s/%s: %w", g.name, r.name, err)
		}
	}
	return nil
}

func runsText(n int) string {
	if n == 1 {
		return "1 run"
	}
	return fmt.Sprintf("median of %d runs", n)
}
