package admission

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"cairn/consensus/admission/pb"
	"cairn/consensus/membership"
)

// shortID is how much of a document's id is told in Have.
const shortID = 16

// haveFrames names all documents of the book.
func (s *Service) haveFrames() (out []*pb.Frame) {
	var ids []byte
	for _, d := range s.cfg.Book.Docs() {
		id := d.ID()
		ids = append(ids, id[:shortID]...)
	}
	const most = chunkSize / shortID * shortID
	for part := range slices.Chunk(ids, most) {
		out = append(out, &pb.Frame{Body: &pb.Frame_Have{Have: &pb.Have{Ids: part}}})
	}
	out[len(out)-1].GetHave().Last = true // a book has a charter, so there is one
	return out
}

// have takes a part of what the other side has, and answers the last one with what it has not.
func (l *link) have(m *pb.Have) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(m.GetIds()) == 0 || len(m.GetIds())%shortID != 0 || len(l.theirs) > membership.MaxDocs {
		return fmt.Errorf("%w: a list of documents that is not right", ErrProtocol)
	}
	if l.theirs == nil {
		l.theirs = map[[shortID]byte]struct{}{}
	}
	for id := range slices.Chunk(m.GetIds(), shortID) {
		l.theirs[[shortID]byte(id)] = struct{}{}
	}
	if !m.GetLast() {
		return nil
	}
	var missing []membership.Doc
	for _, d := range l.s.cfg.Book.Docs() {
		id := d.ID()
		if _, ok := l.theirs[[shortID]byte(id[:shortID])]; !ok {
			missing = append(missing, d)
		}
	}
	l.theirs = nil
	if len(missing) > 0 {
		l.push(documentFrames(raws(missing), 0))
	}
	return nil
}

// takeRaw reads documents that came over a link (nil: from this peer) and takes them; known ones cost nothing.
func (s *Service) takeRaw(raw [][]byte, from *link) (added []membership.Doc, fresh []Record, err error) {
	var docs []membership.Doc
	for _, b := range raw {
		id := membership.DocID(sha256.Sum256(b))
		s.mu.Lock()
		_, ok := s.known[id]
		s.mu.Unlock()
		if ok {
			continue
		}
		d, err := membership.ParseDoc(b)
		if errors.Is(err, membership.ErrNewer) {
			continue // of a kind that this version does not know
		} else if err != nil {
			return nil, nil, fmt.Errorf("%w: %w", ErrProtocol, err)
		}
		docs = append(docs, d)
	}
	added, fresh = s.take(docs, from)
	return added, fresh, nil
}

// take merges documents, makes them effective and tells the others, in this order; fresh is what has to be kept then.
func (s *Service) take(docs []membership.Doc, from *link) (added []membership.Doc, fresh []Record) {
	if docs = s.timely(docs); len(docs) == 0 {
		return nil, nil
	}
	added, err := s.cfg.Book.Merge(docs...)
	if err != nil {
		s.cfg.Log.Debug("documents left out", "err", err)
	}
	if len(added) == 0 {
		return nil, nil
	}
	s.know(added)
	if s.raise(floorOf(added)) {
		fresh = append(fresh, floorRecord(time.Unix(s.floor.Load(), 0)))
	}
	if cuts(added) {
		s.cutOff()
	}
	s.push(added, from, 0)
	s.changed()
	return added, append(fresh, Records(added...)...)
}

// cuts tells whether documents can end a membership.
func cuts(docs []membership.Doc) bool {
	return slices.ContainsFunc(docs, func(d membership.Doc) bool {
		switch d.Kind() {
		case membership.KindRevocation, membership.KindAdmission, membership.KindSettlement, membership.KindDelegation:
			return true
		}
		return false
	})
}

// timely leaves out documents from the future, which would carry the time floor along; but never revocations. A peer whose clock is
// evidently wrong, because it is a day before what was signed already, can not tell what is from the future: it takes certificates, whose
// signers could do worse.
func (s *Service) timely(docs []membership.Doc) []membership.Doc {
	now, floor := s.cfg.Now(), time.Unix(s.floor.Load(), 0)
	lost := now.Add(membership.MaxSkew).Before(floor)
	limit := later(now.Add(membership.MaxSkew), floor)
	return slices.DeleteFunc(slices.Clone(docs), func(d membership.Doc) bool { // they may be somebody's record
		if !d.Issued().After(limit) || d.Kind() == membership.KindRevocation || lost && d.Kind() == membership.KindCertificate {
			return false
		}
		s.cfg.Log.Warn("a document from the future was left out", "about", d.Subject().String(), "issued", d.Issued().Format(time.RFC3339))
		return true
	})
}

// floorOf is when the newest of documents was issued, revocations left out: anybody may sign that he leaves in a hundred years.
func floorOf(docs []membership.Doc) (t time.Time) {
	for _, d := range docs {
		if d.Kind() != membership.KindRevocation {
			t = later(t, d.Issued())
		}
	}
	return t
}

// know notes documents that need not be looked at again. Those that newer ones have replaced are forgotten now and then.
func (s *Service) know(docs []membership.Doc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) > 2*membership.MaxDocs {
		clear(s.known)
		for _, d := range s.cfg.Book.Docs() {
			s.known[d.ID()] = struct{}{}
		}
	}
	for _, d := range docs {
		s.known[d.ID()] = struct{}{}
	}
}

// push sends documents to everybody admitted but to whom they came from.
func (s *Service) push(docs []membership.Doc, from *link, seq uint64) (to []peer.ID) {
	frames := documentFrames(raws(docs), seq)
	for _, l := range s.allLinks() {
		if l != from {
			l.send(frames...)
			if l.isAdmitted() && !slices.Contains(to, l.peer) {
				to = append(to, l.peer)
			}
		}
	}
	return to
}

// waiter counts confirmations.
type waiter struct {
	want map[peer.ID]bool // false: not yet
	left int
	done chan struct{}
}

func (s *Service) acked(seq uint64, by peer.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.acks[seq]
	if w == nil {
		return
	}
	if ok, wanted := w.want[by]; wanted && !ok {
		w.want[by] = true
		if w.left--; w.left == 0 {
			close(w.done)
		}
	}
}
