package admission

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"cairn/consensus/admission/pb"
	"cairn/consensus/membership"
)

// Redemptions is the record of who has taken which invite: it fixes the winner when several want the same.
type Redemptions interface {
	// Redeem returns what was recorded for the subject of a join under its invite (the join's signer). If that is nothing, it records what
	// admit returns, and returns when that is synced. admit is called at most once, and no other redemption of the same invite happens
	// meanwhile; its errors are returned as they are, and nothing is recorded then. Safe for concurrent use.
	Redeem(ctx context.Context, join membership.Doc, admit func() ([]membership.Doc, error)) ([]membership.Doc, error)
}

// redemptions is the record of one member alone. How often an invite may be used is decided by admit, from the documents that are known;
// after a start those of the record are among them.
type redemptions struct {
	store Store

	mu   sync.Mutex // held while an admission is written: two at a time would not know of each other
	done map[string][]membership.Doc
}

// newRedemptions reads the record.
func newRedemptions(st Store) (*redemptions, error) {
	r := &redemptions{store: st, done: map[string][]membership.Doc{}}
	for rec, err := range st.Records() {
		if err != nil {
			return nil, fmt.Errorf("read redemptions: %w", err)
		}
		if !strings.HasPrefix(rec.ID, redemptionPrefix) {
			continue
		}
		var m pb.Documents
		if err := proto.Unmarshal(rec.Data, &m); err != nil {
			return nil, fmt.Errorf("read redemption %s: %w", rec.ID, err)
		}
		docs, err := parseDocs(m.GetDocs())
		if err != nil {
			return nil, fmt.Errorf("read redemption %s: %w", rec.ID, err)
		}
		r.done[rec.ID] = docs
	}
	return r, nil
}

func redemptionID(invite, joiner peer.ID) string {
	return redemptionPrefix + invite.String() + "/" + joiner.String()
}

// docs are all that were recorded.
func (r *redemptions) docs() (all []membership.Doc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range r.done {
		all = append(all, d...)
	}
	return all
}

func (r *redemptions) Redeem(ctx context.Context, join membership.Doc, admit func() ([]membership.Doc, error)) ([]membership.Doc, error) {
	id := redemptionID(join.Signer(), join.Subject())
	r.mu.Lock()
	defer r.mu.Unlock()
	if docs, ok := r.done[id]; ok {
		return docs, nil
	}
	docs, err := admit()
	if err != nil {
		return nil, err
	}
	b, err := proto.Marshal(&pb.Documents{Docs: raws(docs)})
	if err != nil {
		return nil, fmt.Errorf("record redemption: %w", err)
	}
	if err := r.store.Put(ctx, []Record{{id, b}}); err != nil {
		return nil, fmt.Errorf("record redemption: %w", err)
	}
	r.done[id] = docs
	return docs, nil
}
