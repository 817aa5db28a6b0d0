package testnet

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cairn/testnet/intruder"
)

var (
	faultRuns = flag.Int("faults.runs", 10, "how often each fault strikes")
	faultSeed = flag.Uint64("faults.seed", 0, "seed of the random faults; 0: a new one")
	keep      = flag.Bool("faults.keep", false, "leave the homes behind, for a look at them")
)

var (
	scratch string // homes and files of all tests
	serial  atomic.Int64
	// binary is the cairn under test.
	binary = sync.OnceValues(func() (string, error) { return FindBinary(context.Background(), scratch) })
)

func TestMain(m *testing.M) {
	intruder.Main()
	flag.Parse()
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	var err error
	// In memory if there is room: what is tested is not the disk. Paths are short because a socket's must be.
	base := "/dev/shm"
	if _, err := os.Stat(base); err != nil {
		base = os.TempDir()
	}
	if scratch, err = os.MkdirTemp(base, "cairn-net-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if !*keep {
		defer os.RemoveAll(scratch)
	}
	if *faultSeed == 0 {
		*faultSeed = rand.Uint64()
	}
	// A peer that runs as another user must come by.
	if err := os.Chmod(scratch, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// dir makes a directory for one test.
func dir(t testing.TB) string {
	t.Helper()
	d := filepath.Join(scratch, fmt.Sprint(serial.Add(1)))
	if err := os.Mkdir(d, 0o755); err != nil {
		t.Fatal(err)
	}
	if !*keep {
		t.Cleanup(func() { os.RemoveAll(d) })
	}
	return d
}

// newHome names a home that is not there yet.
func newHome(t testing.TB) Home { t.Helper(); return homeAt(t, filepath.Join(dir(t), "home")) }

// homeAt is a home at a path.
func homeAt(t testing.TB, path string) Home {
	t.Helper()
	b, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return Home{Binary: b, Dir: path}
}

// limit is a context that ends after d, or with the test.
func limit(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// up starts a peer that is gone when the test ends, and that must not have panicked.
func up(t testing.TB, h Home, args ...string) *Peer {
	t.Helper()
	p, err := h.Up(context.WithoutCancel(t.Context()), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		sane(t, p.Wait(context.Background()))
	})
	return p
}

// background starts a command that is gone when the test ends.
func background(t testing.TB, h Home, args ...string) *Proc {
	t.Helper()
	p, err := h.Start(context.WithoutCancel(t.Context()), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		sane(t, p.Wait(context.Background()))
	})
	return p
}

// run carries out a command that may fail, but not by a panic or by taking for ever.
func run(t testing.TB, h Home, args ...string) Result {
	t.Helper()
	ctx := limit(t, 90*time.Second)
	r := h.Run(ctx, args...)
	if ctx.Err() != nil {
		t.Fatalf("it did not end: %s", r)
	}
	sane(t, r)
	return r
}

func sane(t testing.TB, r Result) {
	t.Helper()
	for _, bad := range []string{"panic:", "goroutine 1 [", "DATA RACE", "fatal error:", "SIGBUS"} {
		if strings.Contains(r.Stderr, bad) {
			t.Errorf("%q on stderr: %s", bad, r)
		}
	}
}

// must carries out a command that must succeed.
func must(t testing.TB, h Home, args ...string) Result {
	t.Helper()
	r := run(t, h, args...)
	if r.Code != 0 {
		t.Fatal(r)
	}
	return r
}

// wantCode carries out a command that must end with one of the exit codes.
func wantCode(t testing.TB, h Home, codes []int, args ...string) Result {
	t.Helper()
	r := run(t, h, args...)
	for _, c := range codes {
		if r.Code == c {
			return r
		}
	}
	t.Fatalf("want exit code %v: %s", codes, r)
	return r
}

// share shares by the running peer of h and returns the ticket.
func share(t testing.TB, h Home, args ...string) string {
	t.Helper()
	r := must(t, h, append([]string{"share"}, args...)...)
	ticket := r.Value()
	if !strings.HasPrefix(ticket, "cairn1") || strings.ContainsAny(ticket, " \n") {
		t.Fatalf("stdout of share is not a ticket alone: %s", r)
	}
	return ticket
}

// got is the result event of get --json.
type got struct {
	Path    string
	CID     string
	Size    int64
	Files   int64
	Fetched int64
	Resumed int64
	Sources []struct {
		PeerID string `json:"peer_id"`
		Bytes  int64
		State  string
		Reason string
	}
}

func result(t testing.TB, r Result) (g got) {
	t.Helper()
	if r.Code != 0 {
		t.Fatal(r)
	}
	for line := range strings.Lines(r.Stdout) {
		var e struct{ Event string }
		if json.Unmarshal([]byte(line), &e) == nil && e.Event == "result" {
			if err := json.Unmarshal([]byte(line), &g); err != nil {
				t.Fatal(err)
			}
			return g
		}
	}
	t.Fatalf("no result event: %s", r)
	return g
}

// file makes a file of random bytes and returns its path.
func file(t testing.TB, name string, size int64) string {
	t.Helper()
	path := filepath.Join(dir(t), name)
	if err := RandomFile(path, size, uint64(serial.Add(1))); err != nil {
		t.Fatal(err)
	}
	return path
}

// hash returns the hash of what is at path.
func hash(t testing.TB, path string) string {
	t.Helper()
	h, err := Hash(path)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// same fails unless two paths hold the same.
func same(t testing.TB, want, have string) {
	t.Helper()
	if hash(t, want) != hash(t, have) {
		t.Fatalf("%s differs from %s", have, want)
	}
}

// absent fails if there is anything at path.
func absent(t testing.TB, path string) {
	t.Helper()
	if info, err := os.Lstat(path); err == nil {
		t.Fatalf("%s is there: %d bytes", path, info.Size())
	}
}

// verified fails unless the home's store is sound.
func verified(t testing.TB, h Home) {
	t.Helper()
	must(t, h, "verify")
}

// dice returns the random numbers of one test; its seed is in the log of a failure.
func dice(t testing.TB) *rand.Rand {
	t.Logf("repeat with -faults.seed=%d", *faultSeed)
	h := fnv.New64()
	h.Write([]byte(t.Name()))
	return rand.New(rand.NewPCG(*faultSeed, h.Sum64()))
}
