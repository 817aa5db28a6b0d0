package storage

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
)

// moveBatch bounds the records listed at a time while segments are emptied, about 100 bytes each.
const moveBatch = 1 << 17

// usage is how much of a finished segment lives.
type usage struct {
	id         uint32
	size, live int64
	records    int
}

// compactSegments removes segments in which nothing lives, and moves what lives out of those with most garbage
// until garbage is at most 5 % of what lives.
func (s *Store) compactSegments(ctx context.Context) error {
	sizes, err := s.segs.finished() // before the scan: every pointer into these is visible
	if err != nil {
		return err
	}
	all := make(map[uint32]*usage, len(sizes))
	for id, size := range sizes {
		all[id] = &usage{id: id, size: size}
	}
	var live, garbage int64
	if err := s.eachPointer(ctx, func(_ []byte, p pointer) {
		if u := all[p.segment]; u != nil {
			u.live += int64(p.length) + recordHead
			u.records++
		}
	}); err != nil {
		return err
	}
	var todo []*usage
	for id, u := range all {
		if u.live == 0 {
			if err := s.segs.remove(id); err != nil {
				return err
			}
			continue
		}
		live += u.live
		garbage += max(0, u.size-u.live)
		todo = append(todo, u)
	}
	slices.SortFunc(todo, func(a, b *usage) int {
		return cmp.Compare(float64(a.live)/float64(a.size), float64(b.live)/float64(b.size))
	})
	for garbage > live/20 && len(todo) > 0 {
		victims, records := map[uint32]bool{}, 0
		for len(todo) > 0 && garbage > live/20 && (records == 0 || records+todo[0].records <= moveBatch) {
			u := todo[0]
			todo = todo[1:]
			if s.space.above(s.space.floor+u.live+minReserve/4) != nil {
				s.log.Warn("store: too little space to compact further", "needed", u.live)
				continue
			}
			victims[u.id] = true
			records += u.records
			garbage -= max(0, u.size-u.live)
		}
		if err := s.moveOut(ctx, victims); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) eachPointer(ctx context.Context, do func(key []byte, p pointer)) error {
	for kv, err := range s.scan(ctx, prefBlock, true) {
		if err != nil {
			return err
		}
		if p, ok, err := decodePointer(kv.val); ok && err == nil {
			do(kv.key, p)
		}
	}
	return nil
}

// moveOut appends what lives in victims to the newest segment, turns the pointers over, and removes the victims. A
// segment that the disk does not give back whole stays.
func (s *Store) moveOut(ctx context.Context, victims map[uint32]bool) error {
	type item struct {
		key []byte
		p   pointer
	}
	var items []item
	if err := s.eachPointer(ctx, func(key []byte, p pointer) {
		if victims[p.segment] {
			items = append(items, item{bytes.Clone(key), p})
		}
	}); err != nil {
		return err
	}
	slices.SortFunc(items, func(a, b item) int {
		return cmp.Or(cmp.Compare(a.p.segment, b.p.segment), cmp.Compare(a.p.offset, b.p.offset))
	})
	for _, it := range items {
		if !victims[it.p.segment] {
			continue
		}
		if err := s.move(ctx, it.key, it.p); err != nil {
			if ctx.Err() != nil || s.broken.Err() != nil {
				return err
			}
			s.log.Warn("store: a segment cannot be emptied", "segment", it.p.segment, "reason", err)
			delete(victims, it.p.segment)
		}
	}
	if err := s.writes.sync(ctx, nil, nil); err != nil {
		return err
	}
	for id := range victims {
		if err := s.segs.remove(id); err != nil {
			return err
		}
	}
	return nil
}

// move copies a record as it is, damaged or not: who reads it will say so.
func (s *Store) move(ctx context.Context, key []byte, p pointer) error {
	n := recordHead + p.length
	if err := s.budget.Acquire(ctx, int64(n)); err != nil {
		return err
	}
	buf := s.bufs.get(n)
	defer s.bufs.put(buf)
	record := appendRecordHead(buf, blockName(key), p.length)
	_, err := s.segs.read(p, record[recordHead:cap(record)])
	var now pointer
	if err == nil {
		now, err = s.segs.append(record[:n])
	}
	if err != nil {
		s.budget.Release(int64(n))
		return fmt.Errorf("move block: %w", err)
	}
	o := op{key: key, val: now.encode(), expect: p.encode(), weight: n, done: func() {
		s.segs.settled(now.segment)
		s.budget.Release(int64(n))
	}}
	if err := s.writes.send(context.Background(), request{ops: []op{o}}); err != nil {
		o.done()
		return err
	}
	return nil
}
