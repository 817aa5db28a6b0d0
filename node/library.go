package node

import (
	"cmp"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"cairn/storage"
	"cairn/swarm/ticket"
	"cairn/web/api"

	"github.com/ipfs/go-cid"
)

// undoFor is how long a removed entry can be restored; its blocks survive GC until then.
const undoFor = 10 * time.Minute

// library is what this peer's user put here, and the rights that the tickets of its entries give. The store is the
// truth; the whole of it is also held in memory (about 500 bytes an entry), because every list, search and proof
// of a ticket asks it.
type library struct {
	store *storage.Store
	hub   *hub
	now   func() time.Time
	swarm func() ticket.Ticket // a ticket with this peer's id and present addresses

	telling sync.Mutex // held while a change is announced, so that the last word about an entry is the newest; before mu

	mu sync.Mutex // also held while the store is written and synced

	// Changed with mu and this lock held, which is never held for long; read with either.
	idx     sync.RWMutex
	entries map[string]storage.Entry
	roots   map[cid.Cid][]string     // ids of the entries of an object
	tickets map[string]ticketRef     // by ticket id
	keys    map[ticket.KeyID]string  // ticket ids
	shown   map[ticket.KeyID]cid.Cid // objects of which an entry is or was visible to the network, by the key of its members

	usage   map[string]*usage // by ticket id
	changed chan struct{}     // closed and replaced at every change of a ticket or its usage
}

// ticketRef is what a ticket's text says, read once, and the entry that it belongs to.
type ticketRef struct {
	entry string
	key   ticket.Key // zero: the text is not a ticket, so nobody can use it
	id    ticket.KeyID
}

func newLibrary(s *storage.Store, h *hub, now func() time.Time, self func() ticket.Ticket) (*library, error) {
	l := &library{store: s, hub: h, now: now, swarm: self, entries: map[string]storage.Entry{},
		roots: map[cid.Cid][]string{}, tickets: map[string]ticketRef{}, keys: map[ticket.KeyID]string{}, shown: map[ticket.KeyID]cid.Cid{}, usage: map[string]*usage{},
		changed: make(chan struct{})}
	for e, err := range s.Entries() {
		if err != nil {
			return nil, fmt.Errorf("read library: %w", err)
		}
		l.index(e)
	}
	return l, nil
}

// newID returns 80 random bits as text.
func newID() string {
	var b [10]byte
	rand.Read(b[:])
	return strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
}

// index takes an entry as it is in the store into memory. What it has of it already it does not look at again: an
// entry's root and the text of a ticket never change. Callers hold mu, or own l.
func (l *library) index(e storage.Entry) {
	l.idx.Lock()
	defer l.idx.Unlock()
	if _, ok := l.entries[e.ID]; !ok {
		l.roots[e.Root] = append(l.roots[e.Root], e.ID)
	}
	l.entries[e.ID] = e
	if e.Visibility == visibleNetwork {
		l.shown[memberKey(e.Root).ID()] = e.Root
	}
	for _, t := range e.Tickets {
		if _, ok := l.tickets[t.ID]; ok {
			continue
		}
		r := ticketRef{entry: e.ID}
		if p, err := ticket.Parse(t.Text); err == nil {
			r.key = p.Key()
			r.id = r.key.ID()
			l.keys[r.id] = t.ID
		}
		l.tickets[t.ID] = r
	}
}

// forget takes an entry out of memory. Callers hold mu.
func (l *library) forget(e storage.Entry) {
	l.idx.Lock()
	defer l.idx.Unlock()
	delete(l.entries, e.ID)
	if ids := slices.DeleteFunc(l.roots[e.Root], func(id string) bool { return id == e.ID }); len(ids) > 0 {
		l.roots[e.Root] = ids
	} else {
		delete(l.roots, e.Root)
		delete(l.shown, memberKey(e.Root).ID())
	}
	for _, t := range e.Tickets {
		delete(l.keys, l.tickets[t.ID].id)
		delete(l.tickets, t.ID)
		delete(l.usage, t.ID)
	}
}

