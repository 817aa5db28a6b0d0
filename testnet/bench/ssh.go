package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
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
	return path, install(ctx, "openssh-server")
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

// cat is the rate of `ssh host cat` into a file.
func (s *sshd) cat(ctx context.Context, path, out string) (float64, error) {
	f, err := os.Create(out)
	if err != nil {
		return 0, err
	}
	defer os.Remove(out)
	defer f.Close()
	cmd := exec.CommandContext(ctx, "ssh", append(s.args, "cat", path)...)
	cmd.Stdout = f
	return timed(cmd, out)
}

// rsync is the rate of `rsync -W` over ssh, without comparison of what is there: nothing is.
func (s *sshd) rsync(ctx context.Context, program, path, out string) (float64, error) {
	defer os.Remove(out)
	last := len(s.args) - 1
	shell := "ssh " + strings.Join(s.args[:last], " ")
	return timed(exec.CommandContext(ctx, program, "-W", "-e", shell, s.args[last]+":"+path, out), out)
}

// timed is the rate of a command that makes the large file at out, up to the moment when it is on the medium.
func timed(cmd *exec.Cmd, out string) (float64, error) {
	var said strings.Builder
	cmd.Stderr = &said
	// rsync works as two processes: killed, one of them would go on.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 2 * time.Second
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("%s: %w: %s", cmd.Args[0], err, said.String())
	}
	f, err := os.Open(out)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return 0, err
	}
	took := time.Since(began)
	if info, err := f.Stat(); err != nil || info.Size() != fileSize {
		return 0, fmt.Errorf("%s: not all came: %w", cmd.Args[0], errors.Join(err, io.ErrUnexpectedEOF))
	}
	return rate(took), nil
}
