package node

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"cairn/storage"
	"cairn/storage/dag"
	"cairn/web/api"

	"github.com/ipfs/go-cid"
	"golang.org/x/sync/semaphore"
)

const (
	maxPending  = 256 // gets that are on record at a time
	resumeAtOne = 8   // of them that are tried again at a time
	// A resumed get whose source does not answer is tried again after pauses that double up to the longest.
	firstPause   = 5 * time.Second
	longestPause = 5 * time.Minute
)

// journal remembers the gets of a peer that stays, so that they survive its death: each is on record, sealed and
// synced, before it begins, and until it ends for whoever asked for it. What is on record when a peer starts is gone on
// with. A peer of mode command records nothing, because its command is there to ask again; but it goes on with what
// another left, and takes it off the record.
type journal struct {
	store *storage.Store
	log   *slog.Logger
	keep  bool // record gets

	// get is the work itself; adopt takes what is complete at its place already, false if it is not.
	get   func(context.Context, goal, api.GetRequest, string, api.Sink) (api.GetResult, error)
	adopt func(ctx context.Context, g goal, path string) (api.GetResult, bool)
	goal  func(api.GetRequest) (goal, error)
	over  func() bool // the peer is on its way out

	mu      sync.Mutex
	ids     map[getKey]string // records in the store
	left    map[string]getRecord
	running map[getKey]*pendingGet
}

// getKey is what a get is about: the same one again is the same get.
type getKey struct {
	root cid.Cid
	path string
}

// getRecord is the sealed form of a get. Its tickets are secrets.
type getRecord struct {
	Version int      `json:"v"`
	Tickets []string `json:"tickets,omitempty"`
	Ref     string   `json:"ref,omitempty"` // the object's CID in the place of tickets: members have it
	Path    string   `json:"path"`          // the final name, not a directory to put it into
	Force   bool     `json:"force,omitempty"`
	NoSwarm bool     `json:"no_swarm,omitempty"`
}

const getVersion = 1

// getNote begins the ids of the notes of gets.
const getNote = "get/"

// pendingGet is a get under way.
type pendingGet struct {
	key      getKey
	again    bool // an earlier process began it
	resumed  bool // by the peer itself
	followed bool // somebody waits for it although it was resumed; guarded by journal.mu
	cancel   context.CancelFunc
	sinks    relay
	done     chan struct{}
	res      api.GetResult // after done
	err      error
}

// newJournal reads what is on record. What can not be read is left out: a peer without it is better than none.
func newJournal(n *Node) *journal {
	j := &journal{store: n.store, log: n.log.With("part", "journal"), keep: n.cfg.Mode == ModeUp, get: n.fetch, adopt: n.adopt, goal: n.goal,
		over: n.leaving, ids: map[getKey]string{}, left: map[string]getRecord{}, running: map[getKey]*pendingGet{}}
	for note, err := range n.store.Notes(getNote) {
		var r getRecord
		if err == nil {
			err = json.Unmarshal(note.Data, &r)
		}
		var g goal
		if err == nil && r.Version != getVersion {
			err = fmt.Errorf("%w: version %d", storage.ErrFormat, r.Version)
		}
		if err == nil {
			g, err = n.goal(api.GetRequest{Tickets: r.Tickets, Ref: r.Ref})
		}
		if err != nil {
			j.log.Warn("the record of a get is damaged and left out", "record", note.ID, "err", err)
			continue
		}
		j.ids[getKey{g.root, r.Path}] = note.ID
		j.left[note.ID] = r
	}
	return j
}

// do gets a goal to a path, on record.
func (j *journal) do(ctx context.Context, g goal, r api.GetRequest, path string, s api.Sink) (api.GetResult, error) {
	if g.here() { // a copy of what is here: no secret, no source that may be gone tomorrow
		return j.get(ctx, g, r, path, s)
	}
	return j.run(ctx, g, r, path, s, false)
}

