// Package storage keeps everything that a peer stores, in one directory: owned blocks, references into files
// of the user, and the library's entries.
//
// It promises: Put, Writer.Commit, UpdateEntry and DeleteEntry return after their bytes are synced, entries
// last; every block handed out hashes to its CID, whatever happened to the disk; new bytes are refused long
// before the disk is full; owned blocks and all names, paths and secrets in the index are sealed; GC takes
// only what no entry reaches and no open Writer touched, and gives the space back. A store that was lost, or
// that belongs to other keys, is reported and never replaced.
//
// It does not know what a block means (storage/dag does), keeps no copies elsewhere, and does not hide the
// multihashes of blocks. DESIGN.md lists formats and reasons.
//
// A Store owns its goroutines (Badger's and one committer) from Open to Close.
package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"golang.org/x/sync/semaphore"
)

// Config is what Open needs.
type Config struct {
	Dir     string           // absolute; made if the keys never had a store
	Keys    *Keys            // required
	Reserve int64            // bytes kept free on the disk; 0: 1 GiB or 5 %, whichever is smaller; at least 64 MiB
	Log     *slog.Logger     // nil: discarded
	Now     func() time.Time // nil: time.Now
	Free    FreeFunc         // nil: asks the file system

	segment int64 // bytes per segment; 0: segmentSize; small in tests
}

const (
	// unsyncedBudget bounds the blocks that are written and not yet synced.
	unsyncedBudget = 128 << 20
	// inlineMax: blocks from this size on go to a segment, smaller ones into the index.
	inlineMax    = 4 << 10
	memTableSize = 4 << 20
	// valueInline keeps every value out of Badger's value log: it is above the largest entry.
	valueInline = 512 << 10
)

// Store is an open store. Safe for concurrent use. It is a block.Store over owned blocks and references.
type Store struct {
	cfg   Config
	dir   string // of Badger
	log   *slog.Logger
	keys  *Keys
	db    *badger.DB
	space *space
	segs  *segments
	files *fileCache

	broken latch // a write failed or the index is damaged: accept nothing more
	index  latch // the index is damaged: "not found" means nothing

	writes *committer
	budget *semaphore.Weighted
	bufs   bufferPool

	seed       maphash.Seed
	entryLocks [16]sync.Mutex // by hash of the entry's id: read, modify, write

	// sealing is held for reading from before a value is sealed until it is queued, and for writing while the data key changes.
	sealing sync.RWMutex

	guard   guard // who uses which blocks, against GC
	pending pendingSet

	fileMu   sync.Mutex // held while a path gets its id
	newFiles newFiles

	found findings
}

