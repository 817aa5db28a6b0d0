package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// rate is MB/s of the large file.
func rate(took time.Duration) float64 { return fileSize / 1e6 / took.Seconds() }

// hashLimit reads the cached file in pieces of 1 MiB and hashes them on all cores.
func hashLimit(path string) (float64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	const piece = 1 << 20
	var next atomic.Int64
	var g errgroup.Group
	began := time.Now()
	for range runtime.GOMAXPROCS(0) {
		g.Go(func() error {
			b := make([]byte, piece)
			for {
				off := next.Add(piece) - piece
				if off >= fileSize {
					return nil
				}
				if _, err := f.ReadAt(b, off); err != nil && err != io.EOF {
					return err
				}
				sha256.Sum256(b)
			}
		})
	}
	err = g.Wait()
	return rate(time.Since(began)), err
}

// copyLimit is the time for cp and then sync.
func copyLimit(ctx context.Context, from, to string) (time.Duration, error) {
	began := time.Now()
	for _, line := range [][]string{{"cp", "-r", from, to}, {"sync", "-f", to}} {
		if out, err := exec.CommandContext(ctx, line[0], line[1:]...).CombinedOutput(); err != nil {
			return 0, fmt.Errorf("%v: %w: %s", line, err, out)
		}
	}
	took := time.Since(began)
	return took, os.RemoveAll(to)
}