func (j *journal) run(ctx context.Context, g goal, r api.GetRequest, path string, s api.Sink, resumed bool) (api.GetResult, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p, mine, err := j.begin(ctx, g, r, path, cancel, resumed)
	if err != nil {
		return api.GetResult{}, err
	}
	if !mine {
		return p.follow(ctx, s)
	}
	p.sinks.add(s)
	if p.again {
		if res, ok := j.adopt(ctx, g, p.key.path); ok {
			j.end(p, res, nil)
			return res, nil
		}
	}
	res, err := j.get(ctx, g, r, p.key.path, &p.sinks)
	j.end(p, res, err)
	return res, err
}

// begin puts a get on record. It is not ours (mine is false) if the peer is about to do the same for itself, or
// somebody does what the peer was about to.
func (j *journal) begin(ctx context.Context, g goal, r api.GetRequest, path string, cancel context.CancelFunc, resumed bool) (p *pendingGet, mine bool, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	key := getKey{g.root, path}
	// A directory that is complete at its final name is not one to put it into.
	if exact := (getKey{g.root, filepath.Clean(r.Output)}); r.Output != "" && j.ids[exact] != "" {
		key = exact
	}
	if p := j.running[key]; p != nil && p.resumed != resumed {
		p.followed = p.followed || p.resumed
		return p, false, nil
	}
	p = &pendingGet{key: key, again: j.ids[key] != "", resumed: resumed, cancel: cancel, done: make(chan struct{})}
	if j.running[key] != nil {
		return p, true, nil // a second one of the same: it will be told that the first is writing there
	}
	switch {
	case !j.keep || p.again:
	case len(j.ids) >= maxPending:
		j.log.Warn("too many gets are on record: this one will not survive the end of the peer", "most", maxPending)
	default:
		if err := j.record(ctx, key, r); err != nil {
			return nil, false, err
		}
	}
	j.running[key] = p
	return p, true, nil
}

// record writes a record, synced. mu is held, so that no two gets take the same name.
func (j *journal) record(ctx context.Context, key getKey, r api.GetRequest) error {
	data, err := json.Marshal(getRecord{Version: getVersion, Tickets: r.Tickets, Ref: r.Ref, Path: key.path, Force: r.Force, NoSwarm: r.NoSwarm})
	if err != nil {
		return fmt.Errorf("record get: %w", err)
	}
	id := getNote + newID()
	if err := j.store.PutNotes(ctx, storage.Note{ID: id, Data: data}); err != nil {
		return err
	}
	j.ids[key] = id
	return nil
}

// end takes a get off the record, unless it shall go on: the peer ends, or a get that nobody waits for found no
// source.
func (j *journal) end(p *pendingGet, res api.GetResult, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	p.res, p.err = res, err
	defer close(p.done) // last: who follows it may look at the records
	if j.running[p.key] != p {
		return
	}
	delete(j.running, p.key)
	id := j.ids[p.key]
	if id == "" || err != nil && (j.over() || p.resumed && !p.followed && waits(err)) {
		return
	}
	delete(j.ids, p.key)
	if err := j.store.DeleteNotes(context.Background(), id); err != nil {
		j.log.Warn("a get that has ended is still on record", "record", id, "err", err)
	}
}

// waits tells whether the same get may succeed later.
func waits(err error) bool {
	switch explain(err).Code {
	case api.CodeUnavailable, api.CodeTooMany, api.CodeHandover:
		return true
	}
	return false
}

// resume goes on with all that was left, until ctx ends.
func (j *journal) resume(ctx context.Context) {
	j.mu.Lock()
	left := j.left
	j.left = nil
	j.mu.Unlock()
	var wg sync.WaitGroup
	turn := semaphore.NewWeighted(resumeAtOne)
	for id, r := range left {
		wg.Go(func() { j.revive(ctx, turn, id, r) })
	}
	wg.Wait()
}

