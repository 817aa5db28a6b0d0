package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"time"

	"github.com/ipfs/go-cid"

	"cairn/storage/block"
)

// ErrBusy: a GC or a reseal is running already.
var ErrBusy = errors.New("the store is being collected or sealed anew already")

// Mark calls visit for every block that must stay. An error of Mark ends the GC before anything is deleted.
type Mark func(ctx context.Context, visit func(cid.Cid)) error

// GCResult tells what a GC did.
type GCResult struct {
	Marked     int64 // different blocks visited
	Blocks     int64 // owned blocks deleted
	Refs       int64 // references deleted
	Files      int64 // file records deleted
	DiskBefore int64 // bytes the store took on disk
	DiskAfter  int64
}

// sweepBatch is how many candidates are checked and deleted under one lock.
const sweepBatch = 512

// GC deletes the blocks and references that mark does not visit and no open writer touched, then gives
// the space back: to about 1.05 x live bytes + the newest segment and the index. Files of the user are not touched. progress,
// if not nil, is told what is being done. Errors: ErrBusy, ErrDamaged (a damaged index would make everything
// look like garbage), block.ErrNoSpace, those of mark.
func (s *Store) GC(ctx context.Context, mark Mark, progress func(string)) (res GCResult, err error) {
	if progress == nil {
		progress = func(string) {}
	}
	if err := s.broken.Err(); err != nil {
		return res, fmt.Errorf("collect garbage: %w", err)
	}
	if !s.guard.begin() {
		return res, ErrBusy
	}
	defer s.guard.end()
	progress("checking the index")
	if err := s.verifyIndex(); err != nil {
		return res, fmt.Errorf("collect garbage: %w", err)
	}
	res.DiskBefore = s.DiskUsage()
	progress("looking for what is in use")
	var live liveSet
	if err := mark(ctx, func(c cid.Cid) {
		if d, err := block.Digest(c); err == nil {
			live.add(d)
		}
	}); err != nil {
		return res, fmt.Errorf("collect garbage: mark: %w", err)
	}
	res.Marked = live.close()
	progress("deleting")
	if err := s.sweep(ctx, &live, &res); err != nil {
		return res, fmt.Errorf("collect garbage: sweep: %w", err)
	}
	progress("giving space back")
	if err := s.compact(ctx); err != nil {
		return res, fmt.Errorf("collect garbage: compact: %w", err)
	}
	res.DiskAfter = s.DiskUsage()
	return res, nil
}

func (s *Store) verifyIndex() (err error) {
	defer recoverAs(&err)
	defer faultsPanic()()
	if err := s.db.VerifyChecksum(); err != nil {
		err = fmt.Errorf("%w: %v", ErrDamaged, err)
		s.index.fail(err)
		s.broken.fail(err)
		return err
	}
	return nil
}

// liveSet is the marked blocks by the first 8 bytes of their digests, 8 bytes each: a collision spares garbage.
type liveSet struct {
	all    []uint64
	sorted int // length of the sorted, unique front
}

func (l *liveSet) add(d digest) {
	l.all = append(l.all, shortOf(d))
	if len(l.all) >= 2*l.sorted+1<<16 { // many blocks are visited more than once
		l.close()
	}
}

func (l *liveSet) close() int64 {
	slices.Sort(l.all)
	l.all = slices.Compact(l.all)
	l.sorted = len(l.all)
	return int64(l.sorted)
}

func (l *liveSet) has(d digest) bool {
	_, ok := slices.BinarySearch(l.all, shortOf(d))
	return ok
}

func (s *Store) sweep(ctx context.Context, live *liveSet, res *GCResult) error {
	err := s.sweepPrefix(ctx, prefBlock, func(p pair) (bool, int64) {
		d, ok := digestOf(p.key)
		if !ok || live.has(d) || s.guard.usesBlock(d) {
			return false, 0
		}
		s.found.healed(d)
		return true, plainSize(p.val)
	}, &res.Blocks, func(n int64) totals { return totals{Blocks: -1, Bytes: -n} })
	if err != nil {
		return err
	}
	used := make(map[uint64]struct{})
	err = s.sweepPrefix(ctx, prefRef, func(p pair) (bool, int64) {
		d, ok := digestOf(p.key)
		if !ok || len(p.key) != refKeyLen {
			return false, 0
		}
		if live.has(d) || s.guard.usesBlock(d) {
			used[fileOf(p.key)] = struct{}{}
			return false, 0
		}
		return true, 0
	}, &res.Refs, func(int64) totals { return totals{} })
	if err != nil {
		return err
	}
	return s.sweepFiles(ctx, used, &res.Files)
}

