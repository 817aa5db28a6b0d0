package node

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"cairn/storage"
	"cairn/storage/block"
	"cairn/storage/dag"
	"cairn/swarm/fetch"
	"cairn/swarm/ticket"
	"cairn/web/api"

	"github.com/ipfs/go-cid"
)

// goal is what a get is about, however it was named.
type goal struct {
	root    cid.Cid
	name    string
	size    int64 // -1: not known
	tickets []ticket.Ticket
	members bool  // it has no ticket: members of the network have it; tickets are those of ticket.ForMembers
	in      *seat // with members: of which network
	// held, with members: some of it is here under no name of its own, all of it or what an earlier get left. It may be part of something
	// private, so it is neither served nor shown to others.
	held bool
}

// here tells whether this peer holds the object itself.
func (g goal) here() bool { return len(g.tickets) == 0 && !g.members }

// goal checks a request before anything else happens.
func (n *Node) goal(r api.GetRequest) (goal, error) {
	if (len(r.Tickets) == 0) == (r.Ref == "") {
		return goal{}, api.Errorf(api.CodeUsage, "name what to get: one or more tickets, or a CID")
	}
	if r.Ref != "" {
		root, e, err := n.local(r.Ref)
		if c, ok := n.elsewhere(r.Ref, err); ok {
			return goal{root: c, name: c.String(), size: -1, members: true, in: n.seat()}, nil
		}
		if err != nil {
			return goal{}, err
		}
		g := goal{root: root, name: e.Name, size: -1}
		if g.in = n.seat(); e.ID == "" && g.in != nil {
			g.members, g.held = true, true
		}
		if e.ID != "" {
			g.size = e.Size
		}
		if g.name == "" {
			g.name = root.String()
		}
		return g, nil
	}
	var g goal
	for i, text := range r.Tickets {
		t, err := ticket.Parse(text)
		if err != nil {
			return goal{}, err
		}
		if i > 0 && !t.Root.Equals(g.root) {
			return goal{}, api.Errorf(api.CodeUsage, "the tickets are for different objects: %q and %q", g.name, t.Name).
				WithHint("get them one after the other")
		}
		if i == 0 {
			g.root, g.name, g.size = t.Root, t.Name, t.Size
		}
		g.tickets = append(g.tickets, t)
	}
	if g.name == "" {
		g.name = g.root.String()
	}
	return g, nil
}

// seat is where the object goes: the path itself, or inside it when it is a directory that is there.
func (n *Node) place(g goal, r api.GetRequest) (string, error) {
	dir, path := r.OutputDir, r.Output
	if path == "" && dir == "" {
		dir = n.settings.downloads()
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return "", err
		}
	}
	if path == "" {
		path = filepath.Join(dir, filepath.Base(g.name))
	} else if fi, err := os.Stat(path); err == nil && fi.IsDir() {
		path = filepath.Join(path, filepath.Base(g.name))
	}
	if !filepath.IsAbs(path) {
		return "", api.Errorf(api.CodeUsage, "%s is not an absolute path", path)
	}
	return path, nil
}

// Get fetches an object to a path of this machine and takes it into the library by reference.
func (n *Node) Get(ctx context.Context, r api.GetRequest, s api.Sink) (api.GetResult, error) {
	res, err := n.get(ctx, r, s)
	return res, explained(err)
}

func (n *Node) get(ctx context.Context, r api.GetRequest, s api.Sink) (api.GetResult, error) {
	g, err := n.goal(r)
	if err != nil {
		return api.GetResult{}, err
	}
	path, err := n.place(g, r)
	if err != nil {
		return api.GetResult{}, err
	}
	return n.journal.do(ctx, g, r, path, s)
}

