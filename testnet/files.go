package testnet

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// RandomFile makes a file of size bytes that follow from seed and do not compress. It is written as fast as the
// file system takes it and not synced.
func RandomFile(path string, size int64, seed uint64) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("make file: %w", err)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	_, err = io.CopyN(w, random(seed), size)
	if err = errors.Join(err, w.Flush(), f.Close()); err != nil {
		return fmt.Errorf("make file %s: %w", path, err)
	}
	return nil
}

// random is an endless stream that follows from seed.
func random(seed uint64) io.Reader {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	return rand.NewChaCha8(key)
}

// RandomTree makes a directory of n files of size bytes each, 100 to a subdirectory.
func RandomTree(path string, n int, size int64, seed uint64) error {
	src := random(seed)
	b := make([]byte, size)
	for i := range n {
		sub := filepath.Join(path, fmt.Sprintf("part-%03d", i/100))
		if i%100 == 0 {
			if err := os.MkdirAll(sub, 0o755); err != nil {
				return fmt.Errorf("make tree: %w", err)
			}
		}
		if _, err := io.ReadFull(src, b); err != nil {
			return fmt.Errorf("make tree: %w", err)
		}
		if err := os.WriteFile(filepath.Join(sub, fmt.Sprintf("file-%05d.bin", i)), b, 0o644); err != nil {
			return fmt.Errorf("make tree: %w", err)
		}
	}
	return nil
}

// Hash is the SHA-256 of a file; of a directory it is one over the names, kinds, link targets and hashes of all
// below it in lexical order. Modes and times do not count: two objects with one Hash are the same to a user.
func Hash(path string) (string, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return "", fmt.Errorf("hash: %w", err)
	}
	if info.Mode().IsRegular() {
		return hashFile(path)
	}
	h := sha256.New()
	err = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(path, p)
		if err != nil {
			return err
		}
		var content string
		switch {
		case d.Type().IsRegular():
			content, err = hashFile(p)
		case d.Type()&fs.ModeSymlink != 0:
			content, err = os.Readlink(p)
		}
		fmt.Fprintf(h, "%q %v %q\n", filepath.ToSlash(rel), d.Type(), content)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("hash: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("hash: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("hash %s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
