package storage

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"cairn/storage/block"
	"cairn/storage/block/blocktest"
)

const resealEnv = "CAIRN_STORAGE_RESEAL"

// resealChild rotates and reseals for ever, and writes a block before each, whose number it prints once it is acknowledged.
func resealChild(home string) {
	keys, err := LoadKeys(filepath.Join(home, "keys"))
	if err == nil {
		var s *Store
		s, err = Open(Config{Dir: filepath.Join(home, "store"), Keys: keys, segment: 200_000})
		var next int
		fmt.Sscan(os.Getenv(resealEnv), &next)
		for ; err == nil; next++ {
			if err = s.Put(context.Background(), resealBlock(next)); err != nil {
				break
			}
			fmt.Println("done", next)
			if err = s.RotateKey(true); err == nil {
				_, err = s.Reseal(context.Background(), nil)
			}
		}
	}
	fmt.Println("error", err)
	os.Exit(1)
}

func resealBlock(i int) block.Block { return blocktest.Make(uint64(7000+i), 1000+i*997%20_000) }

// TestResealKill kills a process that reseals, at random: everything is there and readable, and a reseal goes on to its end.
func TestResealKill(t *testing.T) {
	f, bs := filled(t)
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	next, half := 0, 0
	for range *kills {
		f.close()
		last := killReseal(t, f.home, next, time.Duration(r.IntN(400_000))*time.Microsecond)
		f.loadKeys()
		f.open()
		if f.Resealing() {
			half++
		}
		for _, b := range bs {
			f.want(b)
		}
		for i := range last + 1 {
			f.want(resealBlock(i))
		}
		if e, err := f.Entry("e1"); err != nil || e.Size != 4 {
			t.Fatal(e, err)
		}
		if r.IntN(3) == 0 { // else the next child goes on
			f.reseal()
			if f.keys.Count() != 1 {
				t.Fatal(f.keys.Count(), "data keys")
			}
		}
		next = last + 1
	}
	t.Logf("%d rotations, %d of %d kills in the middle of a reseal", next, half, *kills)
	if half == 0 {
		t.Error("no kill in the middle of a reseal: the test means nothing")
	}
	f.reseal()
	res, err := f.Verify(t.Context(), func(v Finding) { t.Error(v) }, nil)
	if err != nil || res.Damaged > 0 || res.Blocks != f.Stats().Blocks {
		t.Error(res, f.Stats(), err)
	}
}

// killReseal kills the child some time after its first word and returns the last block that it acknowledged.
func killReseal(t *testing.T, home string, start int, later time.Duration) (last int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "CAIRN_STORAGE_CHILD="+home, fmt.Sprintf("%s=%d", resealEnv, start))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	last = start - 1
	for sc := bufio.NewScanner(out); sc.Scan(); {
		var i int
		if _, err := fmt.Sscanf(sc.Text(), "done %d", &i); err != nil {
			t.Fatalf("child: %s", sc.Text())
		}
		if last = i; i == start {
			timer := time.AfterFunc(later, func() { cmd.Process.Kill() })
			defer timer.Stop()
		}
	}
	return last
}
