package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"cairn/testnet"
)

// bench measures on one medium. It is used by one goroutine.
type bench struct {
	ctx       context.Context
	group     string
	runs      int // of each measurement
	dir       string
	binary    string
	file      string // 1 GiB, after largeFile
	tree      string // 10,000 x 4 KiB, after manyFiles
	table     table
	homesMade int
}

// home names a new home.
func (b *bench) home() testnet.Home {
	b.homesMade++
	return testnet.Home{Binary: b.binary, Dir: filepath.Join(b.dir, fmt.Sprintf("home-%d", b.homesMade)), Env: []string{"CAIRN_LOG_LEVEL=error"}}
}

// peer starts a peer on a new home; end removes both.
func (b *bench) peer() (p *testnet.Peer, end func(), err error) { return b.upOn(b.home()) }

func (b *bench) upOn(h testnet.Home) (p *testnet.Peer, end func(), err error) {
	if p, err = h.Up(b.ctx); err != nil {
		return nil, nil, err
	}
	return p, func() { p.Kill(); os.RemoveAll(h.Dir) }, nil
}

// command runs a command that must succeed.
func (b *bench) command(h testnet.Home, args ...string) (testnet.Result, error) {
	r := h.Run(b.ctx, args...)
	if r.Code != 0 {
		return r, fmt.Errorf("%s", r)
	}
	return r, nil
}

// up measures how fast a peer is there and what it holds when nobody wants anything of it.
func (b *bench) up() error {
	var ready []float64
	var mem testnet.Memory
	for i := range 5 {
		p, end, err := b.peer()
		if err != nil {
			return err
		}
		ready = append(ready, p.StartTook.Seconds())
		if i == 4 {
			time.Sleep(3 * time.Second) // idle is what comes after the start
			mem, err = testnet.ReadMemory(p.PID())
		}
		end()
		if err != nil {
			return err
		}
	}
	b.table.row("cairn up: ready", "under 1 s", seconds(ready), "", "", verdict(median(ready) < 1))
	b.table.row("cairn up: idle RssAnon", "under 80 MiB", fmt.Sprintf("%s (and %s of mapped files)", mib(mem.Anon), mib(mem.File)), "", "",
		verdict(mem.Anon < 80<<20))
	return nil
}

// largeFile makes the file, the first time.
func (b *bench) largeFile() error {
	if _, err := os.Stat(b.file); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(b.file), 0o700); err != nil {
		return err
	}
	return b.settled(testnet.RandomFile(b.file, fileSize, 1))
}

// manyFiles makes the directory, the first time.
func (b *bench) manyFiles() error {
	if _, err := os.Stat(b.tree); err == nil {
		return nil
	}
	return b.settled(testnet.RandomTree(b.tree, treeFiles, treeSize, 2))
}

// settled waits until what was made is on the medium: it must not be written back under a measurement.
func (b *bench) settled(err error) error {
	if err != nil {
		return err
	}
	return exec.CommandContext(b.ctx, "sync").Run()
}

// addByReference is hashing and little else.
func (b *bench) addByReference() error {
	if err := b.largeFile(); err != nil {
		return err
	}
	var got, limit []float64
	for range b.runs {
		l, err := hashLimit(b.file)
		if err != nil {
			return err
		}
		r, err := b.add()
		if err != nil {
			return err
		}
		limit, got = append(limit, l), append(got, rate(r.Took))
	}
	ratio := median(got) / median(limit)
	b.table.row("add by reference, 1 GiB", "0.8 x SHA-256 on all cores", mbps(got), mbps(limit), times(ratio), verdict(ratio >= 0.8))
	return nil
}

// add adds the file to a new peer.
func (b *bench) add(flags ...string) (testnet.Result, error) {
	p, end, err := b.peer()
	if err != nil {
		return testnet.Result{}, err
	}
	defer end()
	return b.command(p.Home, append(append([]string{"add"}, flags...), b.file)...)
}

// addCopy writes every byte once more, sealed and synced.
func (b *bench) addCopy() error {
	if err := b.largeFile(); err != nil {
		return err
	}
	var got, limit []float64
	for range b.runs {
		took, err := copyLimit(b.ctx, b.file, filepath.Join(b.dir, "copy"))
		if err != nil {
			return err
		}
		r, err := b.add("--copy")
		if err != nil {
			return err
		}
		limit, got = append(limit, rate(took)), append(got, rate(r.Took))
	}
	ratio := median(got) / median(limit)
	bar, met := "0.7 x cp + sync", verdict(ratio >= 0.7)
	if b.group != "disk" {
		bar, met = "(on disk only)", nil
	}
	b.table.row("add --copy, 1 GiB, sealed and synced", bar, mbps(got), mbps(limit), times(ratio), met)
	return nil
}

func times(r float64) string { return fmt.Sprintf("%.2f", r) }