// revive tries one of them until it ends for good.
func (j *journal) revive(ctx context.Context, turn *semaphore.Weighted, id string, rec getRecord) {
	r := api.GetRequest{Tickets: rec.Tickets, Ref: rec.Ref, Output: rec.Path, Force: rec.Force, NoSwarm: rec.NoSwarm}
	g, err := j.goal(r)
	if err != nil {
		return // it was readable when the peer started
	}
	log := j.log.With("record", id, "name", g.name)
	for wait := firstPause; ; wait = min(2*wait, longestPause) {
		if turn.Acquire(ctx, 1) != nil {
			return
		}
		if !j.recorded(id, getKey{g.root, rec.Path}) { // somebody asked for the same meanwhile, and it has ended
			turn.Release(1)
			return
		}
		log.Info("going on with a get of an earlier run")
		_, err := j.run(ctx, g, r, rec.Path, nil, true)
		turn.Release(1)
		switch {
		case err == nil:
			log.Info("a get of an earlier run is complete")
			return
		case !waits(err) || ctx.Err() != nil:
			log.Warn("a get of an earlier run has ended", "err", err)
			return
		}
		log.Info("a get of an earlier run waits", "err", err, "pause", wait)
		if !pause(ctx, wait) {
			return
		}
	}
}

// recorded tells whether a get still waits to be done.
func (j *journal) recorded(id string, key getKey) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.ids[key] == id && j.running[key] == nil
}

// follow waits for a get that the peer has resumed as if it were one's own. Giving up ends it.
func (p *pendingGet) follow(ctx context.Context, s api.Sink) (api.GetResult, error) {
	remove := p.sinks.add(s)
	defer remove()
	select {
	case <-p.done:
	case <-ctx.Done():
		p.cancel()
		<-p.done
	}
	return p.res, p.err
}

// relay is a Sink that tells all who listen. Safe for concurrent use.
type relay struct {
	mu    sync.Mutex
	sinks map[int]api.Sink
	next  int
}

func (r *relay) add(s api.Sink) (remove func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s == nil {
		return func() {}
	}
	if r.sinks == nil {
		r.sinks = map[int]api.Sink{}
	}
	k := r.next
	r.next++
	r.sinks[k] = s
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.sinks, k)
	}
}

// Progress implements api.Sink.
func (r *relay) Progress(p api.Progress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.sinks {
		s.Progress(p)
	}
}

// Warn implements api.Sink.
func (r *relay) Warn(w api.Warning) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.sinks {
		s.Warn(w)
	}
}

// adopt takes an object that is complete at its path into the library: an earlier process died between its last
// rename and the end of the get. It reads all of it.
func (n *Node) adopt(ctx context.Context, g goal, path string) (api.GetResult, bool) {
	start := n.now()
	if fi, err := os.Lstat(path); err != nil || !fi.IsDir() && (!fi.Mode().IsRegular() || fi.Size() != g.size) {
		return api.GetResult{}, false
	}
	ctx, cancel := n.bound(ctx)
	defer cancel()
	for _, preserve := range []bool{false, true} {
		w := n.store.NewWriter(ctx, storage.WriterOptions{})
		sum, err := dag.ImportPaths(ctx, []string{path}, dag.Options{Preserve: preserve}, w)
		if err == nil && sum.Root.Equals(g.root) {
			_, err = n.commit(ctx, w, storage.Entry{Name: g.name, Origin: "get", Path: path}, sum, nil)
		} else if err == nil {
			w.Close()
			continue
		}
		w.Close()
		if err != nil {
			n.log.Info("what is at the place of a get can not be taken for it", "err", err)
			return api.GetResult{}, false
		}
		return api.GetResult{Path: path, CID: g.root.String(), Size: sum.Size, Files: sum.Files, Resumed: sum.Size,
			Millis: n.now().Sub(start).Milliseconds(), Sources: []api.TransferSource{}}, true
	}
	return api.GetResult{}, false
}
