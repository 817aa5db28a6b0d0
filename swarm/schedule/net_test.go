package schedule

import (
	"container/heap"
	"fmt"
	"math"
	"testing"
	"time"
)

// How long messages take in the simulated network, and what has come waits before it is announced.
const (
	latency  = 5 * time.Millisecond
	announce = 25 * time.Millisecond
	tickEach = 100 * time.Millisecond
)

// stepper is a Scheduler, or one to compare it with.
type stepper interface {
	Step(now time.Time, e Event) []Action
	Pending() int
}

// network is a swarm in virtual time. Whatever flows shares links fairly (max-min): each flow gets as much as
// every other through the link that holds it back.
type network struct {
	t       testing.TB
	leaves  int
	size    float64
	now     float64 // seconds
	events  timers
	serial  int
	links   []*link
	common  *link // that all flows go through; nil: none
	nodes   []*node
	flows   []*session
	changed bool // flows or rates did
	make    func(c Config) stepper
	trace   bool
}

type link struct {
	rate float64 // bytes per second
	left float64 // while sharing out
	n    int
}

// node is a source or a downloader.
type node struct {
	net      *network
	id       int
	name     string
	up, down *link
	full     bool
	s        stepper // nil in a source
	has      set
	servers  map[int]*session // that it downloads from
	clients  []*session
	sent     float64 // bytes
	wasted   int     // leaves that came twice
	done     float64 // when it had everything
	gone     bool
}

// session is a download of client from server. What is asked is answered in order.
type session struct {
	client, server *node
	queue          []int
	skip           map[int]bool
	sending        bool
	listed         bool    // in network.flows
	left           float64 // bytes of the first in queue
	rate           float64
	moved          bool // bytes came since the last tick
	closed         bool
}

type timer struct {
	at     float64
	serial int
	do     func()
}

type timers []timer

func (h timers) Len() int { return len(h) }
func (h timers) Less(a, b int) bool {
	return h[a].at < h[b].at || h[a].at == h[b].at && h[a].serial < h[b].serial
}
func (h timers) Swap(a, b int) { h[a], h[b] = h[b], h[a] }
func (h *timers) Push(x any)   { *h = append(*h, x.(timer)) }
func (h *timers) Pop() any {
	x := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return x
}

func newNetwork(t testing.TB, leaves int, size float64) *network {
	return &network{t: t, leaves: leaves, size: size, make: func(c Config) stepper { return New(c) }}
}

func (n *network) after(d time.Duration, do func()) {
	n.serial++
	heap.Push(&n.events, timer{n.now + d.Seconds(), n.serial, do})
}

// add makes a node with links of so many bytes per second.
func (n *network) add(up, down float64, full bool) *node {
	x := &node{net: n, id: len(n.nodes) + 1, name: fmt.Sprintf("%x", start(fmt.Sprint(len(n.nodes)), 1<<30)), up: &link{rate: up},
		down: &link{rate: down}, full: full, has: newSet(n.leaves), servers: map[int]*session{}}
	n.nodes = append(n.nodes, x)
	n.links = append(n.links, x.up, x.down)
	return x
}

// begin starts a download.
func (x *node) begin() {
	x.s = x.net.make(Config{Leaves: x.net.leaves, Size: func(int) int { return int(x.net.size) }, Self: x.name})
	x.step(Want{Span{0, x.net.leaves}})
	var tick func()
	tick = func() {
		if x.gone || x.done > 0 {
			return
		}
		for _, f := range x.servers {
			if f.moved {
				f.moved = false
				x.step(Progress{f.server.id})
			}
		}
		x.step(Tick{})
		x.net.after(tickEach, tick)
	}
	x.net.after(tickEach, tick)
}

