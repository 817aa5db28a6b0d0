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

// rival is another way to move the large file.
type rival struct {
	name string
	bar  float64                 // cairn's rate is at least so many times the rival's; 0: printed only
	run  func() (float64, error) // MB/s
	got  []float64
	err  error // why there is no figure
}

// rivals prepares them; end stops what serves them.
func (b *bench) rivals() (all []*rival, end func()) {
	out := filepath.Join(b.dir, "out")
	bars := []float64{0.75, 1.8, 2.2, 2, 3.5}
	if b.group == "disk" {
		bars = []float64{0.6, 1.2, 0, 0, 0}
	}
	end = func() {}
	ssh, sshErr := startSSH(b.ctx, b.dir)
	if sshErr == nil {
		end = ssh.stop
	}
	rsync, rsyncErr := program(b.ctx, "rsync", "rsync")
	if sshErr != nil {
		rsyncErr = sshErr
	}
	torrent, torrentErr := newTorrents(b.ctx, b.dir, b.file)
	pair := func(mode string) (float64, error) {
		took, _, err := torrent.move(b.ctx, mode, 1)
		return rate(took), err
	}
	return []*rival{
		{name: "bare verified stream", bar: bars[0], run: func() (float64, error) { return streamLimit(b.ctx, b.file, out) }},
		{name: "ssh host cat", bar: bars[1], run: func() (float64, error) { return ssh.cat(b.ctx, b.file, out) }, err: sshErr},
		{name: "rsync -W over ssh", bar: bars[2], run: func() (float64, error) { return ssh.rsync(b.ctx, rsync, b.file, out) }, err: rsyncErr},
		{name: "libtorrent, plain", bar: bars[3], run: func() (float64, error) { return pair(torrentPlain) }, err: torrentErr},
		{name: "libtorrent, encrypted", bar: bars[4], run: func() (float64, error) { return pair(torrentForced) }, err: torrentErr},
	}, end
}

// getFile moves the large file between two peers, beside the rivals, and watches what the peers hold.
func (b *bench) getFile() error {
	if err := b.largeFile(); err != nil {
		return err
	}
	rivals, end := b.rivals()
	defer end()
	var got []float64
	var peak [2]testnet.Memory
	for range b.runs {
		for _, r := range rivals {
			if r.err == nil {
				var one float64
				one, r.err = r.run()
				r.got = append(r.got, one)
			}
			if err := b.ctx.Err(); err != nil {
				return err
			}
		}
		took, err := b.get(b.file, &peak)
		if err != nil {
			return err
		}
		got = append(got, rate(took))
	}
	work := "get, 1 GiB, to a new file"
	for _, r := range rivals {
		bar := "(beside " + r.name + ")"
		if r.bar > 0 {
			bar = fmt.Sprintf("%g x %s", r.bar, r.name)
		}
		b.compare(work, bar, got, r)
		work = ""
	}
	for i, side := range []string{"source", "downloader"} {
		b.table.row("get, 1 GiB: peak RssAnon of the "+side, "under 256 MiB",
			fmt.Sprintf("%s (and %s of mapped files)", mib(peak[i].Anon), mib(peak[i].File)), "", "", verdict(peak[i].Anon < 256<<20))
	}
	return nil
}

// compare adds the line of one rival.
func (b *bench) compare(work, bar string, got []float64, r *rival) {
	if r.err != nil {
		b.table.row(work, bar, mbps(got), reason(r.err), "", nil)
		return
	}
	ratio := median(got) / median(r.got)
	var met *bool
	if r.bar > 0 {
		met = verdict(ratio >= r.bar)
	}
	b.table.row(work, bar, mbps(got), mbps(r.got), times(ratio), met)
}

// getTree moves the many small files.
func (b *bench) getTree() error {
	if err := b.manyFiles(); err != nil {
		return err
	}
	var got, limit []float64
	for range b.runs {
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
	bar, ok := "under 2.5 s", median(got) < 2.5
	if b.group == "disk" {
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
	stop := watch(peak, source.PID(), sink.PID())
	defer stop()
	ticket, err := b.share(source, path)
	if err != nil {
		return 0, err
	}
	return b.fetch(b.ctx, sink, ticket)
}

// share has a peer share a path and returns the argument for get.
func (b *bench) share(p *testnet.Peer, path string) (ticket string, err error) {
	r, err := b.command(p.Home, "share", path)
	if err != nil {
		return "", err
	}
	file := filepath.Join(p.Dir, "ticket")
	return "@" + file, os.WriteFile(file, []byte(r.Stdout), 0o600)
}

// fetch has a peer get what tickets name, to a new file that it removes, and returns how long the command took.
func (b *bench) fetch(ctx context.Context, p *testnet.Peer, tickets ...string) (time.Duration, error) {
	out := filepath.Join(p.Dir, "out")
	defer os.RemoveAll(out)
	r := p.Run(ctx, append([]string{"get", "-o", out}, tickets...)...)
	if r.Code != 0 {
		return 0, fmt.Errorf("%s", r)
	}
	return r.Took, nil
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
