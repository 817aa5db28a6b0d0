package exchange

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/ipfs/go-cid"
	"google.golang.org/protobuf/proto"

	"cairn/storage/block"
	"cairn/swarm/exchange/pb"
)

// readers is how many leaves of one session are read and hashed at a time; depth is how many jobs there are,
// most of which are tiny when leaves are.
const (
	readers = 3
	depth   = 128
	// nodeGuess is the buffer first tried for a node, in bytes: one with 1,024 links has about 50 KiB.
	nodeGuess = 64 << 10
)

// budget counts bytes against a limit.
type budget struct {
	limit int64
	used  atomic.Int64
}

func (b *budget) take(n int64) bool {
	if b.used.Add(n) > b.limit {
		b.used.Add(-n)
		return false
	}
	return true
}

func (b *budget) give(n int64) { b.used.Add(-n) }

// job is one leaf, one node or one control frame on its way out.
type job struct {
	kind  kind
	index uint64
	c     cid.Cid
	size  int // expected; -1 if not known

	buf     *Buf   // owned by the job until it is sent
	frame   []byte // what to send, inside buf or on its own
	payload int    // bytes of it that are content
	charged int64  // taken from both budgets, 0 for the job that goes without
	own     int64  // taken from the session's count
	ready   chan struct{}
}

// pipeline reads ahead of the network.
type pipeline struct {
	ss    *session
	free  chan *job     // idle jobs
	work  chan *job     // to readers
	order chan *job     // to write
	side  chan []byte   // frames that may stand before any answer, to write
	freed chan struct{} // capacity 1: memory has been given back
	held  atomic.Int64  // bytes that jobs of this session hold
	nodes uint64        // number of the next node since the session began
	mine  *turn         // to send
	last  *job          // the job that write had when it ended; a reader may still hold it too
}

func newPipeline(ss *session) *pipeline {
	p := &pipeline{
		ss: ss, free: make(chan *job, depth), work: make(chan *job, depth), order: make(chan *job, depth),
		side: make(chan []byte), freed: make(chan struct{}, 1), mine: newTurn(),
	}
	for range depth {
		p.free <- &job{ready: make(chan struct{}, 1)}
	}
	return p
}

// plan turns requests into jobs, as far ahead as memory allows.
func (p *pipeline) plan(ctx context.Context) error {
	for {
		rq, err := p.ss.todo.pop(ctx)
		if err != nil {
			return err
		}
		switch rq.kind {
		case kindGetLeaves:
			c, size := p.ss.tree.Leaf(rq.start)
			err = p.start(ctx, kindLeaf, uint64(rq.start), c, size)
		case kindSkipped:
			err = p.control(ctx, kindSkipped, &pb.Skipped{Start: uint64(rq.start), Count: uint64(rq.count)})
		case kindGetNodes:
			for _, c := range rq.cids {
				if err = p.start(ctx, kindNode, p.nodes, c, -1); err != nil {
					break
				}
				p.nodes++
			}
		case kindDone:
			err = p.done(ctx, rq.id)
		}
		if err != nil {
			return err
		}
		p.ss.todo.began(-1)
	}
}

// control sends a message in its place among the answers.
func (p *pipeline) control(ctx context.Context, k kind, m proto.Message) error {
	j, err := p.job(ctx)
	if err != nil {
		return err
	}
	j.kind, j.frame = k, message(k, m)
	p.ss.todo.began(1)
	j.ready <- struct{}{}
	p.order <- j // never full: it has room for every job
	return nil
}

// aside sends a frame before whatever answer is next and tells whether the session is still on.
func (p *pipeline) aside(ctx context.Context, frame []byte) bool {
	select {
	case p.side <- frame:
		return true
	case <-ctx.Done():
		return false
	}
}

// start hands one leaf or node to the readers.
func (p *pipeline) start(ctx context.Context, k kind, index uint64, c cid.Cid, size int) error {
	need := int64(block.MaxSize / 2)
	switch {
	case k == kindNode:
		need = nodeGuess
	case size > block.MaxSize:
		return fmt.Errorf("%w: leaf %d has %d bytes", ErrFailed, index, size)
	case size >= 0:
		need = int64(size)
	}
	charged, err := p.reserve(ctx, need)
	if err != nil {
		return err
	}
	j, err := p.job(ctx)
	if err != nil {
		if charged > 0 {
			p.ss.srv.ahead.give(charged)
		}
		return err
	}
	j.kind, j.index, j.c, j.size, j.charged, j.own = k, index, c, size, charged, need
	p.ss.todo.began(1)
	p.order <- j // never full: it has room for every job
	p.work <- j
	return nil
}

