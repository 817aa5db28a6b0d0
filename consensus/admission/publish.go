package admission

import (
	"context"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"cairn/consensus/membership"
)

// Publish merges documents that this peer or its root has signed, makes them effective, tells everybody connected, and returns when they are
// synced here. told is how many members have confirmed within 5 s that they have kept them too. An error says that a document does not count
// or is not kept; it may have been told all the same.
func (s *Service) Publish(ctx context.Context, docs ...membership.Doc) (told int, err error) {
	added, err := s.cfg.Book.Merge(docs...)
	if len(added) == 0 { // known already, but perhaps not kept yet
		if kerr := s.keep(ctx, nil); kerr != nil {
			return 0, fmt.Errorf("keep documents: %w", kerr)
		}
		return 0, err
	}
	s.know(added)
	s.raise(floorOf(added))
	seq, w := s.expectAcks()
	defer func() {
		s.mu.Lock()
		delete(s.acks, seq)
		s.mu.Unlock()
	}()
	if cuts(added) {
		s.cutOff()
	}
	s.push(added, nil, seq)
	s.changed()
	if kerr := s.keep(ctx, append(Records(added...), floorRecord(time.Unix(s.floor.Load(), 0)))); kerr != nil {
		return 0, fmt.Errorf("keep documents: %w", kerr)
	}
	late := time.NewTimer(s.t.confirm)
	defer late.Stop()
	select {
	case <-w.done:
	case <-late.C:
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ok := range w.want {
		if ok {
			told++
		}
	}
	return told, err
}

// keep writes records and returns when they are synced.
func (s *Service) keep(ctx context.Context, records []Record) error {
	if s.life.Load() == nil { // nobody runs the keeper yet
		return s.cfg.Store.Put(ctx, records)
	}
	return s.keeper.wait(ctx, records)
}

// expectAcks makes a number that everybody connected shall confirm.
func (s *Service) expectAcks() (uint64, *waiter) {
	w := &waiter{want: map[peer.ID]bool{}, done: make(chan struct{})}
	now := s.time()
	for _, l := range s.allLinks() {
		if _, twice := w.want[l.peer]; !twice && l.isAdmitted() && s.cfg.Book.Peer(l.peer, now).State == membership.StateValid {
			w.want[l.peer] = false
			w.left++
		}
	}
	if w.left == 0 {
		close(w.done)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastSeq++
	s.acks[s.lastSeq] = w
	return s.lastSeq, w
}

// Leave signs that this peer leaves its network for good, and tells it; told is as of Publish. Its connections end then.
func (s *Service) Leave(ctx context.Context, reason string) (told int, err error) {
	doc, err := membership.Revoke(s.cfg.Identity, s.network, s.self, reason, s.time())
	if err != nil {
		return 0, fmt.Errorf("leave: %w", err)
	}
	s.leaving.Store(true)
	told, err = s.Publish(ctx, doc)
	s.leaving.Store(false)
	s.cutOff()
	return told, err
}
