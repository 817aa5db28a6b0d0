package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"cairn/storage/vault"
	"cairn/testnet"
	"cairn/testnet/lab"
	"cairn/web/api"
	"cairn/web/client"
)

// networkRows are about being a member: coming in, being put out, being left alone by strangers, and what it costs to
// do nothing.
func networkRows() []row {
	return []row{
		{"join", (*bench).joins},
		{"revocation", (*bench).revocations},
		{"flood", (*bench).flood},
		{"unlock", (*bench).unlock},
		{"idle", (*bench).idleTraffic},
	}
}

// wait bounds what is awaited of a network that works.
const wait = time.Minute

// poll is how long the answer to a condition is left alone. Peers are asked over their sockets, which is cheap.
const poll = 20 * time.Millisecond

// insider is a peer in a network, with a line to it that costs no process.
type insider struct {
	*testnet.Peer
	api *client.Client
	id  string // as a member
	end func()
}

// outsider starts a peer that is in no network.
func (b *bench) outsider(h testnet.Home) (*insider, error) {
	p, end, err := b.upOn(h)
	if err != nil {
		return nil, err
	}
	c, err := client.Dial(b.ctx, h.Dir)
	if err != nil {
		end()
		return nil, err
	}
	return &insider{Peer: p, api: c, end: func() { c.Close(); end() }}, nil
}

// founder starts a peer that makes a network.
func (b *bench) founder(h testnet.Home) (*insider, error) {
	in, err := b.outsider(h)
	if err != nil {
		return nil, err
	}
	st, err := in.api.Init(b.ctx, api.InitRequest{Name: "bench", PeerName: "founder"})
	if err != nil {
		in.end()
		return nil, err
	}
	in.id = st.Network.MemberID
	return in, nil
}

// newcomer starts a peer and lets it in by an administrator's invite.
func (b *bench) newcomer(h testnet.Home, by *insider, role, name string) (*insider, error) {
	inv, err := by.api.Invite(b.ctx, api.InviteRequest{Role: role})
	if err != nil {
		return nil, err
	}
	in, err := b.outsider(h)
	if err != nil {
		return nil, err
	}
	st, err := in.api.Join(b.ctx, api.JoinRequest{Invite: inv.Text, Name: name})
	if err != nil {
		in.end()
		return nil, err
	}
	in.id = st.MemberID
	return in, nil
}

// network starts a founder and n-1 others, and waits until everybody is connected with everybody. The second is an
// administrator too.
func (b *bench) network(n int, home func(i int) testnet.Home) (all []*insider, end func(), err error) {
	end = func() {
		for _, in := range all {
			in.end()
		}
	}
	first, err := b.founder(home(0))
	if err != nil {
		return nil, nil, err
	}
	all = append(all, first)
	for i := 1; i < n; i++ {
		role := "member"
		if i == 1 {
			role = "admin"
		}
		in, err := b.newcomer(home(i), first, role, fmt.Sprintf("peer%d", i))
		if err != nil {
			end()
			return nil, nil, err
		}
		all = append(all, in)
	}
	if err := b.complete(all); err != nil {
		end()
		return nil, nil, err
	}
	return all, end, nil
}

// complete waits until each is connected with all the others.
func (b *bench) complete(all []*insider) error {
	for _, in := range all {
		if err := b.until(in, func(st api.NetworkStatus) bool { return st.Connected >= len(all)-1 }); err != nil {
			return fmt.Errorf("connect all members: %w", err)
		}
	}
	return nil
}

// until asks a peer for its network until ok.
func (b *bench) until(in *insider, ok func(api.NetworkStatus) bool) error {
	ctx, cancel := context.WithTimeout(b.ctx, wait)
	defer cancel()
	for tick := time.NewTicker(poll); ; {
		st, err := in.api.Network(ctx)
		if err == nil && ok(st) {
			tick.Stop()
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
			return errors.Join(ctx.Err(), fmt.Errorf("the last answer: %d members, %d connected, %s: %w", st.Members, st.Connected, st.State, err))
		}
	}
}

