package storage

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"cairn/storage/block"
)

// ErrUnsealable: something in the store is damaged and could not be sealed anew, so that the old data keys were kept.
var ErrUnsealable = errors.New("a part of the store could not be sealed anew")

// ResealResult tells what a reseal did so far.
type ResealResult struct {
	Values int64 // sealed anew
	Bytes  int64 // of them, sealed
	Total  int64 // about what Bytes will be
}

const (
	resealOps   = 256     // index values sealed anew in one transaction
	resealBytes = 1 << 20 // of them
	purgeRounds = 4       // looks for old versions in the index
)

// RotateKey makes a new data key, which seals from when this returns. With reseal all older ones are to be forgotten: Reseal
// does that, now or after a restart.
func (s *Store) RotateKey(reseal bool) error {
	s.sealing.Lock()
	defer s.sealing.Unlock()
	if err := s.admitSmall(); err != nil {
		return fmt.Errorf("rotate data key: %w", err)
	}
	if err := s.keys.renew(reseal); err != nil {
		return fmt.Errorf("rotate data key: %w", err)
	}
	return nil
}

// Resealing tells whether there are data keys that Reseal has still to get rid of.
func (s *Store) Resealing() bool { return s.keys.target() != 0 }

// Reseal seals anew whatever is under data keys that are to be forgotten, gives the old bytes back to the disk, and forgets the
// keys: afterwards they open nothing in the store's directory. The store is in use meanwhile. It may be interrupted at any
// point, the old keys are kept until the end; the next call goes on where it was. Without anything to do it does nothing. Errors: ErrBusy,
// ErrUnsealable, ErrDamaged, block.ErrNoSpace, those of ctx.
func (s *Store) Reseal(ctx context.Context, progress func(ResealResult)) (ResealResult, error) {
	r := resealer{s: s, target: s.keys.target(), progress: progress}
	if r.target == 0 {
		return r.res, nil
	}
	if progress == nil {
		r.progress = func(ResealResult) {}
	}
	if err := s.broken.Err(); err != nil {
		return r.res, fmt.Errorf("seal anew: %w", err)
	}
	if !s.guard.begin() {
		return r.res, ErrBusy
	}
	defer s.guard.end()
	if err := r.run(ctx); err != nil {
		return r.res, fmt.Errorf("seal anew: %w", err)
	}
	return r.res, nil
}

// resealer is one run of Reseal.
type resealer struct {
	s        *Store
	target   uint32 // older data keys are to be forgotten
	progress func(ResealResult)
	res      ResealResult
	damaged  int64
}

// run goes through these in order, and may end after any:
//
//	what is sealed under old keys is all visible -> index values -> segments -> old versions out of the index -> forget
func (r *resealer) run(ctx context.Context) error {
	s := r.s
	if err := s.verifyIndex(); err != nil {
		return err
	}
	// Whoever sealed under an old key has queued it when the lock is ours; who comes later seals under the new one, and
	// into a segment of its own.
	s.sealing.Lock()
	s.segs.turn()
	s.sealing.Unlock()
	if err := s.writes.sync(ctx, nil, nil); err != nil {
		return err
	}
	r.res.Total = s.writes.sums().Bytes
	for _, prefix := range []string{prefEntry, prefNote, prefFile, prefBlock} {
		if err := r.values(ctx, prefix); err != nil {
			return err
		}
	}
	if err := r.segments(ctx); err != nil {
		return err
	}
	if r.damaged > 0 {
		return fmt.Errorf("%w: %d damaged values", ErrUnsealable, r.damaged)
	}
	if err := r.purge(ctx); err != nil {
		return err
	}
	return s.keys.forget(r.target)
}

// sealedUnder reads the data key's id out of a sealed value.
func sealedUnder(v []byte) (id uint32, ok bool) {
	if len(v) < sealOverhead || v[0] != sealVersion {
		return 0, false
	}
	return binary.BigEndian.Uint32(v[1:]), true
}

// old tells whether v is sealed under a key to be forgotten. Pointers and what is not sealed are not.
func (r *resealer) old(v []byte) bool {
	id, ok := sealedUnder(v)
	return ok && id < r.target
}

// sealName is the name in the seal of the value of an index key.
func sealName(key []byte) []byte {
	if bytes.HasPrefix(key, []byte(prefBlock)) {
		return blockName(key)
	}
	return key
}