// reserve waits until the session may hold need more bytes. A session that holds nothing always may, so that
// sessions share what is there without waiting for each other.
func (p *pipeline) reserve(ctx context.Context, need int64) (charged int64, err error) {
	for {
		held := p.held.Load()
		if held == 0 {
			p.held.Add(need)
			return 0, nil
		}
		if held+need <= p.ss.w.readAhead(p.ss.srv.cfg.Limits.ReadAhead) && p.ss.srv.ahead.take(need) {
			p.held.Add(need)
			return need, nil
		}
		select {
		case <-p.freed:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

func (p *pipeline) job(ctx context.Context) (*job, error) {
	select {
	case j := <-p.free:
		return j, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// recycle takes back a job that was sent or will not be.
func (p *pipeline) recycle(j *job) {
	if j.buf != nil {
		j.buf.Release()
	}
	if j.charged > 0 {
		p.ss.srv.ahead.give(j.charged)
	}
	p.held.Add(-j.own)
	*j = job{ready: j.ready}
	p.free <- j
	select {
	case p.freed <- struct{}{}:
	default:
	}
}

// discard gives back what jobs still hold after all goroutines have ended.
func (p *pipeline) discard() {
	if p.last != nil {
		p.recycle(p.last)
	}
	for {
		select {
		case j := <-p.order:
			p.recycle(j)
		default:
			return
		}
	}
}

// done asks the owner of the tickets to record the download and answers when that has happened.
func (p *pipeline) done(ctx context.Context, id [16]byte) error {
	ss := p.ss
	if !ss.done.Swap(true) { // a second Done of a session is answered but not counted
		ss.download.Store(&id)
		ss.srv.count.completed.Add(1)
		if f := ss.srv.cfg.Events.Done; f != nil {
			if err := f(ss.snapshot()); err != nil {
				ss.done.Store(false)
				ss.srv.count.completed.Add(-1)
				return &refusal{reason: reasonOf(err)}
			}
		}
	}
	return p.control(ctx, kindAcked, &pb.Acked{})
}

// read fills jobs until the session ends.
func (p *pipeline) read(ctx context.Context) {
	for {
		select {
		case j := <-p.work:
			p.fill(ctx, j)
			j.ready <- struct{}{}
		case <-ctx.Done():
			return
		}
	}
}

// fill reads a job's block and puts the header before it.
func (p *pipeline) fill(ctx context.Context, j *job) {
	srv := p.ss.srv
	guess := j.size
	if guess < 0 {
		guess = int(j.own)
	}
	buf := srv.cfg.Pool.Get(guess)
	data, err := p.get(ctx, j, buf.mem[headRoom:headRoom])
	if err == nil && (len(data) > block.MaxSize || j.size >= 0 && len(data) != j.size) {
		err = block.ErrCorrupt
	}
	if err != nil {
		buf.Release()
		if ctx.Err() != nil {
			return // the session is over; nothing will be sent
		}
		srv.count.missing.Add(1)
		level := slog.LevelWarn
		if p.ss.part != nil && errors.Is(err, block.ErrNotFound) {
			level = slog.LevelDebug // it has not come yet
		}
		srv.cfg.Log.Log(ctx, level, "shared block can not be read", "ref", p.ss.info.Ref, "cid", j.c.String(), "leaf", j.index, "error", err)
		j.frame = message(kindMissing, &pb.Missing{Index: j.index, Node: j.kind == kindNode, Reason: missingOf(err)})
		return
	}
	if len(data) > 0 && &data[0] != &buf.mem[headRoom] { // the store had it elsewhere
		if len(data) > len(buf.mem)-headRoom {
			buf.Release()
			buf = srv.cfg.Pool.Get(len(data))
		}
		copy(buf.mem[headRoom:], data)
	}
	buf.n = len(data)
	var head [maxHeader]byte
	h := appendHeader(head[:0], header{kind: j.kind, size: buf.n, index: j.index})
	from := headRoom - copy(buf.mem[headRoom-len(h):], h)
	j.buf, j.frame, j.payload = buf, buf.mem[from:headRoom+buf.n], buf.n
}

// get reads a job's block.
func (p *pipeline) get(ctx context.Context, j *job, dst []byte) ([]byte, error) {
	if p.ss.part != nil && j.kind == kindLeaf {
		return p.ss.part.ReadLeaf(ctx, int(j.index), dst)
	}
	return p.ss.srv.cfg.Content.Get(ctx, j.c, dst)
}

func missingOf(err error) pb.Missing_Reason {
	switch {
	case errors.Is(err, block.ErrNotFound):
		return pb.Missing_NOT_FOUND
	case errors.Is(err, block.ErrCorrupt):
		return pb.Missing_CHANGED
	}
	return pb.Missing_UNREADABLE
}
