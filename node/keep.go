package node

import (
	"context"
	"fmt"
	"time"

	"cairn/storage"
	"cairn/storage/dag"
	"cairn/web/api"

	"github.com/ipfs/go-cid"
)

// GC removes what no entry needs any more and gives the space back to the file system. Who asks for it wants the
// space of what was removed just now as well, so nothing can be restored after it.
func (n *Node) GC(ctx context.Context, s api.Sink) (api.GCResult, error) {
	start := n.now()
	if err := n.lib.sweep(0); err != nil {
		return api.GCResult{}, explained(err)
	}
	before := n.store.Stats()
	r, err := n.store.GC(ctx, n.mark, func(step string) {
		if s != nil {
			s.Progress(api.Progress{Phase: "reclaiming", Item: step})
		}
	})
	if err != nil {
		return api.GCResult{}, explained(err)
	}
	return api.GCResult{Blocks: r.Blocks, Bytes: max(before.Bytes-n.store.Stats().Bytes, 0), References: r.Refs, DiskBefore: r.DiskBefore,
		DiskAfter: r.DiskAfter, Millis: n.now().Sub(start).Milliseconds()}, nil
}

// mark visits every block that an entry needs. An entry whose tree can not be read stops the collection: what it
// needs is not known, and deleting on a guess is worse than keeping too much.
func (n *Node) mark(ctx context.Context, visit func(cid.Cid)) error {
	for _, e := range n.lib.needed() {
		t, release, err := n.trees.open(ctx, e.Root)
		if err != nil {
			return api.Errorf(explain(err).Code, "the tree of %q (%s) can not be read, so nothing was removed", e.Name, e.ID).
				WithHint("run `cairn verify`; `cairn rm %s` gives that entry up", e.ID)
		}
		for c := range t.Nodes() {
			visit(c)
		}
		for i := range t.NumLeaves() {
			c, _ := t.Leaf(i)
			visit(c)
		}
		release()
	}
	return nil
}

// maxFindings bounds the list of a verification; its counts are always complete.
const maxFindings = 1000

// Verify re-reads everything: all owned blocks, all referenced files, and that every entry is complete.
func (n *Node) Verify(ctx context.Context, s api.Sink) (api.VerifyResult, error) {
	out := api.VerifyResult{Findings: []api.Finding{}}
	if n.store.Resealing() { // interrupted; what stopped it shows again below
		if _, err := n.reseal(ctx, s); err != nil && s != nil {
			s.Warn(api.Warning{Message: explain(err).Message})
		}
	}
	found := func(f api.Finding) {
		if len(out.Findings) < maxFindings {
			out.Findings = append(out.Findings, f)
		}
	}
	p := newPace(n.now, s, "checking")
	st := n.store.Stats()
	r, err := n.store.Verify(ctx, func(f storage.Finding) {
		v := api.Finding{Kind: "corrupt", Path: f.Path, Message: "a block in the store is damaged"}
		if f.CID.Defined() {
			v.CID = f.CID.String()
		}
		if f.Path != "" {
			v.Kind, v.Message = findingKind(f.Reason), fmt.Sprintf("the file is %s", f.Reason)
		}
		found(v)
	}, func(r storage.VerifyResult) { p.tell(r.Bytes+r.RefBytes, st.Bytes+st.FileBytes, r.Files, "") })
	if err != nil {
		return out, explained(err)
	}
	out.Blocks, out.Bytes, out.Damaged, out.ChangedFiles = r.Blocks, r.Bytes, r.Damaged, r.Changed+r.Missing+r.Unreadable
	for _, e := range n.lib.needed() {
		missing, err := n.incomplete(ctx, e)
		if err != nil {
			return out, explained(err)
		}
		if missing == "" || !e.Removed.IsZero() {
			continue
		}
		out.Damaged++
		found(api.Finding{Kind: "missing", CID: e.Root.String(), EntryID: e.ID, Name: e.Name, Message: missing})
	}
	return out, nil
}

// incomplete says what an entry lacks, "" when nothing. It asks whether leaves are there; reading them is done by
// the store's own pass.
func (n *Node) incomplete(ctx context.Context, e storage.Entry) (string, error) {
	t, err := dag.Walk(ctx, e.Root, e.Size, dag.FromGetter(n.store), dag.DefaultBudget(), nil)
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		return explain(err).Message, nil
	}
	lost := 0
	for i := range t.NumLeaves() {
		c, _ := t.Leaf(i)
		ok, err := n.store.Has(ctx, c)
		if err != nil {
			return "", err
		}
		if !ok {
			lost++
		}
	}
	if lost > 0 {
		return fmt.Sprintf("%d of its %d leaves are not here", lost, t.NumLeaves()), nil
	}
	return "", nil
}

// Remove hides an entry; Restore brings it back within ten minutes.
func (n *Node) Remove(_ context.Context, ref string) (api.Entry, error) {
	e, err := n.lib.remove(ref)
	if err != nil {
		return e, explained(err)
	}
	for _, t := range e.Tickets {
		n.server.Drop(t.ID, errRevoked) // who asks from now on is refused; a file that is gone is something else
	}
	if root, err := cid.Decode(e.CID); err == nil && e.Visibility == visibleNetwork {
		n.hidden(root)
	}
	return e, nil
}

// Restore undoes Remove.
func (n *Node) Restore(_ context.Context, id string) (api.Entry, error) {
	e, err := n.lib.restore(id)
	return e, explained(err)
}

// Revoke ends tickets and the sessions that use them.
func (n *Node) Revoke(_ context.Context, ref string) ([]api.Ticket, error) {
	ts, err := n.lib.revoke(ref)
	if err != nil {
		return nil, explained(err)
	}
	for _, t := range ts {
		n.server.Drop(t.ID, errRevoked)
	}
	return ts, nil
}

// sweepEvery is how often removed entries are looked at.
const sweepEvery = time.Minute

// findingKind is what the API calls a reason.
func findingKind(r storage.Reason) string {
	switch r {
	case storage.Missing:
		return "missing"
	case storage.Unreadable:
		return "unreadable"
	}
	return "changed"
}
