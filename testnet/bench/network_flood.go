package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	mss "github.com/multiformats/go-multistream"

	"cairn/testnet"
	"cairn/testnet/intruder"
	"cairn/testnet/lab"
	"cairn/web/api"
	"cairn/web/client"
)

// The flood: attackers in namespaces of their own, all on one core, against both hosts of a pair on the other.
const (
	floodCommand  = "flood"
	probeCommand  = "probe"
	floodMachines = 10
	floodRate     = 100 // attempts a second of each
	floodProbes   = 40  // new connections, of which an honest machine opens few
	floodEach     = 4   // reads over the one that is there, for each of those
	floodPace     = 500 * time.Millisecond
	floodLead     = 3 * time.Second
	floodWork     = "1,000 connection attempts/s by strangers from 10 machines"
	floodBar      = "at most 2 x the usual latency"
)

// flooded is what one attacker, or all of them, did.
type flooded struct{ Attempts, Connected, Handshakes, Missed int64 }

// probed is how long the honest pair's questions took, in seconds.
type probed struct{ Established, New []float64 }

func (b *bench) flood() (err error) {
	cannot := func(why string) error { b.table.row(floodWork, floodBar, why, "", "", nil); return nil }
	if err := lab.Available(); err != nil {
		return cannot(reason(err))
	}
	if _, err := exec.LookPath("taskset"); err != nil || runtime.NumCPU() < 2 {
		return cannot("not measured: it takes two cores and taskset (package util-linux)")
	}
	l, err := lab.New(b.ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	var honest, bad []*lab.Machine
	for i := range 2 + floodMachines {
		m, err := l.Machine(b.ctx, fmt.Sprintf("m%d", i))
		if err != nil {
			return err
		}
		if i < 2 {
			honest = append(honest, m)
		} else {
			bad = append(bad, m)
		}
	}
	pair, end, err := b.network(2, func(i int) testnet.Home {
		h := b.home().Inside(honest[i].Prefix())
		h.Prefix = append(onCore(0), h.Prefix...)
		return h
	})
	if err != nil {
		return err
	}
	defer end()
	small := filepath.Join(b.dir, "small.bin")
	if err := testnet.RandomFile(small, 4<<10, 9); err != nil {
		return err
	}
	added, err := pair[0].api.Add(b.ctx, api.AddRequest{Path: small}, nil, nil)
	if err != nil {
		return err
	}
	st, err := pair[0].api.Network(b.ctx)
	if err != nil {
		return err
	}
	probe := func() (p probed, err error) {
		return p, b.child(honest[1], 0, &p, probeCommand, pair[1].Dir, added.Entry.CID, tcpOf(pair[0].Ready.Addresses))
	}
	if _, err := probe(); err != nil { // the first of everything is slower
		return err
	}
	calm, err := probe()
	if err != nil {
		return err
	}
	attack, stop, err := b.attack(bad, tcpOf(pair[0].Ready.Addresses), tcpOf(st.Addresses))
	if err != nil {
		return err
	}
	if err := pause(b.ctx, floodLead); err != nil {
		return errors.Join(err, stop())
	}
	began := time.Now()
	under, err := probe()
	took := time.Since(began)
	if err := errors.Join(err, stop()); err != nil {
		return err
	}
	ms := func(v []float64) string {
		return fmt.Sprintf("p50 %.1f ms, p95 %.1f ms", 1000*median(v), 1000*percentile(v, 0.95))
	}
	for _, x := range []struct {
		what        string
		calm, under []float64
	}{{"small read over an established connection", calm.Established, under.Established}, {"a new connection and a ping, at the door", calm.New, under.New}} {
		ratio := median(x.under) / median(x.calm)
		b.table.row(floodWork+": "+x.what, floodBar, ms(x.under), ms(x.calm)+" without them", times(ratio), verdict(ratio <= 2))
	}
	all := attack()
	rate := float64(all.Attempts) / (took + floodLead).Seconds()
	b.table.row("the strangers' attempts, and handshakes completed", "1,000 a second", fmt.Sprintf("%d attempts (%.0f a second), %d of them not begun in time", all.Attempts, rate, all.Missed),
		fmt.Sprintf("%d connected, %d handshakes completed", all.Connected, all.Handshakes), "", verdict(rate >= 0.95*floodRate*floodMachines))
	return nil
}

// onCore is the command that keeps a process on one core.
func onCore(n int) []string { return []string{"taskset", "-c", strconv.Itoa(n)} }

// tcpOf is the first address over TCP that is not the loopback's.
func tcpOf(addrs []string) string {
	for _, a := range addrs {
		if strings.Contains(a, "/tcp/") && !strings.Contains(a, "/127.0.0.1/") {
			return a
		}
	}
	return ""
}

// child runs this program on a machine and a core, and reads the JSON that it prints.
func (b *bench) child(m *lab.Machine, core int, v any, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	line := slices.Concat(onCore(core), m.Prefix(), []string{self}, args)
	cmd := exec.CommandContext(b.ctx, line[0], line[1:]...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	return json.Unmarshal(out, v)
}

// attack starts an attacker on each machine. stop ends them; then sum is what all of them did.
func (b *bench) attack(machines []*lab.Machine, targets ...string) (sum func() flooded, stop func() error, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	var ins []io.Closer
	var all flooded
	var mu sync.Mutex
	var running sync.WaitGroup
	var failed error
	stop = func() error {
		for _, in := range ins {
			in.Close()
		}
		running.Wait()
		return failed
	}
	for _, m := range machines {
		line := slices.Concat(onCore(1), m.Prefix(), []string{self, floodCommand, strconv.Itoa(floodRate)}, targets)
		cmd := exec.CommandContext(b.ctx, line[0], line[1:]...)
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			return nil, nil, errors.Join(err, stop())
		}
		ins = append(ins, in)
		running.Go(func() {
			out, err := cmd.Output()
			var one flooded
			if err == nil {
				err = json.Unmarshal(out, &one)
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil && failed == nil {
				failed = fmt.Errorf("attacker: %w", err)
			}
			all.Attempts += one.Attempts
			all.Connected += one.Connected
			all.Handshakes += one.Handshakes
			all.Missed += one.Missed
		})
	}
	return func() flooded { return all }, stop, nil
}

// floodMain is one attacker: it makes RATE attempts a second, at one TARGET after the other, each with a new key,
// until stdin ends.
func floodMain(args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("wrong arguments %q", args)
	}
	rate, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	var targets []peer.AddrInfo
	for _, a := range args[1:] {
		info, err := peer.AddrInfoFromString(a)
		if err != nil {
			return err
		}
		targets = append(targets, *info)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { _, _ = io.Copy(io.Discard, os.Stdin); cancel() }()
	var did flooded
	var running sync.WaitGroup
	atOnce := make(chan struct{}, 256)
	for tick, i := time.NewTicker(time.Second/time.Duration(rate)), 0; ctx.Err() == nil; i++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			continue
		}
		select {
		case atOnce <- struct{}{}:
			running.Go(func() { defer func() { <-atOnce }(); did.attempt(ctx, targets[i%len(targets)]) })
		default:
			did.Missed++
		}
	}
	running.Wait()
	return json.NewEncoder(os.Stdout).Encode(did)
}

