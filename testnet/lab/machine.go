package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"time"
)

// Machine is a network namespace with one interface, e0, on the lab's bridge.
type Machine struct {
	lab  *Lab
	name string
	ns   string // its namespace
	port string // the other end of e0, in the hub
	net  byte   // 10.net.0.0/16 is its own

	// Guarded by lab.mu.
	addr netip.Addr
	next byte // third byte of the next address
	cut  bool
}

func (m *Machine) make(ctx context.Context) error {
	if err := tool(ctx, "ip", "netns", "add", m.ns); err != nil {
		return err
	}
	err := m.Do(func() error {
		for key, value := range map[string]string{
			"net/ipv6/conf/all/disable_ipv6":     "1",
			"net/ipv6/conf/default/disable_ipv6": "1",
			"net/ipv4/conf/all/rp_filter":        "0", // the way back may be another one, see Path
			"net/ipv4/conf/default/rp_filter":    "0",
		} {
			if err := setting(key, value); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = ipBatch(ctx, m.lab.hub,
		fmt.Sprintf("link add %s type veth peer name e0 netns %s", m.port, m.ns),
		fmt.Sprintf("link set %s master br0 up", m.port))
	if err != nil {
		return err
	}
	return ipBatch(ctx, m.ns,
		"link set lo up",
		"link set e0 up",
		fmt.Sprintf("addr add %s/16 dev e0", m.addr),
		"route add default dev e0 "+cubic)
}

// cubic makes a route's connections use it. The setting for a whole namespace is not to be had: only the first
// namespace may choose what its owner has not allowed to everybody.
const cubic = "congctl cubic"

// Name is what the machine was made with.
func (m *Machine) Name() string { return m.name }

// Addr is its present address.
func (m *Machine) Addr() netip.Addr {
	m.lab.mu.Lock()
	defer m.lab.mu.Unlock()
	return m.addr
}

// Prefix is the command line that runs a command inside: put it before the command. The process id is that of the
// command.
func (m *Machine) Prefix() []string { return []string{"ip", "netns", "exec", m.ns} }

// Command is exec.CommandContext for a process inside. Processes that still run when the lab is closed are killed.
func (m *Machine) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	line := append(append(m.Prefix(), name), args...)
	return exec.CommandContext(ctx, line[0], line[1:]...)
}

// Do calls f on a thread that is inside. Sockets that f opens itself belong to the machine for good, wherever they
// are used; goroutines that f starts are outside.
func (m *Machine) Do(f func() error) error { return within(m.ns, f) }

// depth is how long a packet may wait in the queue before a limit of rate: about what a home router holds.
const depth = 50 * time.Millisecond

// Rate limits what the machine sends (up) and gets (down), in bits a second of Ethernet frames, from now on. 0: no
// limit.
func (m *Machine) Rate(ctx context.Context, up, down int64) error {
	if err := bucket(ctx, m.ns, "e0", up); err != nil {
		return fmt.Errorf("limit what %s sends: %w", m.name, err)
	}
	if err := bucket(ctx, m.lab.hub, m.port, down); err != nil {
		return fmt.Errorf("limit what %s gets: %w", m.name, err)
	}
	return nil
}

// bucket limits what leaves a device.
func bucket(ctx context.Context, ns, dev string, rate int64) error {
	if rate < 0 {
		return errors.New("a rate is not negative")
	}
	if rate == 0 {
		return tool(ctx, "tc", "-n", ns, "qdisc", "replace", "dev", dev, "root", "pfifo", "limit", "1000")
	}
	// A burst of 5 ms is enough for the kernel's clock and too little to be seen in a second; segments that the
	// kernel has not cut yet are up to 64 KiB and are cut when they are larger than the burst.
	burst := max(rate/8/200, 16<<10)
	return tool(ctx, "tc", "-n", ns, "qdisc", "replace", "dev", dev, "root", "tbf",
		"rate", fmt.Sprintf("%dbit", rate), "burst", fmt.Sprint(burst), "latency", depth.String())
}

// Cut takes every packet to and from the machine, without a word to either side, as a pulled plug in the next room
// does. Connections stay open until somebody loses patience.
func (m *Machine) Cut(ctx context.Context) error { return m.setCut(ctx, true) }

// Heal ends Cut.
func (m *Machine) Heal(ctx context.Context) error { return m.setCut(ctx, false) }

func (m *Machine) setCut(ctx context.Context, cut bool) error {
	m.lab.mu.Lock()
	defer m.lab.mu.Unlock()
	m.cut = cut
	rules := "table bridge cut\ndelete table bridge cut\ntable bridge cut {\n chain drops { type filter hook forward priority 0;\n"
	for _, o := range m.lab.machines {
		if o.cut {
			rules += fmt.Sprintf(" iifname %q drop\n oifname %q drop\n", o.port, o.port)
		}
	}
	rules += " }\n}\n"
	for _, p := range m.lab.paths {
		p.cut.Store(p.a.cut || p.b.cut)
	}
	if err := toolWith(ctx, rules, "ip", "netns", "exec", m.lab.hub, "nft", "-f", "-"); err != nil {
		return fmt.Errorf("cut or heal %s: %w", m.name, err)
	}
	return nil
}

// Renumber gives the machine another address in the place of the one it has, and returns it. The zero Addr asks for
// the next free one of its own network; any other one, say of a public network, is taken as it is. What was
// connected to the old address is not told.
func (m *Machine) Renumber(ctx context.Context, to netip.Addr) (netip.Addr, error) {
	m.lab.mu.Lock()
	defer m.lab.mu.Unlock()
	if !to.IsValid() {
		to = netip.AddrFrom4([4]byte{10, m.net, m.next, 1})
		m.next++
	}
	if !to.Is4() {
		return netip.Addr{}, fmt.Errorf("renumber %s: %v is no IPv4 address", m.name, to)
	}
	for _, o := range m.lab.machines {
		if o.addr == to {
			return netip.Addr{}, fmt.Errorf("renumber %s: %s has %s", m.name, o.name, to)
		}
	}
	// The route goes with the last address.
	err := ipBatch(ctx, m.ns,
		"addr flush dev e0",
		fmt.Sprintf("addr add %s/16 dev e0", to),
		"route replace default dev e0 "+cubic)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("renumber %s: %w", m.name, err)
	}
	old := m.addr
	m.addr = to
	for _, p := range m.lab.paths {
		if p.a == m || p.b == m {
			if err := p.reroute(ctx, old, to); err != nil {
				return netip.Addr{}, fmt.Errorf("renumber %s: %w", m.name, err)
			}
		}
	}
	return to, nil
}

// Traffic is what has gone through a machine's interface on the bridge; what went over a [Path] is not in it.
type Traffic struct {
	SentBytes, SentPackets         int64 // after the limit of its rate; bytes with Ethernet headers
	ReceivedBytes, ReceivedPackets int64
}

// SentOverTCP is how many bytes TCP carried away from the machine, what was sent again included, if it sent hardly
// anything else. Packets are counted before a network card would cut them, and have one set of headers each.
func (t Traffic) SentOverTCP() int64 { return t.SentBytes - headers*t.SentPackets }

// headers are those of Ethernet, IPv4, and TCP with time stamps.
const headers = 14 + 20 + 32

// Traffic reads the counters of the interface, which begin with the machine.
func (m *Machine) Traffic(ctx context.Context) (Traffic, error) {
	out, err := exec.CommandContext(ctx, "ip", "-n", m.ns, "-j", "-s", "link", "show", "dev", "e0").Output()
	if err != nil {
		return Traffic{}, fmt.Errorf("read counters of %s: %w", m.name, err)
	}
	type count struct{ Bytes, Packets int64 }
	var links []struct{ Stats64 struct{ RX, TX count } }
	if err := json.Unmarshal(out, &links); err != nil || len(links) != 1 {
		return Traffic{}, fmt.Errorf("read counters of %s: %q: %w", m.name, out, err)
	}
	s := links[0].Stats64
	return Traffic{SentBytes: s.TX.Bytes, SentPackets: s.TX.Packets,
		ReceivedBytes: s.RX.Bytes, ReceivedPackets: s.RX.Packets}, nil
}
