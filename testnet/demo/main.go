// Command demo shows Cairn at work on this machine: three peers, one file, every byte compared.
//
//	alder shares a file, birch gets it; birch shares its copy, cedar gets the file from both
//
// It takes FILE (the file to send; 256 MiB of random bytes without it), ONCE (end after the comparison) and
// CAIRN_BIN (the binary; without it one is built) from the environment. It ends with 0 only if all three have the
// same bytes. Peers, homes and copies are its own and are gone when it ends; the file it was given is only read.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"cairn/testnet"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Getenv("FILE"), os.Getenv("ONCE") != "")
	interrupted := ctx.Err() != nil
	stop()
	if err != nil {
		if interrupted {
			fmt.Fprintln(os.Stderr, "demo: interrupted before the files were compared")
		} else {
			fmt.Fprintln(os.Stderr, "demo:", err)
		}
		os.Exit(1)
	}
}

// run plays the demo below a directory of its own.
func run(ctx context.Context, file string, once bool) (err error) {
	dir, err := os.MkdirTemp("", "cairn-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	binary, err := testnet.FindBinary(ctx, dir)
	if err != nil {
		return err
	}
	if file, err = source(file, dir); err != nil {
		return err
	}
	d := &demo{ctx: ctx, dir: dir, binary: binary, file: file}
	defer d.stop()
	if err := d.play(); err != nil {
		return err
	}
	if once {
		return nil
	}
	if err := d.invite(); err != nil {
		return err
	}
	<-ctx.Done()
	fmt.Println("\nStopping.")
	return nil
}

// source checks the file that was given, or makes one.
func source(file, dir string) (string, error) {
	if file == "" {
		file = filepath.Join(dir, "demo.bin")
		return file, testnet.RandomFile(file, 256<<20, uint64(time.Now().UnixNano()))
	}
	file, err := filepath.Abs(file)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(file); err != nil {
		return "", fmt.Errorf("FILE: %w", err)
	}
	return file, nil
}

// demo is one play. It is used by one goroutine.
type demo struct {
	ctx               context.Context
	dir, binary, file string
	peers             []*named
}

// named is a peer with the name that people call it by.
type named struct {
	*testnet.Peer
	name string
}

// play moves the file and compares the copies.
func (d *demo) play() error {
	fmt.Println("Three peers on this machine, each with a home of its own:")
	for _, name := range []string{"alder", "birch", "cedar"} {
		if err := d.start(name); err != nil {
			return err
		}
	}
	alder, birch, cedar := d.peers[0], d.peers[1], d.peers[2]
	fmt.Println()

	first, err := d.share(alder, d.file, "the file")
	if err != nil {
		return err
	}
	copied, err := d.get(birch, []string{first}, "from alder")
	if err != nil {
		return err
	}
	second, err := d.share(birch, copied, "its copy")
	if err != nil {
		return err
	}
	last, err := d.get(cedar, []string{first, second}, "from both")
	if err != nil {
		return err
	}
	return d.compare(d.file, copied, last)
}

// start runs one peer.
func (d *demo) start(name string) error {
	h := testnet.Home{Binary: d.binary, Dir: filepath.Join(d.dir, name), Env: []string{"CAIRN_NAME=" + name, "CAIRN_LOG_LEVEL=warn"}}
	// The peers end by stop, in their own order, not with the context.
	p, err := h.Up(context.WithoutCancel(d.ctx))
	if err != nil {
		return err
	}
	d.peers = append(d.peers, &named{p, name})
	fmt.Printf("  %-6s ready in %3d ms   %s\n", name, p.StartTook.Milliseconds(), p.Ready.HTTP)
	return nil
}

// stop ends the peers.
func (d *demo) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var all sync.WaitGroup
	for _, p := range d.peers {
		all.Go(func() {
			if _, err := p.Stop(ctx); err != nil {
				p.Kill()
			}
		})
	}
	all.Wait()
}
