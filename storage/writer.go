package storage

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"
	"github.com/ipfs/go-cid"

	"cairn/storage/block"
)

// WriterOptions choose what a Writer does with leaves.
type WriterOptions struct {
	Copy bool // leaves of files are copied into the store, not referenced
}

// Writer takes in what one import or download makes. What it touched is safe from GC until Close; what no
// entry reaches then is garbage. Safe for concurrent use, except Close. It satisfies the importer's sink.
type Writer struct {
	s    *Store
	copy bool
	used usedSet

	small atomic.Uint32 // references and files taken since the last look at free space
}

// NewWriter starts a writer. It holds no resources but memory: 16 bytes or so per block touched.
func (s *Store) NewWriter(ctx context.Context, o WriterOptions) *Writer {
	w := &Writer{s: s, copy: o.Copy}
	s.guard.add(&w.used)
	return w
}

// Close ends the protection of what the writer touched. It never fails; calling it again does nothing.
func (w *Writer) Close() error {
	w.s.guard.remove(&w.used)
	return nil
}

// File begins a source file: absolute path and what fstat said before its bytes were read. The id goes with the
// file's leaves. The same path with the same size and time keeps its id.
func (w *Writer) File(path string, info fs.FileInfo) (uint64, error) {
	if w.copy {
		return 0, nil
	}
	s := w.s
	rec := fileRecord{Path: path, Size: info.Size(), MTime: info.ModTime().UnixNano()}
	pk := s.keys.pathKey(path)
	s.fileMu.Lock() // two imports of one path at a time get one id
	defer s.fileMu.Unlock()
	if f, ok := s.newFiles.get(pk); ok && f.rec == rec {
		s.guard.useFile(&w.used, f.id)
		return f.id, nil
	}
	if id, ok := s.fileByPath(pk); ok {
		s.guard.useFile(&w.used, id) // before it is looked at: GC decides under the same lock
		if old, err := s.fileRecordNow(id); err == nil && old == rec {
			return id, nil
		}
	}
	id := rand.Uint64() | 1<<63 // never 0
	s.guard.useFile(&w.used, id)
	fk := fileKey(id)
	s.sealing.RLock()
	defer s.sealing.RUnlock()
	sealed, err := s.keys.sealJSON(fk, rec)
	if err != nil {
		return 0, fmt.Errorf("record file: %w", err)
	}
	if err := w.admitSmall(); err != nil {
		return 0, fmt.Errorf("record file: %w", err)
	}
	s.newFiles.set(pk, newFile{id, rec})
	err = s.writes.send(context.Background(), request{ops: []op{
		{key: fk, val: sealed, delta: totals{Files: 1, FileBytes: rec.Size}},
		{key: pk, val: binary.BigEndian.AppendUint64(nil, id), done: func() { s.newFiles.drop(pk, id) }},
	}})
	if err != nil {
		s.newFiles.drop(pk, id)
		return 0, fmt.Errorf("record file: %w", err)
	}
	s.files.remember(id, rec)
	return id, nil
}

// newFile is a file record on its way to the database.
type newFile struct {
	id  uint64
	rec fileRecord
}

// newFiles holds the records that are queued but not yet visible, by path key.
type newFiles struct {
	mu sync.Mutex
	m  map[string]newFile
}

func (n *newFiles) get(pk []byte) (f newFile, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f, ok = n.m[string(pk)]
	return f, ok
}

func (n *newFiles) set(pk []byte, f newFile) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.m == nil {
		n.m = make(map[string]newFile)
	}
	n.m[string(pk)] = f
}

func (n *newFiles) drop(pk []byte, id uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.m[string(pk)].id == id {
		delete(n.m, string(pk))
	}
}

// fileByPath finds the id last given to a path.
func (s *Store) fileByPath(pk []byte) (uint64, bool) {
	v, err := s.value(pk)
	if err != nil || len(v) != 8 {
		return 0, false
	}
	return binary.BigEndian.Uint64(v), true
}

