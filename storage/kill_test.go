package storage

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"cairn/storage/block"
	"cairn/storage/block/blocktest"
)

var kills = flag.Int("kills", 10, "how often the child of TestKill is killed")

// child stores blocks and entries for ever, and prints the number of each commit once it is acknowledged.
func child(home string) {
	keys, err := LoadKeys(filepath.Join(home, "keys"))
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	s, err := Open(Config{Dir: filepath.Join(home, "store"), Keys: keys})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	start, _ := strconv.Atoi(os.Getenv("CAIRN_STORAGE_START"))
	ctx := context.Background()
	for i := start; ; i++ {
		w := s.NewWriter(ctx, WriterOptions{Copy: true})
		for _, b := range killBlocks(i) {
			if err = w.Leaf(ctx, 0, 0, b.CID, b.Data); err != nil {
				break
			}
		}
		if err == nil {
			err = w.Commit(ctx, entry(fmt.Sprint(i), i))
		}
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println("done", i)
		w.Close()
	}
}

func killBlocks(i int) []block.Block {
	return []block.Block{blocktest.Make(uint64(3*i), 500), blocktest.Make(uint64(3*i+1), 70_000), blocktest.Make(uint64(3*i+2), 5000+i)}
}

// TestKill kills a process that writes, at random, and looks for everything that it acknowledged.
func TestKill(t *testing.T) {
	f := newFixture(t)
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	next := 0
	for range *kills {
		f.close()
		last := runChild(t, f.home, next, 1+r.IntN(25), r.IntN(3000))
		f.loadKeys()
		f.open()
		for i := next; i <= last; i++ {
			for _, b := range killBlocks(i) {
				f.want(b)
			}
			if _, err := f.Entry(fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
		// Whatever entry is there, acknowledged or not, is whole.
		for e, err := range f.Entries() {
			if err != nil {
				t.Fatal(err)
			}
			if i, _ := strconv.Atoi(e.ID); i > last {
				for _, b := range killBlocks(i) {
					f.want(b)
				}
				last = i
			}
		}
		next = last + 1
	}
	if next < *kills {
		t.Fatalf("only %d commits in all: the test means nothing", next)
	}
	var n int64
	for _, err := range f.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if st := f.Stats(); st.Blocks != n || n < int64(3*next) {
		t.Fatalf("%d blocks, the sums say %+v", n, st)
	}
}

// runChild kills the child spin steps after it acknowledged its nth commit and returns its last one.
func runChild(t *testing.T, home string, start, n, spin int) (last int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "CAIRN_STORAGE_CHILD="+home, fmt.Sprintf("CAIRN_STORAGE_START=%d", start))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	last = start - 1
	sc := bufio.NewScanner(out)
	for killed := false; sc.Scan(); {
		var i int
		if _, err := fmt.Sscanf(sc.Text(), "done %d", &i); err != nil {
			t.Errorf("child: %s", sc.Text())
			break
		}
		last = i
		if last-start+1 >= n && !killed {
			for x := range spin * 1000 { // some microseconds into the next commit
				_ = x * x
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
			killed = true
		}
	}
	cmd.Process.Kill()
	cmd.Wait()
	return last
}
