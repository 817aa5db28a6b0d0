package block

import (
	"context"
	"fmt"
	"iter"

	"github.com/ipfs/go-cid"
)

// Verified wraps s so that every block passes [Verify] on its way in and on its way out, whatever s does.
//
// It is the one gate: an implementation below it may be careless, a caller above it never sees bytes that do
// not hash to the CID asked for. Has, Delete and List pass through.
func Verified(s Store) Store { return verified{s} }

type verified struct{ s Store }

func (v verified) Get(ctx context.Context, c cid.Cid, dst []byte) ([]byte, error) {
	data, err := v.s.Get(ctx, c, dst)
	if err != nil {
		return nil, err
	}
	if err := Verify(c, data); err != nil {
		return nil, fmt.Errorf("get block: %w", err)
	}
	return data, nil
}

// Put checks all blocks before it hands any on, so that a bad one leaves nothing behind.
func (v verified) Put(ctx context.Context, blocks ...Block) error {
	for _, b := range blocks {
		if err := Verify(b.CID, b.Data); err != nil {
			return fmt.Errorf("put block: %w", err)
		}
	}
	return v.s.Put(ctx, blocks...)
}

func (v verified) Has(ctx context.Context, c cid.Cid) (bool, error)   { return v.s.Has(ctx, c) }
func (v verified) Delete(ctx context.Context, cs ...cid.Cid) error    { return v.s.Delete(ctx, cs...) }
func (v verified) List(ctx context.Context) iter.Seq2[cid.Cid, error] { return v.s.List(ctx) }
