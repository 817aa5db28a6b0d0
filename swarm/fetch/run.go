package fetch

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"cairn/storage/dag"
	"cairn/swarm/schedule"
)

// Time limits of the last step.
const (
	drainAfter = 2 * time.Second  // for sources that still send what was cancelled
	doneAfter  = 15 * time.Second // for sources to record that the object is complete
)

// Run carries out one get. It returns when the object is complete, synced and under its final name, and all
// sources that are left have been told so; or with an error, after which what was fetched stays beside the
// target for the next Run (see TempPath, Discard), unless nothing was. The sources' Run has then returned.
//
// Errors: ErrExists, ErrTarget, ErrNames, ErrBusy, ErrNoSpace, *NoSourceError (ErrNoSource), dag.ErrBadDAG,
// dag.ErrUnsupported, the cause of ctx's end, errors of OnNode and Commit.
func Run(ctx context.Context, job Job) (Result, error) {
	pl, err := openPlace(job.Target, job.Root)
	if err != nil {
		return Result{}, err
	}
	defer pl.close()
	if job.Budget == (dag.Budget{}) {
		job.Budget = dag.DefaultBudget()
	}
	if job.FreeSpace == nil {
		job.FreeSpace = freeSpace
	}
	if job.Warn == nil {
		job.Warn = func(string) {}
	}
	r := &run{job: job, place: pl, engine: &engine{members: newMembers(job.StallAfter, job.Log)}}
	r.snap = Snapshot{Phase: PhaseTree, Total: -1}
	return r.carryOut(ctx)
}

// run is one Run under way.
type run struct {
	*engine
	job   Job
	place *place
	plan  *plan
	dest  destination
	part  *Partial  // nil: nobody wants it
	ready time.Time // when all leaves were in place
	snap  Snapshot  // guarded by engine.mu; Sources and Done are filled in when it is taken
}

func (r *run) carryOut(ctx context.Context) (res Result, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var helpers sync.WaitGroup
	over := make(chan struct{})
	helpers.Go(func() { r.report(over) })
	defer func() {
		cancel()
		close(over)
		helpers.Wait()
	}()
	r.open = r.job.Joining != nil
	for _, s := range r.job.Sources {
		r.join(ctx, s)
	}
	if r.job.Joining != nil {
		helpers.Go(func() { r.listen(ctx, r.job.Joining) })
	}
	helpers.Go(func() { r.watch(ctx) })

	r.log.Debug("get", "name", r.job.Name, "root", r.job.Root, "target", r.place.path(), "sources", len(r.job.Sources))
	res.Path = r.place.path()
	defer func() { res = r.amount(res) }()
	tree, err := dag.Walk(ctx, r.job.Root, r.job.Size, &nodeSource{r.members}, r.job.Budget, r.job.OnNode)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return res, err
	}
	r.plan = newPlan(tree)
	res.Tree, res.Size, res.Files = tree, tree.Size(), r.plan.files()
	r.remark(tree)
	if r.dest, err = r.destination(); err != nil {
		return res, err
	}
	defer func() {
		done := r.snapshot()
		keep := err == nil || !r.dest.fresh() || done.Done > done.Resumed
		if r.part != nil {
			r.part.over(keep)
		}
		r.dest.close(keep)
	}()
	if err = r.prepare(ctx); err != nil {
		return res, err
	}
	r.start()
	defer r.shut()
	if res.Written, err = r.fill(ctx); err != nil {
		return res, err
	}
	res.Sums = r.plan.sums
	if res.Size < 0 && len(res.Written) == 1 {
		res.Size = res.Written[0].Size
	}
	if r.job.Commit != nil {
		if err = r.job.Commit(ctx, r.amount(res)); err != nil {
			return res, err
		}
	}
	r.drain(ctx, r.ready.Add(drainAfter))
	r.tell(ctx)
	r.phase(PhaseDone)
	return res, nil
}

// amount fills in what came from where.
func (r *run) amount(res Result) Result {
	s := r.snapshot()
	res.Sources, res.Resumed, res.Fetched = s.Sources, s.Resumed, s.Done-s.Resumed
	return res
}

// remark warns of what the user may not expect.
func (r *run) remark(t *dag.Tree) {
	if r.job.Size >= 0 && t.Size() >= 0 && t.Size() != r.job.Size {
		r.job.Warn(fmt.Sprintf("the object has %d bytes, the ticket said %d", t.Size(), r.job.Size))
	}
	if !r.job.Preserve {
		return
	}
	for _, it := range t.Items() {
		if it.HasMode || !it.MTime.IsZero() {
			return
		}
	}
	r.job.Warn("the object records no modes and times to preserve")
}