// fileRecordNow reads past the cache, which may still hold what GC has deleted.
func (s *Store) fileRecordNow(id uint64) (f fileRecord, err error) {
	key := fileKey(id)
	v, err := s.value(key)
	if err == nil {
		err = s.keys.openJSON(key, v, &f)
	}
	return f, err
}

// Leaf takes a leaf at offset off of file id: a reference, or a copy when the writer copies or id is 0. The caller
// has just computed c from data; a mismatch would be found when the block is read.
// Errors: block.ErrNoSpace, block.ErrTooLarge, ErrDamaged.
func (w *Writer) Leaf(ctx context.Context, id uint64, off int64, c cid.Cid, data []byte) error {
	d, err := block.Digest(c)
	if err != nil {
		return fmt.Errorf("store leaf: %w", err)
	}
	if w.copy || id == 0 {
		return w.put(ctx, d, data)
	}
	if len(data) > block.MaxSize || off < 0 {
		return fmt.Errorf("store leaf: %w", block.ErrTooLarge)
	}
	w.s.guard.use(&w.used, d)
	if err := w.admitSmall(); err != nil {
		return fmt.Errorf("store leaf: %w", err)
	}
	r := ref{file: id, offset: off, length: len(data), summed: true, sum: crc32.Checksum(data, castagnoli)}
	return w.s.writes.send(ctx, request{ops: []op{{key: refKey(d, id), val: r.encode()}}})
}

// Reference records that the bytes of c are at offset off of file id, without having them at hand. sum is their CRC-32C, if
// the caller knows it; see GetToSend.
func (w *Writer) Reference(ctx context.Context, id uint64, off int64, c cid.Cid, size int, sum ...uint32) error {
	if id == 0 {
		return errors.New("store reference: no file")
	}
	d, err := block.Digest(c)
	if err != nil {
		return fmt.Errorf("store reference: %w", err)
	}
	if size < 0 || size > block.MaxSize || off < 0 {
		return fmt.Errorf("store reference: %w", block.ErrTooLarge)
	}
	w.s.guard.use(&w.used, d)
	if err := w.admitSmall(); err != nil {
		return fmt.Errorf("store reference: %w", err)
	}
	r := ref{file: id, offset: off, length: size}
	if len(sum) > 0 {
		r.summed, r.sum = true, sum[0]
	}
	return w.s.writes.send(ctx, request{ops: []op{{key: refKey(d, id), val: r.encode()}}})
}

// Node stores an inner block, verified: there are few of them, and all else hangs on them.
func (w *Writer) Node(ctx context.Context, c cid.Cid, data []byte) error {
	if err := block.Verify(c, data); err != nil {
		return fmt.Errorf("store node: %w", err)
	}
	d, err := block.Digest(c)
	if err != nil {
		return fmt.Errorf("store node: %w", err)
	}
	return w.put(ctx, d, data)
}

// Has tells whether the block is here, owned or referenced, and if so keeps it from GC until Close. What this
// or another writer has not committed yet may count or not.
func (w *Writer) Has(c cid.Cid) (bool, error) {
	d, err := block.Digest(c)
	if err != nil {
		return false, err
	}
	w.s.guard.use(&w.used, d) // first: GC looks under the same lock before it deletes
	return w.s.has(d)
}

