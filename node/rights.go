package node

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"cairn/storage"
	"cairn/swarm/exchange"
	"cairn/swarm/ticket"
	"cairn/web/api"

	"github.com/ipfs/go-cid"
)

// defaultExpiry of a ticket.
const defaultExpiry = 24 * time.Hour

// usage is what a ticket's downloaders are doing now.
type usage struct {
	peers    int
	uploaded int64        // in this run, not yet in the record
	counted  []downloadID // downloads that are in the record, the last keptDownloads of this run, oldest first
}

// downloadID names one download of a getter, who says it to each of his sources and again after a lost answer. Zero:
// he said none.
type downloadID = [16]byte

// keptDownloads is how many of them are known of a ticket. They are forgotten with the process: the record says how
// often, not who.
const keptDownloads = 256

func (l *library) ticketView(entry string, t storage.TicketRecord) api.Ticket {
	v := api.Ticket{ID: t.ID, Text: t.Text, EntryID: entry, Created: t.Created.UTC(), MaxDownloads: t.MaxDownloads,
		Downloads: t.Downloads, UploadedBytes: t.UploadedBytes, State: l.ticketState(t)}
	if !t.Expires.IsZero() {
		x := t.Expires.UTC()
		v.Expires = &x
	}
	if u := l.usage[t.ID]; u != nil {
		v.Peers, v.UploadedBytes = u.peers, v.UploadedBytes+u.uploaded
	}
	return v
}

func (l *library) ticketState(t storage.TicketRecord) string {
	switch {
	case t.Revoked:
		return "revoked"
	case t.MaxDownloads > 0 && t.Downloads >= t.MaxDownloads:
		return "used"
	case !t.Expires.IsZero() && !l.now().Before(t.Expires):
		return "expired"
	}
	return "open"
}

// record finds a ticket by id. Callers hold mu or idx.
func (l *library) record(id string) (storage.Entry, storage.TicketRecord, error) {
	if e := l.entries[l.tickets[id].entry]; e.Removed.IsZero() {
		for _, t := range e.Tickets {
			if t.ID == id {
				return e, t, nil
			}
		}
	}
	return storage.Entry{}, storage.TicketRecord{}, api.Errorf(api.CodeNotFound, "no ticket %q", id)
}

// newTicket makes the record of a ticket for an object; the caller stores it with an entry.
func (l *library) newTicket(root cid.Cid, name string, size int64, o api.TicketOptions) (storage.TicketRecord, error) {
	now := l.now()
	d := time.Duration(o.ExpireSeconds) * time.Second
	if o.ExpireSeconds == 0 {
		d = defaultExpiry
	}
	if d < 0 || o.ExpireSeconds > 315360000 {
		return storage.TicketRecord{}, api.Errorf(api.CodeUsage, "a ticket can not last %v", d).WithHint("use at most 10 years")
	}
	t := l.swarm()
	t.Root, t.Name, t.Size, t.Secret = root, ticket.CleanName(name), size, ticket.NewSecret()
	t.Expires = now.Add(d).Truncate(time.Second)
	text, err := t.Encode()
	if err != nil {
		return storage.TicketRecord{}, fmt.Errorf("make ticket: %w", err)
	}
	return storage.TicketRecord{ID: newID(), Text: text, Created: now, Expires: t.Expires, MaxDownloads: o.Downloads,
		NoSwarm: o.NoSwarm || o.Downloads == 1}, nil
}

