package storage

import (
	"fmt"
	"sync/atomic"

	"cairn/storage/block"
)

// FreeFunc tells how many bytes the user may still write on the file system of dir, and its size.
type FreeFunc func(dir string) (free, total int64, err error)

const (
	minReserve = 64 << 20
	maxReserve = 1 << 30
)

// space keeps the store away from a full disk, which Badger does not survive: it writes through memory maps,
// and a page that finds no block on disk is a fatal signal.
type space struct {
	dir     string
	free    FreeFunc
	reserve int64        // bytes that new data must leave free
	floor   int64        // bytes that even deletes, entries and opening must leave free
	pending atomic.Int64 // admitted, not yet written
}

func newSpace(dir string, free FreeFunc, reserve int64) (*space, error) {
	_, total, err := free(dir)
	if err != nil {
		return nil, fmt.Errorf("measure free space: %w", err)
	}
	if reserve == 0 {
		reserve = min(maxReserve, total/20)
	}
	reserve = max(reserve, minReserve)
	return &space{dir: dir, free: free, reserve: reserve, floor: minReserve / 4}, nil
}

// admit takes n bytes of new data in, or says ErrNoSpace. Pair with done.
func (s *space) admit(n int) error {
	pending := s.pending.Add(int64(n))
	free, _, err := s.free(s.dir)
	if err == nil && free-pending < s.reserve {
		err = fmt.Errorf("%w: %d bytes free, %d kept in reserve", block.ErrNoSpace, free, s.reserve)
	}
	if err != nil {
		s.done(n)
	}
	return err
}

func (s *space) done(n int) { s.pending.Add(int64(-n)) }

// admitSmall lets changes pass that hardly take space or give some back.
func (s *space) admitSmall() error { return s.above(s.floor) }

func (s *space) above(n int64) error {
	free, _, err := s.free(s.dir)
	if err != nil {
		return fmt.Errorf("measure free space: %w", err)
	}
	if free < n {
		return fmt.Errorf("%w: %d bytes free", block.ErrNoSpace, free)
	}
	return nil
}