// connect lets x download from server.
func (x *node) connect(server *node, rank int) {
	if x.servers[server.id] != nil || x.gone || server.gone || x.done > 0 {
		return
	}
	f := &session{client: x, server: server, skip: map[int]bool{}}
	x.servers[server.id] = f
	server.clients = append(server.clients, f)
	x.step(Joined{ID: server.id, Peer: server.name, Partial: !server.full, Rank: rank})
	if !server.full {
		bits := make([]byte, x.net.leaves/8+1)
		for i := range x.net.leaves {
			if server.has.has(i) {
				bits[i/8] |= 1 << (i % 8)
			}
		}
		x.step(Has{ID: server.id, Bits: bits})
	}
}

func (x *node) step(e Event) {
	now := time.Unix(1e9, 0).Add(time.Duration(x.net.now * 1e9))
	acts := append([]Action(nil), x.s.Step(now, e)...)
	for _, a := range acts {
		if x.net.trace {
			if _, keep := a.(Keep); !keep {
				x.net.t.Logf("%.3f %d: %T%v -> %T%v", x.net.now, x.id, e, e, a, a)
			}
		}
		switch a := a.(type) {
		case Request:
			f := x.servers[a.ID]
			x.net.after(latency, func() { f.request(a.Span) })
		case Cancel:
			f := x.servers[a.ID]
			x.net.after(latency, func() { f.cancel(a.Span) })
		case Keep:
			x.keep(a.Leaf)
		case Discard:
			x.wasted++
		case Drop:
			f := x.servers[a.ID]
			delete(x.servers, a.ID)
			f.close()
		}
	}
}

func (x *node) keep(i int) {
	x.has.add(i)
	x.step(Kept{i})
	if x.s.Pending() == 0 && x.done == 0 {
		x.done = x.net.now
	}
	x.net.after(announce+latency, func() {
		for _, f := range x.clients {
			if !f.closed && f.client.done == 0 {
				bits := make([]byte, 1)
				bits[0] = 1
				f.client.step(Has{ID: x.id, Start: i, Bits: bits})
			}
		}
	})
}

// kill takes x away; its clients notice at once.
func (x *node) kill() {
	x.gone = true
	for _, f := range x.clients {
		if !f.closed {
			f.close()
			delete(f.client.servers, x.id)
			f.client.step(Left{x.id})
		}
	}
	for _, f := range x.servers {
		f.close()
	}
}

func (f *session) close() {
	f.closed, f.sending = true, false
	f.server.net.changed = true
}

func (f *session) request(r Span) {
	if f.closed {
		return
	}
	for i := r.Lo; i < r.Hi; i++ {
		f.queue = append(f.queue, i)
	}
	f.next()
}

func (f *session) cancel(r Span) {
	for n, i := range f.queue {
		if i >= r.Lo && i < r.Hi && !(n == 0 && f.sending) {
			f.skip[i] = true
		}
	}
}

// next sends the next leaf.
func (f *session) next() {
	for !f.sending && len(f.queue) > 0 {
		i := f.queue[0]
		if f.skip[i] {
			delete(f.skip, i)
			f.queue = f.queue[1:]
			f.client.net.after(latency, func() {
				if !f.closed {
					f.client.step(Skipped{f.server.id, Span{i, i + 1}})
				}
			})
			continue
		}
		f.sending, f.left = true, f.client.net.size
		if !f.listed {
			f.listed = true
			f.client.net.flows = append(f.client.net.flows, f)
		}
		f.client.net.changed = true
	}
}

// finished is when the last byte of a leaf is sent.
func (f *session) finished() {
	i := f.queue[0]
	f.queue = f.queue[1:]
	f.sending = false
	f.client.net.changed = true
	f.client.net.after(latency, func() {
		if !f.closed {
			f.client.step(Arrived{ID: f.server.id, Leaf: i})
		}
	})
	f.next()
}

