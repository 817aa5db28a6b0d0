package node

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"cairn/storage"
	"cairn/storage/block"
	"cairn/storage/dag"
	"cairn/swarm/ticket"
	"cairn/web/api"

	"github.com/dustin/go-humanize"
	"github.com/ipfs/go-cid"
)

// Share imports paths and issues a ticket for what they hold.
func (n *Node) Share(ctx context.Context, r api.ShareRequest, s api.Sink) (api.ShareResult, error) {
	name := ""
	if len(r.Paths) == 1 {
		name = filepath.Base(r.Paths[0])
	} else {
		name = fmt.Sprintf("%d items", len(r.Paths))
	}
	if _, err := n.lib.newTicket(emptyRoot(), name, 0, r.TicketOptions); err != nil {
		return api.ShareResult{}, explain(err) // before the long work, not after
	}
	in := n.seat()
	visible, err := n.visibility(r.Visibility, "")
	if err != nil {
		return api.ShareResult{}, explained(err)
	}
	e, err := n.importPaths(ctx, imported{paths: r.Paths, name: name, origin: "share", copied: r.Copy, preserve: r.Preserve,
		visibility: visible, seat: in, ticket: &r.TicketOptions}, s)
	if err != nil {
		return api.ShareResult{}, explain(err)
	}
	return api.ShareResult{Entry: e, Ticket: e.Tickets[len(e.Tickets)-1]}, nil
}

// Add imports a path.
func (n *Node) Add(ctx context.Context, r api.AddRequest, s api.Sink) (api.AddResult, error) {
	in := n.seat()
	visible, err := n.visibility(r.Visibility, visibleNetwork)
	if err != nil {
		return api.AddResult{}, explained(err)
	}
	if _, why := n.mayShow(); why != nil && n.seat() != nil && r.Visibility == "" && s != nil {
		s.Warn(api.Warning{Message: "it is not shown to the network: " + explain(why).Message})
	}
	e, err := n.importPaths(ctx, imported{paths: []string{r.Path}, name: filepath.Base(r.Path), origin: "add", copied: r.Copy,
		preserve: r.Preserve, visibility: visible, seat: in}, s)
	return api.AddResult{Entry: e}, explained(err)
}

// imported is what becomes an entry.
type imported struct {
	paths            []string
	name, origin     string
	copied, preserve bool
	visibility       string             // "": as it is, or private
	seat             *seat              // in the network to which it is shown, if it is
	ticket           *api.TicketOptions // nil: none
}

// importPaths makes an entry of paths, with a ticket if one is asked for, both durable when it returns. Sharing or
// adding again what is there already adds to its entry.
func (n *Node) importPaths(ctx context.Context, in imported, s api.Sink) (api.Entry, error) {
	paths := in.paths
	for _, p := range paths {
		if !filepath.IsAbs(p) {
			return api.Entry{}, api.Errorf(api.CodeUsage, "%s is not an absolute path", p)
		}
	}
	var total int64
	if len(paths) == 1 {
		if fi, err := os.Stat(paths[0]); err == nil && fi.Mode().IsRegular() {
			total = fi.Size()
		}
	}
	if in.copied {
		if err := n.room(paths); err != nil {
			return api.Entry{}, err
		}
	}
	path := ""
	if len(paths) == 1 {
		path = filepath.Clean(paths[0])
	}
	w := n.store.NewWriter(ctx, storage.WriterOptions{Copy: in.copied})
	defer w.Close()
	return n.importing(ctx, in.name, total, s, func(ctx context.Context, o dag.Options) (api.Entry, error) {
		o.Preserve = in.preserve
		sum, err := dag.ImportPaths(ctx, paths, o, w)
		if err != nil {
			return api.Entry{}, err
		}
		if in.visibility == visibleNetwork && n.seat() != in.seat { // not the network that it was meant for
			in.visibility = visibleNobody
		}
		e := storage.Entry{Name: in.name, Origin: in.origin, Owned: in.copied, Path: path, Visibility: in.visibility}
		return n.commit(ctx, w, e, sum, in.ticket)
	})
}