// percentile of at least one value: the smallest that p of all do not exceed.
func percentile(v []float64, p float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[min(int(p*float64(len(s))), len(s)-1)]
}

func percentiles(v []float64, tail float64) string {
	return fmt.Sprintf("p50 %.2f s, p%.0f %.2f s", percentile(v, 0.5), 100*tail, percentile(v, tail))
}

// How often joining is measured, and beside how many members that are off.
const (
	joinTimes = 50
	joinOff   = 10
)

// joins measures from the start of the command on a peer that runs to its end and until another member is connected.
func (b *bench) joins() error {
	first, err := b.founder(b.home())
	if err != nil {
		return err
	}
	defer first.end()
	took, err := b.joinOften(first)
	if err != nil {
		return err
	}
	b.table.row(fmt.Sprintf("join until usable, %d times, loopback", joinTimes), "p95 under 3 s", percentiles(took, 0.95), "", "", verdict(percentile(took, 0.95) < 3))

	for i := range joinOff {
		in, err := b.newcomer(b.home(), first, "member", fmt.Sprintf("off%d", i))
		if err != nil {
			return err
		}
		in.end()
	}
	if took, err = b.joinOften(first); err != nil {
		return err
	}
	b.table.row(fmt.Sprintf("the same beside %d members that are off", joinOff), "p95 under 3 s", percentiles(took, 0.95), "", "", verdict(percentile(took, 0.95) < 3))
	return nil
}

// joinOften has one peer after the other join and leave.
func (b *bench) joinOften(first *insider) (took []float64, err error) {
	for range joinTimes {
		t, err := b.joinOnce(first)
		if err != nil {
			return nil, err
		}
		took = append(took, t.Seconds())
	}
	return took, nil
}

func (b *bench) joinOnce(first *insider) (time.Duration, error) {
	inv, err := first.api.Invite(b.ctx, api.InviteRequest{})
	if err != nil {
		return 0, err
	}
	in, err := b.outsider(b.home())
	if err != nil {
		return 0, err
	}
	defer in.end()
	began := time.Now()
	if _, err := b.command(in.Home.Saying(inv.Text), "join", "-"); err != nil {
		return 0, err
	}
	if err := b.until(in, func(st api.NetworkStatus) bool { return st.Connected > 0 }); err != nil {
		return 0, err
	}
	took := time.Since(began)
	return took, in.api.Leave(b.ctx)
}

// How many peers see how many revocations.
const (
	revokePeers  = 20
	revokeRounds = 20
)

// revocations measures, in a network of processes that are all connected, from the request to revoke one until each of
// the others says that it is revoked and not connected.
func (b *bench) revocations() error {
	all, end, err := b.network(revokePeers-1, func(int) testnet.Home { return b.home() })
	if err != nil {
		return err
	}
	defer end()
	for _, down := range []bool{false, true} {
		work := fmt.Sprintf("revocation, %d processes, %d rounds: every other peer", revokePeers, revokeRounds)
		others := all
		if down {
			work = "the same with the inviter of most of them down"
			all[0].Kill()
			others = all[1:]
		}
		var each, last []float64
		for range revokeRounds {
			took, err := b.revokeOnce(others)
			if err != nil {
				return err
			}
			each = append(each, took...)
			last = append(last, slices.Max(took))
		}
		b.table.row(work, "p99 under 5 s", percentiles(each, 0.99), fmt.Sprintf("last of a round: %.2f s at most", slices.Max(last)), "", verdict(percentile(each, 0.99) < 5))
	}
	return nil
}

