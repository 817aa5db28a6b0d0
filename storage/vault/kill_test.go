package vault

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

var kills = flag.Int("kills", 15, "how often the child of TestKill is killed")

func unixTime(n int64) time.Time { return time.Unix(n, 0).UTC() }

func TestMain(m *testing.M) {
	flag.Parse()
	if path := os.Getenv("CAIRN_VAULT_CHILD"); path != "" {
		child(path)
	}
	os.Exit(m.Run())
}

// passOf is the passphrase after change n; each third one has none.
func passOf(n int) []byte {
	if n%3 == 0 {
		return nil
	}
	return fmt.Appendf(nil, "pass %d", n)
}

// child changes the file for ever, as a peer and a user do, and prints the number of each change once it is acknowledged.
func child(path string) {
	n, _ := strconv.Atoi(os.Getenv("CAIRN_VAULT_START"))
	v, err := Open(path, func(int) ([]byte, error) { return passOf(n), nil })
	if err == nil {
		v.cost = cheap()
	}
	for err == nil {
		if err = v.Put("n", fmt.Append(nil, n+1)); err == nil {
			err = v.SetPassphrase(passOf(n), passOf(n+1))
		}
		n++
		fmt.Println("done", n)
	}
	fmt.Println("error", err)
	os.Exit(1)
}

// TestKill kills a process that changes secrets and passphrase, at random: the file is the old one or the new one.
func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	big := bytes.Repeat([]byte("k"), 200_000)
	if _, err := Create(path, nil, map[string][]byte{"n": []byte("0"), "big": big}); err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	at, left := 0, 0
	for range *kills {
		last := runChild(t, path, at, 1+r.IntN(6), time.Duration(r.IntN(15_000))*time.Microsecond)
		if _, err := os.Stat(aside(path)); err == nil {
			left++
		}
		var v *Vault
		var err error
		for _, n := range []int{last, last + 1} { // the last one acknowledged, or the one under way
			if v, err = Open(path, answers(string(passOf(n)))); err == nil {
				at = n
				break
			}
		}
		if err != nil {
			t.Fatalf("after change %d: %v", last, err)
		}
		n, err := v.Get("n")
		if got, _ := strconv.Atoi(string(n)); err != nil || got != at && got != at+1 {
			t.Fatalf("passphrase of change %d, secret of %s, %v", at, n, err)
		}
		if got, err := v.Get("big"); err != nil || !bytes.Equal(got, big) {
			t.Fatal("another secret changed", err)
		}
		v.Close()
	}
	t.Logf("%d changes, %d kills left a file aside", at, left)
	if at < *kills {
		t.Fatalf("only %d changes in all: the test means nothing", at)
	}
}

// runChild kills the child some time after it acknowledged its nth change and returns the number of its last one.
func runChild(t *testing.T, path string, start, n int, later time.Duration) (last int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "CAIRN_VAULT_CHILD="+path, fmt.Sprintf("CAIRN_VAULT_START=%d", start))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	last = start
	for sc := bufio.NewScanner(out); sc.Scan(); {
		var i int
		if _, err := fmt.Sscanf(sc.Text(), "done %d", &i); err != nil {
			t.Fatalf("child: %s", sc.Text())
		}
		if last = i; i == start+n {
			time.AfterFunc(later, func() { cmd.Process.Kill() })
		}
	}
	return last
}
