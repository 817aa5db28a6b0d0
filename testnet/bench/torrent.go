package main

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

//go:embed torrent.py
var torrentScript []byte

// Modes of a torrent peer: one pair without and with encryption of all bytes (RC4), and several without.
const (
	torrentPlain  = "plain"
	torrentForced = "forced"
	torrentSwarm  = "swarm"
)

// torrents moves one file by libtorrent.
type torrents struct {
	python  string
	script  string
	torrent string
	seedDir string // of the file
	dir     string // for what is fetched
}

// newTorrents prepares the torrent of a file, or says what is missing.
func newTorrents(ctx context.Context, dir, file string) (*torrents, error) {
	python, err := findLibtorrent(ctx)
	if err != nil {
		return nil, err
	}
	t := &torrents{python: python, script: filepath.Join(dir, "torrent.py"), torrent: filepath.Join(dir, "file.torrent"),
		seedDir: filepath.Dir(file), dir: dir}
	if err := os.WriteFile(t.script, torrentScript, 0o600); err != nil {
		return nil, err
	}
	if out, err := exec.CommandContext(ctx, python, t.script, "make", file, t.torrent).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("make torrent: %w: %s", err, out)
	}
	return t, nil
}

// findLibtorrent finds a Python that has it. Debian's is tried first: the one on the path may be another.
func findLibtorrent(ctx context.Context) (string, error) {
	find := func() string {
		for _, python := range []string{"/usr/bin/python3", "python3"} {
			if exec.CommandContext(ctx, python, "-c", "import libtorrent").Run() == nil {
				return python
			}
		}
		return ""
	}
	if python := find(); python != "" {
		return python, nil
	}
	if err := install(ctx, "python3-libtorrent"); err != nil {
		return "", err
	}
	if python := find(); python != "" {
		return python, nil
	}
	return "", errors.New("python3-libtorrent is installed but does not load")
}

// torrentPeer is one process of the script.
type torrentPeer struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	lines  *bufio.Reader
	errors strings.Builder
}

// start starts a peer and waits until it is ready.
func (t *torrents) start(ctx context.Context, args ...string) (*torrentPeer, error) {
	p := &torrentPeer{cmd: exec.CommandContext(ctx, t.python, append([]string{t.script}, args...)...)}
	p.cmd.Stderr = &p.errors
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.lines = bufio.NewReader(stdout)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	if err := p.await("ready"); err != nil {
		p.kill()
		return nil, err
	}
	return p, nil
}

// await reads the next line, which must be the expected one.
func (p *torrentPeer) await(want string) error {
	if line, err := p.lines.ReadString('\n'); err != nil || strings.TrimSpace(line) != want {
		return fmt.Errorf("libtorrent: %q came in the place of %q: %w", line, want, errors.Join(err, errEnded))
	}
	return nil
}

var errEnded = errors.New("its process ended or failed")

// end lets the peer go and returns the bytes of content that it has uploaded.
func (p *torrentPeer) end() (uploaded int64, err error) {
	p.stdin.Close()
	line, err := p.lines.ReadString('\n')
	if err == nil {
		_, err = fmt.Sscanf(line, "uploaded %d", &uploaded)
	}
	if err = errors.Join(err, p.cmd.Wait()); err != nil {
		return 0, fmt.Errorf("libtorrent: %w: %s", err, p.errors.String())
	}
	return uploaded, nil
}

func (p *torrentPeer) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait() // of a peer that has ended: says so; of this one: that it was killed
}

// move has n peers fetch the file from one at the same time. It returns the time of the slowest, from the moment
// when all are ready, and how many copies the first one uploaded.
func (t *torrents) move(ctx context.Context, mode string, n int) (slowest time.Duration, copies float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	ports := make([]string, n+1)
	for i := range ports {
		port, err := freePort()
		if err != nil {
			return 0, 0, err
		}
		ports[i] = fmt.Sprint(port)
	}
	seed, err := t.start(ctx, "seed", t.torrent, t.seedDir, ports[0], mode)
	if err != nil {
		return 0, 0, err
	}
	defer seed.kill()
	leeches := make([]*torrentPeer, n)
	for i := range leeches {
		dir := filepath.Join(t.dir, fmt.Sprintf("leech-%d", i))
		if err := os.Mkdir(dir, 0o700); err != nil {
			return 0, 0, err
		}
		defer os.RemoveAll(dir)
		// Each asks those before it: then every two are connected once.
		args := append([]string{"leech", t.torrent, dir, ports[i+1], mode}, ports[:i+1]...)
		if leeches[i], err = t.start(ctx, args...); err != nil {
			return 0, 0, err
		}
		defer leeches[i].kill()
	}
	if slowest, err = race(leeches); err != nil {
		return 0, 0, err
	}
	uploaded, err := seed.end()
	return slowest, float64(uploaded) / fileSize, err
}

// race lets all begin and waits for the last.
func race(leeches []*torrentPeer) (time.Duration, error) {
	var g errgroup.Group
	began := time.Now()
	for _, l := range leeches {
		g.Go(func() error {
			if _, err := fmt.Fprintln(l.stdin, "go"); err != nil {
				return err
			}
			return l.await("done")
		})
	}
	err := g.Wait()
	return time.Since(began), err
}
