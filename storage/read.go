package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/dgraph-io/badger/v4"
	"github.com/ipfs/go-cid"

	"cairn/storage/block"
)

// findings counts damage that reads met, and remembers damaged owned blocks so that storing one again heals it
// although its key is there.
type findings struct {
	mu      sync.Mutex
	damaged map[digest]bool
	total   int64
}

// maxDamaged bounds the memory of findings; more damage than that asks for more than healing block by block.
const maxDamaged = 1 << 16

func (f *findings) add(d digest) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.total++
	if f.damaged == nil {
		f.damaged = make(map[digest]bool)
	}
	if len(f.damaged) < maxDamaged {
		f.damaged[d] = true
	}
}

func (f *findings) has(d digest) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.damaged[d]
}

func (f *findings) healed(d digest) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.damaged, d)
}

func (f *findings) counts() (now int, total int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.damaged), f.total
}

// Get reads a block, owned or referenced, and verifies it. If one copy is damaged or a file unusable, the others
// are tried. Errors: block.ErrNotFound, block.ErrCorrupt, block.ErrUnsupported, *FileError.
func (s *Store) Get(ctx context.Context, c cid.Cid, dst []byte) ([]byte, error) {
	return s.get(ctx, c, dst, true)
}

// GetToSend is Get for somebody who compares the bytes with c himself, as a peer does with all that it is sent: what
// is told here is decay and change, by the seal of an owned block and the CRC-32C of a referenced one, where that is
// known. The SHA-256 that this saves is a quarter of the work of sending.
func (s *Store) GetToSend(ctx context.Context, c cid.Cid, dst []byte) ([]byte, error) {
	return s.get(ctx, c, dst, false)
}

func (s *Store) get(ctx context.Context, c cid.Cid, dst []byte, hash bool) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d, err := block.Digest(c)
	if err != nil {
		return nil, err
	}
	data, err := s.getOwned(d, dst, hash)
	if err == nil {
		return data, nil
	}
	if s.lost(err) {
		return nil, fmt.Errorf("get block %s: %w", c, err)
	}
	data, _, rerr := s.getReferenced(d, dst, hash)
	if rerr == nil {
		return data, nil
	}
	switch {
	case errors.Is(err, block.ErrCorrupt): // says more than a reference that is not there
	case errors.Is(rerr, block.ErrNotFound) && !errors.Is(rerr, ErrReference):
		err = s.absent(c)
	default:
		err = rerr
	}
	return nil, fmt.Errorf("get block %s: %w", c, err)
}

// lost tells an error that ends the search from one that lets other copies be tried.
func (s *Store) lost(err error) bool {
	return !errors.Is(err, block.ErrNotFound) && !errors.Is(err, block.ErrCorrupt) && !errors.Is(err, ErrDamaged)
}

// absent is what to say of a block that the index does not know.
func (s *Store) absent(c cid.Cid) error {
	if err := s.index.Err(); err != nil {
		return fmt.Errorf("%w: %w", block.ErrCorrupt, err)
	}
	return block.ErrNotFound
}

// getOwned reads the owned block and opens it into dst.
func (s *Store) getOwned(d digest, dst []byte, hash bool) ([]byte, error) {
	key := blockKey(d)
	for try := 0; ; try++ {
		data, err := s.openBlock(key, dst)
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil, block.ErrNotFound
		}
		if err == nil && hash {
			// The seal says that these are the bytes that were sealed; the hash, that they were the right ones.
			err = block.Verify(block.FromDigest(cid.Raw, d), data)
		}
		if err == nil {
			return data, nil
		}
		// GC may have moved the block and removed its segment between one look and the other: look again.
		if try == 2 {
			if errors.Is(err, block.ErrCorrupt) || errors.Is(err, ErrDamaged) || errors.Is(err, fs.ErrNotExist) {
				s.found.add(d)
				err = fmt.Errorf("%w: owned copy", block.ErrCorrupt)
			}
			return nil, err
		}
	}
}

func (s *Store) openBlock(key, dst []byte) (data []byte, err error) {
	defer recoverAs(&err)
	defer faultsPanic()()
	txn := s.read()
	defer txn.Discard()
	it, err := txn.Get(key)
	if err != nil {
		return nil, err
	}
	var p pointer
	far := false
	err = it.Value(func(v []byte) (err error) {
		if p, far, err = decodePointer(v); far || err != nil {
			return err
		}
		data, err = s.keys.open(dst, blockName(key), v)
		return err
	})
	if !far || err != nil {
		return data, err
	}
	buf := s.bufs.get(p.length)
	defer s.bufs.put(buf)
	sealed, err := s.segs.read(p, buf[:cap(buf)])
	if err != nil {
		return nil, err
	}
	return s.keys.open(dst, blockName(key), sealed)
}

// hasOwned looks at the index alone; a block known to be damaged does not count.
func (s *Store) hasOwned(d digest) (has bool, err error) {
	if s.found.has(d) {
		return false, nil
	}
	defer recoverAs(&err)
	defer faultsPanic()()
	txn := s.read()
	defer txn.Discard()
	_, err = txn.Get(blockKey(d))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Has tells whether the block is owned or referenced. It does not look at the referenced file.
func (s *Store) Has(ctx context.Context, c cid.Cid) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	d, err := block.Digest(c)
	if err != nil {
		return false, err
	}
	return s.has(d)
}

func (s *Store) has(d digest) (bool, error) {
	if ok, err := s.hasOwned(d); ok || err != nil {
		return ok, err
	}
	for _, err := range s.refs(d) {
		return err == nil, err
	}
	return false, nil
}

// Source tells where a block would be read from.
type Source struct {
	Owned  bool
	Path   string // of the user's file, if not owned
	Offset int64
	Length int
}

// Source finds the block without reading it; of several references the first. Error: block.ErrNotFound.
func (s *Store) Source(ctx context.Context, c cid.Cid) (Source, error) {
	if err := ctx.Err(); err != nil {
		return Source{}, err
	}
	d, err := block.Digest(c)
	if err != nil {
		return Source{}, err
	}
	if ok, err := s.hasOwned(d); err != nil || ok {
		return Source{Owned: ok}, err
	}
	for r, err := range s.refs(d) {
		if err != nil {
			return Source{}, err
		}
		f, err := s.fileRecord(r.file)
		if err != nil {
			return Source{}, err
		}
		return Source{Path: f.Path, Offset: r.offset, Length: r.length}, nil
	}
	return Source{}, fmt.Errorf("find block %s: %w", c, s.absent(c))
}
