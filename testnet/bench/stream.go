package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	goyamux "github.com/libp2p/go-yamux/v5"
	"golang.org/x/sync/errgroup"
)

const (
	streamCommand  = "stream"
	streamProtocol = "/cairn-bench/1"
	pieceSize      = 1 << 20
)

// streamMain is one end of the bare stream: "serve FILE" prints its address and serves until stdin ends,
// "fetch ADDRESS OUT" prints how many seconds it took.
func streamMain(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "serve":
		return streamServe(args[1])
	case len(args) == 3 && args[0] == "fetch":
		return streamFetch(args[1], args[2])
	}
	return fmt.Errorf("wrong arguments %q", args)
}

// streamHost is a host with the settings that matter for the rate: TLS over TCP, yamux with frames of 1 MiB.
func streamHost(listen ...string) (host.Host, error) {
	mux := goyamux.DefaultConfig()
	mux.MaxMessageSize = pieceSize
	mux.InitialStreamWindowSize = 4 << 20
	mux.MaxStreamWindowSize = 16 << 20
	mux.ReadBufSize = 0 // TLS buffers
	mux.LogOutput = io.Discard
	return libp2p.New(libp2p.ListenAddrStrings(listen...), libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Security(libp2ptls.ID, libp2ptls.New), libp2p.Muxer("/yamux/1.0.0", (*yamux.Transport)(mux)),
		libp2p.DisableRelay(), libp2p.DisableMetrics())
}

func streamServe(path string) error {
	h, err := streamHost("/ip4/127.0.0.1/tcp/0")
	if err != nil {
		return err
	}
	defer h.Close()
	h.SetStreamHandler(streamProtocol, func(s network.Stream) {
		if err := sendFile(s, path); err != nil {
			_ = s.Reset()
			return
		}
		_ = s.Close()
	})
	fmt.Printf("%s/p2p/%s\n", h.Addrs()[0], h.ID())
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func sendFile(w io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	b := make([]byte, pieceSize)
	for {
		n, err := f.Read(b)
		if n > 0 {
			if _, err := w.Write(b[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			if err == io.EOF {
				return nil
			}
			return err
		}
	}
}

func streamFetch(addr, out string) error {
	h, err := streamHost()
	if err != nil {
		return err
	}
	defer h.Close()
	info, err := peer.AddrInfoFromString(addr)
	if err != nil {
		return err
	}
	ctx := context.Background()
	if err := h.Connect(ctx, *info); err != nil {
		return err
	}
	s, err := h.NewStream(ctx, info.ID, streamProtocol)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := receive(s, out); err != nil {
		return err
	}
	fmt.Printf("%f\n", time.Since(began).Seconds())
	return nil
}

// receive hashes and writes what comes, in pieces, on two workers beside the reader, as anything that verifies must.
func receive(r io.Reader, out string) error {
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	defer f.Close()
	type piece struct {
		b   []byte
		off int64
	}
	free, full := make(chan []byte, 16), make(chan piece, 16)
	for range cap(free) {
		free <- make([]byte, pieceSize)
	}
	var g errgroup.Group
	for range 2 {
		g.Go(func() (err error) {
			for p := range full { // also after an error, so that the reader never waits in vain
				sha256.Sum256(p.b)
				if err == nil {
					_, err = f.WriteAt(p.b, p.off)
				}
				free <- p.b[:pieceSize]
			}
			return err
		})
	}
	var off int64
	for err == nil {
		b, n := <-free, 0
		n, err = io.ReadFull(r, b)
		if n > 0 {
			full <- piece{b[:n], off}
			off += int64(n)
		}
	}
	close(full)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	if err := errors.Join(err, g.Wait()); err != nil {
		return err
	}
	if off != fileSize {
		return fmt.Errorf("%d bytes came, not %d", off, fileSize)
	}
	return f.Sync()
}

// streamLimit is the rate of the bare stream between two processes.
func streamLimit(ctx context.Context, path, out string) (mbs float64, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	serve := exec.CommandContext(ctx, self, streamCommand, "serve", path)
	stdin, err := serve.StdinPipe()
	if err != nil {
		return 0, err
	}
	stdout, err := serve.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := serve.Start(); err != nil {
		return 0, err
	}
	defer func() {
		stdin.Close()
		err = errors.Join(err, serve.Wait(), os.Remove(out))
	}()
	addr, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return 0, err
	}
	text, err := exec.CommandContext(ctx, self, streamCommand, "fetch", strings.TrimSpace(addr), out).Output()
	if err != nil {
		return 0, fmt.Errorf("fetch by bare stream: %w", err)
	}
	var took float64
	if _, err := fmt.Sscan(string(text), &took); err != nil {
		return 0, err
	}
	return fileSize / 1e6 / took, nil
}
