package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"time"
)

// sshd is a server of our own on a loopback port, with keys that live as long as the benchmark.
type sshd struct {
	cmd  *exec.Cmd
	args []string // of ssh, up to the command
}

// startSSH starts the server, or says what is missing.
func startSSH(ctx context.Context, dir string) (*sshd, error) {
	server, err := findSSHD(ctx)
	if err != nil {
		return nil, err
	}
	who, err := user.Current()
	if err != nil {
		return nil, err
	}
	for _, key := range []string{"host", "user"} {
		if out, err := exec.CommandContext(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key)).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("ssh-keygen: %w: %s", err, out)
		}
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	if os.Geteuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // sshd insists on it
			return nil, err
		}
	}
	config := filepath.Join(dir, "sshd.conf")
	text := fmt.Sprintf("ListenAddress 127.0.0.1:%d\nHostKey %s\nAuthorizedKeysFile %s\nStrictModes no\nUsePAM no\n"+
		"PasswordAuthentication no\nPidFile none\n", port, filepath.Join(dir, "host"), filepath.Join(dir, "user.pub"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	s := &sshd{cmd: exec.CommandContext(ctx, server, "-D", "-e", "-f", config), args: []string{"-F", "/dev/null", "-i", filepath.Join(dir, "user"),
		"-p", fmt.Sprint(port), "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
		"-o", "LogLevel=ERROR", who.Username + "@127.0.0.1"}}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	for range 50 {
		if err = exec.CommandContext(ctx, "ssh", append(s.args, "true")...).Run(); err == nil {
			return s, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	s.stop()
	return nil, fmt.Errorf("ssh to a server of our own does not work: %w", err)
}

// findSSHD looks for the server. Where that is permitted and starts no service, it is installed.
func findSSHD(ctx context.Context) (string, error) {
	const path = "/usr/sbin/sshd"
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if _, err := os.Stat("/run/systemd/system"); err == nil || os.Geteuid() != 0 {
		return "", errors.New("openssh-server is not installed")
	}
	fmt.Fprintln(os.Stderr, "installing openssh-server with apt-get")
	for _, args := range [][]string{{"update", "-q"}, {"install", "-y", "-q", "--no-install-recommends", "openssh-server"}} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1") // 1: start nothing
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("openssh-server is not installed, and can not be: %w: %.200s", err, out)
		}
	}
	return path, nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func (s *sshd) stop() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait() // it was killed: that is its error
}

// fetch is the rate of `ssh host cat` into a file.
func (s *sshd) fetch(ctx context.Context, path, out string) (float64, error) {
	f, err := os.Create(out)
	if err != nil {
		return 0, err
	}
	defer os.Remove(out)
	defer f.Close()
	cmd := exec.CommandContext(ctx, "ssh", append(s.args, "cat", path)...)
	cmd.Stdout = f
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("ssh cat: %w", err)
	}
	if err := f.Sync(); err != nil {
		return 0, err
	}
	took := time.Since(began)
	if info, err := f.Stat(); err != nil || info.Size() != fileSize {
		return 0, fmt.Errorf("ssh cat: not all came: %v", err)
	}
	return rate(took), nil
}
