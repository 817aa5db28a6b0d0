package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ipfs/go-cid"

	"cairn/storage/block"
)

// Finding is one thing that Verify found wrong: a damaged owned block, or (Path set) a referenced file that is
// not what it was; each file once, with the first block that fails.
type Finding struct {
	CID    cid.Cid // as raw
	Path   string  // "": owned
	Offset int64
	Reason Reason // of a file
	Err    error
}

// VerifyResult sums a Verify up.
type VerifyResult struct {
	Blocks, Bytes int64 // owned, read
	Damaged       int64 // owned blocks that are not what they should be
	Refs          int64 // references read
	RefBytes      int64
	Files         int64 // referenced files looked at
	Changed       int64 // of them, changed or replaced
	Missing       int64
	Unreadable    int64
}

// verifyChunk bounds the references sorted at a time, 56 bytes each, so that files are read in order.
const verifyChunk = 1 << 17

// Verify reads every owned block and every referenced place again. visit is told of everything wrong, progress
// (may be nil) of the bytes read so far; both from this goroutine. Errors: ErrDamaged if the index itself is,
// ctx's. Blocks found damaged are stored anew when they are put again.
func (s *Store) Verify(ctx context.Context, visit func(Finding), progress func(VerifyResult)) (res VerifyResult, err error) {
	if progress == nil {
		progress = func(VerifyResult) {}
	}
	if err := s.index.Err(); err != nil {
		return res, fmt.Errorf("verify: %w", err)
	}
	if err := s.verifyIndex(); err != nil {
		return res, fmt.Errorf("verify: %w", err)
	}
	buf := make([]byte, 0, block.MaxSize)
	for p, err := range s.scan(ctx, prefBlock, false) {
		if err != nil {
			return res, fmt.Errorf("verify: %w", err)
		}
		d, ok := digestOf(p.key)
		if !ok {
			continue
		}
		data, err := s.getOwned(d, buf, true)
		switch {
		case err == nil:
			res.Blocks++
			res.Bytes += int64(len(data))
		case errors.Is(err, block.ErrNotFound): // deleted meanwhile
		default:
			res.Blocks++
			res.Damaged++
			visit(Finding{CID: block.FromDigest(cid.Raw, d), Err: err})
		}
		progress(res)
	}
	v := refVerifier{s: s, files: make(map[uint64]bool), visit: visit, progress: progress, res: &res, buf: buf}
	if err := v.run(ctx); err != nil {
		return res, fmt.Errorf("verify: %w", err)
	}
	return res, nil
}

type refVerifier struct {
	s        *Store
	files    map[uint64]bool // seen; true: found wrong, the rest of it is not read
	visit    func(Finding)
	progress func(VerifyResult)
	res      *VerifyResult
	buf      []byte
}

type place struct {
	d digest
	r ref
}

func (v *refVerifier) run(ctx context.Context) error {
	var chunk []place
	for p, err := range v.s.scan(ctx, prefRef, true) {
		if err != nil {
			return err
		}
		d, r, err := decodeRef(p.key, p.val)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		if chunk = append(chunk, place{d, r}); len(chunk) == verifyChunk {
			if err := v.chunk(ctx, chunk); err != nil {
				return err
			}
			chunk = chunk[:0]
		}
	}
	return v.chunk(ctx, chunk)
}

func (v *refVerifier) chunk(ctx context.Context, all []place) error {
	slices.SortFunc(all, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.r.file, b.r.file), cmp.Compare(a.r.offset, b.r.offset))
	})
	for _, p := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		wrong, seen := v.files[p.r.file]
		if wrong {
			continue
		}
		if !seen {
			v.files[p.r.file] = false
			v.res.Files++
		}
		v.res.Refs++
		data, err := v.s.readRef(p.d, p.r, v.buf, true)
		if err == nil {
			v.res.RefBytes += int64(len(data))
			v.progress(*v.res)
			continue
		}
		if err := v.wrong(p, err); err != nil {
			return err
		}
	}
	return nil
}

// wrong counts and tells a place that failed.
func (v *refVerifier) wrong(p place, err error) error {
	var fe *FileError
	if !errors.As(err, &fe) {
		if errors.Is(err, block.ErrNotFound) { // its record was deleted meanwhile
			return nil
		}
		return err
	}
	v.files[p.r.file] = true
	switch fe.Reason {
	case Missing:
		v.res.Missing++
	case Unreadable:
		v.res.Unreadable++
	default:
		v.res.Changed++
	}
	v.visit(Finding{CID: block.FromDigest(cid.Raw, p.d), Path: fe.Path, Offset: p.r.offset, Reason: fe.Reason, Err: err})
	return nil
}