// Open opens the store, making it if cfg.Keys never had one. Errors: ErrWrongKey, ErrStoreLost, ErrLocked,
// ErrDamaged, ErrFormat, block.ErrNoSpace. Nothing is written before the keys are known to be right.
func Open(cfg Config) (s *Store, err error) {
	if cfg.Keys == nil || !filepath.IsAbs(cfg.Dir) {
		return nil, errors.New("open store: keys and an absolute directory are needed")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.segment == 0 {
		cfg.segment = segmentSize
	}
	if cfg.Free == nil {
		cfg.Free = diskFree
	}
	s = &Store{cfg: cfg, dir: filepath.Join(cfg.Dir, dbDir), log: cfg.Log, keys: cfg.Keys,
		budget: semaphore.NewWeighted(unsyncedBudget), files: newFileCache(keepOpen), seed: maphash.MakeSeed()}
	s.guard.init()
	state, newest, err := checkIdentity(cfg.Dir, cfg.Keys)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if s.space, err = newSpace(cfg.Dir, cfg.Free, cfg.Reserve); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := s.space.above(s.space.floor); err != nil { // Badger writes when it opens
		return nil, fmt.Errorf("open store: %w", err)
	}
	if now := cfg.Keys.newest(); state == storeNone || newest != now { // before the key seals anything
		if state == storeNone {
			state = storeNew
		}
		if err := writeIdentity(cfg.Dir, cfg.Keys, state, now); err != nil {
			return nil, fmt.Errorf("open store: %w", err)
		}
	}
	if err := s.openDB(state == storeReady); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if state != storeReady {
		if err := writeIdentity(cfg.Dir, cfg.Keys, storeReady, cfg.Keys.newest()); err != nil {
			return nil, errors.Join(fmt.Errorf("open store: %w", err), s.Close())
		}
	}
	if err := cfg.Keys.markMade(); err != nil {
		return nil, errors.Join(fmt.Errorf("open store: %w", err), s.Close())
	}
	cfg.Keys.follow(func(id uint32) error { return writeIdentity(cfg.Dir, cfg.Keys, storeReady, id) })
	return s, nil
}

func badgerOptions(dir string, log badger.Logger) badger.Options {
	return badger.DefaultOptions(dir).
		WithLogger(log).
		WithSyncWrites(true). // see committer
		WithValueThreshold(valueInline).
		WithValueLogFileSize(1 << 20).
		WithVerifyValueChecksum(true).                     // a flipped length in an entry's head would be read as it is
		WithChecksumVerificationMode(options.OnBlockRead). // all were checked just before
		WithCompression(options.None).                     // sealed bytes do not compress, and it would want a cache
		WithBlockCacheSize(0).WithIndexCacheSize(0).
		WithMemTableSize(memTableSize).WithNumMemtables(3).
		WithBaseTableSize(1 << 20).
		WithNumLevelZeroTables(1).WithNumLevelZeroTablesStall(8).
		WithNumCompactors(2).
		WithCompactL0OnClose(true).
		WithNumVersionsToKeep(1).
		WithDetectConflicts(false). // one writer
		WithMetricsEnabled(false)
}

// openDB opens Badger, checks or writes the format, and starts the committer.
func (s *Store) openDB(exists bool) (err error) {
	// A damaged file makes Badger panic here, or fault on a mapped page.
	defer recoverAs(&err)
	defer faultsPanic()()
	if !exists {
		if err := os.MkdirAll(filepath.Join(s.cfg.Dir, segmentDir), 0o700); err != nil {
			return err
		}
	}
	if s.segs, err = openSegmentDir(filepath.Join(s.cfg.Dir, segmentDir), s.cfg.segment); err != nil {
		return fmt.Errorf("%w: %v", ErrDamaged, err)
	}
	err = checkIndexFiles(s.dir)
	if err == nil {
		err = removeEmptyLogs(s.dir)
	}
	if err != nil {
		return errors.Join(err, s.segs.close())
	}
	db, err := badger.OpenManaged(badgerOptions(s.dir, badgerLog{s.log, &s.broken, &s.index}))
	if err != nil {
		return errors.Join(openError(err), s.segs.close())
	}
	s.db = db
	t, err := s.checkFormat(exists)
	if err != nil {
		return errors.Join(err, db.Close(), s.segs.close())
	}
	db.SetDiscardTs(db.MaxVersion())
	s.writes = newCommitter(db, s.keys, s.segs, &s.broken, db.MaxVersion(), t, func() error { return syncDir(s.dir) })
	go s.writes.run()
	if !exists {
		if err := s.writes.sync(context.Background(), []op{{key: []byte(keyFormat), val: []byte{formatVersion}}}, nil); err != nil {
			return errors.Join(err, s.Close())
		}
	}
	return nil
}

func openError(err error) error {
	text, _, _ := strings.Cut(err.Error(), "\n")
	switch {
	case strings.Contains(text, "Cannot acquire directory lock"):
		return ErrLocked
	case errors.Is(err, fs.ErrPermission):
		return err
	}
	return fmt.Errorf("%w: %s", ErrDamaged, text)
}

// checkFormat reads the format and the running sums.
func (s *Store) checkFormat(exists bool) (t totals, err error) {
	if !exists {
		return t, nil
	}
	v, err := s.value([]byte(keyFormat))
	switch {
	case errors.Is(err, badger.ErrKeyNotFound):
		return t, fmt.Errorf("%w: its index holds no format", ErrStoreLost)
	case err != nil:
		return t, fmt.Errorf("%w: %v", ErrDamaged, err)
	case !bytes.Equal(v, []byte{formatVersion}):
		return t, fmt.Errorf("%w: store format %v, this version knows %d", ErrFormat, v, formatVersion)
	}
	if v, err = s.value([]byte(keyTotals)); err == nil {
		t, err = decodeTotals(v)
	}
	if err != nil && !errors.Is(err, badger.ErrKeyNotFound) {
		return t, fmt.Errorf("%w: %v", ErrDamaged, err)
	}
	// Seals that a crash left uncounted are fewer than the queue holds.
	s.keys.resume(t.KeyID, t.Seals+1<<16)
	return t, nil
}

// read returns a read transaction that sees the latest of everything and never waits for a write in flight.
func (s *Store) read() *badger.Txn { return s.db.NewTransactionAt(math.MaxUint64, false) }

// value copies the value of a small key.
func (s *Store) value(key []byte) (v []byte, err error) {
	defer recoverAs(&err)
	defer faultsPanic()()
	txn := s.read()
	defer txn.Discard()
	it, err := txn.Get(key)
	if err != nil {
		return nil, err
	}
	return it.ValueCopy(nil)
}

// Close writes what is queued, syncs, and ends all goroutines. The store must not be in use.
func (s *Store) Close() (err error) {
	defer recoverAs(&err)
	s.files.close()
	if s.db == nil {
		return nil
	}
	if s.writes != nil {
		s.writes.close()
	}
	if err := errors.Join(s.segs.close(), s.db.Close()); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// Err is nil, or ErrDamaged with the reason why the store accepts nothing more until it is opened again.
func (s *Store) Err() error { return s.broken.Err() }

// recoverAs turns a panic of Badger on damaged files, or a fault on one of its mapped pages, into ErrDamaged.
// Use with defer, after faultsPanic where pages are touched.
func recoverAs(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%w: %v", ErrDamaged, r)
	}
}

// faultsPanic makes a fault on a mapped page (the file was truncated, the disk returned an I/O error) a panic
// of this goroutine instead of the end of the process, until the returned function is called.
func faultsPanic() (restore func()) {
	old := debug.SetPanicOnFault(true)
	return func() { debug.SetPanicOnFault(old) }
}