func (l *library) poke() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// added takes in an entry that was just committed.
func (l *library) added(e storage.Entry) api.Entry {
	l.mu.Lock()
	l.index(e)
	l.poke()
	l.mu.Unlock()
	l.announce(e.ID)
	return l.show(e)
}

// announce tells what an entry is now, or that it is gone. Callers do not hold mu: it looks at the user's files.
func (l *library) announce(id string) {
	l.telling.Lock()
	defer l.telling.Unlock()
	l.mu.Lock()
	e, ok := l.entries[id]
	v := l.view(e)
	l.mu.Unlock()
	if !ok || !e.Removed.IsZero() {
		l.hub.send(api.Event{Type: "entry_removed", EntryID: id})
		return
	}
	v.State, v.Path = pathState(e), ""
	l.hub.send(api.Event{Type: "entry", Entry: &v})
}

// change updates an entry, synced, and announces it.
func (l *library) change(id string, f func(*storage.Entry) error) (storage.Entry, error) {
	l.mu.Lock()
	e, err := l.changeLocked(id, f)
	l.mu.Unlock()
	if err == nil {
		l.announce(id)
	}
	return e, err
}

// changeLocked leaves the announcement to its callers, who hold mu.
func (l *library) changeLocked(id string, f func(*storage.Entry) error) (storage.Entry, error) {
	e, err := l.store.UpdateEntry(id, f)
	if err != nil {
		return e, err
	}
	l.index(e)
	l.poke()
	return e, nil
}

// find returns the entry that ref names: an id, an id's beginning of at least 4 characters, a CID (the newest
// entry of it), a ticket, or, with paths, the path that was shared or added.
func (l *library) find(ref string) (storage.Entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.findLocked(ref)
}

func (l *library) findLocked(ref string) (storage.Entry, error) {
	ref = strings.TrimSpace(ref)
	if e, ok := l.entries[ref]; ok && e.Removed.IsZero() {
		return e, nil
	}
	root := cid.Undef
	if c, err := cid.Decode(ref); err == nil {
		root = c
	} else if t, err := ticket.Parse(ref); err == nil {
		root = t.Root
	}
	var best storage.Entry
	hits := 0
	for _, e := range l.entries {
		if !e.Removed.IsZero() {
			continue
		}
		switch {
		case root.Defined() && e.Root.Equals(root), e.Path != "" && e.Path == ref:
			if best.ID == "" || e.Created.After(best.Created) {
				best, hits = e, 1
			}
		case !root.Defined() && len(ref) >= 4 && strings.HasPrefix(e.ID, ref):
			best, hits = e, hits+1
		}
	}
	switch {
	case hits == 1:
		return best, nil
	case hits > 1:
		return best, api.Errorf(api.CodeUsage, "%q fits %d entries", ref, hits).WithHint("give more of the id")
	}
	return best, api.Errorf(api.CodeNotFound, "nothing called %q in the library", ref).WithHint("`cairn ls` lists what is there")
}

// page lists entries, newest first.
func (l *library) page(q api.EntryQuery) api.EntryPage {
	p, shown := l.choose(q)
	for i, e := range shown {
		p.Entries[i].State = pathState(e)
	}
	return p
}

// choose is page without a look at the files.
func (l *library) choose(q api.EntryQuery) (api.EntryPage, []storage.Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := strings.ToLower(q.Text)
	var all []storage.Entry
	for _, e := range l.entries {
		if !e.Removed.IsZero() {
			continue
		}
		if text == "" || strings.Contains(strings.ToLower(e.Name), text) || strings.Contains(strings.ToLower(e.Path), text) ||
			strings.Contains(e.Root.String(), text) || strings.HasPrefix(e.ID, text) {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b storage.Entry) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.ID, b.ID))
	})
	p := api.EntryPage{Entries: []api.Entry{}, Total: len(all)}
	if q.Cursor != "" {
		i := slices.IndexFunc(all, func(e storage.Entry) bool { return e.ID == q.Cursor })
		all = all[i+1:] // a vanished cursor starts over
	}
	n := q.Limit
	if n <= 0 || n > 1000 {
		n = 100
	}
	if len(all) > n {
		p.Next = all[n-1].ID
		all = all[:n]
	}
	for _, e := range all {
		p.Entries = append(p.Entries, l.view(e))
	}
	return p, all
}