// revokeOnce lets one in, waits until everybody knows it, and has an administrator revoke it.
func (b *bench) revokeOnce(others []*insider) (took []float64, err error) {
	admin := others[0]
	victim, err := b.newcomer(b.home(), admin, "member", "victim")
	if err != nil {
		return nil, err
	}
	defer victim.end()
	if err := b.complete(append(slices.Clone(others), victim)); err != nil {
		return nil, err
	}
	took = make([]float64, len(others))
	g, ctx := errgroup.WithContext(b.ctx)
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	began := time.Now()
	for i, in := range others {
		g.Go(func() error {
			for tick := time.NewTicker(poll); ; {
				m, err := in.api.Member(ctx, victim.id)
				if err == nil && m.State == "revoked" && m.Connection == nil {
					tick.Stop()
					took[i] = time.Since(began).Seconds()
					return nil
				}
				select {
				case <-tick.C:
				case <-ctx.Done():
					tick.Stop()
					return errors.Join(fmt.Errorf("peer %d has not cut the revoked one off: it is %s", i, m.State), err)
				}
			}
		})
	}
	_, err = admin.api.RevokeMember(b.ctx, victim.id, api.RevokeRequest{})
	return took, errors.Join(err, g.Wait())
}

// unlock measures the opening of keys under a passphrase, as every start does.
func (b *bench) unlock() error {
	path := filepath.Join(b.dir, "keys")
	pass := []byte("correct horse battery staple")
	if _, err := vault.Create(path, pass, map[string][]byte{"door": make([]byte, 68)}); err != nil {
		return err
	}
	defer os.Remove(path)
	var took, worked []float64
	var kdf string
	for range 10 {
		began, before := time.Now(), processorTime()
		v, err := vault.Open(path, func(int) ([]byte, error) { return slices.Clone(pass), nil })
		if err != nil {
			return err
		}
		took, worked = append(took, time.Since(began).Seconds()), append(worked, (processorTime()-before).Seconds())
		kdf = v.Info().KDF
	}
	b.table.row("unlock keys: "+kdf, "under 1 s", seconds(took), seconds(worked)+" of the cores' time", "", verdict(median(took) < 1))
	return nil
}

// Idle members, and for how long their traffic is counted.
const (
	idleMembers = 10
	idleFor     = time.Minute
	idleBar     = 2000 // bytes a second
)

// idleTraffic counts what crosses the links of members that are connected and want nothing of each other. Frames are
// counted whole, each at its sender and at its receiver.
func (b *bench) idleTraffic() (err error) {
	const work, bar = "idle traffic of a peer, 10 members", "under 2 kB/s"
	if err := lab.Available(); err != nil {
		b.table.row(work, bar, reason(err), "", "", nil)
		return nil
	}
	l, err := lab.New(b.ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	machines := make([]*lab.Machine, idleMembers)
	for i := range machines {
		if machines[i], err = l.Machine(b.ctx, fmt.Sprintf("m%d", i)); err != nil {
			return err
		}
	}
	_, end, err := b.network(idleMembers, func(i int) testnet.Home { return b.home().Inside(machines[i].Prefix()) })
	if err != nil {
		return err
	}
	defer end()
	if err := pause(b.ctx, 20*time.Second); err != nil { // what comes of being new is over
		return err
	}
	count := func() (sent, received []float64, err error) {
		for _, m := range machines {
			t, err := m.Traffic(b.ctx)
			if err != nil {
				return nil, nil, err
			}
			sent, received = append(sent, float64(t.SentBytes)), append(received, float64(t.ReceivedBytes))
		}
		return sent, received, nil
	}
	sent, received, err := count()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := pause(b.ctx, idleFor); err != nil {
		return err
	}
	sentAfter, receivedAfter, err := count()
	if err != nil {
		return err
	}
	took := time.Since(began).Seconds()
	var up, down, both []float64
	for i := range machines {
		u, d := (sentAfter[i]-sent[i])/took, (receivedAfter[i]-received[i])/took
		up, down, both = append(up, u), append(down, d), append(both, u+d)
	}
	b.table.row(work+", sent and received", bar, fmt.Sprintf("%.0f B/s", median(both))+spread(both, "%.0f"),
		fmt.Sprintf("%.0f B/s sent, %.0f B/s received", median(up), median(down)), "", verdict(slices.Max(both) < idleBar))
	return nil
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