// share works out the rates of all flows: the link that has the least for each of its flows first.
func (n *network) share() {
	links := n.links
	if n.common != nil {
		links = append(links[:len(links):len(links)], n.common)
	}
	for _, l := range links {
		l.left, l.n = l.rate, 0
	}
	open := n.flows[:0]
	for _, f := range n.flows {
		if f.listed = f.sending; f.listed {
			open = append(open, f)
		}
	}
	n.flows = open
	uses := func(f *session, l *link) bool { return l == f.server.up || l == f.client.down || l == n.common }
	for _, f := range n.flows {
		f.rate = -1
		for _, l := range links {
			if uses(f, l) {
				l.n++
			}
		}
	}
	for range links {
		var tight *link
		for _, l := range links {
			if l.n > 0 && (tight == nil || l.left/float64(l.n) < tight.left/float64(tight.n)) {
				tight = l
			}
		}
		if tight == nil {
			break
		}
		rate := max(tight.left/float64(tight.n), 0)
		for _, f := range n.flows {
			if f.rate >= 0 || !uses(f, tight) {
				continue
			}
			f.rate = rate
			for _, l := range []*link{f.server.up, f.client.down, n.common} {
				if l != nil {
					l.left -= rate
					l.n--
				}
			}
		}
	}
	n.changed = false
}

// run goes on until stop says so or the time is over.
func (n *network) run(limit float64, stop func() bool) {
	n.t.Helper()
	for !stop() {
		if n.changed {
			n.share()
		}
		at := math.Inf(1)
		if len(n.events) > 0 {
			at = n.events[0].at
		}
		var first *session
		for _, f := range n.flows {
			if end := n.now + f.left/f.rate; end < at {
				at, first = end, f
			}
		}
		if at > limit {
			n.t.Fatalf("not done after %v s", limit)
		}
		for _, f := range n.flows {
			moved := f.rate * (at - n.now)
			f.left -= moved
			f.server.sent += moved
			f.moved = true
		}
		n.now = at
		if first != nil {
			first.left = 0
			first.finished()
			continue
		}
		heap.Pop(&n.events).(timer).do()
	}
}

// greedy is what to compare with: every source is asked front to back for what it has and nobody was asked for, 8 MiB
// at a time, and what a source that left was asked for goes to another.
type greedy struct {
	c     Config
	state []int // 0: free, -1: here, else the source that was asked
	left  int
	has   map[int]set
	order []int
	out   map[int]int
}

func newGreedy(c Config) stepper {
	return &greedy{c: c, state: make([]int, c.Leaves), left: c.Leaves, has: map[int]set{}, out: map[int]int{}}
}

func (g *greedy) Pending() int { return g.left }

func (g *greedy) Step(_ time.Time, e Event) (acts []Action) {
	switch e := e.(type) {
	case Joined:
		g.order = append(g.order, e.ID)
		g.has[e.ID] = newSet(g.c.Leaves)
		for i := range g.c.Leaves {
			if !e.Partial {
				g.has[e.ID].add(i)
			}
		}
	case Has:
		for k := range len(e.Bits) * 8 {
			if e.Bits[k/8]&(1<<(k%8)) != 0 {
				g.has[e.ID].add(e.Start + k)
			}
		}
	case Left:
		delete(g.has, e.ID)
		for i, id := range g.state {
			if id == e.ID {
				g.state[i] = 0
			}
		}
	case Arrived:
		g.state[e.Leaf] = -1
		g.out[e.ID]--
		acts = append(acts, Keep{e.ID, e.Leaf})
	case Kept:
		g.left--
		return nil
	case Progress, Tick:
		return nil
	}
	window := max(2, (8<<20)/g.c.Size(0))
	for _, id := range g.order {
		has, room := g.has[id], window-g.out[id]
		for i := 0; i < g.c.Leaves && has != nil && room > 0; i++ {
			if g.state[i] == 0 && has.has(i) {
				g.state[i] = id
				room--
				acts = append(acts, Request{id, Span{i, i + 1}})
			}
		}
		g.out[id] = window - room
	}
	return acts
}
