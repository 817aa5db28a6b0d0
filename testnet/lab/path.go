package lab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Line is what a path does to packets. The zero value does nothing to them.
type Line struct {
	Delay time.Duration // one way
	Loss  float64       // share of packets that are lost, each by itself, in each direction: 0 to 1
	Rate  int64         // bits a second of IP packets, in each direction; 0: none
	Seed  uint64        // of the loss: the same packets of a direction are lost again
}

// Direction counts the packets of one direction of a path.
type Direction struct {
	Carried int64
	Lost    int64 // by Line.Loss, or because an end is cut
	Full    int64 // lost because too many were on their way
}

// Path is a line between two machines on which their packets to each other's address travel in the place of the
// bridge: both keep their addresses, and limits of [Machine.Rate] do not count there. It carries some hundred
// Mbit/s. At most queue packets are on their way in a direction, with a Rate at most depth of it waits before the
// line; what comes beyond is lost.
type Path struct {
	lab  *Lab
	a, b *Machine
	dev  string

	cut    atomic.Bool
	ends   [2]*os.File
	there  counters // from a to b
	back   counters
	cancel context.CancelFunc
	done   sync.WaitGroup
}

type counters struct{ carried, lost, full atomic.Int64 }

func (c *counters) read() Direction {
	return Direction{Carried: c.carried.Load(), Lost: c.lost.Load(), Full: c.full.Load()}
}

const (
	queue  = 16 << 10
	packet = 1500 // largest one, as on Ethernet
)

// Path puts a line between two machines. There is at most one between two.
func (l *Lab) Path(ctx context.Context, a, b *Machine, line Line) (*Path, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lock == nil {
		return nil, errors.New("make path: the lab is closed")
	}
	if a == b || a.lab != l || b.lab != l {
		return nil, errors.New("make path: it takes two machines of the lab")
	}
	if line.Delay < 0 || line.Rate < 0 || !(line.Loss >= 0 && line.Loss <= 1) {
		return nil, fmt.Errorf("make path: impossible line %+v", line)
	}
	for _, p := range l.paths {
		if p.a == a && p.b == b || p.a == b && p.b == a {
			return nil, fmt.Errorf("make path: there is one between %s and %s", a.name, b.name)
		}
	}
	p := &Path{lab: l, a: a, b: b, dev: fmt.Sprintf("t%d", len(l.paths))}
	if err := p.open(ctx); err != nil {
		p.stop()
		return nil, fmt.Errorf("make path: %w", err)
	}
	p.cut.Store(a.cut || b.cut)
	run, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	p.carry(run, p.ends[0], p.ends[1], line, rand.New(rand.NewPCG(line.Seed, 0)), &p.there)
	p.carry(run, p.ends[1], p.ends[0], line, rand.New(rand.NewPCG(line.Seed, 1)), &p.back)
	l.paths = append(l.paths, p)
	return p, nil
}

func (p *Path) open(ctx context.Context) error {
	for i, m := range []*Machine{p.a, p.b} {
		err := m.Do(func() (err error) {
			p.ends[i], err = openTUN(p.dev)
			return err
		})
		if err != nil {
			return err
		}
		err = ipBatch(ctx, m.ns, fmt.Sprintf("link set %s mtu %d txqueuelen 2000 up", p.dev, packet))
		if err != nil {
			return err
		}
	}
	return p.route(ctx)
}

// route leads the machines' packets to each other onto the line.
func (p *Path) route(ctx context.Context) error {
	for _, r := range [][2]*Machine{{p.a, p.b}, {p.b, p.a}} {
		err := ipBatch(ctx, r[0].ns, fmt.Sprintf("route replace %s dev %s src %s %s", r[1].addr, p.dev, r[0].addr, cubic))
		if err != nil {
			return err
		}
	}
	return nil
}

// reroute follows a machine to its new address.
func (p *Path) reroute(ctx context.Context, old, now netip.Addr) error {
	other := p.a
	if p.a.addr == now {
		other = p.b
	}
	if err := ipBatch(ctx, other.ns, fmt.Sprintf("route del %s dev %s", old, p.dev)); err != nil {
		return err
	}
	return p.route(ctx)
}

// Stats counts packets from the first machine to the second, and back, since the path was made.
func (p *Path) Stats() (there, back Direction) { return p.there.read(), p.back.read() }

// Close takes the line away; packets go over the bridge again.
func (p *Path) Close() {
	p.lab.mu.Lock()
	defer p.lab.mu.Unlock()
	for i, o := range p.lab.paths {
		if o == p {
			p.lab.paths = append(p.lab.paths[:i:i], p.lab.paths[i+1:]...)
			break
		}
	}
	p.stop()
}

// stop ends the goroutines; the devices and their routes go with the files.
func (p *Path) stop() {
	if p.cancel != nil {
		p.cancel()
	}
	for _, f := range p.ends {
		if f != nil {
			f.Close()
		}
	}
	p.done.Wait()
}

// held is a packet on its way.
type held struct {
	due   time.Time
	bytes []byte
}

// carry moves packets of one direction: one goroutine takes them in and decides, one gives them out when they are
// due.
func (p *Path) carry(ctx context.Context, from, to *os.File, line Line, dice *rand.Rand, n *counters) {
	way := make(chan held, queue)
	free := sync.Pool{New: func() any { return new([packet]byte) }}
	p.done.Go(func() {
		defer close(way)
		gate := gate{line: line, dice: dice, n: n, cut: &p.cut}
		for {
			b := free.Get().(*[packet]byte)
			size, err := from.Read(b[:])
			if err != nil {
				return // closed
			}
			if due, ok := gate.pass(time.Now(), size); !ok {
				free.Put(b)
			} else {
				select {
				case way <- held{due, b[:size]}:
				default:
					n.full.Add(1)
					free.Put(b)
				}
			}
		}
	})
	p.done.Go(func() {
		timer := time.NewTimer(0)
		defer timer.Stop()
		for h := range way {
			if wait := time.Until(h.due); wait > 0 {
				timer.Reset(wait)
				select {
				case <-timer.C:
				case <-ctx.Done():
				}
			}
			if _, err := to.Write(h.bytes); err == nil { // else the other end is closed, or its kernel has no room
				n.carried.Add(1)
			}
			free.Put((*[packet]byte)(h.bytes[:packet]))
		}
	})
}

// gate decides what happens to each packet of one direction.
type gate struct {
	line  Line
	dice  *rand.Rand
	n     *counters
	cut   *atomic.Bool
	clear time.Time // when the line has sent all that was let in
}

// pass says when a packet is due at the other end, or that it is lost.
func (g *gate) pass(now time.Time, size int) (due time.Time, ok bool) {
	if g.line.Loss > 0 && g.dice.Float64() < g.line.Loss || g.cut.Load() {
		g.n.lost.Add(1)
		return due, false
	}
	if g.line.Rate == 0 {
		return now.Add(g.line.Delay), true
	}
	if g.clear.Sub(now) > depth {
		g.n.full.Add(1)
		return due, false
	}
	if g.clear.Before(now) {
		g.clear = now
	}
	g.clear = g.clear.Add(time.Duration(int64(size) * 8 * int64(time.Second) / g.line.Rate))
	return g.clear.Add(g.line.Delay), true
}
