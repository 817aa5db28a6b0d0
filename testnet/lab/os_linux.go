package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// within calls f on a thread that is in a namespace. A thread that can not come back is given up.
func within(ns string, f func() error) error {
	there, err := os.Open(filepath.Join(namespaces, ns))
	if err != nil {
		return fmt.Errorf("enter %s: %w", ns, err)
	}
	defer there.Close()
	failed := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		here, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			runtime.UnlockOSThread()
			failed <- err
			return
		}
		defer here.Close()
		if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
			runtime.UnlockOSThread()
			failed <- fmt.Errorf("enter %s: %w", ns, err)
			return
		}
		err = f()
		if back := unix.Setns(int(here.Fd()), unix.CLONE_NEWNET); back != nil {
			failed <- errors.Join(err, fmt.Errorf("leave %s: %w", ns, back))
			return // still locked: the thread ends with the goroutine
		}
		runtime.UnlockOSThread()
		failed <- err
	}()
	return <-failed
}

// setting writes a sysctl of the namespace that the thread is in.
func setting(key, value string) error {
	err := os.WriteFile(filepath.Join("/proc/sys", key), []byte(value), 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil // a kernel without IPv6
	}
	return err
}

// openTUN makes a TUN device in the namespace that the thread is in. It goes when the file is closed.
func openTUN(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open TUN device: %w", err)
	}
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("make TUN device: %w", err)
	}
	return os.NewFile(uintptr(fd), "/dev/net/tun"), nil
}

// lockNew makes a file that is locked from the moment it has its name.
func lockNew(path string) (*os.File, error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-")
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		err = os.Link(f.Name(), path) // fails if there is one
	}
	if gone := os.Remove(f.Name()); err == nil {
		err = gone
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// lockOld locks a file whose owner is dead; it fails if somebody holds it.
func lockOld(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
