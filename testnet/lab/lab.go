// Package lab makes machines on one machine: network namespaces that hang on one bridge, each with an address, a
// rate and processes of its own, and paths between two of them that lose and delay packets.
//
// It promises that nothing of the real network is touched (every interface, filter and setting lives in a namespace
// of the lab), that labs side by side do not meet, and that [Lab.Close] leaves nothing: no namespace, no process in
// one, no file. What a run that was killed left behind goes with the next [New].
//
// It needs Linux, root, and the commands ip, tc and nft; without them New returns [ErrUnavailable] with what is
// missing. It needs neither netem nor device-mapper: rates are token buckets of the kernel, loss and delay are made
// by a router of its own between two TUN devices.
//
// Goroutines: each [Path] has four, which end with [Path.Close] or Lab.Close. Methods may be called from several
// goroutines.
package lab

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"time"
)

// ErrUnavailable: this machine can not run a lab; the error's text says what is missing.
var ErrUnavailable = errors.New("no lab here")

// namespaces is where ip keeps its named ones; lockDir holds a locked file for each lab that lives.
const (
	namespaces = "/run/netns"
	lockDir    = "/run/cairn-lab"
)

// most is the number of machines of a lab: each has the second byte of its addresses.
const most = 250

// Lab is one network with its machines.
type Lab struct {
	id  string // begins every name
	hub string // namespace of the bridge

	mu       sync.Mutex
	lock     *os.File // held while the lab lives; nil when it is closed
	lockPath string
	machines []*Machine
	paths    []*Path
}

// Available says whether there can be a lab here: nil, or an ErrUnavailable with the reason.
func Available() error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("%w: network namespaces are Linux's, this is %s", ErrUnavailable, runtime.GOOS)
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: network namespaces need root", ErrUnavailable)
	}
	var missing []string
	for _, tool := range []string{"ip", "tc", "nft"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing = append(missing, tool)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w: not installed: %s (packages iproute2 and nftables)", ErrUnavailable, strings.Join(missing, ", "))
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		return fmt.Errorf("%w: no TUN devices: %w", ErrUnavailable, err)
	}
	return nil
}

// New makes a network without machines, after it has removed what dead runs left. The caller closes it.
func New(ctx context.Context) (*Lab, error) {
	if err := Available(); err != nil {
		return nil, err
	}
	sweep(ctx)
	l, err := claim()
	if err != nil {
		return nil, fmt.Errorf("make lab: %w", err)
	}
	if err := l.makeHub(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("make lab: %w", err), l.Close())
	}
	return l, nil
}

// claim takes a fresh name and holds its lock.
func claim() (*Lab, error) {
	if err := os.MkdirAll(lockDir, 0o700); err != nil {
		return nil, err
	}
	var b [3]byte
	rand.Read(b[:])
	id := "cl" + hex.EncodeToString(b[:])
	path := filepath.Join(lockDir, id)
	f, err := lockNew(path)
	if err != nil {
		return nil, err
	}
	return &Lab{id: id, hub: id + "-hub", lock: f, lockPath: path}, nil
}

func (l *Lab) makeHub(ctx context.Context) error {
	if err := tool(ctx, "ip", "netns", "add", l.hub); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return ipBatch(ctx, l.hub,
		"link set lo up",
		"link add br0 type bridge",
		"link set br0 up")
}

// Close ends the lab: paths, every process that still runs in it (kill -9), namespaces. It may be called twice.
func (l *Lab) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lock == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, p := range l.paths {
		p.stop()
	}
	err := remove(ctx, l.id)
	err = errors.Join(err, os.Remove(l.lockPath), l.lock.Close())
	l.lock = nil
	if err != nil {
		return fmt.Errorf("close lab: %w", err)
	}
	return nil
}

var machineName = regexp.MustCompile(`^[a-z0-9]{1,16}$`)

// Machine adds a machine: 10.N.0.1/16 on the bridge, N from 1 on in the order of calls, with everything else
// reached on the link, cubic as congestion control, no IPv6, and no limit of rate. Names are unique in their lab,
// of at most 16 small letters and digits.
func (l *Lab) Machine(ctx context.Context, name string) (*Machine, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lock == nil {
		return nil, errors.New("make machine: the lab is closed")
	}
	if !machineName.MatchString(name) || name == "hub" {
		return nil, fmt.Errorf("make machine: %q is no name for one", name)
	}
	for _, m := range l.machines {
		if m.name == name {
			return nil, fmt.Errorf("make machine: there is a %q", name)
		}
	}
	n := len(l.machines) + 1
	if n > most {
		return nil, fmt.Errorf("make machine: a lab has at most %d", most)
	}
	m := &Machine{lab: l, name: name, ns: l.id + "-" + name, port: fmt.Sprintf("p%d", n), net: byte(n), next: 1,
		addr: netip.AddrFrom4([4]byte{10, byte(n), 0, 1})}
	l.machines = append(l.machines, m) // also when it fails: its number and name are used
	if err := m.make(ctx); err != nil {
		return nil, fmt.Errorf("make machine %s: %w", name, err)
	}
	return m, nil
}

// tool runs one of the commands; its error carries what the command said.
func tool(ctx context.Context, name string, args ...string) error {
	return toolWith(ctx, "", name, args...)
}

func toolWith(ctx context.Context, stdin, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// ipBatch carries out lines of ip in a namespace, as one process.
func ipBatch(ctx context.Context, ns string, lines ...string) error {
	return toolWith(ctx, strings.Join(lines, "\n")+"\n", "ip", "-n", ns, "-batch", "-")
}
