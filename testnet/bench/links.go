package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"cairn/testnet"
	"cairn/testnet/lab"
)

// links is machines of a lab with links of their own, for one row.
type links struct {
	*bench
	lab      *lab.Lab
	machines []*lab.Machine
	file     string
	size     int64
}

// onLinks makes n machines and a file of size bytes for a row. Where there can be no lab it is a line that says so.
func onLinks(work, bar string, n int, size int64, measure func(*links) error) func(*bench) error {
	return func(b *bench) (err error) {
		if err := lab.Available(); err != nil {
			b.table.row(work, bar, reason(err), "", "", nil)
			return nil
		}
		l := &links{bench: b, size: size, file: filepath.Join(b.dir, "links.bin")}
		if l.lab, err = lab.New(b.ctx); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, l.lab.Close()) }()
		for i := range n {
			m, err := l.lab.Machine(b.ctx, fmt.Sprintf("m%d", i))
			if err != nil {
				return err
			}
			l.machines = append(l.machines, m)
		}
		defer os.Remove(l.file)
		if err := testnet.RandomFile(l.file, size, 4); err != nil {
			return err
		}
		return measure(l)
	}
}

// peers starts a new peer on each machine; end removes them.
func (l *links) peers() (all []*testnet.Peer, end func(), err error) {
	var ends []func()
	end = func() {
		for _, e := range ends {
			e()
		}
	}
	for _, m := range l.machines {
		p, e, err := l.upOn(l.home().Inside(m.Prefix()))
		if err != nil {
			end()
			return nil, nil, err
		}
		all, ends = append(all, p), append(ends, e)
	}
	return all, end, nil
}

// rate gives all machines the same link, in bits a second each way.
func (l *links) rate(bits int64) error {
	for _, m := range l.machines {
		if err := m.Rate(l.ctx, bits, bits); err != nil {
			return err
		}
	}
	return nil
}

// The room: one source and eight downloaders, each at the end of a link of its own.
const (
	roomWork = "64 MiB to 8 downloaders, each link 50 Mbit/s: the slowest"
	roomBar  = "at most 1.35 x size / link"
	roomLink = 50e6
)

func room(l *links) error {
	if err := l.rate(roomLink); err != nil {
		return err
	}
	best := float64(l.size*8) / roomLink
	var got, copies, wire []float64
	for range l.runs {
		before, err := l.machines[0].Traffic(l.ctx)
		if err != nil {
			return err
		}
		took, c, err := l.roomOnce()
		if err != nil {
			return err
		}
		after, err := l.machines[0].Traffic(l.ctx)
		if err != nil {
			return err
		}
		got, copies = append(got, took.Seconds()), append(copies, c)
		wire = append(wire, float64(after.SentBytes-before.SentBytes)/float64(l.size))
	}
	ratio := median(got) / best
	l.table.row(roomWork, roomBar, seconds(got), fmt.Sprintf("%.2f s size / link", best), times(ratio), verdict(ratio <= 1.35))
	l.table.row("64 MiB to 8 downloaders: the source uploads", "at most 1.25 copies", copiesText(copies), copiesText(wire)+" on its link", "", verdict(median(copies) <= 1.25))
	return nil
}

func (l *links) roomOnce() (slowest time.Duration, copies float64, err error) {
	peers, end, err := l.peers()
	if err != nil {
		return 0, 0, err
	}
	defer end()
	ticket, err := l.share(peers[0], l.file)
	if err != nil {
		return 0, 0, err
	}
	return l.fetchAll(peers[0], peers[1:], ticket, l.size)
}

// The unequal pair: machine 0 fetches from 1 and 2, of which 2 has a tenth of the link.
const (
	pairWork = "get, 256 MiB, from 2 sources of 200 and 20 Mbit/s"
	pairBar  = "0.9 x the sum of both alone"
	pairFast = 200e6
	pairSlow = 20e6
)

func unequal(l *links) error {
	for i, bits := range []int64{0, pairFast, pairSlow} {
		if err := l.machines[i].Rate(l.ctx, bits, bits); err != nil {
			return err
		}
	}
	small := l.file + ".part" // the slow source alone would take minutes for all of it
	defer os.Remove(small)
	if err := testnet.RandomFile(small, l.size/8, 5); err != nil {
		return err
	}
	var both, fast, slow []float64
	for range l.runs {
		f, err := l.fetchRate(l.file, l.size, 1)
		if err != nil {
			return err
		}
		s, err := l.fetchRate(small, l.size/8, 2)
		if err != nil {
			return err
		}
		t, err := l.fetchRate(l.file, l.size, 1, 2)
		if err != nil {
			return err
		}
		fast, slow, both = append(fast, f), append(slow, s), append(both, t)
	}
	ratio := median(both) / (median(fast) + median(slow))
	l.table.row(pairWork, pairBar, mbpsFine(both), mbpsFine(fast)+" + "+mbpsFine(slow), times(ratio), verdict(ratio >= 0.9))
	return nil
}

