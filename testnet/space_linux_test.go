package testnet

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// small mounts a file system with so many MiB and returns its directory.
func small(t *testing.T, size string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts a small file system")
	}
	d := dir(t)
	if err := syscall.Mount("tmpfs", d, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("can not mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(d, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return d
}

// fill leaves so many bytes free on the file system of d.
func fill(t *testing.T, d string, free int64) {
	t.Helper()
	var st syscall.Statfs_t
	if err := syscall.Statfs(d, &st); err != nil {
		t.Fatal(err)
	}
	n := int64(st.Bavail)*st.Bsize - free
	if out, err := exec.Command("fallocate", "-l", fmt.Sprint(n), filepath.Join(d, fmt.Sprintf("filler-%d", free))).CombinedOutput(); err != nil {
		t.Fatalf("fallocate: %v: %s", err, out)
	}
}

// empty takes back what fill took.
func empty(t *testing.T, d string) {
	t.Helper()
	fillers, err := filepath.Glob(filepath.Join(d, "filler-*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fillers {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
}

// TestStoreOnAFullDisk: refused before it happens, and what is there stays readable, also after a restart.
func TestStoreOnAFullDisk(t *testing.T) {
	disk := small(t, "300m")
	h := homeAt(t, filepath.Join(disk, "home"))
	old := file(t, "old", 20*mib)
	id := must(t, h, "add", "--copy", old).Value()
	src := file(t, "f", 400*mib)
	wantCode(t, h, []int{7}, "add", "--copy", src)
	readsBack(t, h, id, old)
	wantCode(t, h, []int{7}, "share", "--copy", src)
	verified(t, h)

	// Below the reserve reads, shares and deletes go on.
	fill(t, disk, 40*mib)
	a := up(t, h)
	readsBack(t, h, id, old)
	ticket := share(t, h, old)
	must(t, newHome(t), "get", ticket, "-o", filepath.Join(dir(t), "out"))
	wantCode(t, h, []int{7}, "add", "--copy", file(t, "g", 10*mib))
	a.Kill()

	// With next to nothing left the store can not be opened safely, which is told in words.
	fill(t, disk, mib)
	wantCode(t, h, []int{7}, "cat", id)
	empty(t, disk)
	verified(t, h)
	readsBack(t, h, id, old)
	must(t, h, "gc") // what the refused ones had written
	must(t, h, "add", "--copy", file(t, "g", 10*mib))
}

// TestGetToAFullDisk: nothing is begun that can not end.
func TestGetToAFullDisk(t *testing.T) {
	a := up(t, newHome(t))
	ticket := share(t, a.Home, file(t, "f", 100*mib))
	disk := small(t, "50m")
	out := filepath.Join(disk, "out")
	r := wantCode(t, newHome(t), []int{7}, "get", "--json", ticket, "-o", out)
	if r.ErrorCode() != "no_space" {
		t.Errorf("want code no_space: %s", r)
	}
	leftovers(t, disk, "")
}

// TestDiskFillsDuringGet: another process takes the space that was there at the start.
func TestDiskFillsDuringGet(t *testing.T) {
	a := up(t, newHome(t))
	src := file(t, "f", 100*mib)
	ticket := share(t, a.Home, src)
	disk := small(t, "150m")
	out := filepath.Join(disk, "out")
	b := newHome(t)
	get := halfway(t, b, ticket, out)
	fill(t, disk, mib)
	if err := get.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	r := get.Wait(t.Context())
	sane(t, r)
	if r.Code != 0 {
		absent(t, out)
		if r.Code != 7 {
			t.Errorf("want exit code 7: %s", r)
		}
		empty(t, disk)
		must(t, b, "get", ticket, "-o", out)
	}
	same(t, src, out)
}
