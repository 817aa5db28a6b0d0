package fetch

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// allocated returns the bytes of disk that a file takes.
func allocated(t *testing.T, path string) (bytes int64, known bool) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Blocks * 512, true
}

// mount makes a small file system in memory; without the right to, the test is skipped.
func mount(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("cannot mount: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("something still uses the file system: %v", err)
		}
	})
	return dir
}

func TestDiskFull(t *testing.T) {
	files := map[string]string{}
	for _, n := range strings.Split("abcdefgh", "") {
		files[n] = string(randomBytes(mib+5, uint64(n[0])))
	}
	for _, obj := range []*object{randomFile(t, 8*mib, 40), importObject(t, makeTree(t, files), opts)} {
		dir := mount(t, "size=4m")
		target := filepath.Join(dir, "out")
		if _, err := Run(t.Context(), obj.job(target, source(obj, "a"))); !errors.Is(err, ErrNoSpace) {
			t.Errorf("what does not fit was begun: %v", err)
		}
		only(t, dir)
		first := source(obj, "a")
		job := obj.job(target, first)
		job.FreeSpace = func(string) (int64, error) { return 1 << 40, nil } // somebody else fills the disk meanwhile
		res, err := Run(t.Context(), job)
		if !errors.Is(err, ErrNoSpace) || !strings.Contains(err.Error(), dir) || len(res.Dropped()) != 0 {
			t.Errorf("%v, dropped %+v", err, res.Dropped())
		}
		if first.held.Load() != 0 {
			t.Errorf("%d buffers held", first.held.Load())
		}
		only(t, dir, filepath.Base(TempPath(target, obj.sum.Root)))
		if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, "size=64m"); err != nil {
			t.Fatal(err)
		}
		res, err = Run(t.Context(), obj.job(target, source(obj, "a")))
		if err != nil || res.Resumed < 2*mib {
			t.Errorf("%v, %d bytes resumed", err, res.Resumed)
		}
		same(t, obj.path, target)
	}
}

func TestReadOnlyFileSystem(t *testing.T) {
	dir := mount(t, "size=4m")
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, "size=4m"); err != nil {
		t.Fatal(err)
	}
	for _, obj := range []*object{randomFile(t, 10, 40), importObject(t, makeTree(t, map[string]string{"a": "b"}), opts)} {
		if err := gets(t, obj, Target{Path: filepath.Join(dir, "out")}); !errors.Is(err, ErrTarget) {
			t.Error(err)
		}
	}
}

// TestReadOnlyFolder runs the get as a user to whom permissions apply.
func TestReadOnlyFolder(t *testing.T) {
	base := t.TempDir()
	for dir := base; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) { // the other user must get through
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	copied, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	from, folder := filepath.Join(base, "from"), filepath.Join(base, "folder")
	err = errors.Join(os.WriteFile(from, []byte("x"), 0o644), os.Mkdir(folder, 0o555), os.WriteFile(filepath.Join(base, "exe"), copied, 0o755))
	if err != nil {
		t.Fatal(err)
	}
	cmd := childCommand(t, from, filepath.Join(folder, "out"))
	cmd.Path, cmd.Dir = filepath.Join(base, "exe"), "/"
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	out, err := cmd.Output()
	if err == nil || !strings.Contains(string(out), "is: "+ErrTarget.Error()) || !strings.Contains(string(out), folder) {
		t.Errorf("%v: %s", err, out)
	}
	only(t, folder)
}
