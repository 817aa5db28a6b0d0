package testnet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"cairn/testnet/lab"
)

// network is a lab that is gone when the test ends. Without one the test is skipped.
func network(t *testing.T) *lab.Lab {
	t.Helper()
	l, err := lab.New(t.Context())
	if errors.Is(err, lab.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// machine is one with the same limit each way, in bits a second.
func machine(t *testing.T, l *lab.Lab, name string, rate int64) *lab.Machine {
	t.Helper()
	m, err := l.Machine(t.Context(), name)
	if err == nil {
		err = m.Rate(t.Context(), rate, rate)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// homeOn is a new home on a machine.
func homeOn(t *testing.T, m *lab.Machine) Home { t.Helper(); return newHome(t).Inside(m.Prefix()) }

// room is one source and those that fetch from it, each on a machine of its own.
type room struct {
	src        string
	home       Home // of the source
	source     *Peer
	ticket     string
	downloader []*lab.Machine
}

func newRoom(t *testing.T, downloaders int, size, rate int64, flags ...string) *room {
	t.Helper()
	l := network(t)
	r := &room{src: file(t, "f", size), home: homeOn(t, machine(t, l, "source", rate))}
	for i := range downloaders {
		r.downloader = append(r.downloader, machine(t, l, fmt.Sprintf("get%d", i), rate))
	}
	r.source = up(t, r.home)
	r.ticket = share(t, r.home, append(flags, r.src)...)
	return r
}

// fetch is one downloader's get.
type fetch struct {
	Home
	*Proc
	args  []string
	out   string
	whole bool // the file is there, whatever became of the process
}

func (r *room) begin(t *testing.T, i int, flags ...string) *fetch {
	t.Helper()
	f := &fetch{Home: homeOn(t, r.downloader[i]), out: filepath.Join(dir(t), "out")}
	f.args = append([]string{"get", "--json", r.ticket, "-o", f.out}, flags...)
	f.Proc = background(t, f.Home, f.args...)
	return f
}

// again runs the same command after the process was killed.
func (f *fetch) again(t *testing.T) { t.Helper(); f.Proc = background(t, f.Home, f.args...) }

// struck runs the same command again, unless the killed one was quicker, or died after the file had its name.
func (f *fetch) struck(t *testing.T) {
	t.Helper()
	if _, err := os.Lstat(f.out); err == nil {
		f.whole = true
	} else {
		f.again(t)
	}
}

// end waits for success and looks at what was fetched. Its result is empty if the process was killed too late.
func (f *fetch) end(t *testing.T, src string) (g got) {
	t.Helper()
	r := f.Wait(limit(t, time.Minute))
	sane(t, r)
	if !f.whole {
		g = result(t, r)
	}
	same(t, src, f.out)
	leftovers(t, filepath.Dir(f.out), filepath.Base(f.out))
	os.RemoveAll(f.out) // there are many of them, in memory
	return g
}

// helpers counts the downloaders that gave others something: sources of a result that are not the room's.
func (r *room) helpers(g got) (n int) {
	for _, s := range g.Sources {
		if s.PeerID != r.source.Ready.PeerID && s.Bytes > 0 {
			n++
		}
	}
	return n
}

// TestKillInSwarm kills any one of four peers at any moment of a download that three make together: the others get
// everything all the same, and so does the killed one when it is started again.
func TestKillInSwarm(t *testing.T) {
	d := dice(t)
	r := newRoom(t, 3, 24*mib, 200e6)
	began := time.Now()
	helpers := 0
	for _, f := range r.all(t) {
		helpers += r.helpers(f.end(t, r.src))
	}
	whole := time.Since(began)
	if helpers == 0 {
		t.Error("no downloader gave another anything")
	}
	for run := range *faultRuns {
		victim, at := d.IntN(4), time.Duration(d.Float64()*1.1*float64(whole))
		who := "source"
		if victim < 3 {
			who = fmt.Sprintf("downloader %d", victim)
		}
		outer := t // the source lives on
		t.Run(fmt.Sprintf("%d %s at %v of %v", run, who, at.Round(time.Millisecond), whole), func(t *testing.T) {
			all := r.all(t)
			if victim == 3 {
				strike(t, r.source.Proc, at)
				r.source = up(outer, r.home)
			} else {
				strike(t, all[victim].Proc, at)
				all[victim].struck(t)
			}
			for _, f := range all {
				f.end(t, r.src)
			}
			verified(t, all[0].Home)
		})
	}
	verified(t, r.home)
	t.Logf("undisturbed: %v", whole)
}

// all begins a download on every machine.
func (r *room) all(t *testing.T, flags ...string) (all []*fetch) {
	t.Helper()
	for i := range r.downloader {
		all = append(all, r.begin(t, i, flags...))
	}
	return all
}

// TestNoSwarm: who does not want to meet others does not, whether the ticket says so or the downloader.
func TestNoSwarm(t *testing.T) {
	t.Parallel() // it waits more than it works
	t.Run("ticket", func(t *testing.T) {
		r := newRoom(t, 3, 16*mib, 100e6, "--no-swarm")
		for _, f := range r.all(t) {
			if g := f.end(t, r.src); len(g.Sources) != 1 {
				t.Errorf("it met others: %+v", g.Sources)
			}
		}
	})
	t.Run("downloader", func(t *testing.T) {
		r := newRoom(t, 3, 16*mib, 100e6)
		loner := r.begin(t, 0, "--no-swarm")
		others := []*fetch{r.begin(t, 1), r.begin(t, 2)}
		if g := loner.end(t, r.src); len(g.Sources) != 1 {
			t.Errorf("it met others: %+v", g.Sources)
		}
		id := must(t, loner.Home, "id").Value()
		helpers := 0
		for _, f := range others {
			g := f.end(t, r.src)
			helpers += r.helpers(g)
			for _, s := range g.Sources {
				if s.PeerID == id {
					t.Errorf("it was met by others: %+v", g.Sources)
				}
			}
		}
		if helpers == 0 {
			t.Error("the others did not meet either")
		}
	})
}

// transfer is a source and a downloader that something happens to.
type transfer struct {
	from, to *lab.Machine
	source   *Peer
	get      *fetch
}

// nap is longer than a source may be silent before its work is given to others (3 s).
const nap = 4 * time.Second

// troubles is what transfers survive.
var troubles = []struct {
	name   string
	happen func(*testing.T, *transfer)
}{
	{"nothing", func(*testing.T, *transfer) {}},
	{"source moves", func(t *testing.T, x *transfer) { move(t, x.from) }},
	{"downloader moves", func(t *testing.T, x *transfer) { move(t, x.to) }},
	{"source ends", func(t *testing.T, x *transfer) {
		if r, err := x.source.Stop(limit(t, 20*time.Second)); err != nil || r.Code != 0 {
			t.Fatal(err, r)
		}
		x.source = up(t, x.source.Home)
	}},
	{"source killed", func(t *testing.T, x *transfer) {
		x.source.Kill()
		x.source = up(t, x.source.Home)
	}},
	{"downloader ends", func(t *testing.T, x *transfer) {
		if r, err := x.get.Stop(limit(t, 20*time.Second)); err != nil || r.Code == 0 {
			t.Fatal(err, r)
		}
		x.get.again(t)
	}},
	{"downloader killed", func(t *testing.T, x *transfer) {
		x.get.Kill()
		x.get.again(t)
	}},
	{"source sleeps", func(t *testing.T, x *transfer) { sleep(t, x.source.Proc) }},
	{"downloader sleeps", func(t *testing.T, x *transfer) { sleep(t, x.get.Proc) }},
}

func move(t *testing.T, m *lab.Machine) {
	t.Helper()
	if _, err := m.Renumber(t.Context(), netip.Addr{}); err != nil {
		t.Fatal(err)
	}
}

// sleep stops a process for a while, as a machine whose lid is closed.
func sleep(t *testing.T, p *Proc) {
	t.Helper()
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(nap)
	if err := p.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
}

// TestTransfersSurvive: whatever happens to either side, the same command or the next one completes, and hardly
// anything is sent twice. What is counted is what left the source's machine, not what the peers say.
//
// The object is many small files: what is lost with a connection is up to a leaf, and with leaves of 1 MiB the
// object would have to be large before that is 1 %.
func TestTransfersSurvive(t *testing.T) {
	t.Parallel() // it waits more than it works
	const files, each, rate = 768, 64 << 10, 60e6
	const size = files * each
	l := network(t)
	src := filepath.Join(dir(t), "tree")
	if err := RandomTree(src, files, each, 11); err != nil {
		t.Fatal(err)
	}
	all := make([]transfer, len(troubles))
	for i := range all {
		all[i].from = machine(t, l, fmt.Sprintf("from%d", i), rate)
		all[i].to = machine(t, l, fmt.Sprintf("to%d", i), rate)
	}
	sent := make([]int64, len(troubles))
	t.Run("each", func(t *testing.T) {
		for i, trouble := range troubles {
			t.Run(trouble.name, func(t *testing.T) {
				t.Parallel() // they wait for the line, not for the processor
				sent[i] = survive(t, &all[i], src, trouble.happen)
			})
		}
	})
	if sent[0] == 0 {
		t.Fatal("the undisturbed transfer failed")
	}
	for i, n := range sent {
		t.Logf("%-18s %8d bytes, %.4f of what it takes", troubles[i].name, n, float64(n)/float64(sent[0]))
		if n-sent[0] > size/100 {
			t.Errorf("%s: %d bytes of %d were sent again", troubles[i].name, n-sent[0], size)
		}
	}
}

// survive fetches src over two machines, lets something happen at two fifths of it, and says how much the source
// sent.
func survive(t *testing.T, x *transfer, src string, happen func(*testing.T, *transfer)) int64 {
	// A peer that has moved is found on the local network; one transport, because its headers are counted.
	on := func(m *lab.Machine) Home {
		h := homeOn(t, m)
		h.Env = append(h.Env, "CAIRN_MDNS=true", "CAIRN_LISTEN=/ip4/0.0.0.0/tcp/0")
		return h
	}
	x.source = up(t, on(x.from))
	ticket := share(t, x.source.Home, src)
	x.get = &fetch{Home: on(x.to), out: filepath.Join(dir(t), "out")}
	x.get.args = []string{"get", "--json", ticket, "-o", x.get.out}
	x.get.again(t)
	if err := x.get.share(limit(t, time.Minute), 0.4); err != nil {
		t.Fatal(err)
	}
	happen(t, x)
	x.get.end(t, src)
	traffic, err := x.from.Traffic(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return traffic.SentOverTCP()
}

// share waits until a part of the whole is there.
func (f *fetch) share(ctx context.Context, part float64) error {
	_, err := f.Line(ctx, func(l string) bool {
		var e struct {
			Event       string
			Done, Total int64
		}
		return json.Unmarshal([]byte(l), &e) == nil && e.Event == "progress" && e.Total > 0 &&
			float64(e.Done) >= part*float64(e.Total)
	})
	return err
}