// fetch brings a goal to a path.
func (n *Node) fetch(ctx context.Context, g goal, r api.GetRequest, path string, s api.Sink) (api.GetResult, error) {
	start := n.now()
	ctx, cancel := n.bound(ctx)
	defer cancel()

	src, err := n.sources(ctx, g, r)
	if err != nil {
		return api.GetResult{}, err
	}
	w := n.store.NewWriter(ctx, storage.WriterOptions{})
	defer w.Close()
	row := n.transfers.start(api.Transfer{Direction: "download", Name: g.name, CID: g.root.String(), State: "waiting",
		Reason: "connecting", Total: max(g.size, 0), Path: path}, cancel)
	progress := &getProgress{n: n, row: row, sink: s, src: src, pace: newPace(n.now, s, "")}
	share := &partShare{n: n, src: src, row: row, goal: g, writer: w}
	res, err := fetch.Run(ctx, fetch.Job{
		Root: g.root, Size: g.size, Name: g.name,
		Target:    fetch.Target{Path: path, Force: r.Force},
		Sources:   src.now,
		Joining:   src.joining,
		Budget:    dag.DefaultBudget(),
		Progress:  progress.tell,
		OnNode:    func(b block.Block) error { return w.Node(ctx, b.CID, b.Data) },
		OnPartial: func(p *fetch.Partial) { share.begin(ctx, p) },
		Commit:    func(ctx context.Context, res fetch.Result) error { return n.keep(ctx, w, g, res) },
		Self:      string(n.hostFor(g.members).ID()),
		Warn: func(text string) {
			if s != nil {
				s.Warn(api.Warning{Message: text})
			}
		},
		Log: n.log.With("part", "fetch"),
	})
	millis := n.now().Sub(start).Milliseconds()
	if err == nil {
		share.linger(ctx)
	}
	share.end(err == nil)
	cancel()
	src.close()
	err = src.blame(err)
	if p := n.seat(); g.members && err != nil && (refused(err) || p != nil && p.inForce() != nil) {
		err = n.nobodyHas(g.root)
	}
	if errors.Is(err, context.Canceled) && n.leaving() {
		err = errHandover
	}
	n.transfers.end(row, err)
	if err != nil {
		return api.GetResult{}, err
	}
	_, last, _ := n.transfers.get(row.ID)
	return api.GetResult{Path: res.Path, CID: g.root.String(), Size: res.Size, Files: res.Files, Fetched: res.Fetched,
		Resumed: res.Resumed, Millis: millis, Sources: last.Sources}, nil
}

// keep takes what was fetched into the library, synced: references to the files that now are in their place.
func (n *Node) keep(ctx context.Context, w *storage.Writer, g goal, res fetch.Result) error {
	for _, f := range res.Written {
		fi, err := os.Lstat(f.Path)
		if err != nil || !fi.Mode().IsRegular() || fi.Size() != f.Size || !fi.ModTime().Equal(f.MTime) {
			continue // the user was faster than we: the file is theirs, there is just nothing to refer to
		}
		id, err := w.File(f.Path, fi)
		if err != nil {
			return err
		}
		it := res.Tree.Items()[f.Item]
		var off int64
		for i := it.FirstLeaf; i < it.FirstLeaf+it.Leaves; i++ {
			c, size := res.Tree.Leaf(i)
			if size < 0 {
				size = int(f.Size)
			}
			if err := w.Reference(ctx, id, off, c, size, res.Sums[i]); err != nil {
				return err
			}
			off += int64(size)
		}
	}
	sum := dag.Summary{Root: g.root, Kind: res.Tree.Kind(), Size: res.Size, Files: res.Files, Leaves: int64(res.Tree.NumLeaves())}
	e := storage.Entry{Name: g.name, Origin: "get", Path: res.Path}
	if may, _ := n.mayShow(); g.members && !g.held && may && g.in == n.seat() {
		e.Visibility = visibleNetwork // who has fetched it gives it on
	}
	_, err := n.commit(ctx, w, e, sum, nil)
	return err
}

// getProgress carries the fetch's snapshots to the transfer's row and to whoever asked for the get.
type getProgress struct {
	n    *Node
	row  *transfer
	sink api.Sink
	src  *sources
	pace *pace
}

func (g *getProgress) tell(s fetch.Snapshot) {
	states := g.src.view(s.Sources)
	g.src.waiting(starving(s), s.Done+haves(s))
	g.n.transfers.update(g.row, func(t *api.Transfer) {
		t.Done, t.Resumed, t.Files = s.Done, s.Resumed, s.Files
		if s.Total >= 0 {
			t.Total = s.Total
		}
		t.Sources = states
		t.State, t.Reason = "active", ""
		if s.Phase == fetch.PhaseWaiting || s.Phase == fetch.PhaseTree && len(states) == 0 {
			t.State, t.Reason = "waiting", "no source is connected"
		}
	})
	phases := map[fetch.Phase]string{fetch.PhaseTree: "connecting", fetch.PhaseCheck: "checking", fetch.PhaseFetch: "fetching",
		fetch.PhaseWaiting: "waiting", fetch.PhaseFinish: "finishing", fetch.PhaseDone: "done"}
	if p := phases[s.Phase]; p != g.pace.phase {
		g.pace.phase = p
		g.pace.last = g.pace.start
	}
	g.pace.tell(s.Done, max(s.Total, 0), s.Files, "")
}

// haves is a number that grows when a downloader of the same object has got something.
func haves(s fetch.Snapshot) (sum int64) {
	for _, x := range s.Sources {
		sum += int64(x.Have)
	}
	return sum
}

// starving tells whether nobody who is connected gives anything: all were dropped, or have nothing that is missing.
func starving(s fetch.Snapshot) bool {
	for _, x := range s.Sources {
		if x.State == fetch.StateActive || x.State == fetch.StateIdle && s.Phase == fetch.PhaseTree {
			return false
		}
	}
	switch s.Phase {
	case fetch.PhaseTree, fetch.PhaseFetch, fetch.PhaseWaiting:
		return len(s.Sources) > 0
	}
	return false
}