// issue adds a ticket to an entry.
func (l *library) issue(ref string, o api.TicketOptions) (api.Ticket, error) {
	e, err := l.find(ref)
	if err != nil {
		return api.Ticket{}, err
	}
	rec, err := l.newTicket(e.Root, e.Name, e.Size, o)
	if err != nil {
		return api.Ticket{}, err
	}
	e, err = l.change(e.ID, func(e *storage.Entry) error { e.Tickets = append(e.Tickets, rec); return nil })
	if err != nil {
		return api.Ticket{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ticketView(e.ID, rec), nil
}

// revoke ends the tickets that ref names: one by its id or text, or all of an entry.
func (l *library) revoke(ref string) ([]api.Ticket, error) {
	entry, out, err := l.end(ref)
	if entry != "" {
		l.announce(entry)
	}
	return out, err
}

// end is revoke without the announcement of the entry, "" if none was changed.
func (l *library) end(ref string) (entry string, out []api.Ticket, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var id string
	e, rec, err := l.record(strings.TrimSpace(ref))
	if err == nil {
		id = rec.ID
	} else if t, perr := ticket.Parse(ref); perr == nil {
		if id = l.keys[t.Key().ID()]; id == "" {
			return "", nil, api.Errorf(api.CodeNotFound, "this peer did not issue that ticket")
		}
		e = l.entries[l.tickets[id].entry]
	} else if e, err = l.findLocked(ref); err != nil {
		return "", nil, err
	}
	ended := map[string]bool{}
	e, err = l.changeLocked(e.ID, func(e *storage.Entry) error {
		for i := range e.Tickets {
			t := &e.Tickets[i]
			if (id == "" || t.ID == id) && !t.Revoked {
				t.Revoked = true
				ended[t.ID] = true
			}
		}
		return nil
	})
	if err != nil {
		return "", nil, err
	}
	for _, t := range e.Tickets {
		if ended[t.ID] {
			out = append(out, l.ticketView(e.ID, t))
		}
	}
	if len(out) == 0 {
		return e.ID, nil, api.Errorf(api.CodeNotFound, "%q has no open ticket", ref)
	}
	return e.ID, out, nil
}

// Lookup implements exchange.Rights. It waits for no write to the store.
func (l *library) Lookup(id ticket.KeyID) (exchange.Grant, bool) {
	l.idx.RLock()
	defer l.idx.RUnlock()
	e, t, err := l.record(l.keys[id])
	if err != nil {
		return exchange.Grant{}, false
	}
	g := exchange.Grant{Key: l.tickets[t.ID].key, Root: e.Root, Size: e.Size, NoSwarm: t.NoSwarm, Ref: t.ID}
	switch l.ticketState(t) {
	case "expired":
		g.State = exchange.ErrExpired
	case "used":
		g.State = exchange.ErrUsedUp
	case "revoked":
		g.State = exchange.ErrRevoked
	}
	return g, true
}

// joined and left keep the number of downloaders of a ticket.
func (l *library) joined(ticketID string) { l.use(ticketID, func(u *usage) { u.peers++ }) }

// left also moves the uploaded bytes into the record.
func (l *library) left(ticketID string) {
	l.use(ticketID, func(u *usage) { u.peers-- })
	if id := l.settle(ticketID); id != "" {
		l.announce(id)
	}
}

// settle returns the entry that it changed, "" if none.
func (l *library) settle(ticketID string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, _, err := l.record(ticketID)
	u := l.usage[ticketID]
	if err != nil || u == nil || u.uploaded == 0 {
		return ""
	}
	n := u.uploaded
	if _, err := l.changeLocked(e.ID, onTicket(ticketID, func(t *storage.TicketRecord) { t.UploadedBytes += n })); err != nil {
		return ""
	}
	u.uploaded -= n
	return e.ID
}

// onTicket is a change of one ticket of an entry.
func onTicket(id string, f func(*storage.TicketRecord)) func(*storage.Entry) error {
	return func(e *storage.Entry) error {
		for i := range e.Tickets {
			if e.Tickets[i].ID == id {
				f(&e.Tickets[i])
			}
		}
		return nil
	}
}

func (l *library) uploaded(ticketID string, n int64) {
	l.use(ticketID, func(u *usage) { u.uploaded += n })
}

// use changes what is known of a ticket's use; of what is no ticket of ours, or is none any more, nothing is kept.
func (l *library) use(id string, f func(*usage)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.tickets[id]; !ok {
		return
	}
	f(l.usageOf(id))
	l.poke()
}

// usageOf: callers hold mu.
func (l *library) usageOf(id string) *usage {
	u := l.usage[id]
	if u == nil {
		u = &usage{}
		l.usage[id] = u
	}
	return u
}

// downloaded counts one complete download, synced before it returns. One that was counted is not counted again.
func (l *library) downloaded(ticketID string, download downloadID) error {
	entry, err := l.tally(ticketID, download)
	if entry != "" {
		l.announce(entry)
	}
	return err
}

// tally returns the entry that it changed, "" if none.
func (l *library) tally(ticketID string, download downloadID) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, _, err := l.record(ticketID)
	if err != nil {
		return "", err
	}
	u := l.usageOf(ticketID)
	if download != (downloadID{}) && slices.Contains(u.counted, download) {
		return "", nil
	}
	if _, err = l.changeLocked(e.ID, onTicket(ticketID, func(t *storage.TicketRecord) { t.Downloads++ })); err != nil {
		return "", err
	}
	if download != (downloadID{}) {
		if len(u.counted) == keptDownloads {
			u.counted = slices.Delete(u.counted, 0, 1)
		}
		u.counted = append(u.counted, download)
	}
	return e.ID, nil
}

// state returns a ticket as it is now and a channel that is closed at the next change.
func (l *library) state(ticketID string) (api.Ticket, <-chan struct{}, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, t, err := l.record(ticketID)
	if err != nil {
		return api.Ticket{}, nil, err
	}
	return l.ticketView(e.ID, t), l.changed, nil
}

// watchEvery bounds how often a watcher hears of progress.
const watchEvery = 250 * time.Millisecond

// watch yields a ticket at every change until it ends; stop is closed when the peer hands its home over.
func (l *library) watch(ctx context.Context, ticketID string, stop <-chan struct{}, yield func(api.ShareUpdate, error) bool) {
	for {
		t, changed, err := l.state(ticketID)
		if err != nil {
			yield(api.ShareUpdate{}, err)
			return
		}
		u := api.ShareUpdate{Ticket: t}
		if t.State != "open" && t.Peers == 0 {
			u.Reason = t.State
		}
		if !yield(u, nil) || u.Reason != "" {
			return
		}
		expiry := time.NewTimer(time.Hour) // a wake-up without news is harmless
		if t.Expires != nil {
			expiry.Reset(max(t.Expires.Sub(l.now()), watchEvery))
		}
		select {
		case <-changed:
			expiry.Stop()
		case <-expiry.C:
		case <-stop:
			yield(api.ShareUpdate{Ticket: t, Reason: "handover"}, nil)
			return
		case <-ctx.Done():
			return
		}
		pause := time.NewTimer(watchEvery)
		select {
		case <-pause.C:
		case <-stop:
		case <-ctx.Done():
		}
		pause.Stop()
	}
}

// nameOf is the name of the entry that a ticket belongs to.
func (l *library) nameOf(ticketID string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, _, err := l.record(ticketID)
	if err != nil {
		return ""
	}
	return e.Name
}