// room refuses a copy that would not fit, before its first byte. What is there twice counts twice, so a copy of
// much that the store has already may be refused near the end of a disk.
func (n *Node) room(paths []string) error {
	var need int64
	for _, p := range paths {
		err := filepath.WalkDir(p, func(_ string, d fs.DirEntry, err error) error {
			if err != nil {
				return nil // the import names it
			}
			if fi, err := d.Info(); err == nil && fi.Mode().IsRegular() {
				need += fi.Size()
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return n.fits(need)
}

// fits compares bytes to come with what the disk can take above the reserve.
func (n *Node) fits(need int64) error {
	st := n.store.Stats()
	if st.Free >= 0 && need > max(st.Free-st.Reserve, 0) {
		return api.Errorf(api.CodeNoSpace, "%s do not fit: %s are free, and %s of them are kept free",
			humanize.IBytes(uint64(need)), humanize.IBytes(uint64(st.Free)), humanize.IBytes(uint64(st.Reserve))).
			WithHint("free some space, run `cairn gc`, or leave --copy out to refer to the files where they are")
	}
	return nil
}

// importing runs f as a transfer of direction "import".
func (n *Node) importing(ctx context.Context, name string, total int64, s api.Sink, f func(context.Context, dag.Options) (api.Entry, error)) (api.Entry, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	row := n.transfers.start(api.Transfer{Direction: "import", Name: name, Total: total}, cancel)
	p := newPace(n.now, s, "reading")
	o := dag.Options{
		Progress: func(bytes, files int64) {
			n.transfers.update(row, func(t *api.Transfer) { t.Done, t.Files = bytes, files })
			p.tell(bytes, max(total, 0), files, "")
		},
		Warn: func(text string) {
			if s != nil {
				s.Warn(api.Warning{Message: text})
			}
		},
	}
	e, err := f(ctx, o)
	if err == nil {
		n.transfers.update(row, func(t *api.Transfer) { t.Done, t.Total, t.Files, t.CID = e.Size, e.Size, e.Files, e.CID })
	}
	n.transfers.end(row, err)
	return e, err
}

// commit makes the entry of a finished import durable. Without a word about its visibility that stays as it was.
func (n *Node) commit(ctx context.Context, w *storage.Writer, e storage.Entry, sum dag.Summary, t *api.TicketOptions) (api.Entry, error) {
	e.Root, e.Kind, e.Size, e.Files, e.Leaves = sum.Root, sum.Kind.String(), sum.Size, sum.Files, sum.Leaves
	hides := false
	if old, ok := n.lib.same(e); ok {
		hides = old.Visibility == visibleNetwork && e.Visibility == visibleNobody
		old.Visibility = cmp.Or(e.Visibility, old.Visibility)
		e = old
	} else {
		e.ID, e.Created, e.Visibility = newID(), n.now(), cmp.Or(e.Visibility, visibleNobody)
	}
	if t != nil {
		rec, err := n.lib.newTicket(e.Root, e.Name, e.Size, *t)
		if err != nil {
			return api.Entry{}, err
		}
		e.Tickets = append(e.Tickets[:len(e.Tickets):len(e.Tickets)], rec)
	}
	if err := w.Commit(ctx, e); err != nil {
		return api.Entry{}, err
	}
	out := n.lib.added(e)
	if hides {
		n.hidden(e.Root)
	}
	return out, nil
}

// Upload takes a file from the browser into owned storage. size is -1 when the browser did not say.
func (n *Node) Upload(ctx context.Context, name string, size int64, r io.Reader) (api.AddResult, error) {
	name = ticket.CleanName(name)
	if name == "" {
		name = "upload"
	}
	if err := n.fits(max(size, 0)); err != nil {
		return api.AddResult{}, explained(err)
	}
	w := n.store.NewWriter(ctx, storage.WriterOptions{Copy: true})
	defer w.Close()
	e, err := n.importing(ctx, name, size, nil, func(ctx context.Context, o dag.Options) (api.Entry, error) {
		sum, err := dag.ImportReader(ctx, r, o, w)
		if err != nil {
			return api.Entry{}, err
		}
		if size >= 0 && sum.Size != size {
			return api.Entry{}, api.Errorf(api.CodeCancelled, "the upload ended after %d of %d bytes", sum.Size, size).WithHint("try again")
		}
		return n.commit(ctx, w, storage.Entry{Name: name, Origin: "upload", Owned: true}, sum, nil)
	})
	return api.AddResult{Entry: e}, explained(err)
}

// ImportCAR takes a CAR file into owned storage.
func (n *Node) ImportCAR(ctx context.Context, name string, r io.Reader) (api.AddResult, error) {
	name = strings.TrimSuffix(ticket.CleanName(name), ".car")
	w := n.store.NewWriter(ctx, storage.WriterOptions{Copy: true})
	defer w.Close()
	e, err := n.importing(ctx, name, 0, nil, func(ctx context.Context, _ dag.Options) (api.Entry, error) {
		sum, err := dag.ReadCAR(ctx, r, dag.DefaultBudget(), w)
		if err != nil {
			return api.Entry{}, err
		}
		if name == "" {
			name = sum.Root.String()
		}
		return n.commit(ctx, w, storage.Entry{Name: name, Origin: "import", Owned: true}, sum, nil)
	})
	return api.AddResult{Entry: e}, explainCAR(err)
}

// ExportCAR writes an object as CAR.
func (n *Node) ExportCAR(ctx context.Context, ref string, w io.Writer) error {
	root, _, err := n.local(ref)
	if err != nil {
		return explained(err)
	}
	return explained(dag.WriteCAR(ctx, w, root, n.store))
}

// Pin copies what an entry refers to into owned storage.
func (n *Node) Pin(ctx context.Context, ref string, s api.Sink) (api.AddResult, error) {
	root, e, err := n.local(ref)
	if err != nil {
		return api.AddResult{}, explained(err)
	}
	t, release, err := n.trees.open(ctx, root)
	if err != nil {
		return api.AddResult{}, explained(err)
	}
	defer release()
	w := n.store.NewWriter(ctx, storage.WriterOptions{Copy: true})
	defer w.Close()
	p := newPace(n.now, s, "copying")
	var done int64
	buf := make([]byte, dag.LeafSize)
	for i := range t.NumLeaves() {
		c, _ := t.Leaf(i)
		b, err := n.store.Get(ctx, c, buf)
		if err == nil {
			err = w.Leaf(ctx, 0, 0, c, b)
		}
		if err != nil {
			return api.AddResult{}, explained(err)
		}
		done += int64(len(b))
		p.tell(done, t.Size(), 0, "")
	}
	if err := w.Commit(ctx); err != nil {
		return api.AddResult{}, explained(err)
	}
	if e.ID != "" {
		e, err = n.lib.change(e.ID, func(e *storage.Entry) error { e.Owned = true; return nil })
		if err != nil {
			return api.AddResult{}, explained(err)
		}
		return api.AddResult{Entry: n.lib.show(e)}, nil
	}
	var files int64
	for _, it := range t.Items() {
		if it.Kind == dag.File {
			files++
		}
	}
	sum := dag.Summary{Root: root, Kind: t.Kind(), Size: max(t.Size(), done), Files: files, Leaves: int64(t.NumLeaves())}
	v, err := n.commit(ctx, w, storage.Entry{Name: root.String(), Origin: "pin", Owned: true}, sum, nil)
	return api.AddResult{Entry: v}, explained(err)
}

// pace turns frequent progress into a few messages a second with a rate.
type pace struct {
	now   func() time.Time
	sink  api.Sink
	phase string
	start time.Time
	last  time.Time
}

func newPace(now func() time.Time, s api.Sink, phase string) *pace {
	return &pace{now: now, sink: s, phase: phase, start: now()}
}

// tell is called from one goroutine at a time.
func (p *pace) tell(done, total, files int64, item string) {
	now := p.now()
	if p.sink == nil || now.Sub(p.last) < 100*time.Millisecond {
		return
	}
	p.last = now
	m := api.Progress{Phase: p.phase, Done: done, Total: total, Files: files, Item: item}
	if d := now.Sub(p.start).Seconds(); d > 0.05 {
		m.BPS = int64(float64(done) / d)
	}
	if m.BPS > 0 && total > done {
		m.ETAMillis = (total - done) * 1000 / m.BPS
	}
	p.sink.Progress(m)
}

// emptyRoot is the CID of nothing, to try a ticket's options with before its object exists.
func emptyRoot() cid.Cid { return block.Sum(cid.Raw, nil) }
