package node

import (
	"context"
	"errors"
	"io"
	"path"
	"strings"

	"cairn/storage"
	"cairn/storage/block"
	"cairn/storage/dag"
	"cairn/swarm/ticket"
	"cairn/web/api"

	"github.com/ipfs/go-cid"
)

// local finds an object that this peer holds: by CID, or by anything that names an entry. The entry is empty when
// the object is only part of others.
func (n *Node) local(ref string) (cid.Cid, storage.Entry, error) {
	e, err := n.lib.find(ref)
	if err == nil {
		return e.Root, e, nil
	}
	c, cerr := cid.Decode(ref)
	if cerr != nil {
		if looksLikeCID(ref) {
			return cid.Undef, e, api.Errorf(api.CodeUsage, "%q is not a CID: %v", ref, cerr)
		}
		return cid.Undef, e, err
	}
	if _, err := block.Digest(c); err != nil {
		return cid.Undef, e, err
	}
	ok, err := n.store.Has(context.Background(), c)
	if err != nil {
		return cid.Undef, e, err
	}
	if !ok {
		return cid.Undef, e, api.Errorf(api.CodeNotFound, "this peer does not hold %s", c).
			WithHint("use a ticket, or join a network whose members have it: a CID alone does not say who does")
	}
	return c, storage.Entry{}, nil
}

func looksLikeCID(s string) bool {
	return len(s) > 20 && (s[:2] == "ba" || s[:2] == "Qm")
}

// opened is an object ready to be read: from here, or from a ticket's peer.
type opened struct {
	tree   *dag.Tree
	name   string
	remote *remote // nil: local
	close  func()
}

// open finds an object: local by any name, or remote by a ticket.
func (n *Node) open(ctx context.Context, ref string) (*opened, error) {
	t, terr := ticket.Parse(ref)
	root, e, err := n.local(ref)
	if err == nil {
		tree, release, err := n.trees.open(ctx, root)
		if err == nil {
			return &opened{tree: tree, name: e.Name, close: release}, nil
		}
		if terr != nil {
			return nil, err
		}
	}
	if root, ok := n.elsewhere(ref, err); ok {
		if t, err = n.askFor(ctx, root); err != nil {
			return nil, err
		}
		terr = nil
	}
	if terr != nil {
		if errors.Is(terr, ticket.ErrNotTicket) {
			return nil, err
		}
		return nil, terr
	}
	r, err := n.remotes.acquire(ctx, t)
	if err != nil {
		return nil, err
	}
	return &opened{tree: r.tree, name: t.Name, remote: r, close: func() { n.remotes.release(r) }}, nil
}

// Open reads a file of an object.
func (n *Node) Open(ctx context.Context, ref, p string) (api.Content, error) {
	ctx, cancel := n.bound(ctx)
	o, err := n.open(ctx, ref)
	if err != nil {
		cancel()
		return api.Content{}, explained(err)
	}
	item, it, err := o.item(p)
	if err == nil && it.Kind != dag.File {
		err = api.Errorf(api.CodeUsage, "%s is a %s, not a file", o.label(p), it.Kind).WithHint("`cairn ls` lists a directory, `cairn get` fetches it")
	}
	if err != nil {
		o.close()
		cancel()
		return api.Content{}, explained(err)
	}
	var r io.ReadSeekCloser
	done := cancel
	size := it.Size
	if o.remote != nil {
		r = &remoteFile{ctx: ctx, r: o.remote, item: item, size: size, end: -1}
	} else {
		r = dag.NewReader(ctx, o.tree, item, n.store)
		done = func() { o.close(); cancel() }
	}
	name := o.name
	if p != "" {
		name = path.Base(p)
	}
	if size < 0 { // a lone raw leaf of unknown size; never of a ticket, which says the size
		if size, err = r.Seek(0, io.SeekEnd); err == nil {
			_, err = r.Seek(0, io.SeekStart)
		}
		if err != nil {
			r.Close()
			done()
			return api.Content{}, explained(err)
		}
	}
	return api.Content{ReadSeekCloser: &reading{ReadSeekCloser: r, done: done}, Name: name, CID: it.CID.String(), Size: size, ModTime: it.MTime}, nil
}

// reading explains the errors of a reader and lets its tree or session go at the end.
type reading struct {
	io.ReadSeekCloser
	done func()
}

func (r *reading) Read(b []byte) (int, error) {
	n, err := r.ReadSeekCloser.Read(b)
	if err != nil && err != io.EOF {
		err = explain(err)
	}
	return n, err
}

// Limit implements api.Limiter.
func (r *reading) Limit(end int64) {
	if l, ok := r.ReadSeekCloser.(api.Limiter); ok {
		l.Limit(end)
	}
}

func (r *reading) Close() error {
	err := r.ReadSeekCloser.Close()
	r.done()
	return err
}

func (o *opened) label(p string) string {
	if p == "" {
		return o.name
	}
	return p
}

func (o *opened) item(p string) (int, dag.Item, error) {
	p = path.Clean("/" + p)[1:]
	i, ok := o.tree.Lookup(p)
	if !ok {
		return 0, dag.Item{}, api.Errorf(api.CodeNotFound, "there is no %q in %s", p, o.name)
	}
	return i, o.tree.Items()[i], nil
}

// List tells what a reference names.
func (n *Node) List(ctx context.Context, ref, p string) (api.Listing, error) {
	o, err := n.open(ctx, ref)
	if err != nil {
		return api.Listing{}, explained(err)
	}
	defer o.close()
	i, it, err := o.item(p)
	if err != nil {
		return api.Listing{}, explained(err)
	}
	l := api.Listing{CID: it.CID.String(), Kind: it.Kind.String(), Size: max(it.Size, 0), Entries: []api.DirEntry{}}
	if it.Kind != dag.Directory {
		return l, nil
	}
	prefix := it.Path
	if prefix != "" {
		prefix += "/"
	}
	at := map[string]int{} // child directory -> index in l.Entries
	for _, c := range o.tree.Items()[i+1:] {
		rel, ok := strings.CutPrefix(c.Path, prefix)
		if !ok {
			break // items are in depth-first order
		}
		child, _, below := strings.Cut(rel, "/")
		if below {
			if k, ok := at[child]; ok && c.Kind == dag.File {
				l.Entries[k].Size += max(c.Size, 0)
			}
		} else {
			at[child] = len(l.Entries)
			d := api.DirEntry{Name: child, Kind: c.Kind.String(), CID: c.CID.String(), Target: c.Target}
			if c.Kind == dag.File {
				d.Size = max(c.Size, 0)
			}
			l.Entries = append(l.Entries, d)
		}
		if c.Kind == dag.File {
			l.Size += max(c.Size, 0)
		}
	}
	return l, nil
}
