package storage

import (
	"bytes"
	"context"
	"fmt"
	"iter"

	"github.com/dgraph-io/badger/v4"
	"github.com/ipfs/go-cid"

	"cairn/storage/block"
)

// pair is an index entry; val is nil if values were not asked for.
type pair struct{ key, val []byte }

// page reads up to n pairs of a prefix from key on. Pages rather than one long iterator, because an open
// iterator keeps the files that GC wants to remove.
func (s *Store) page(prefix string, from []byte, n int, values bool) (all []pair, err error) {
	defer recoverAs(&err)
	defer faultsPanic()()
	txn := s.read()
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte(prefix)})
	defer it.Close()
	for it.Seek(from); it.Valid() && len(all) < n; it.Next() {
		p := pair{key: it.Item().KeyCopy(nil)}
		if values {
			if p.val, err = it.Item().ValueCopy(nil); err != nil {
				return all, err
			}
		}
		all = append(all, p)
	}
	return all, nil
}

const pageSize = 1024

// scan yields all pairs of a prefix, in order. It sees a change made meanwhile or not.
func (s *Store) scan(ctx context.Context, prefix string, values bool) iter.Seq2[pair, error] {
	return func(yield func(pair, error) bool) {
		from := []byte(prefix)
		for {
			if err := ctx.Err(); err != nil {
				yield(pair{}, err)
				return
			}
			page, err := s.page(prefix, from, pageSize, values)
			for _, p := range page {
				if !yield(p, nil) {
					return
				}
			}
			if err != nil {
				yield(pair{}, fmt.Errorf("read index: %w", err))
				return
			}
			if len(page) < pageSize {
				return
			}
			from = append(bytes.Clone(page[len(page)-1].key), 0)
		}
	}
}

// List yields every block held, owned or referenced, once, as raw CIDs, in the order of their digests.
func (s *Store) List(ctx context.Context) iter.Seq2[cid.Cid, error] {
	return func(yield func(cid.Cid, error) bool) {
		if err := s.index.Err(); err != nil && !yield(cid.Undef, err) {
			return
		}
		owned, stopOwned := iter.Pull2(s.digests(ctx, prefBlock))
		defer stopOwned()
		refs, stopRefs := iter.Pull2(s.digests(ctx, prefRef))
		defer stopRefs()
		a, aerr, aok := owned()
		b, berr, bok := refs()
		for aok || bok {
			for _, err := range []error{aerr, berr} {
				if err != nil {
					yield(cid.Undef, err)
					return
				}
			}
			cmp := bytes.Compare(a[:], b[:])
			if !bok {
				cmp = -1
			} else if !aok {
				cmp = 1
			}
			d := a
			if cmp > 0 {
				d = b
			}
			if !yield(block.FromDigest(cid.Raw, d), nil) {
				return
			}
			if cmp <= 0 {
				a, aerr, aok = owned()
			}
			if cmp >= 0 {
				b, berr, bok = refs()
			}
		}
	}
}

// digests yields the digests under a prefix in order, each once.
func (s *Store) digests(ctx context.Context, prefix string) iter.Seq2[digest, error] {
	return func(yield func(digest, error) bool) {
		var last digest
		first := true
		for p, err := range s.scan(ctx, prefix, false) {
			if err != nil {
				yield(digest{}, err)
				return
			}
			d, ok := digestOf(p.key)
			if !ok || !first && d == last {
				continue
			}
			first, last = false, d
			if !yield(d, nil) {
				return
			}
		}
	}
}
