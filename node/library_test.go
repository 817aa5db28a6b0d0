package node

import (
	"crypto/rand"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"cairn/storage"
	"cairn/storage/block"
	"cairn/swarm/ticket"
	"cairn/web/api"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
)

// TestDownloadsCount: what a getter says twice counts once, what has no name counts always.
func TestDownloadsCount(t *testing.T) {
	a, _ := start(t, t.TempDir())
	src := filepath.Join(t.TempDir(), "f")
	write(t, src, 100)
	id := share(t, a, api.TicketOptions{}, src).Ticket.ID
	name := func(n int) (d downloadID) { d[0], d[1] = byte(n), byte(n>>8); return d }
	count := func(d downloadID) int {
		t.Helper()
		if err := a.lib.downloaded(id, d); err != nil {
			t.Fatal(err)
		}
		got, err := a.Ticket(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return got.Downloads
	}
	for i, x := range []struct{ id, want int }{{0, 1}, {0, 2}, {1, 3}, {1, 3}, {2, 4}, {1, 4}} {
		if n := count(name(x.id)); n != x.want {
			t.Errorf("step %d: counted %d, want %d", i, n, x.want)
		}
	}
	for i := range keptDownloads {
		count(name(1000 + i))
	}
	if n := count(name(1000)); n != 4+keptDownloads {
		t.Errorf("the oldest one kept: %d", n)
	}
	if n := count(name(1)); n != 5+keptDownloads {
		t.Errorf("one forgotten: %d", n)
	}
}

// TestLibraryIndex follows one object through all that changes what is known of it.
func TestLibraryIndex(t *testing.T) {
	home := t.TempDir()
	a, stop := start(t, home)
	src := filepath.Join(t.TempDir(), "f")
	write(t, src, 100)
	r := share(t, a, api.TicketOptions{}, src)
	second, err := a.Issue(t.Context(), r.Entry.ID, api.TicketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	known := func(n *Node) (c int) {
		for _, text := range []string{r.Ticket.Text, second.Text} {
			p, err := ticket.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			if g, ok := n.lib.Lookup(p.Key().ID()); ok && g.Key == p.Key() && g.Root.String() == r.Entry.CID && g.Size == 100 {
				c++
			}
		}
		return c
	}
	if n := known(a); n != 2 {
		t.Errorf("%d tickets are known", n)
	}
	stop()
	a, _ = start(t, home)
	if n := known(a); n != 2 {
		t.Errorf("%d tickets are known after a restart", n)
	}
	if _, err := a.Remove(t.Context(), r.Entry.ID); err != nil {
		t.Fatal(err)
	}
	if n := known(a); n != 0 {
		t.Errorf("%d tickets of a removed entry are known", n)
	}
	if _, err := a.Restore(t.Context(), r.Entry.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Restore(t.Context(), r.Entry.ID); code(t, err) != api.CodeNotFound {
		t.Errorf("restored twice: %v", err)
	}
	if n := known(a); n != 2 {
		t.Errorf("%d tickets of a restored entry are known", n)
	}
	if _, err := a.Remove(t.Context(), r.Entry.ID); err != nil {
		t.Fatal(err)
	}
	if err := a.lib.sweep(0); err != nil {
		t.Fatal(err)
	}
	l := a.lib
	if len(l.entries)+len(l.roots)+len(l.tickets)+len(l.keys)+len(l.usage) != 0 {
		t.Errorf("something of a forgotten entry is left: %d %d %d %d %d", len(l.entries), len(l.roots), len(l.tickets), len(l.keys), len(l.usage))
	}
}

// TestLookupDoesNotWait: a right is looked up while an entry is being written.
func TestLookupDoesNotWait(t *testing.T) {
	a, _ := start(t, t.TempDir())
	src := filepath.Join(t.TempDir(), "f")
	write(t, src, 100)
	r := share(t, a, api.TicketOptions{}, src)
	_, err := a.lib.change(r.Entry.ID, func(*storage.Entry) error {
		found := make(chan bool)
		go func() {
			_, ok := a.swarms.Lookup(keyOf(t, r.Ticket.Text))
			found <- ok
		}()
		select {
		case ok := <-found:
			if !ok {
				t.Error("not found")
			}
		case <-time.After(10 * time.Second):
			t.Error("it waits for the store")
			go func() { <-found }()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// large is a library of n entries with two tickets each, in memory only, and the id of a ticket in the middle.
func large(b *testing.B, n int) (l *library, key ticket.KeyID, entry storage.Entry) {
	b.Helper()
	_, pub, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	self, err := peer.IDFromPublicKey(pub)
	if err != nil {
		b.Fatal(err)
	}
	l = &library{now: time.Now, entries: map[string]storage.Entry{}, roots: map[cid.Cid][]string{}, tickets: map[string]ticketRef{},
		keys: map[ticket.KeyID]string{}, usage: map[string]*usage{}, changed: make(chan struct{})}
	for i := range n {
		name := fmt.Sprint(i)
		e := storage.Entry{ID: newID(), Name: name, Root: block.Sum(cid.Raw, []byte(name)), Size: 1, Created: time.Now()}
		for range 2 {
			t := ticket.Ticket{Root: e.Root, Name: name, Size: 1, Peer: self, Secret: ticket.NewSecret()}
			if i == n/2 {
				key = t.Key().ID()
			}
			text, err := t.Encode()
			if err != nil {
				b.Fatal(err)
			}
			e.Tickets = append(e.Tickets, storage.TicketRecord{ID: newID(), Text: text})
		}
		if i == n/2 {
			entry = e
		}
		l.index(e)
	}
	return l, key, entry
}

// BenchmarkLibrary: what every proof and every leaf asks must not depend on how much is shared.
func BenchmarkLibrary(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		l, key, e := large(b, n)
		id := e.Tickets[1].ID
		run := func(what string, f func()) {
			b.Run(fmt.Sprintf("%s/entries=%d", what, n), func(b *testing.B) {
				for b.Loop() {
					f()
				}
			})
		}
		run("lookup", func() {
			if _, ok := l.Lookup(key); !ok {
				b.Fatal("not found")
			}
		})
		run("uploaded", func() { l.uploaded(id, 1) })
		run("state", func() {
			if _, _, err := l.state(id); err != nil {
				b.Fatal(err)
			}
		})
		run("index", func() { l.index(e) })
		run("size", func() { l.sizeOf(e.Root) })
	}
}
