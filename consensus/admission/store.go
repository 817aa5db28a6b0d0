package admission

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"cairn/consensus/membership"
)

// Record is something that must outlive the process. Data may say who is in the network, so it is kept sealed.
type Record struct {
	ID   string // at most 200 bytes of printable ASCII
	Data []byte // at most 64 KiB
}

// Store keeps records. Safe for concurrent use.
type Store interface {
	// Put writes all records or none, replacing those with the same ids, and returns when they are synced.
	Put(ctx context.Context, records []Record) error
	// Records returns all, in any order.
	Records() iter.Seq2[Record, error]
}

// Ids of records.
const (
	docPrefix        = "doc/"
	presencePrefix   = "presence/"
	redemptionPrefix = "redeemed/"
	floorID          = "floor"
)

// docID names the record of a document: a certificate takes the place of an older one of the same issuer for the same peer, so that daily
// renewals do not pile up.
func docID(d membership.Doc) string {
	if d.Kind() == membership.KindCertificate {
		return docPrefix + "certificate/" + d.Subject().String() + "/" + d.Signer().String()
	}
	id := d.ID()
	return docPrefix + hex.EncodeToString(id[:])
}

func floorRecord(t time.Time) Record {
	return Record{floorID, binary.BigEndian.AppendUint64(nil, uint64(max(t.Unix(), 0)))}
}

// loaded is what a store holds.
type loaded struct {
	docs      []membership.Doc
	presences [][]byte
	floor     time.Time
}

// load reads a store. What can not be read is an error: half of the revocations is worse than none of the network.
func load(st Store) (l loaded, err error) {
	for r, err := range st.Records() {
		if err != nil {
			return l, fmt.Errorf("read membership records: %w", err)
		}
		switch {
		case strings.HasPrefix(r.ID, docPrefix):
			d, err := membership.ParseDoc(r.Data)
			if err != nil {
				return l, fmt.Errorf("read membership record %s: %w", r.ID, err)
			}
			l.docs = append(l.docs, d)
		case strings.HasPrefix(r.ID, presencePrefix):
			l.presences = append(l.presences, r.Data)
		case r.ID == floorID && len(r.Data) == 8:
			l.floor = time.Unix(int64(binary.BigEndian.Uint64(r.Data)), 0)
		}
	}
	return l, nil
}

// Charter returns the charter that a store holds, for the book that a Service is made with; the zero Doc if there is none.
func Charter(st Store) (membership.Doc, error) {
	l, err := load(st)
	if err != nil {
		return membership.Doc{}, err
	}
	d, _ := charterOf(l.docs)
	return d, nil
}

func charterOf(docs []membership.Doc) (d membership.Doc, ok bool) {
	i := slices.IndexFunc(docs, func(d membership.Doc) bool { return d.Kind() == membership.KindCharter })
	if i < 0 {
		return d, false
	}
	return docs[i], true
}

// Records are what documents are kept as: who founds a network puts its first ones into the store of the Service that is made next.
func Records(docs ...membership.Doc) (out []Record) {
	for _, d := range docs {
		out = append(out, Record{docID(d), d.Bytes()})
	}
	return out
}

// keeper writes records in the background, many at a time. What could not be written is tried again until it is.
type keeper struct {
	store Store
	retry time.Duration

	mu      sync.Mutex
	pending []Record
	waiting []func(error)
	wake    chan struct{} // holds one
}

func newKeeper(st Store) *keeper {
	return &keeper{store: st, retry: time.Second, wake: make(chan struct{}, 1)}
}

// keep puts records into the queue; done, if not nil, is called once when they are synced or could not be written.
func (k *keeper) keep(records []Record, done func(error)) {
	k.mu.Lock()
	k.pending = append(k.pending, records...)
	if done != nil {
		k.waiting = append(k.waiting, done)
	}
	k.mu.Unlock()
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// wait keeps records and waits for that.
func (k *keeper) wait(ctx context.Context, records []Record) error {
	c := make(chan error, 1)
	k.keep(records, func(err error) { c <- err })
	select {
	case err := <-c:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run writes until ctx ends, and then what is left. failed is told of every error.
func (k *keeper) run(ctx context.Context, failed func(error)) {
	again := time.NewTimer(0)
	defer again.Stop()
	for ended := false; !ended; {
		select {
		case <-k.wake:
		case <-again.C:
		case <-ctx.Done():
			ended = true
		}
		if err := k.flush(context.WithoutCancel(ctx)); err != nil {
			failed(err)
			again.Reset(k.retry)
		}
	}
}

func (k *keeper) flush(ctx context.Context) error {
	k.mu.Lock()
	records, waiting := latest(k.pending), k.waiting
	k.pending, k.waiting = nil, nil
	k.mu.Unlock()
	var err error
	if len(records) > 0 {
		if err = k.store.Put(ctx, records); err != nil {
			k.mu.Lock()
			k.pending = append(records, k.pending...) // what came since is newer
			k.mu.Unlock()
		}
	}
	for _, f := range waiting {
		f(err)
	}
	return err
}

// latest keeps the last of the records with one id.
func latest(rs []Record) (out []Record) {
	at := map[string]int{}
	for _, r := range rs {
		if i, ok := at[r.ID]; ok {
			out[i] = r
			continue
		}
		at[r.ID] = len(out)
		out = append(out, r)
	}
	return out
}