func (l *library) count() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.entries {
		if e.Removed.IsZero() {
			n++
		}
	}
	return n
}

// show is an entry as the API shows it. Callers do not hold mu: it looks at the user's files.
func (l *library) show(e storage.Entry) api.Entry {
	l.mu.Lock()
	v := l.view(e)
	l.mu.Unlock()
	v.State = pathState(e)
	return v
}

// view is show without a look at the files. Callers hold mu.
func (l *library) view(e storage.Entry) api.Entry {
	v := api.Entry{ID: e.ID, Name: e.Name, CID: e.Root.String(), Kind: e.Kind, Size: e.Size, Files: e.Files, Origin: e.Origin,
		Owned: e.Owned, Path: e.Path, Visibility: e.Visibility, Created: e.Created.UTC(), Tickets: []api.Ticket{}}
	for _, t := range e.Tickets {
		v.Tickets = append(v.Tickets, l.ticketView(e.ID, t))
	}
	return v
}

// pathState is a cheap look at the top of what an entry refers to; verify looks at everything.
func pathState(e storage.Entry) string {
	if e.Owned || e.Path == "" {
		return "ok"
	}
	fi, err := os.Stat(e.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "missing"
	case err != nil, e.Kind == "file" && fi.Size() != e.Size, (e.Kind == "directory") != fi.IsDir():
		return "changed"
	}
	return "ok"
}

// remove hides an entry; sweep forgets it after undoFor.
func (l *library) remove(ref string) (api.Entry, error) {
	e, err := l.find(ref)
	if err != nil {
		return api.Entry{}, err
	}
	now := l.now()
	e, err = l.change(e.ID, func(e *storage.Entry) error { e.Removed = now; return nil })
	if err != nil {
		return api.Entry{}, err
	}
	return l.show(e), nil
}

// restore undoes remove.
func (l *library) restore(id string) (api.Entry, error) {
	gone := api.Errorf(api.CodeNotFound, "no removed entry %q", id).
		WithHint("an entry can be restored for ten minutes after it was removed")
	l.mu.Lock()
	e, ok := l.entries[id]
	l.mu.Unlock()
	if !ok || e.Removed.IsZero() {
		return api.Entry{}, gone
	}
	e, err := l.change(id, func(e *storage.Entry) error {
		if e.Removed.IsZero() {
			return gone
		}
		e.Removed = time.Time{}
		return nil
	})
	if err != nil {
		return api.Entry{}, err
	}
	return l.show(e), nil
}

// sweep forgets entries removed longer than age ago.
func (l *library) sweep(age time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.entries {
		if !e.Removed.IsZero() && l.now().Sub(e.Removed) >= age {
			if err := l.store.DeleteEntry(e.ID); err != nil {
				return err
			}
			l.forget(e)
		}
	}
	return nil
}

// needed lists the objects that GC must keep, those that can still be restored included.
func (l *library) needed() (out []storage.Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.entries {
		out = append(out, e)
	}
	return out
}

// sizeOf is the size of an object in the library, -1 if it is not there.
func (l *library) sizeOf(root cid.Cid) int64 {
	l.idx.RLock()
	defer l.idx.RUnlock()
	for _, id := range l.roots[root] {
		return l.entries[id].Size
	}
	return -1
}

// lists tells whether an object has an entry that was not removed.
func (l *library) lists(root cid.Cid) bool {
	l.idx.RLock()
	defer l.idx.RUnlock()
	return slices.ContainsFunc(l.roots[root], func(id string) bool { return l.entries[id].Removed.IsZero() })
}

// same finds the entry that an import of the same object from the same place made before.
func (l *library) same(e storage.Entry) (storage.Entry, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range l.roots[e.Root] {
		x := l.entries[id]
		if x.Removed.IsZero() && x.Path == e.Path && x.Owned == e.Owned && x.Name == e.Name {
			return x, true
		}
	}
	return e, false
}