// attempt connects and shakes hands as far as it is let, then says nothing for a while.
func (f *flooded) attempt(ctx context.Context, to peer.AddrInfo) {
	atomic.AddInt64(&f.Attempts, 1)
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_, addr, err := manet.DialArgs(to.Addrs[0])
	if err != nil {
		return
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return
	}
	defer conn.Close()
	atomic.AddInt64(&f.Connected, 1)
	if end, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(end) // a connection that is gone fails below
	}
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return
	}
	shake, err := noise.New(noise.ID, key, nil)
	if err != nil {
		return
	}
	if err := mss.SelectProtoOrFail(noise.ID, conn); err != nil {
		return
	}
	secure, err := shake.SecureOutbound(ctx, conn, to.ID)
	if err != nil {
		return
	}
	atomic.AddInt64(&f.Handshakes, 1)
	_, _ = secure.Read(make([]byte, 1)) // until it is thrown out, or the time is over
}

// probeMain is the honest side: HOME of the one that asks, CID of what the other has, DOOR of that one.
func probeMain(args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("wrong arguments %q", args)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	c, err := client.Dial(ctx, args[0])
	if err != nil {
		return err
	}
	defer c.Close()
	a, err := ma.NewMultiaddr(args[2])
	if err != nil {
		return err
	}
	door, err := peer.AddrInfoFromP2pAddr(a)
	if err != nil {
		return err
	}
	var did probed
	for tick := time.NewTicker(floodPace); len(did.New) < floodProbes; <-tick.C {
		for range floodEach {
			began := time.Now()
			content, err := c.Open(ctx, args[1], "", 0, -1)
			if err != nil {
				return fmt.Errorf("small read: %w", err)
			}
			_, err = io.Copy(io.Discard, content)
			if err = errors.Join(err, content.Close()); err != nil {
				return fmt.Errorf("small read: %w", err)
			}
			did.Established = append(did.Established, time.Since(began).Seconds())
		}
		took, err := pingOnce(ctx, *door)
		if err != nil {
			return fmt.Errorf("new connection: %w", err)
		}
		did.New = append(did.New, took.Seconds())
	}
	return json.NewEncoder(os.Stdout).Encode(did)
}

// pingOnce connects with a new key and waits for one ping.
func pingOnce(ctx context.Context, door peer.AddrInfo) (time.Duration, error) {
	s, err := intruder.NewStranger(nil)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	began := time.Now()
	if err := s.Connect(ctx, door); err != nil {
		return 0, err
	}
	r := <-ping.Ping(ctx, s.Host, door.ID)
	return time.Since(began), r.Error
}
