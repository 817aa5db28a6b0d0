package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/ipfs/go-cid"

	"cairn/storage/block"
)

// Entry is one thing in the library: a root of the blocks kept. Zero times mean never or not.
type Entry struct {
	ID         string         `json:"id"`
	Name       string         `json:"name"`
	Root       cid.Cid        `json:"root"`
	Kind       string         `json:"kind"`
	Size       int64          `json:"size"`
	Files      int64          `json:"files"`
	Leaves     int64          `json:"leaves"`
	Origin     string         `json:"origin"` // how it came: the caller's word
	Owned      bool           `json:"owned"`  // else by reference
	Path       string         `json:"path,omitempty"`
	Visibility string         `json:"visibility"`
	Created    time.Time      `json:"created,omitzero"`
	Tickets    []TicketRecord `json:"tickets,omitempty"`
	Removed    time.Time      `json:"removed,omitzero"` // tombstone: kept for undo
}

// TicketRecord is the issuer's record of one ticket.
type TicketRecord struct {
	ID            string    `json:"id"`
	Text          string    `json:"text"` // the ticket: a secret
	Created       time.Time `json:"created,omitzero"`
	Expires       time.Time `json:"expires,omitzero"`
	MaxDownloads  int       `json:"max_downloads"` // 0: no limit
	Downloads     int       `json:"downloads"`
	Revoked       bool      `json:"revoked"`
	NoSwarm       bool      `json:"no_swarm"`
	UploadedBytes int64     `json:"uploaded_bytes"`
}

// entryForm is the sealed form of an entry.
type entryForm struct {
	Version int             `json:"v"`
	Entry   json.RawMessage `json:"entry"`
}

const entryVersion = 1

func (s *Store) entryOp(e Entry) (op, error) {
	if e.ID == "" || len(e.ID) > maxEntryID {
		return op{}, fmt.Errorf("write entry: id of %d bytes", len(e.ID))
	}
	b, err := json.Marshal(e)
	if err != nil {
		return op{}, fmt.Errorf("write entry: %w", err)
	}
	if len(b) > maxEntry {
		return op{}, fmt.Errorf("write entry: %w: %d bytes", block.ErrTooLarge, len(b))
	}
	key := entryKey(e.ID)
	sealed, err := s.keys.sealJSON(key, entryForm{Version: entryVersion, Entry: b})
	if err != nil {
		return op{}, fmt.Errorf("write entry: %w", err)
	}
	return op{key: key, val: sealed}, nil
}

func (s *Store) decodeEntry(key, sealed []byte) (e Entry, err error) {
	var f entryForm
	id := string(key[len(prefEntry):])
	if err := s.keys.openJSON(key, sealed, &f); err != nil {
		return e, fmt.Errorf("read entry %q: %w", id, err)
	}
	if f.Version != entryVersion {
		return e, fmt.Errorf("read entry %q: %w: entry version %d", id, ErrFormat, f.Version)
	}
	if err := json.Unmarshal(f.Entry, &e); err != nil || e.ID != id {
		return e, fmt.Errorf("read entry %q: %w", id, block.ErrCorrupt)
	}
	return e, nil
}

// Entry reads one entry. Errors: ErrNoEntry, block.ErrCorrupt, ErrFormat.
func (s *Store) Entry(id string) (Entry, error) {
	if id == "" || len(id) > maxEntryID {
		return Entry{}, fmt.Errorf("read entry: %w", ErrNoEntry)
	}
	key := entryKey(id)
	v, err := s.value(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		if err := s.index.Err(); err != nil {
			return Entry{}, fmt.Errorf("read entry %q: %w", id, err)
		}
		return Entry{}, fmt.Errorf("read entry %q: %w", id, ErrNoEntry)
	} else if err != nil {
		return Entry{}, fmt.Errorf("read entry %q: %w", id, err)
	}
	return s.decodeEntry(key, v)
}

// Entries yields all entries, removed ones too, in the order of their ids. A damaged one is an error, and the
// rest follows; a caller that needs all (GC's mark) must stop there.
func (s *Store) Entries() iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		if err := s.index.Err(); err != nil && !yield(Entry{}, fmt.Errorf("list entries: %w", err)) {
			return
		}
		after := []byte(prefEntry)
		for {
			page, err := s.page(prefEntry, after, 256, true)
			for _, kv := range page {
				if !yield(s.decodeEntry(kv.key, kv.val)) {
					return
				}
				after = append(kv.key, 0)
			}
			if err != nil {
				yield(Entry{}, fmt.Errorf("list entries: %w", err))
				return
			}
			if len(page) == 0 {
				return
			}
		}
	}
}

// UpdateEntry changes an entry under a lock and returns it synced. An error of change ends it without a write.
func (s *Store) UpdateEntry(id string, change func(*Entry) error) (Entry, error) {
	l := s.lockEntry(id)
	defer l.Unlock()
	e, err := s.Entry(id)
	if err != nil {
		return e, err
	}
	if err := change(&e); err != nil {
		return e, err
	}
	if e.ID != id {
		return e, fmt.Errorf("update entry %q: its id may not change", id)
	}
	s.sealing.RLock()
	defer s.sealing.RUnlock()
	o, err := s.entryOp(e)
	if err != nil {
		return e, err
	}
	if err := s.admitSmall(); err != nil {
		return e, fmt.Errorf("update entry %q: %w", id, err)
	}
	if err := s.writes.sync(context.Background(), nil, []op{o}); err != nil {
		return e, fmt.Errorf("update entry %q: %w", id, err)
	}
	return e, nil
}

// DeleteEntry removes an entry for good, synced. Its blocks become garbage. Deleting none succeeds.
func (s *Store) DeleteEntry(id string) error {
	if id == "" || len(id) > maxEntryID {
		return nil
	}
	l := s.lockEntry(id)
	defer l.Unlock()
	if err := s.admitSmall(); err != nil {
		return fmt.Errorf("delete entry %q: %w", id, err)
	}
	if err := s.writes.sync(context.Background(), nil, []op{{key: entryKey(id)}}); err != nil {
		return fmt.Errorf("delete entry %q: %w", id, err)
	}
	return nil
}

func (s *Store) lockEntry(id string) interface{ Unlock() } {
	m := &s.entryLocks[maphash.String(s.seed, id)%uint64(len(s.entryLocks))]
	m.Lock()
	return m
}
