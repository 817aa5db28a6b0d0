package storage

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"

	"cairn/storage/block"
)

// Note is a small record that a user of the store keeps in it, sealed. The store does not know what it means.
type Note struct {
	ID   string          // at most 128 bytes; in the clear on the disk, so it should tell nothing
	Data json.RawMessage // at most 384 KiB
}

// PutNotes writes notes, each in place of one of the same id, synced together. After a crash some may be there and
// others not.
func (s *Store) PutNotes(ctx context.Context, notes ...Note) error {
	s.sealing.RLock()
	defer s.sealing.RUnlock()
	ops := make([]op, 0, len(notes))
	for _, n := range notes {
		if n.ID == "" || len(n.ID) > maxEntryID {
			return fmt.Errorf("write note: id of %d bytes", len(n.ID))
		}
		if len(n.Data) > maxEntry {
			return fmt.Errorf("write note: %w: %d bytes", block.ErrTooLarge, len(n.Data))
		}
		key := noteKey(n.ID)
		sealed, err := s.keys.sealJSON(key, n.Data)
		if err != nil {
			return fmt.Errorf("write note %q: %w", n.ID, err)
		}
		ops = append(ops, op{key: key, val: sealed})
	}
	if len(ops) == 0 {
		return nil
	}
	err := s.admitSmall()
	if err == nil {
		err = s.writes.sync(ctx, nil, ops)
	}
	if err != nil {
		return fmt.Errorf("write notes: %w", err)
	}
	return nil
}

// DeleteNotes removes notes, synced. Deleting none succeeds.
func (s *Store) DeleteNotes(ctx context.Context, ids ...string) error {
	ops := make([]op, 0, len(ids))
	for _, id := range ids {
		ops = append(ops, op{key: noteKey(id)})
	}
	if len(ops) == 0 {
		return nil
	}
	err := s.admitSmall()
	if err == nil {
		err = s.writes.sync(ctx, nil, ops)
	}
	if err != nil {
		return fmt.Errorf("delete notes: %w", err)
	}
	return nil
}

// Notes yields the notes whose ids begin with prefix, in the order of their ids. A damaged one comes with its id and an
// error, and the rest follows.
func (s *Store) Notes(prefix string) iter.Seq2[Note, error] {
	return func(yield func(Note, error) bool) {
		pref := prefNote + prefix
		after := []byte(pref)
		for {
			page, err := s.page(pref, after, 256, true)
			for _, kv := range page {
				n := Note{ID: string(kv.key[len(prefNote):])}
				err := s.keys.openJSON(kv.key, kv.val, &n.Data)
				if err != nil {
					err = fmt.Errorf("read note %q: %w", n.ID, err)
				}
				if !yield(n, err) {
					return
				}
				after = append(kv.key, 0)
			}
			if err != nil {
				yield(Note{}, fmt.Errorf("list notes: %w", err))
				return
			}
			if len(page) == 0 {
				return
			}
		}
	}
}
