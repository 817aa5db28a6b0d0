package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"cairn/testnet"
)

// bench measures on one medium. It is used by one goroutine.
type bench struct {
	ctx       context.Context
	medium    medium
	dir       string
	binary    string
	file      string // 1 GiB
	tree      string // 10,000 x 4 KiB
	table     table
	homesMade int
}

// home names a new home.
func (b *bench) home() testnet.Home {
	b.homesMade++
	return testnet.Home{Binary: b.binary, Dir: filepath.Join(b.dir, fmt.Sprintf("home-%d", b.homesMade)), Env: []string{"CAIRN_LOG_LEVEL=error"}}
}

// peer starts a peer on a new home; end removes both.
func (b *bench) peer() (p *testnet.Peer, end func(), err error) {
	h := b.home()
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

// addByReference is hashing and little else.
func (b *bench) addByReference() error {
	var got, limit []float64
	for range b.medium.runs {
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
	var got, limit []float64
	for range b.medium.runs {
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
	if b.medium.name != "disk" {
		bar, met = "(on disk only)", nil
	}
	b.table.row("add --copy, 1 GiB, sealed and synced", bar, mbps(got), mbps(limit), times(ratio), met)
	return nil
}

// getFile moves the large file between two peers and watches what they hold.
func (b *bench) getFile() error {
	ssh, sshErr := startSSH(b.ctx, b.dir)
	if sshErr == nil {
		defer ssh.stop()
	}
	var got, bare, copied []float64
	var peak [2]testnet.Memory
	for range b.medium.runs {
		l, err := streamLimit(b.ctx, b.file, filepath.Join(b.dir, "out"))
		if err != nil {
			return err
		}
		bare = append(bare, l)
		if ssh != nil {
			if l, err = ssh.fetch(b.ctx, b.file, filepath.Join(b.dir, "out")); err != nil {
				return err
			}
			copied = append(copied, l)
		}
		took, err := b.get(b.file, &peak)
		if err != nil {
			return err
		}
		got = append(got, rate(took))
	}
	ratio := median(got) / median(bare)
	b.table.row("get, 1 GiB, to a new file", "0.6 x bare verified stream", mbps(got), mbps(bare), times(ratio), verdict(ratio >= 0.6))
	if sshErr != nil {
		b.table.row("", "1.2 x ssh host cat", mbps(got), sshErr.Error(), "", nil)
	} else {
		ratio := median(got) / median(copied)
		b.table.row("", "1.2 x ssh host cat", mbps(got), mbps(copied), times(ratio), verdict(ratio >= 1.2))
	}
	for i, side := range []string{"source", "downloader"} {
		b.table.row("get, 1 GiB: peak RssAnon of the "+side, "under 256 MiB",
			fmt.Sprintf("%s (and %s of mapped files)", mib(peak[i].Anon), mib(peak[i].File)), "", "", verdict(peak[i].Anon < 256<<20))
	}
	return nil
}

// getTree moves the many small files.
func (b *bench) getTree() error {
	var got, limit []float64
	for range b.medium.runs {
		l, err := copyLimit(b.ctx, b.tree, filepath.Join(b.dir, "copy"))
		if err != nil {
			return err
		}
		took, err := b.get(b.tree, nil)
		if err != nil {
			return err
		}
		limit, got = append(limit, l.Seconds()), append(got, took.Seconds())
	}
	ratio := median(got) / median(limit)
	bar, ok := "under 4 s", median(got) < 4
	if b.medium.name == "disk" {
		bar, ok = "at most 2 x cp -r + sync", ratio <= 2
	}
	b.table.row("get, directory of 10,000 x 4 KiB", bar, seconds(got), seconds(limit)+" cp -r + sync", times(ratio), verdict(ok))
	return nil
}

// get shares a path from one new peer and gets it on another; peak keeps the most that either held.
func (b *bench) get(path string, peak *[2]testnet.Memory) (time.Duration, error) {
	source, end, err := b.peer()
	if err != nil {
		return 0, err
	}
	defer end()
	sink, end, err := b.peer()
	if err != nil {
		return 0, err
	}
	defer end()
	r, err := b.command(source.Home, "share", path)
	if err != nil {
		return 0, err
	}
	ticket, out := filepath.Join(b.dir, "ticket"), filepath.Join(b.dir, "out")
	if err := os.WriteFile(ticket, []byte(r.Stdout), 0o600); err != nil {
		return 0, err
	}
	defer os.RemoveAll(out)
	stop := watch(peak, source.PID(), sink.PID())
	r, err = b.command(sink.Home, "get", "@"+ticket, "-o", out)
	stop()
	return r.Took, err
}

// watch keeps the most memory that two processes hold until it is stopped.
func watch(peak *[2]testnet.Memory, pids ...int) (stop func()) {
	if peak == nil {
		return func() {}
	}
	end := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for tick := time.NewTicker(10 * time.Millisecond); ; {
			for i, pid := range pids {
				if m, err := testnet.ReadMemory(pid); err == nil {
					peak[i] = testnet.Memory{Anon: max(peak[i].Anon, m.Anon), File: max(peak[i].File, m.File)}
				}
			}
			select {
			case <-tick.C:
			case <-end:
				tick.Stop()
				return
			}
		}
	})
	return func() { close(end); wg.Wait() }
}

func times(r float64) string { return fmt.Sprintf("%.2f", r) }