// sweepPrefix deletes the pairs that dead names, in batches. dead is asked under the guard's lock, and the
// deletes are visible before the lock is given back.
func (s *Store) sweepPrefix(ctx context.Context, prefix string, dead func(pair) (bool, int64), n *int64, delta func(int64) totals) error {
	batch := make([]pair, 0, sweepBatch)
	flush := func() error {
		s.guard.mu.Lock()
		defer s.guard.mu.Unlock()
		var ops []op
		for _, p := range batch {
			if ok, size := dead(p); ok {
				ops = append(ops, op{key: p.key, delta: delta(size)})
			}
		}
		batch = batch[:0]
		*n += int64(len(ops))
		return s.deleteSynced(ops)
	}
	for p, err := range s.scan(ctx, prefix, prefix == prefBlock) {
		if err != nil {
			return err
		}
		if batch = append(batch, p); len(batch) == sweepBatch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// deleteSynced must not be cut short by a context: what it was given counts as deleted.
func (s *Store) deleteSynced(ops []op) error {
	if len(ops) == 0 {
		return nil
	}
	if err := s.admitSmall(); err != nil {
		return err
	}
	return s.writes.sync(context.Background(), ops, nil)
}

// sweepFiles deletes the records of files to which no reference leads.
func (s *Store) sweepFiles(ctx context.Context, used map[uint64]struct{}, n *int64) error {
	batch := make([]pair, 0, sweepBatch)
	flush := func() error {
		s.guard.mu.Lock()
		defer s.guard.mu.Unlock()
		var ops []op
		for _, p := range batch {
			if id := fileOf(p.key); !s.guard.usesFile(id) {
				ops = append(ops, s.deleteFileOps(id, p)...)
				*n++
			}
		}
		batch = batch[:0]
		return s.deleteSynced(ops)
	}
	for p, err := range s.scan(ctx, prefFile, true) {
		if err != nil {
			return err
		}
		if len(p.key) != len(prefFile)+8 {
			continue
		}
		if _, ok := used[fileOf(p.key)]; ok {
			continue
		}
		if batch = append(batch, p); len(batch) == sweepBatch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

func (s *Store) deleteFileOps(id uint64, p pair) []op {
	s.files.forget(id)
	ops := []op{{key: p.key}}
	var rec fileRecord
	if err := s.keys.openJSON(p.key, p.val, &rec); err != nil {
		return ops
	}
	ops[0].delta = totals{Files: -1, FileBytes: -rec.Size}
	pk := s.keys.pathKey(rec.Path)
	if now, ok := s.fileByPath(pk); ok && now == id {
		ops = append(ops, op{key: pk})
	}
	return ops
}

// compact gives back what was deleted: segments first, then the index, whose deletes must reach a compaction.
func (s *Store) compact(ctx context.Context) error {
	if err := s.compactSegments(ctx); err != nil {
		return err
	}
	if err := s.turnMemtable(ctx); err != nil {
		return err
	}
	return s.flatten()
}

func (s *Store) flatten() (err error) {
	defer recoverAs(&err)
	return s.db.Flatten(1)
}

// turnMemtable writes and deletes enough filler that Badger replaces its memtable, and waits until the old one
// is a table.
func (s *Store) turnMemtable(ctx context.Context) error {
	const n, size = 5 * memTableSize / 4 / 4000, 4000
	rng := rand.NewChaCha8([32]byte{})
	var put, del []op
	for i := range n {
		key, val := fmt.Appendf(nil, "%s%d", prefFiller, i), make([]byte, size)
		rng.Read(val) // never fails
		put, del = append(put, op{key: key, val: val}), append(del, op{key: key})
	}
	if err := s.space.above(s.space.floor + 4*memTableSize); err != nil {
		return err
	}
	if err := s.writes.sync(ctx, put, nil); err != nil {
		return err
	}
	if err := s.writes.sync(ctx, del, nil); err != nil {
		return err
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		logs, err := filepath.Glob(filepath.Join(s.dir, "*.mem"))
		if err != nil || len(logs) <= 1 {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := s.broken.Err(); err != nil {
			return err
		}
	}
}

// DiskUsage is what the store takes on disk, in bytes allocated (Badger's active files are sparse).
func (s *Store) DiskUsage() (n int64) {
	_ = filepath.WalkDir(s.cfg.Dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil // Badger removes files while we look
		}
		if info, err := e.Info(); err == nil {
			n += allocated(info)
		}
		return nil
	})
	return n
}
