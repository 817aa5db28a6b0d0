package testnet

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Proc is a process that runs beside its owner. Its methods may be called from several goroutines.
type Proc struct {
	cmd  *exec.Cmd
	args []string
	done chan struct{} // closed when it has ended and all output was read

	mu     sync.Mutex
	lines  []string      // of stdout, complete ones
	more   chan struct{} // closed and replaced with every line
	stderr bytes.Buffer
}

// Start runs a command in the background. The end of ctx kills it.
func (h Home) Start(ctx context.Context, args ...string) (*Proc, error) {
	cmd, started, err := h.command(ctx, args)
	if err != nil {
		return nil, fmt.Errorf("start cairn: %w", err)
	}
	defer started()
	p := &Proc{cmd: cmd, args: args, done: make(chan struct{}), more: make(chan struct{})}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start cairn: %w", err)
	}
	errs, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, fmt.Errorf("start cairn: %w", err)
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start cairn: %w", err)
	}
	var readers sync.WaitGroup
	readers.Go(func() { p.readLines(out) })
	readers.Go(func() { p.readErrors(errs) })
	go func() {
		readers.Wait()
		_ = p.cmd.Wait() // the state is asked for by Code
		close(p.done)
	}()
	return p, nil
}

func (p *Proc) readLines(r io.Reader) {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 4<<20)
	for s.Scan() {
		p.mu.Lock()
		p.lines = append(p.lines, s.Text())
		close(p.more)
		p.more = make(chan struct{})
		p.mu.Unlock()
	}
	_, _ = io.Copy(io.Discard, r) // an overlong line must not block the process
}

func (p *Proc) readErrors(r io.Reader) {
	b := make([]byte, 4096)
	for {
		n, err := r.Read(b)
		p.mu.Lock()
		if p.stderr.Len() < 1<<20 {
			p.stderr.Write(b[:n])
		}
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// PID is the process id.
func (p *Proc) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Proc) Done() <-chan struct{} { return p.done }

// Stderr is what was printed there until now, at most 1 MiB.
func (p *Proc) Stderr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.String()
}

// Line waits for the first line of stdout that ok accepts.
func (p *Proc) Line(ctx context.Context, ok func(string) bool) (string, error) {
	for next := 0; ; {
		p.mu.Lock()
		lines, more := p.lines, p.more
		p.mu.Unlock()
		for ; next < len(lines); next++ {
			if ok(lines[next]) {
				return lines[next], nil
			}
		}
		select {
		case <-more:
		case <-p.done:
			p.mu.Lock()
			complete := next == len(p.lines)
			p.mu.Unlock()
			if complete {
				return "", fmt.Errorf("cairn %s ended with exit code %d before it printed what was awaited: %s",
					strings.Join(p.args, " "), p.cmd.ProcessState.ExitCode(), clip(p.Stderr()))
			}
		case <-ctx.Done():
			return "", fmt.Errorf("cairn %s: %w; stderr: %s", strings.Join(p.args, " "), ctx.Err(), clip(p.Stderr()))
		}
	}
}

// Event waits for a line of --json output whose field event is name, and decodes it into v.
func (p *Proc) Event(ctx context.Context, name string, v any) error {
	line, err := p.Line(ctx, func(l string) bool {
		var e struct{ Event string }
		return json.Unmarshal([]byte(l), &e) == nil && e.Event == name
	})
	if err != nil {
		return fmt.Errorf("wait for event %q: %w", name, err)
	}
	return json.Unmarshal([]byte(line), v)
}

// Wait returns how the process ended; the end of ctx kills it.
func (p *Proc) Wait(ctx context.Context) Result {
	began := time.Now()
	select {
	case <-p.done:
	case <-ctx.Done():
		p.Kill()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r := Result{Args: p.args, Stdout: strings.Join(p.lines, "\n"), Stderr: p.stderr.String(), Took: time.Since(began),
		Code: p.cmd.ProcessState.ExitCode()}
	if len(p.lines) > 0 {
		r.Stdout += "\n"
	}
	return r
}

// Stop asks the process to end (SIGTERM) and waits until it has.
func (p *Proc) Stop(ctx context.Context) (Result, error) {
	if err := p.Signal(syscall.SIGTERM); err != nil {
		return Result{}, err
	}
	r := p.Wait(ctx)
	if ctx.Err() != nil {
		return r, fmt.Errorf("stop cairn: it did not end: %w", ctx.Err())
	}
	return r, nil
}

// Signal sends s; a process that has ended is no error.
func (p *Proc) Signal(s syscall.Signal) error {
	select {
	case <-p.done:
		return nil
	default:
	}
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal cairn: %w", err)
	}
	return nil
}

// Kill ends the process at once (kill -9) and returns when it is gone.
func (p *Proc) Kill() {
	_ = p.cmd.Process.Kill() // fails only when it has ended
	<-p.done
}
