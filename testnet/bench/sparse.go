package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"cairn/testnet"
)

// The sparse object: of every sparseStep MiB one has data.
const (
	sparseSize = 20 << 30
	sparseStep = 40 << 20
	sparseData = sparseSize / sparseStep << 20
)

// sparse moves an object that is mostly holes and watches what both peers hold, from share to the end of get.
func (b *bench) sparse() error {
	const work = "20 GiB object with 512 MiB of data: "
	if why := b.noRoom(3 * sparseData); why != "" {
		b.table.row(work+"peak RssAnon", "under 256 MiB", why, "", "", nil)
		return nil
	}
	file := filepath.Join(b.dir, "sparse.bin")
	defer os.Remove(file)
	if err := b.settled(makeSparse(file)); err != nil {
		return err
	}
	had, err := allocated(b.ctx, file)
	if err != nil {
		return err
	}
	var peak [2]testnet.Memory
	var took []float64
	var has int64
	for range b.runs {
		t, blocks, err := b.getSparse(file, &peak)
		if err != nil {
			return err
		}
		took, has = append(took, t), max(has, blocks)
	}
	for i, side := range []string{"source", "downloader"} {
		b.table.row(work+"peak RssAnon of the "+side, "under 256 MiB",
			fmt.Sprintf("%s (and %s of mapped files)", mib(peak[i].Anon), mib(peak[i].File)), "", "", verdict(peak[i].Anon < 256<<20))
	}
	b.table.row(work+"get, and what it takes on disk", "holes kept", seconds(took)+", "+mib(has), mib(had)+" at the source",
		times(float64(has)/float64(had)), verdict(has < 2*had))
	return nil
}

// getSparse gets the file once and returns the seconds and the bytes that the result takes on disk.
func (b *bench) getSparse(file string, peak *[2]testnet.Memory) (took float64, blocks int64, err error) {
	source, end, err := b.peer()
	if err != nil {
		return 0, 0, err
	}
	defer end()
	sink, end, err := b.peer()
	if err != nil {
		return 0, 0, err
	}
	defer end()
	stop := watch(peak, source.PID(), sink.PID())
	defer stop()
	ticket, err := b.share(source, file)
	if err != nil {
		return 0, 0, err
	}
	out := filepath.Join(sink.Dir, "out")
	r, err := b.command(sink.Home, "get", "-o", out, ticket)
	if err != nil {
		return 0, 0, err
	}
	blocks, err = allocated(b.ctx, out)
	return r.Took.Seconds(), blocks, err
}

// makeSparse writes the file with its holes.
func makeSparse(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	random := rand.NewChaCha8([32]byte{3})
	b := make([]byte, 1<<20)
	for off := int64(0); off < sparseSize && err == nil; off += sparseStep {
		if _, err = io.ReadFull(random, b); err == nil {
			_, err = f.WriteAt(b, off)
		}
	}
	return errors.Join(err, f.Truncate(sparseSize), f.Close())
}

// allocated is how many bytes a file takes on the medium.
func allocated(ctx context.Context, path string) (int64, error) {
	out, err := output(ctx, "du", "-B1", path)
	if err != nil {
		return 0, err
	}
	size, _, _ := strings.Cut(out, "\t")
	return strconv.ParseInt(size, 10, 64)
}

// output is what a program prints.
func output(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return string(out), nil
}
