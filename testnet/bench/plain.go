package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"cairn/testnet/lab"
)

// plainStream sends size bytes over one TCP connection from a machine to another that asks for them, and returns the
// seconds from the dial to the last byte. Congestion control is that of the machines: cubic.
func plainStream(ctx context.Context, from, to *lab.Machine, size int64) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	var listener net.Listener
	err := from.Do(func() (err error) {
		listener, err = net.Listen("tcp4", net.JoinHostPort(from.Addr().String(), "0"))
		return err
	})
	if err != nil {
		return 0, err
	}
	var g errgroup.Group
	g.Go(func() error { return answer(ctx, listener, size) })
	began := time.Now()
	err = ask(ctx, to, listener.Addr().String(), size)
	took := time.Since(began).Seconds()
	listener.Close()
	if sent := g.Wait(); err == nil {
		err = sent
	}
	return took, err
}

// answer sends to the first that comes.
func answer(ctx context.Context, l net.Listener, size int64) error {
	conn, err := l.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	b := make([]byte, 64<<10)
	for size > 0 {
		n, err := conn.Write(b[:min(size, int64(len(b)))])
		if err != nil {
			return err
		}
		size -= int64(n)
	}
	return nil
}

// ask dials and reads to the end.
func ask(ctx context.Context, m *lab.Machine, addr string, size int64) error {
	var conn net.Conn
	err := m.Do(func() (err error) {
		d := net.Dialer{Timeout: 30 * time.Second}
		conn, err = d.DialContext(ctx, "tcp4", addr) // opens the socket on this thread, which is in the machine
		return err
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if n, err := io.Copy(io.Discard, conn); err != nil || n != size {
		return fmt.Errorf("one TCP stream: %d of %d bytes came: %w", n, size, err)
	}
	return nil
}
