package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"cairn/testnet"
)

// crowd is one source and four downloaders at once, beside libtorrent.
func (b *bench) crowd() error {
	const n = 4
	const work, bar = "1 GiB, 1 source to 4 downloaders: the slowest", "0.8 x libtorrent's time"
	if why := b.noRoom((n + 2) << 30); why != "" {
		b.table.row(work, bar, why, "", "", nil)
		return nil
	}
	if err := b.largeFile(); err != nil {
		return err
	}
	torrent, torrentErr := newTorrents(b.ctx, b.dir, b.file)
	var got, copies, rivals, rivalCopies []float64
	for range b.runs {
		if torrentErr == nil {
			var took time.Duration
			var c float64
			if took, c, torrentErr = torrent.move(b.ctx, torrentSwarm, n); torrentErr == nil {
				rivals, rivalCopies = append(rivals, took.Seconds()), append(rivalCopies, c)
			}
		}
		took, c, err := b.many(n)
		if err != nil {
			return err
		}
		got, copies = append(got, took.Seconds()), append(copies, c)
	}
	if torrentErr != nil {
		b.table.row(work, bar, seconds(got), reason(torrentErr), "", nil)
	} else {
		ratio := median(got) / median(rivals)
		b.table.row(work, bar, seconds(got), seconds(rivals)+" libtorrent, plain", times(ratio), verdict(ratio <= 0.8))
	}
	beside := ""
	if len(rivalCopies) > 0 {
		beside = copiesText(rivalCopies) + " libtorrent, plain"
	}
	b.table.row("1 GiB, 1 source to 4 downloaders: the source uploads", "at most 1.25 copies", copiesText(copies), beside, "", verdict(median(copies) <= 1.25))
	return nil
}

func copiesText(v []float64) string {
	return fmt.Sprintf("%.2f copies", median(v)) + spread(v, "%.2f")
}

// many has n peers get the large file from one, all from the same moment on. It returns the time of the slowest and
// how many copies the source uploaded.
func (b *bench) many(n int) (slowest time.Duration, copies float64, err error) {
	source, end, err := b.peer()
	if err != nil {
		return 0, 0, err
	}
	defer end()
	sinks := make([]*testnet.Peer, n)
	for i := range sinks {
		if sinks[i], end, err = b.peer(); err != nil {
			return 0, 0, err
		}
		defer end()
	}
	ticket, err := b.share(source, b.file)
	if err != nil {
		return 0, 0, err
	}
	return b.fetchAll(source, sinks, ticket, fileSize)
}

// fetchAll has all sinks get a ticket of a source at once.
func (b *bench) fetchAll(source *testnet.Peer, sinks []*testnet.Peer, ticket string, size int64) (slowest time.Duration, copies float64, err error) {
	g, ctx := errgroup.WithContext(b.ctx)
	took := make([]time.Duration, len(sinks))
	for i, sink := range sinks {
		g.Go(func() (err error) {
			took[i], err = b.fetch(ctx, sink, ticket)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return 0, 0, err
	}
	for _, t := range took {
		slowest = max(slowest, t)
	}
	uploaded, err := b.uploaded(source)
	return slowest, float64(uploaded) / float64(size), err
}

// uploaded is how many bytes a peer has sent for its tickets.
func (b *bench) uploaded(p *testnet.Peer) (n int64, err error) {
	r, err := b.command(p.Home, "ls", "--json")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(r.Stdout) {
		var entry struct {
			Tickets []struct {
				Bytes int64 `json:"uploaded_bytes"`
			}
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			return 0, fmt.Errorf("read library: %w", err)
		}
		for _, t := range entry.Tickets {
			n += t.Bytes
		}
	}
	return n, nil
}

// killed is two sources of which one is killed when half is there, beside the same without the kill.
func (b *bench) killed() error {
	if err := b.largeFile(); err != nil {
		return err
	}
	var calm, struck []float64
	for range b.runs {
		for _, kill := range []bool{false, true} {
			took, err := b.fromTwo(kill)
			if err != nil {
				return err
			}
			if kill {
				struck = append(struck, took.Seconds())
			} else {
				calm = append(calm, took.Seconds())
			}
		}
	}
	lost := median(struck) - median(calm)
	b.table.row("get, 1 GiB, from 2 sources, one killed at half way", "at most 3 s lost", seconds(struck),
		seconds(calm)+" without the kill", fmt.Sprintf("%+.2f s", lost), verdict(lost <= 3))
	return nil
}

// fromTwo gets the large file from two new sources.
func (b *bench) fromTwo(kill bool) (time.Duration, error) {
	var peers [3]*testnet.Peer
	for i := range peers {
		p, end, err := b.peer()
		if err != nil {
			return 0, err
		}
		defer end()
		peers[i] = p
	}
	var tickets [2]string
	for i := range tickets {
		var err error
		if tickets[i], err = b.share(peers[i], b.file); err != nil {
			return 0, err
		}
	}
	strike := func() error { return nil }
	if kill {
		strike = func() error { peers[0].Kill(); return nil }
	}
	return b.fetchHalf(peers[2], strike, tickets[:]...)
}

// fetchHalf has a peer get what tickets name, and strikes as soon as half of it is there.
func (b *bench) fetchHalf(p *testnet.Peer, strike func() error, tickets ...string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Minute)
	defer cancel()
	out := filepath.Join(p.Dir, "out")
	defer os.RemoveAll(out)
	began := time.Now()
	proc, err := p.Start(ctx, append([]string{"get", "--json", "-o", out}, tickets...)...)
	if err != nil {
		return 0, err
	}
	defer proc.Kill()
	if _, err := proc.Line(ctx, halfway); err != nil {
		return 0, fmt.Errorf("half of a download was not seen: %w", err)
	}
	if err := strike(); err != nil {
		return 0, err
	}
	r := proc.Wait(ctx)
	took := time.Since(began)
	if r.Code != 0 {
		return 0, fmt.Errorf("%s", r)
	}
	return took, ctx.Err()
}

// halfway accepts a line of get --json that says that between half and all is there.
func halfway(line string) bool {
	var e struct {
		Event, Phase string
		Done, Total  int64
	}
	return json.Unmarshal([]byte(line), &e) == nil && e.Event == "progress" && e.Phase == "fetching" && e.Done >= e.Total/2 && e.Done < e.Total
}

// noRoom says why a group can not have so many bytes more; "" if it can.
func (b *bench) noRoom(bytes int64) string {
	out, err := output(b.ctx, "df", "--output=avail", "-B1", b.dir)
	if err != nil {
		return reason(err)
	}
	lines := strings.Fields(out)
	if free, err := strconv.ParseInt(lines[len(lines)-1], 10, 64); err == nil && free < bytes {
		return fmt.Sprintf("not measured: %s has %s, it takes %s", b.dir, mib(free), mib(bytes))
	}
	return ""
}
