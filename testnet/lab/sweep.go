package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// ours recognises the names of namespaces that labs have made.
var ours = regexp.MustCompile(`^(cl[0-9a-f]{6})-[a-z0-9]+$`)

// sweep removes labs whose owner is dead: whose lock nobody holds. A lab that can not be removed is left to the
// next one.
func sweep(ctx context.Context) {
	ids := map[string]bool{}
	for _, name := range entries(namespaces) {
		if m := ours.FindStringSubmatch(name); m != nil {
			ids[m[1]] = true
		}
	}
	for _, name := range entries(lockDir) {
		ids[name] = strings.HasPrefix(name, "cl")
	}
	for id, named := range ids {
		if !named {
			continue
		}
		path := filepath.Join(lockDir, id)
		f, err := lockOld(path)
		if errors.Is(err, os.ErrNotExist) { // a Close that was killed
			_ = remove(ctx, id)
			continue
		}
		if err != nil {
			continue // it lives
		}
		if remove(ctx, id) == nil {
			_ = os.Remove(path)
		}
		f.Close()
	}
}

func entries(dir string) (names []string) {
	all, err := os.ReadDir(dir)
	if err != nil {
		return nil // not there: nothing in it
	}
	for _, e := range all {
		names = append(names, e.Name())
	}
	return names
}

// remove ends the processes in the namespaces of a lab and deletes them.
func remove(ctx context.Context, id string) error {
	var all error
	for _, name := range entries(namespaces) {
		if m := ours.FindStringSubmatch(name); m == nil || m[1] != id {
			continue
		}
		all = errors.Join(all, empty(ctx, name), tool(ctx, "ip", "netns", "delete", name))
	}
	return all
}

// empty kills what runs in a namespace and waits until it is gone.
func empty(ctx context.Context, ns string) error {
	for {
		pids, err := inside(ctx, ns)
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			if p, err := os.FindProcess(pid); err == nil {
				_ = p.Kill() // it may have ended
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("end processes in %s: %w", ns, ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// inside lists the processes of a namespace, without this one: a thread of it may be there for a moment.
func inside(ctx context.Context, ns string) ([]int, error) {
	out, err := exec.CommandContext(ctx, "ip", "netns", "pids", ns).Output()
	if err != nil {
		return nil, fmt.Errorf("list processes in %s: %w", ns, err)
	}
	var pids []int
	for _, f := range strings.Fields(string(out)) {
		pid, err := strconv.Atoi(f)
		if err == nil && pid > 1 && pid != os.Getpid() {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
