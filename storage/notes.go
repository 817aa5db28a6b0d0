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

// PutNote writes a note, in place of one of the same id, synced.
func (s *Store) PutNote(ctx context.Context, n Note) error {
	if n.ID == "" || len(n.ID) > maxEntryID {
		return fmt.Errorf("write note: id of %d bytes", len(n.ID))
	}
	if len(n.Data) > maxEntry {
		return fmt.Errorf("write note: %w: %d bytes", block.ErrTooLarge, len(n.Data))
	}
	key := noteKey(n.ID)
	s.sealing.RLock()
	defer s.sealing.RUnlock()
	sealed, err := s.keys.sealJSON(key, n.Data)
	if err == nil {
		err = s.admitSmall()
	}
	if err == nil {
		err = s.writes.sync(ctx, nil, []op{{key: key, val: sealed}})
	}
	if err != nil {
		return fmt.Errorf("write note %q: %w", n.ID, err)
	}
	return nil
}

// DeleteNote removes a note, synced. Deleting none succeeds.
func (s *Store) DeleteNote(ctx context.Context, id string) error {
	err := s.admitSmall()
	if err == nil {
		err = s.writes.sync(ctx, nil, []op{{key: noteKey(id)}})
	}
	if err != nil {
		return fmt.Errorf("delete note %q: %w", id, err)
	}
	return nil
}

// Notes yields all notes in the order of their ids. A damaged one comes with its id and an error, and the rest
// follows.
func (s *Store) Notes() iter.Seq2[Note, error] {
	return func(yield func(Note, error) bool) {
		after := []byte(prefNote)
		for {
			page, err := s.page(prefNote, after, 256, true)
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