// values seals the values under a prefix anew that lie in the index itself.
func (r *resealer) values(ctx context.Context, prefix string) error {
	var ops []op
	size := 0
	flush := func() error {
		if len(ops) == 0 {
			return nil
		}
		if err := r.s.admitSmall(); err != nil {
			return err
		}
		if err := r.s.writes.sync(ctx, ops, nil); err != nil {
			return err
		}
		ops, size = ops[:0], 0
		r.progress(r.res)
		return nil
	}
	for p, err := range r.s.scan(ctx, prefix, true) {
		if err != nil {
			return err
		}
		if !r.old(p.val) {
			continue
		}
		val, err := r.again(nil, sealName(p.key), p.val, make([]byte, 0, len(p.val)))
		if errors.Is(err, block.ErrCorrupt) {
			r.damaged++
			continue
		} else if err != nil {
			return err
		}
		ops = append(ops, op{key: p.key, val: val, expect: p.val}) // unless it was changed or deleted meanwhile
		size += len(val)
		if len(ops) >= resealOps || size >= resealBytes {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// again appends sealed, under a new key, to dst. It uses buf for the plain bytes, which must have room for them.
func (r *resealer) again(dst, name, sealed, buf []byte) ([]byte, error) {
	plain, err := r.s.keys.open(buf, name, sealed)
	if err != nil {
		return nil, err
	}
	out, err := r.s.keys.seal(dst, name, plain)
	clear(plain)
	if err == nil {
		r.res.Values++
		r.res.Bytes += int64(len(sealed))
	}
	return out, err
}

type record struct {
	key []byte
	p   pointer
}

// segments empties every segment that holds a record under an old key, live or dead, and removes it. It needs the space of what
// lives in one segment at a time, which may come out of the reserve, as with GC.
func (r *resealer) segments(ctx context.Context) error {
	s := r.s
	sizes, err := s.segs.finished()
	if err != nil {
		return err
	}
	var todo []uint32
	for id := range sizes {
		if err := ctx.Err(); err != nil {
			return err
		}
		if s.segs.under(id, r.target) {
			todo = append(todo, id)
		}
	}
	slices.Sort(todo)
	for len(todo) > 0 {
		live, n, err := r.records(ctx, todo)
		if err != nil {
			return err
		}
		for _, id := range todo[:n] {
			if err := r.empty(ctx, id, live[id]); err != nil {
				return err
			}
		}
		todo = todo[n:]
	}
	return nil
}

// records lists what lives in the first n of the segments: as many as moveBatch allows, at least one.
func (r *resealer) records(ctx context.Context, ids []uint32) (live map[uint32][]record, n int, err error) {
	count := make(map[uint32]int, len(ids))
	for _, id := range ids {
		count[id] = 0
	}
	if err := r.s.eachPointer(ctx, func(_ []byte, p pointer) {
		if c, ok := count[p.segment]; ok {
			count[p.segment] = c + 1
		}
	}); err != nil {
		return nil, 0, err
	}
	live = make(map[uint32][]record)
	for sum := 0; n < len(ids) && (n == 0 || sum+count[ids[n]] <= moveBatch); n++ {
		sum += count[ids[n]]
		live[ids[n]] = make([]record, 0, count[ids[n]])
	}
	err = r.s.eachPointer(ctx, func(key []byte, p pointer) {
		if all, ok := live[p.segment]; ok {
			live[p.segment] = append(all, record{bytes.Clone(key), p})
		}
	})
	return live, n, err
}

// empty moves what lives in a segment out of it, sealed anew, and removes it, unless something in it cannot be read.
func (r *resealer) empty(ctx context.Context, id uint32, live []record) error {
	s := r.s
	slices.SortFunc(live, func(a, b record) int { return cmp.Compare(a.p.offset, b.p.offset) })
	var size int64
	for _, rec := range live {
		size += int64(rec.p.length) + recordHead
	}
	if err := s.space.above(s.space.floor + size + minReserve/4); err != nil {
		return err
	}
	damaged := false
	for _, rec := range live {
		err := r.move(ctx, rec)
		if errors.Is(err, block.ErrCorrupt) || errors.Is(err, fs.ErrNotExist) {
			damaged = true
			r.damaged++
		} else if err != nil {
			return err
		}
		r.progress(r.res)
	}
	if err := s.writes.sync(ctx, nil, nil); err != nil {
		return err
	}
	if damaged {
		return nil
	}
	return s.segs.remove(id)
}

// move appends a record to the newest segment, sealed under a new key, and turns its pointer over if it is still what it was.
func (r *resealer) move(ctx context.Context, rec record) error {
	s := r.s
	n := recordHead + rec.p.length
	if err := s.budget.Acquire(ctx, int64(n)); err != nil {
		return err
	}
	now, err := r.copyRecord(rec, n)
	if err != nil {
		s.budget.Release(int64(n))
		return err
	}
	o := op{key: rec.key, val: now.encode(), expect: rec.p.encode(), weight: n, done: func() {
		s.segs.settled(now.segment)
		s.budget.Release(int64(n))
	}}
	if err := s.writes.send(context.Background(), request{ops: []op{o}}); err != nil {
		o.done()
		return err
	}
	return nil
}

func (r *resealer) copyRecord(rec record, n int) (pointer, error) {
	s := r.s
	in, plain, out := s.bufs.get(n), s.bufs.get(n), s.bufs.get(n)
	defer func() {
		s.bufs.put(in)
		s.bufs.put(plain)
		s.bufs.put(out)
	}()
	sealed, err := s.segs.read(rec.p, in[:cap(in)])
	if err != nil {
		return pointer{}, err
	}
	text := appendRecordHead(out, blockName(rec.key), rec.p.length)
	if id, ok := sealedUnder(sealed); ok && id >= r.target {
		text = append(text, sealed...)
	} else if text, err = r.again(text, blockName(rec.key), sealed, plain); err != nil {
		return pointer{}, err
	}
	return s.segs.append(text)
}

// turn ends appending to the newest segment.
func (g *segments) turn() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cur != nil && g.cur.size > 0 {
		g.retire()
	}
}

// under tells whether a segment holds a record sealed under a data key below id, or anything that is no record: what a crash or
// a failed write left.
func (g *segments) under(segment, id uint32) bool {
	f, err := os.Open(g.path(segment))
	if err != nil {
		return true // whoever reads it will say why
	}
	defer f.Close()
	var head [recordHead + sealHead]byte
	for off := int64(0); ; {
		switch n, err := f.ReadAt(head[:], off); {
		case n == 0 && errors.Is(err, io.EOF):
			return false
		case n < len(head):
			return true
		}
		length := int64(binary.BigEndian.Uint32(head[mhLen:]))
		if [2]byte(head[:2]) != mhHead || length < sealOverhead || length > block.MaxSize+sealOverhead ||
			head[recordHead] != sealVersion || binary.BigEndian.Uint32(head[recordHead+1:]) < id {
			return true
		}
		off += recordHead + length
	}
}

// purge makes Badger drop the replaced versions of values: they lie in its tables until a compaction meets them. Where one is
// left, its key is written once more as it is, so that the next compaction has to.
func (r *resealer) purge(ctx context.Context) error {
	for range purgeRounds {
		if err := r.s.turnMemtable(ctx); err != nil {
			return err
		}
		if err := r.s.flatten(); err != nil {
			return err
		}
		left, err := r.versions(ctx)
		if err != nil || len(left) == 0 {
			return err
		}
		if err := r.touch(ctx, left); err != nil {
			return err
		}
	}
	return errors.New("the index still holds versions under old keys; try again")
}

// versions finds the keys of which any version, replaced or deleted ones too, is sealed under an old key.
func (r *resealer) versions(ctx context.Context) (keys [][]byte, err error) {
	defer recoverAs(&err)
	defer faultsPanic()()
	txn := r.s.read()
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{AllVersions: true})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		v, key := it.Item(), it.Item().Key()
		if v.IsDeletedOrExpired() || !holdsSeals(key) {
			continue
		}
		old := false
		if err := v.Value(func(val []byte) error { old = r.old(val); return nil }); err != nil {
			return nil, err
		}
		if old && (len(keys) == 0 || !bytes.Equal(keys[len(keys)-1], key)) {
			keys = append(keys, bytes.Clone(key))
		}
	}
	return keys, nil
}

// holdsSeals tells whether values under key are sealed.
func holdsSeals(key []byte) bool {
	for _, p := range []string{prefBlock, prefEntry, prefNote, prefFile} {
		if bytes.HasPrefix(key, []byte(p)) {
			return true
		}
	}
	return false
}

// touch writes the present state of keys once more.
func (r *resealer) touch(ctx context.Context, keys [][]byte) error {
	for batch := range slices.Chunk(keys, resealOps) {
		var ops []op
		for _, k := range batch {
			v, err := r.s.value(k)
			switch {
			case errors.Is(err, badger.ErrKeyNotFound):
				ops = append(ops, op{key: k, expect: []byte{}})
			case err != nil:
				return err
			default:
				ops = append(ops, op{key: k, val: v, expect: v})
			}
		}
		if err := r.s.writes.sync(ctx, ops, nil); err != nil {
			return err
		}
	}
	return nil
}
