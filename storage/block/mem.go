package block

import (
	"context"
	"crypto/sha256"
	"fmt"
	"iter"
	"sync"

	"github.com/ipfs/go-cid"
)

// NewMem returns an empty store in memory, behind [Verified]. It is safe for concurrent use, keeps everything
// until deleted and survives nothing: for tests and small, short-lived uses.
func NewMem() Store { return Verified(&mem{blocks: make(map[[sha256.Size]byte][]byte)}) }

type mem struct {
	mu     sync.RWMutex
	blocks map[[sha256.Size]byte][]byte // values are never written to after they are in
}

func (m *mem) Get(ctx context.Context, c cid.Cid, dst []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d, err := Digest(c)
	if err != nil {
		return nil, err
	}
	m.mu.RLock()
	data, ok := m.blocks[d]
	m.mu.RUnlock()
	if !ok {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, c)
	}
	return append(dst[:0], data...), nil
}

func (m *mem) Put(ctx context.Context, blocks ...Block) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range blocks {
		d, err := Digest(b.CID)
		if err != nil {
			return err
		}
		if _, ok := m.blocks[d]; !ok {
			m.blocks[d] = append([]byte(nil), b.Data...)
		}
	}
	return nil
}

func (m *mem) Has(ctx context.Context, c cid.Cid) (bool, error) {
	d, err := Digest(c)
	if err != nil {
		return false, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	_, ok := m.blocks[d]
	return ok, nil
}

func (m *mem) Delete(ctx context.Context, cs ...cid.Cid) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range cs {
		d, err := Digest(c)
		if err != nil {
			return err
		}
		delete(m.blocks, d)
	}
	return nil
}

func (m *mem) List(ctx context.Context) iter.Seq2[cid.Cid, error] {
	return func(yield func(cid.Cid, error) bool) {
		m.mu.RLock()
		all := make([][sha256.Size]byte, 0, len(m.blocks))
		for d := range m.blocks {
			all = append(all, d)
		}
		m.mu.RUnlock() // the caller's loop may call back into the store
		for _, d := range all {
			if err := ctx.Err(); err != nil {
				yield(cid.Undef, err)
				return
			}
			if !yield(FromDigest(cid.Raw, d), nil) {
				return
			}
		}
	}
}