func mbpsFine(v []float64) string { return fmt.Sprintf("%.1f MB/s", median(v)) + spread(v, "%.1f") }

// fetchRate is the rate, in MB/s, at which machine 0 gets a file from others.
func (l *links) fetchRate(file string, size int64, from ...int) (float64, error) {
	peers, end, err := l.peers()
	if err != nil {
		return 0, err
	}
	defer end()
	tickets := make([]string, len(from))
	for i, n := range from {
		if tickets[i], err = l.share(peers[n], file); err != nil {
			return 0, err
		}
	}
	took, err := l.fetch(l.ctx, peers[0], tickets...)
	return float64(size) / 1e6 / took.Seconds(), err
}

// The pulled plug: machine 0 can take no more than either of two sources gives, and one of them falls silent.
const (
	plugWork = "get, 128 MiB, 100 Mbit/s, from 2 sources, one unplugged at half way"
	plugBar  = "at most 3 s lost"
	plugLink = 100e6
)

func unplugged(l *links) error {
	if err := l.rate(plugLink); err != nil {
		return err
	}
	var calm, struck []float64
	for range l.runs {
		for _, pull := range []bool{false, true} {
			took, err := l.plugOnce(pull)
			if err != nil {
				return err
			}
			if pull {
				struck = append(struck, took.Seconds())
			} else {
				calm = append(calm, took.Seconds())
			}
		}
	}
	lost := median(struck) - median(calm)
	l.table.row(plugWork, plugBar, seconds(struck), seconds(calm)+" with both", fmt.Sprintf("%+.2f s", lost), verdict(lost <= 3))
	return nil
}

func (l *links) plugOnce(pull bool) (took time.Duration, err error) {
	peers, end, err := l.peers()
	if err != nil {
		return 0, err
	}
	defer end()
	var tickets [2]string
	for i := range tickets {
		if tickets[i], err = l.share(peers[i+1], l.file); err != nil {
			return 0, err
		}
	}
	strike := func() error { return nil }
	if pull {
		strike = func() error { return l.machines[1].Cut(l.ctx) }
		defer func() { err = errors.Join(err, l.machines[1].Heal(context.WithoutCancel(l.ctx))) }()
	}
	return l.fetchHalf(peers[0], strike, tickets[:]...)
}

// The bad line: packets get lost in both directions, and a round trip takes 100 ms.
const (
	lossTrip = 100 * time.Millisecond
	lossBar  = "not slower than one TCP stream (cubic)"
)

func lossWork(share float64) string {
	return fmt.Sprintf("get at %g %% loss and 100 ms round trip", 100*share)
}

func lossy(share float64) func(*links) error {
	return func(l *links) error {
		var got, plain []float64
		for i := range l.runs {
			line := lab.Line{Delay: lossTrip / 2, Loss: share, Seed: uint64(i)}
			p, c, err := l.lossOnce(line)
			if err != nil {
				return err
			}
			plain, got = append(plain, p), append(got, c)
		}
		ratio := median(plain) / median(got)
		l.table.row(lossWork(share)+", "+mib(l.size), lossBar, seconds(got), seconds(plain)+" one TCP stream", times(ratio), verdict(ratio >= 1))
		return nil
	}
}

// lossOnce moves the file by one TCP stream and then by get, on lines that lose by the same dice.
func (l *links) lossOnce(line lab.Line) (plain, got float64, err error) {
	path, err := l.lab.Path(l.ctx, l.machines[0], l.machines[1], line)
	if err != nil {
		return 0, 0, err
	}
	plain, err = plainStream(l.ctx, l.machines[1], l.machines[0], l.size)
	path.Close()
	if err != nil {
		return 0, 0, err
	}
	if path, err = l.lab.Path(l.ctx, l.machines[0], l.machines[1], line); err != nil {
		return 0, 0, err
	}
	defer path.Close()
	mbs, err := l.fetchRate(l.file, l.size, 1)
	return plain, float64(l.size) / 1e6 / mbs, err
}