// put seals and writes data in the caller's goroutine and hands the index entry to the committer. It blocks while
// unsyncedBudget is used up.
func (w *Writer) put(ctx context.Context, d digest, data []byte) error {
	s := w.s
	if len(data) > block.MaxSize {
		return fmt.Errorf("store block: %w: %d bytes", block.ErrTooLarge, len(data))
	}
	s.guard.use(&w.used, d)
	if err := s.pending.begin(ctx, d); err != nil {
		return fmt.Errorf("store block: %w", err)
	}
	queued := false
	defer func() {
		if !queued {
			s.pending.end(d)
		}
	}()
	if has, err := s.hasOwned(d); err != nil || has {
		return err
	}
	n := len(data) + sealOverhead
	if err := s.budget.Acquire(ctx, int64(n)); err != nil {
		return fmt.Errorf("store block: %w", err)
	}
	if err := s.space.admit(n); err != nil {
		s.budget.Release(int64(n))
		return fmt.Errorf("store block: %w", err)
	}
	s.sealing.RLock()
	defer s.sealing.RUnlock()
	o, err := s.sealBlock(d, data)
	if err != nil {
		s.space.done(n)
		s.budget.Release(int64(n))
		return fmt.Errorf("store block: %w", err)
	}
	heals := s.found.has(d)
	if heals {
		o.delta = totals{} // its key was counted when it was stored first
	}
	settled := o.done
	o.done = func() {
		settled()
		s.space.done(n)
		s.budget.Release(int64(n))
		if heals && s.broken.Err() == nil {
			s.found.healed(d)
		}
		s.pending.end(d)
	}
	queued = true // from here on done ends it
	if err := s.writes.send(ctx, request{ops: []op{o}}); err != nil {
		o.done()
		return fmt.Errorf("store block: %w", err)
	}
	return nil
}

// sealBlock seals data, writes it to a segment if it is not small, and returns the change of the index. Its done
// must be called once.
func (s *Store) sealBlock(d digest, data []byte) (op, error) {
	key := blockKey(d)
	o := op{key: key, delta: totals{Blocks: 1, Bytes: int64(len(data))}, weight: len(data), done: func() {}}
	if len(data) < inlineMax {
		var err error
		o.val, err = s.keys.seal(make([]byte, 0, len(data)+sealOverhead), blockName(key), data)
		return o, err
	}
	buf := s.bufs.get(recordHead + sealOverhead + len(data))
	defer s.bufs.put(buf)
	record := appendRecordHead(buf, blockName(key), len(data)+sealOverhead)
	record, err := s.keys.seal(record, blockName(key), data)
	if err != nil {
		return o, err
	}
	p, err := s.segs.append(record)
	if err != nil {
		return o, err
	}
	o.val = p.encode()
	o.done = func() { s.segs.settled(p.segment) }
	return o, nil
}

func appendRecordHead(b, mh []byte, length int) []byte {
	return binary.BigEndian.AppendUint32(append(b, mh...), uint32(length))
}