// destination makes the destination that fits the kind of the object.
func (r *run) destination() (destination, error) {
	kind := r.plan.tree.Kind()
	if err := r.place.free(kind); err != nil {
		return nil, err
	}
	switch kind {
	case dag.File:
		return newFileDest(r.place, r.plan)
	case dag.Directory:
		return newDirDest(r.place, r.plan, r.job.Warn)
	}
	return nil, fmt.Errorf("%w: the object is a lone %s", dag.ErrUnsupported, kind)
}

// prepare finds out what must be fetched and makes the engine ready for it.
func (r *run) prepare(ctx context.Context) error {
	there, err := r.takeStock(ctx)
	if err != nil {
		return err
	}
	missing, bytes := r.plan.missing(there)
	if err := r.room(bytes); err != nil {
		return err
	}
	r.leaves = len(there)
	r.sched = schedule.New(schedule.Config{Leaves: r.leaves, Size: r.plan.size, Self: r.job.Self, Patience: r.stall})
	for _, s := range missing {
		r.sched.Step(time.Now(), schedule.Want{Span: s})
	}
	r.check, r.keep = r.plan.accept, r.dest.write
	if r.job.OnPartial == nil {
		return nil
	}
	if r.part, err = newPartial(r.place, r.plan, there); err != nil {
		return err
	}
	r.part.follow(r.engine)
	r.kept = func(a arrival) bool {
		r.part.add(a.i, codeOf(a.from.id)+1)
		return false
	}
	r.job.OnPartial(r.part)
	return nil
}

// takeStock prepares the destination and returns which leaves are in their place.
func (r *run) takeStock(ctx context.Context) (there []bool, err error) {
	r.mu.Lock()
	r.snap.Phase, r.snap.Total, r.snap.Files = PhaseCheck, r.plan.tree.Size(), r.plan.files()
	r.mu.Unlock()
	there = make([]bool, len(r.plan.sizes)) // each written once, by whoever found it
	err = r.dest.check(ctx, func(i int) {
		there[i] = true
		r.mu.Lock()
		r.snap.Resumed += int64(r.plan.size(i))
		r.mu.Unlock()
	})
	return there, err
}

// room refuses to begin what cannot fit on the disk. bytes are still to be fetched; -1: nothing is.
func (r *run) room(bytes int64) error {
	if bytes < 0 {
		return nil
	}
	need := bytes + r.dest.overhead()
	free, err := r.job.FreeSpace(r.place.dir)
	if err != nil {
		return r.place.wrap(err)
	}
	if free < need {
		return fmt.Errorf("%w: %s has %d bytes free, %d are needed", ErrNoSpace, r.place.dir, max(free, 0), need)
	}
	return nil
}

// fill fetches what is missing and gives the object its final name.
func (r *run) fill(ctx context.Context) ([]Written, error) {
	r.phase(PhaseFetch)
	if err := r.wait(ctx); err != nil {
		return nil, err
	}
	r.ready = time.Now() // sources may get rid of what they still have to say while we sync
	r.phase(PhaseFinish)
	written, err := r.dest.finish()
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var warning string
	commit := func() (err error) {
		warning, err = r.place.commit(r.plan.tree.Kind())
		return err
	}
	if r.part != nil && syncEach {
		err = r.part.reopened(r.place, commit)
	} else {
		err = commit()
	}
	if err != nil {
		return nil, err
	}
	if warning != "" {
		r.job.Warn(warning)
	}
	return written, r.place.wrap(syncDir(r.place.parent))
}

// tell lets every source that is left know that the object is complete and safe here, but for downloaders that still
// have something to say.
func (r *run) tell(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, doneAfter)
	defer cancel()
	r.mu.Lock()
	live := slices.DeleteFunc(r.live(), func(s *member) bool { return s.owing > 0 })
	r.mu.Unlock()
	var calls sync.WaitGroup
	for _, s := range live {
		calls.Go(func() {
			if err := s.src.Done(ctx); err != nil {
				r.log.Warn("source was not told of the end", "peer", s.src.Peer(), "error", err)
			}
		})
	}
	calls.Wait()
}

func (r *run) phase(p Phase) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.snap.Phase = p
}

// snapshot takes the present state.
func (r *run) snapshot() Snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.snap
	s.Sources = r.states()
	s.Done = s.Resumed
	for _, m := range r.all {
		s.Done += m.kept
	}
	if s.Phase == PhaseFetch && len(r.live()) == 0 {
		s.Phase = PhaseWaiting
	}
	return s
}

// report calls Progress now and then, and once when all is over.
func (r *run) report(over <-chan struct{}) {
	if r.job.Progress == nil {
		return
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-over:
			r.job.Progress(r.snapshot())
			return
		case <-tick.C:
			r.job.Progress(r.snapshot())
		}
	}
}
