package fetch

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cairn/storage/dag"
)

// childEnv makes the test binary a process that gets the object imported from its value's first line to the second, and
// writes a line to its output per leaf.
const childEnv = "FETCH_TEST_CHILD"

func child() int {
	from, to, _ := strings.Cut(os.Getenv(childEnv), "\n")
	obj, err := importPath(from, dag.Options{})
	if err != nil {
		fmt.Println("error:", err)
		return 2
	}
	src := source(obj, "a")
	src.hook = func(_ context.Context, i int, data []byte) ([]byte, error) {
		fmt.Println("leaf", i)
		return data, nil
	}
	job := obj.job(to, src)
	job.Target.Force = os.Getenv("FETCH_TEST_FORCE") != ""
	if _, err := Run(context.Background(), job); err != nil {
		fmt.Println("error:", err)
		for _, e := range []error{ErrTarget, ErrExists} {
			if errors.Is(err, e) {
				fmt.Println("is:", e)
			}
		}
		return 1
	}
	fmt.Println("complete")
	return 0
}

func childCommand(tb testing.TB, from, to string, env ...string) *exec.Cmd {
	tb.Helper()
	exe, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childEnv+"="+from+"\n"+to)
	cmd.Env = append(cmd.Env, env...)
	cmd.Stderr = os.Stderr
	return cmd
}

// TestKill kills a get with SIGKILL at random points. What the next one finds is resumed, and never is there
// anything but the old or the complete new under the final name.
func TestKill(t *testing.T) {
	file := randomFile(t, 30*mib, 30)
	tree := importObject(t, mixed(t), opts)
	old := makeTree(t, map[string]string{"old": "old"})
	for _, c := range []struct {
		name  string
		obj   *object
		force bool
		kills int
	}{{"file", file, false, 5}, {"directory", tree, false, 3}, {"directory over another", tree, true, 2}} {
		t.Run(c.name, func(t *testing.T) {
			for range c.kills {
				dir := memDir(t)
				target := filepath.Join(dir, "out")
				env := "FETCH_TEST_FORCE="
				if c.force {
					env += "1"
					if err := os.CopyFS(target, os.DirFS(old)); err != nil {
						t.Fatal(err)
					}
				}
				// One more line than leaves: the kill may come while it finishes, or too late.
				after := rand.IntN(c.obj.tree.NumLeaves() + 2)
				lines := killAfter(t, childCommand(t, c.obj.path, target, env), after)
				complete := false
				if _, err := os.Lstat(target); err == nil {
					var have map[string]string
					if c.force {
						have = digestTree(t, target)
					}
					if _, isOld := have["old"]; isOld {
						same(t, old, target)
					} else {
						complete = true
						same(t, c.obj.path, target)
					}
				} else if c.force {
					t.Errorf("killed after %d lines: neither old nor new is there", lines)
				}
				src := source(c.obj, "a")
				job := c.obj.job(target, src)
				job.Target.Force = c.force
				if _, err := Run(t.Context(), job); err != nil && !(complete && errors.Is(err, ErrExists)) {
					t.Errorf("killed after %d lines: %v", lines, err)
				}
				// What was in flight when it died is asked for again, no more: what a worker held or had not taken.
				asked, _ := src.counts()
				if most := c.obj.tree.NumLeaves() - lines + 2*workers() + 1; asked > most && !complete {
					t.Errorf("killed after %d lines: %d leaves asked for again, want at most %d", lines, asked, most)
				}
				same(t, c.obj.path, target)
				only(t, dir, "out")
			}
		})
	}
}

// killAfter runs cmd, kills it when it has written n lines, and returns how many it wrote.
func killAfter(t *testing.T, cmd *exec.Cmd, n int) int {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := 0
	for in := bufio.NewScanner(out); in.Scan(); {
		if strings.HasPrefix(in.Text(), "error") {
			t.Errorf("child: %s", in.Text())
		}
		if lines++; lines == n+1 {
			_ = cmd.Process.Kill()
		}
	}
	_ = cmd.Wait() // killed, or done
	return lines
}