// Commit returns when all that the writer was given is synced, and then the entries too. Concurrent calls share
// the syncs. It may be called repeatedly; when ctx ends first, whether the entries were written is unknown.
func (w *Writer) Commit(ctx context.Context, entries ...Entry) error {
	if len(entries) > 0 {
		w.s.sealing.RLock()
		defer w.s.sealing.RUnlock()
	}
	last := make([]op, 0, len(entries))
	for _, e := range entries {
		o, err := w.s.entryOp(e)
		if err != nil {
			return fmt.Errorf("commit: %w", err)
		}
		last = append(last, o)
	}
	if len(entries) > 0 {
		if err := w.s.admitSmall(); err != nil {
			return fmt.Errorf("commit: %w", err)
		}
	}
	if err := w.s.writes.sync(ctx, nil, last); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// Put stores owned blocks and returns when they are synced.
func (s *Store) Put(ctx context.Context, blocks ...block.Block) error {
	for _, b := range blocks { // all before any: a bad one leaves nothing behind
		if err := block.Verify(b.CID, b.Data); err != nil {
			return fmt.Errorf("put block: %w", err)
		}
	}
	w := s.NewWriter(ctx, WriterOptions{Copy: true})
	defer w.Close()
	for _, b := range blocks {
		d, err := block.Digest(b.CID)
		if err != nil {
			return fmt.Errorf("put block: %w", err)
		}
		if err := w.put(ctx, d, b.Data); err != nil {
			return err
		}
	}
	return w.Commit(ctx)
}

// Delete removes blocks, owned and referenced, synced. The user's files are not touched.
func (s *Store) Delete(ctx context.Context, cs ...cid.Cid) error {
	if err := s.admitSmall(); err != nil {
		return fmt.Errorf("delete block: %w", err)
	}
	var ops []op
	for _, c := range cs {
		d, err := block.Digest(c)
		if err != nil {
			return fmt.Errorf("delete block: %w", err)
		}
		o, err := s.deleteOps(d)
		if err != nil {
			return fmt.Errorf("delete block: %w", err)
		}
		ops = append(ops, o...)
	}
	if err := s.writes.sync(ctx, ops, nil); err != nil {
		return fmt.Errorf("delete block: %w", err)
	}
	for _, c := range cs {
		if d, err := block.Digest(c); err == nil {
			s.found.healed(d)
		}
	}
	return nil
}

func (s *Store) deleteOps(d digest) (ops []op, err error) {
	defer recoverAs(&err)
	defer faultsPanic()()
	txn := s.read()
	defer txn.Discard()
	key := blockKey(d)
	it, err := txn.Get(key)
	if err == nil {
		v, err := it.ValueCopy(nil)
		if err != nil {
			return nil, err
		}
		ops = append(ops, deleteBlockOp(key, v))
	} else if !errors.Is(err, badger.ErrKeyNotFound) {
		return nil, err
	}
	refs := txn.NewIterator(badger.IteratorOptions{Prefix: refPrefix(d)})
	defer refs.Close()
	for refs.Rewind(); refs.Valid(); refs.Next() {
		ops = append(ops, op{key: refs.Item().KeyCopy(nil)})
	}
	return ops, nil
}

func deleteBlockOp(key, val []byte) op {
	return op{key: bytes.Clone(key), delta: totals{Blocks: -1, Bytes: -plainSize(val)}}
}

// plainSize is the length of the block behind an index value.
func plainSize(val []byte) int64 {
	n := len(val)
	if p, ok, err := decodePointer(val); ok && err == nil {
		n = p.length
	}
	return int64(max(0, n-sealOverhead))
}

// unasked is how many references and files in a row, of a few hundred bytes each, are taken on one look at the disk's free
// space: the look costs as much as writing one of them.
const unasked = 32

// admitSmall is Store.admitSmall for what comes in thousands. After a refusal it looks again each time.
func (w *Writer) admitSmall() error {
	if err := w.s.broken.Err(); err != nil {
		return err
	}
	if w.small.Add(1)%unasked != 1 {
		return nil
	}
	err := w.s.admitSmall()
	if err != nil {
		w.small.Store(0)
	}
	return err
}

func (s *Store) admitSmall() error {
	if err := s.broken.Err(); err != nil {
		return err
	}
	return s.space.admitSmall()
}

// pendingSet holds the blocks that are on their way to the database, so that the same block arriving twice is
// sealed and counted once. The second comer waits until the first is visible or has failed.
type pendingSet struct {
	mu sync.Mutex
	m  map[digest]chan struct{}
}

// begin makes d the caller's, who must call end.
func (p *pendingSet) begin(ctx context.Context, d digest) error {
	for {
		p.mu.Lock()
		ch, busy := p.m[d]
		if !busy {
			if p.m == nil {
				p.m = make(map[digest]chan struct{})
			}
			p.m[d] = make(chan struct{})
			p.mu.Unlock()
			return nil
		}
		p.mu.Unlock()
		select {
		case <-ch:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (p *pendingSet) end(d digest) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.m[d])
	delete(p.m, d)
}

// bufferPool hands out buffers for sealed blocks: touching fresh memory costs more than sealing into it.
type bufferPool struct{ leaf sync.Pool }

const leafBuffer = 1<<20 + sealOverhead + recordHead

func (p *bufferPool) get(n int) []byte {
	if n > 64<<10 && n <= leafBuffer {
		if b, ok := p.leaf.Get().(*[leafBuffer]byte); ok {
			return b[:0]
		}
		return new([leafBuffer]byte)[:0]
	}
	return make([]byte, 0, n)
}

func (p *bufferPool) put(b []byte) {
	if cap(b) == leafBuffer {
		p.leaf.Put((*[leafBuffer]byte)(b[:leafBuffer]))
	}
}
