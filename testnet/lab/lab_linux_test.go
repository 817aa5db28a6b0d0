package lab

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// childEnv makes the test binary a run that makes a lab and waits to be killed.
const childEnv = "LAB_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		child()
		return
	}
	goleak.VerifyTestMain(m)
}

// child makes a lab with a process in it, prints its id and waits for its end.
func child() {
	l, err := New(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := l.Machine(context.Background(), "a")
	if err == nil {
		err = m.Command(context.Background(), "sleep", "1000").Start()
	}
	fmt.Println(l.id, err)
	select {}
}

func newLab(t *testing.T) *Lab {
	t.Helper()
	l, err := New(t.Context())
	if err != nil {
		if Available() != nil {
			t.Skip(err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func machines(t *testing.T, l *Lab, names ...string) (all []*Machine) {
	t.Helper()
	for _, n := range names {
		m, err := l.Machine(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

// do fails the test if f does, inside of the machine.
func do(t *testing.T, m *Machine, f func() error) {
	t.Helper()
	if err := m.Do(f); err != nil {
		t.Fatal(err)
	}
}

// pair is a TCP connection from a to b.
func pair(t *testing.T, a, b *Machine) (from, to *net.TCPConn) {
	t.Helper()
	at := &net.TCPAddr{IP: b.Addr().AsSlice()}
	var ln *net.TCPListener
	do(t, b, func() (err error) { ln, err = net.ListenTCP("tcp4", at); return err })
	defer ln.Close()
	do(t, a, func() (err error) {
		from, err = net.DialTCP("tcp4", nil, ln.Addr().(*net.TCPAddr))
		return err
	})
	to, err := ln.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { from.Close(); to.Close() })
	return from, to
}

// goodput sends from a to b and returns bits a second: the median of three stretches of time, because a busy
// machine may hold one up, and the next then has more than its own.
func goodput(t *testing.T, a, b *Machine, lead, stretch time.Duration) float64 {
	t.Helper()
	from, to := pair(t, a, b)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		buf := make([]byte, 256<<10)
		for {
			if _, err := from.Write(buf); err != nil {
				return
			}
		}
	}()
	defer func() { from.Close(); <-sent }()
	buf := make([]byte, 256<<10)
	read := func(d time.Duration) float64 {
		var n int
		began := time.Now()
		for time.Since(began) < d {
			k, err := to.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			n += k
		}
		return float64(n) * 8 / time.Since(began).Seconds()
	}
	read(lead)
	rates := []float64{read(stretch), read(stretch), read(stretch)}
	slices.Sort(rates)
	return rates[1]
}

func TestRate(t *testing.T) {
	l := newLab(t)
	m := machines(t, l, "a", "b")
	const mbit = 1e6
	for _, tt := range []struct{ up, down, want float64 }{
		{50 * mbit, 0, 50 * mbit},
		{0, 20 * mbit, 20 * mbit},
		{50 * mbit, 50 * mbit, 50 * mbit},
	} {
		if err := m[0].Rate(t.Context(), int64(tt.up), 1000*mbit); err != nil {
			t.Fatal(err)
		}
		if err := m[1].Rate(t.Context(), 1000*mbit, int64(tt.down)); err != nil {
			t.Fatal(err)
		}
		got := goodput(t, m[0], m[1], 300*time.Millisecond, 400*time.Millisecond)
		want := tt.want * 1448 / 1514 // what headers leave of a frame
		if got < want*0.9 || got > want*1.1 {
			t.Errorf("%.0f up, %.0f down: %.1f Mbit/s, want %.1f", tt.up, tt.down, got/mbit, want/mbit)
		}
		t.Logf("%.1f of %.1f Mbit/s", got/mbit, want/mbit)
	}
	if err := m[0].Rate(t.Context(), 0, 0); err != nil {
		t.Fatal(err)
	}
	if err := m[1].Rate(t.Context(), 0, 0); err != nil {
		t.Fatal(err)
	}
	if got := goodput(t, m[0], m[1], 0, 50*time.Millisecond); got < 100*mbit {
		t.Errorf("%.1f Mbit/s without a limit", got/mbit)
	}
}

// TestCubic: over the bridge and over a path, at both ends, whatever this machine's default is.
func TestCubic(t *testing.T) {
	l := newLab(t)
	m := machines(t, l, "a", "b", "c")
	if _, err := l.Path(t.Context(), m[0], m[1], Line{}); err != nil {
		t.Fatal(err)
	}
	if _, err := m[2].Renumber(t.Context(), netip.Addr{}); err != nil {
		t.Fatal(err)
	}
	for _, to := range m[1:] {
		a, b := pair(t, m[0], to)
		for _, c := range []*net.TCPConn{a, b} {
			raw, err := c.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			var name string
			err = raw.Control(func(fd uintptr) {
				name, _ = unix.GetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION)
			})
			if err != nil || !strings.HasPrefix(name, "cubic") {
				t.Errorf("%v: %q", err, name)
			}
		}
	}
}

func TestNoIPv6(t *testing.T) {
	m := machines(t, newLab(t), "a")
	if out, err := m[0].Command(t.Context(), "ip", "-6", "addr").Output(); err != nil || len(out) > 0 {
		t.Errorf("%v: %q", err, out)
	}
}

// datagrams is a UDP socket on each of two machines, the first connected to the second.
func datagrams(t *testing.T, a, b *Machine) (from, to *net.UDPConn) {
	t.Helper()
	do(t, b, func() (err error) {
		to, err = net.ListenUDP("udp4", &net.UDPAddr{IP: b.Addr().AsSlice()})
		return err
	})
	do(t, a, func() (err error) {
		from, err = net.DialUDP("udp4", nil, to.LocalAddr().(*net.UDPAddr))
		return err
	})
	t.Cleanup(func() { from.Close(); to.Close() })
	return from, to
}

func TestPathDelays(t *testing.T) {
	l := newLab(t)
	m := machines(t, l, "a", "b")
	if _, err := l.Path(t.Context(), m[0], m[1], Line{Delay: 50 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	from, to := datagrams(t, m[0], m[1])
	best := time.Hour // of several, because the machine may be busy
	for range 8 {
		began := time.Now()
		if _, err := from.Write([]byte("there")); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 10)
		n, back, err := to.ReadFromUDP(b)
		if err == nil {
			_, err = to.WriteToUDP(b[:n], back)
		}
		if err == nil {
			_, err = from.Read(b)
		}
		if err != nil {
			t.Fatal(err)
		}
		best = min(best, time.Since(began))
	}
	if best < 100*time.Millisecond || best > 120*time.Millisecond {
		t.Errorf("a round trip takes %v, want 100 ms", best)
	}
}

// TestPathLoses: the share is right, and the same seed loses the same packets.
func TestPathLoses(t *testing.T) {
	const sent = 5000
	run := func(seed uint64) (arrived [sent]bool, lost int64) {
		l := newLab(t)
		m := machines(t, l, "a", "b")
		p, err := l.Path(t.Context(), m[0], m[1], Line{Loss: 0.05, Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		from, to := datagrams(t, m[0], m[1])
		done := make(chan struct{})
		go func() {
			defer close(done)
			b := make([]byte, 2)
			for {
				if _, err := to.Read(b); err != nil {
					return
				}
				arrived[int(b[0])<<8|int(b[1])] = true
			}
		}()
		for i := range sent {
			if _, err := from.Write([]byte{byte(i >> 8), byte(i)}); err != nil {
				t.Fatal(err)
			}
			if i%50 == 49 { // faster than they are read, they are lost for want of room
				time.Sleep(time.Millisecond)
			}
		}
		to.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		<-done
		there, _ := p.Stats()
		if there.Carried+there.Lost+there.Full != sent || there.Full > 0 {
			t.Errorf("counted %+v of %d", there, sent)
		}
		return arrived, there.Lost
	}
	first, lost := run(7)
	if share := float64(lost) / sent; share < 0.04 || share > 0.06 {
		t.Errorf("%.3f lost, want 0.05", share)
	}
	if again, _ := run(7); again != first {
		t.Error("the same seed lost other packets")
	}
	if other, _ := run(8); other == first {
		t.Error("another seed lost the same packets")
	}
}

func TestPathCarries(t *testing.T) {
	l := newLab(t)
	m := machines(t, l, "a", "b")
	p, err := l.Path(t.Context(), m[0], m[1], Line{Delay: 2 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	got := goodput(t, m[0], m[1], 200*time.Millisecond, 200*time.Millisecond)
	if got < 100e6 {
		t.Errorf("%.0f Mbit/s, want 100", got/1e6)
	}
	there, back := p.Stats()
	t.Logf("%.0f Mbit/s; packets there: %+v, back: %+v", got/1e6, there, back)
	p.Close()
	if got := goodput(t, m[0], m[1], 0, 50*time.Millisecond); got < 100e6 {
		t.Errorf("%.0f Mbit/s after the path was closed", got/1e6)
	}
}

// TestPathLimitsRate asks the part that decides, in a time of its own: twice the rate comes in.
func TestPathLimitsRate(t *testing.T) {
	const rate, size = 12e6, 1500 // a packet every millisecond
	line := Line{Rate: rate, Delay: 30 * time.Millisecond}
	var n counters
	g := gate{line: line, n: &n, cut: new(atomic.Bool)}
	began := time.Unix(0, 0)
	passed := 0
	var last time.Time
	for i := range 4000 {
		now := began.Add(time.Duration(i) * time.Millisecond / 2)
		due, ok := g.pass(now, size)
		if !ok {
			continue
		}
		if wait := due.Sub(now); wait < 31*time.Millisecond || wait > 31*time.Millisecond+depth {
			t.Fatalf("packet %d is due after %v", i, wait)
		}
		if passed > 0 && due.Sub(last) < time.Millisecond {
			t.Fatalf("packet %d follows the one before it by %v", i, due.Sub(last))
		}
		passed, last = passed+1, due
	}
	if passed < 2000 || passed > 2060 || n.read().Full != int64(4000-passed) {
		t.Errorf("%d packets passed in 2 s, counted %+v", passed, n.read())
	}
}

// exchanges sends a byte over a connection and says whether it came in time.
func exchanges(from, to net.Conn, in time.Duration) bool {
	if _, err := from.Write([]byte{1}); err != nil {
		return false
	}
	to.SetReadDeadline(time.Now().Add(in))
	_, err := io.ReadFull(to, make([]byte, 1))
	return err == nil
}

func TestCutAndHeal(t *testing.T) {
	for _, over := range []string{"bridge", "path"} {
		t.Run(over, func(t *testing.T) {
			l := newLab(t)
			m := machines(t, l, "a", "b", "c")
			if over == "path" {
				if _, err := l.Path(t.Context(), m[0], m[1], Line{}); err != nil {
					t.Fatal(err)
				}
			}
			from, to := pair(t, m[0], m[1])
			other, third := pair(t, m[2], m[1])
			if err := m[0].Cut(t.Context()); err != nil {
				t.Fatal(err)
			}
			if exchanges(from, to, 300*time.Millisecond) {
				t.Error("a byte came through")
			}
			if !exchanges(other, third, 10*time.Second) {
				t.Error("the others were cut off as well")
			}
			if err := m[0].Heal(t.Context()); err != nil {
				t.Fatal(err)
			}
			to.SetReadDeadline(time.Now().Add(20 * time.Second))
			if _, err := io.ReadFull(to, make([]byte, 1)); err != nil {
				t.Errorf("nothing after it was healed: %v", err)
			}
		})
	}
}

func TestRenumber(t *testing.T) {
	l := newLab(t)
	m := machines(t, l, "a", "b")
	if _, err := l.Path(t.Context(), m[0], m[1], Line{Delay: time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	old := m[1].Addr()
	from, to := pair(t, m[0], m[1])
	now, err := m[1].Renumber(t.Context(), netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	if now == old || m[1].Addr() != now {
		t.Errorf("from %v to %v, and says %v", old, now, m[1].Addr())
	}
	if exchanges(from, to, 200*time.Millisecond) {
		t.Error("what was connected to the old address still is")
	}
	if from, to := pair(t, m[0], m[1]); !exchanges(from, to, 10*time.Second) {
		t.Error("the new address can not be used")
	}
	public := netip.MustParseAddr("203.0.113.7")
	if _, err := m[0].Renumber(t.Context(), public); err != nil {
		t.Fatal(err)
	}
	to2, from2 := pair(t, m[1], m[0])
	if !exchanges(from2, to2, 10*time.Second) {
		t.Error("a public address can not be used")
	}
	if _, err := m[1].Renumber(t.Context(), public); err == nil {
		t.Error("two machines have one address")
	}
}

// TestTraffic: the bytes that TCP carried are told, also over a slow link, which cuts packets.
func TestTraffic(t *testing.T) {
	l := newLab(t)
	m := machines(t, l, "a", "b")
	if err := m[0].Rate(t.Context(), 200e6, 0); err != nil {
		t.Fatal(err)
	}
	from, to := pair(t, m[0], m[1])
	const size = 5 << 20
	go func() {
		from.Write(make([]byte, size))
		from.CloseWrite()
	}()
	if n, err := io.Copy(io.Discard, to); err != nil || n != size {
		t.Fatal(n, err)
	}
	a, err := m[0].Traffic(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := a.SentOverTCP(); n < size-1000 || n > size*101/100 { // ARP and SYN have other headers
		t.Errorf("%d bytes, want %d: %+v", n, size, a)
	}
	if a.ReceivedPackets == 0 || a.ReceivedBytes > size/10 {
		t.Errorf("%+v", a)
	}
}

// traces lists what there is of a lab.
func traces(t *testing.T, id string) (found []string) {
	t.Helper()
	for _, dir := range []string{namespaces, lockDir} {
		for _, name := range entries(dir) {
			if strings.HasPrefix(name, id) {
				found = append(found, dir+"/"+name)
			}
		}
	}
	return found
}

func TestCloseLeavesNothing(t *testing.T) {
	links := func() string {
		out, err := exec.Command("sh", "-c", "ip -o link | wc -l; nft list ruleset").CombinedOutput()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	before := links()
	l := newLab(t)
	m := machines(t, l, "a", "b")
	if _, err := l.Path(t.Context(), m[0], m[1], Line{}); err != nil {
		t.Fatal(err)
	}
	if err := m[0].Cut(t.Context()); err != nil {
		t.Fatal(err)
	}
	sleep := m[0].Command(t.Context(), "sleep", "1000")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	if links() != before {
		t.Error("a lab changes the network that everybody uses")
	}
	if len(traces(t, l.id)) != 4 {
		t.Errorf("a lab of two is %v", traces(t, l.id))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := sleep.Wait(); err == nil || sleep.ProcessState.ExitCode() != -1 {
		t.Errorf("the process inside ended with %v", err)
	}
	if left := traces(t, l.id); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if _, err := l.Machine(t.Context(), "c"); err == nil {
		t.Error("a closed lab made a machine")
	}
}

// TestNewRemovesDeadRuns: what a killed run left goes, what a living one has stays.
func TestNewRemovesDeadRuns(t *testing.T) {
	alive := newLab(t)
	machines(t, alive, "a")
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var id, problem string
	if _, err := fmt.Fscan(out, &id, &problem); err != nil || problem != "<nil>" {
		t.Fatal(id, problem, err)
	}
	newLab(t)
	if len(traces(t, id)) != 3 {
		t.Fatalf("the other run has only %v", traces(t, id))
	}
	pids, err := inside(t.Context(), id+"-a")
	if err != nil || len(pids) != 1 {
		t.Fatal(pids, err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	newLab(t)
	if left := traces(t, id); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pids[0])); err == nil && bytes.Contains(b, []byte("sleep")) {
		t.Error("the dead run's process lives")
	}
	if len(traces(t, alive.id)) != 3 {
		t.Errorf("the living lab has only %v", traces(t, alive.id))
	}
}

// TestTwoLabs: the same addresses, and nobody meets.
func TestTwoLabs(t *testing.T) {
	one, two := newLab(t), newLab(t)
	a := machines(t, one, "a", "b")
	b := machines(t, two, "a", "b")
	f1, t1 := pair(t, a[0], a[1])
	f2, t2 := pair(t, b[0], b[1])
	if a[1].Addr() != b[1].Addr() {
		t.Fatal("the labs have different addresses")
	}
	if !exchanges(f1, t1, 10*time.Second) || !exchanges(f2, t2, 10*time.Second) {
		t.Error("not connected")
	}
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	if !exchanges(f2, t2, 10*time.Second) {
		t.Error("one lab's end was felt in the other")
	}
}

func TestImpossible(t *testing.T) {
	l := newLab(t)
	m := machines(t, l, "a", "b")
	for _, name := range []string{"", "hub", "a", "A", "../x", "aaaaaaaaaaaaaaaaaaaaaa"} {
		if _, err := l.Machine(t.Context(), name); err == nil {
			t.Errorf("made a machine %q", name)
		}
	}
	if err := m[0].Rate(t.Context(), -1, 0); err == nil {
		t.Error("a negative rate")
	}
	if _, err := l.Path(t.Context(), m[0], m[0], Line{}); err == nil {
		t.Error("a path from a machine to itself")
	}
	if _, err := l.Path(t.Context(), m[0], m[1], Line{Loss: 1.5}); err == nil {
		t.Error("more than everything is lost")
	}
}
