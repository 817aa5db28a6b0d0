package exchange

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/time/rate"
	"google.golang.org/protobuf/proto"

	"cairn/swarm/exchange/pb"
	"cairn/swarm/ticket"
)

// session is the server's side of one stream after the proofs.
//
//	requests (goroutine) --todo--> plan (goroutine) --work--> readers (goroutines)
//	                                       \--order--> write (the goroutine of Handle)
//	                haves, introduce (goroutines) --side--> write
//
// requests reads and checks messages, plan turns them into jobs, one per leaf or node, readers fill the jobs, and
// write sends them in the order asked. haves and introduce make frames that are no answers and may stand before any.
// The first of them to fail cancels the rest.
type session struct {
	srv     *Server
	st      network.Stream
	r       *bufio.Reader
	w       *pacedWriter
	key     ticket.KeyID
	tree    Tree
	part    Partial // tree, if only some of its leaves are here; else nil
	release func()

	info   SessionInfo // fixed once the session is open; the counts are below
	sent   atomic.Int64
	leaves atomic.Int64
	done   atomic.Bool

	download atomic.Pointer[[16]byte] // what Done named
	swarm    atomic.Bool              // the client takes part in the swarm
	asked    bool                     // the client said Swarm; guarded by circles.mu
	addrs    []ma.Multiaddr           // where others may dial it; guarded by circles.mu
	met      chan struct{}            // capacity 1: there may be someone to introduce

	todo   *todo
	looked int          // ranges that the last message made us look at; of the goroutine of requests
	active atomic.Int64 // unix nanoseconds of the last byte sent

	dropMu  sync.Mutex
	dropped error
	cancel  context.CancelCauseFunc
}

func newSession(s *Server, st network.Stream, p peer.ID) *session {
	ss := &session{srv: s, st: st, met: make(chan struct{}, 1)}
	conn := st.Conn()
	ss.info = SessionInfo{Peer: p, Addr: conn.RemoteMultiaddr().String(), Transport: conn.ConnState().Transport}
	c, all := s.cfg.Meter.of(p), &s.cfg.Meter.all
	up := func(n int) { c.up.Add(int64(n)); all.up.Add(int64(n)) }
	down := func(n int) { c.down.Add(int64(n)); all.down.Add(int64(n)) }
	ss.r = bufio.NewReaderSize(countedReader{st, down}, readBuffer)
	ss.w = newPacedWriter(st, s.cfg.Timeouts.Write, s.cfg.Shape, p, up)
	if reachOf(conn.RemoteMultiaddr()) == same {
		ss.w.unit = smallPiece // the queue of a connection within one machine is as good as none
	}
	return ss
}

// countedReader tells how much was read.
type countedReader struct {
	r     io.Reader
	count func(int)
}

func (c countedReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.count(n)
	return n, err
}

// say writes a message outside of the pipeline, within the deadline that has been set.
func (ss *session) say(b []byte) error {
	n, err := ss.st.Write(b)
	ss.w.count(n)
	return err
}

func (ss *session) grant(id ticket.KeyID, g Grant) {
	ss.key = id
	ss.info.Ref, ss.info.Root, ss.info.Size, ss.info.NoSwarm = g.Ref, g.Root, g.Size, g.NoSwarm
	ss.info.Started = ss.srv.cfg.Now()
}

func (ss *session) snapshot() SessionInfo {
	i := ss.info
	i.Sent, i.Leaves, i.Done = ss.sent.Load(), ss.leaves.Load(), ss.done.Load()
	i.Swarm = ss.swarm.Load()
	if id := ss.download.Load(); id != nil {
		i.Download = *id
	}
	return i
}

// drop ends the session with a refusal.
func (ss *session) drop(why error) {
	ss.dropMu.Lock()
	defer ss.dropMu.Unlock()
	if ss.dropped == nil {
		ss.dropped = &refusal{reason: reasonOf(why)}
	}
	if ss.cancel != nil {
		ss.cancel(ss.dropped)
	}
	// A writer that waits for a client that does not read must not hold the session open.
	ss.st.SetWriteDeadline(time.Now().Add(time.Second))
}

// run serves the session to its end.
func (ss *session) run() {
	ev := ss.srv.cfg.Events
	if ev.Started != nil {
		ev.Started(ss.snapshot())
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	ss.dropMu.Lock()
	ss.cancel = cancel
	if ss.dropped != nil {
		cancel(ss.dropped)
	}
	ss.dropMu.Unlock()
	ss.w.ctx = ctx
	ss.todo = newTodo(ss.srv.cfg.Limits)
	ss.active.Store(time.Now().UnixNano())

	p := newPipeline(ss)
	var wg sync.WaitGroup
	wg.Go(func() { cancel(ss.requests(ctx)) })
	wg.Go(func() { cancel(p.plan(ctx)) })
	wg.Go(func() { p.introduce(ctx) })
	if ss.part != nil {
		wg.Go(func() { p.haves(ctx, ss.part) })
	}
	for range readers {
		wg.Go(func() { p.read(ctx) })
	}
	cancel(p.write(ctx)) // returns when the session ends for whatever reason
	err := ss.finish(context.Cause(ctx))
	wg.Wait()
	p.discard()
	ss.release()
	if errors.Is(err, ErrProtocol) {
		ss.srv.count.violations.Add(1)
	}
	ss.srv.circles.leave(ss)
	ss.srv.remove(ss) // before Ended, so that whoever waits for it finds the place free
	ss.srv.cfg.Log.Debug("session ended", "peer", ss.info.Peer.String(), "ref", ss.info.Ref, "sent", ss.sent.Load(), "error", err)
	if ev.Ended != nil {
		ev.Ended(ss.snapshot(), err)
	}
}

// errEnd: the client closed the session in good order.
var errEnd = errors.New("session closed by the client")

// finish says the last word on the stream and unblocks requests. It returns what Events.Ended is told.
func (ss *session) finish(cause error) error {
	var no *refusal
	switch {
	case errors.Is(cause, errEnd):
		ss.st.Close()
		return nil
	case errors.As(cause, &no) && !ss.w.partial:
		ss.srv.count.refused.Add(1)
		ss.st.SetWriteDeadline(time.Now().Add(time.Second))
		if err := ss.say(appendMessage(nil, kindRefused, &pb.Refused{Reason: no.reason})); err != nil {
			ss.st.Reset()
			return cause
		}
		ss.st.Close()
		return cause
	}
	ss.st.Reset()
	return cause
}

// cancelLooks is how many ranges a cancel may look at for as much as a request costs: what they make us do is bounded
// by Limits.Requests together.
const cancelLooks = 256

// requests reads what the client asks until the stream ends or something is wrong.
func (ss *session) requests(ctx context.Context) error {
	cfg := ss.srv.cfg
	lim := rate.NewLimiter(rate.Limit(cfg.Limits.Requests), cfg.Limits.Requests)
	for {
		if err := ss.idle(); err != nil {
			return err
		}
		ss.st.SetReadDeadline(time.Now().Add(cfg.Timeouts.Message))
		h, err := readHeader(ss.r, toServer)
		if err != nil {
			return lost(within(err))
		}
		if err := lim.WaitN(ctx, min(1+ss.looked/cancelLooks, lim.Burst())); err != nil {
			return context.Cause(ctx)
		}
		ss.looked = 0
		if err := ss.request(h); err != nil {
			return err
		}
	}
}

// request reads one message and does, or queues, what it asks for.
func (ss *session) request(h header) (err error) {
	var rq request
	if ss.info.News && h.kind != kindSwarm {
		return fmt.Errorf("%w: frame %#x in a session for news", ErrProtocol, byte(h.kind))
	}
	switch h.kind {
	case kindGetLeaves:
		rq, err = ss.leafRequest(h)
	case kindGetNodes:
		rq, err = ss.nodeRequest(h)
	case kindDone:
		rq, err = ss.doneRequest(h)
	case kindCancel:
		return lost(ss.cancelRequest(h))
	case kindSwarm:
		return lost(ss.swarmRequest(h))
	default:
		err = fmt.Errorf("%w: frame %#x after the handshake", ErrProtocol, byte(h.kind))
	}
	if err != nil {
		return lost(err)
	}
	if h.kind != kindDone {
		if err := ss.stillAllowed(); err != nil {
			return err
		}
	}
	return ss.todo.push(rq)
}

// idle waits for the next message while the session has something to do, and at most Timeouts.Idle beyond. A client
// that takes part in the swarm is waited for as long as its connection is there: its download goes on elsewhere, and
// it stays to be introduced.
func (ss *session) idle() error {
	limit := ss.srv.cfg.Timeouts.Idle
	since := time.Now()
	for {
		if t := time.Unix(0, ss.active.Load()); t.After(since) {
			since = t
		}
		wait := time.Until(since.Add(limit))
		if ss.todo.busy() {
			wait = max(wait, limit)
		}
		deadline := time.Now().Add(wait)
		if ss.swarm.Load() {
			deadline = time.Time{}
		}
		ss.st.SetReadDeadline(deadline)
		_, err := ss.r.Peek(1)
		switch {
		case err == nil:
			return nil
		case isTimeout(err) && (ss.todo.busy() || time.Unix(0, ss.active.Load()).After(since)):
		case isTimeout(err):
			return fmt.Errorf("%w: nothing asked for %s", ErrStalled, limit)
		case errors.Is(err, io.EOF) && !ss.todo.busy():
			return errEnd
		default:
			return lost(within(err))
		}
	}
}

// lost gives errors of the stream their sentinel.
func lost(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrProtocol):
		return err
	case isTimeout(err):
		return fmt.Errorf("%w: %w", ErrStalled, err)
	}
	return fmt.Errorf("%w: %w", ErrLost, err)
}

// stillAllowed asks again whether the ticket is in force.
func (ss *session) stillAllowed() error {
	g, ok := ss.srv.cfg.Rights.Lookup(ss.key)
	switch {
	case !ok:
		return &refusal{reason: pb.Refused_REVOKED}
	case g.State != nil:
		return &refusal{reason: reasonOf(g.State)}
	}
	return nil
}

func (ss *session) leafRequest(h header) (rq request, err error) {
	var m pb.GetLeaves
	if err := readMessage(ss.r, h, &m); err != nil {
		return rq, err
	}
	if err := ss.inObject(m.Start, m.Count); err != nil {
		return rq, err
	}
	return request{kind: kindGetLeaves, start: int(m.Start), count: int(m.Count)}, nil
}

// inObject checks a range of leaves.
func (ss *session) inObject(start, count uint64) error {
	have := uint64(ss.tree.NumLeaves())
	if count == 0 || start >= have || count > have-start {
		return fmt.Errorf("%w: leaves from %d, %d of them, of an object of %d", ErrProtocol, start, count, have)
	}
	return nil
}

func (ss *session) cancelRequest(h header) error {
	var m pb.Cancel
	if err := readMessage(ss.r, h, &m); err != nil {
		return err
	}
	if err := ss.inObject(m.Start, m.Count); err != nil {
		return err
	}
	looked, err := ss.todo.cancel(int(m.Start), int(m.Count))
	ss.looked = looked
	return err
}

func (ss *session) doneRequest(h header) (rq request, err error) {
	var m pb.Done
	if err := readMessage(ss.r, h, &m); err != nil {
		return rq, err
	}
	rq.kind = kindDone
	if n := len(m.Id); n != 0 && n != len(rq.id) {
		return rq, fmt.Errorf("%w: id of %d bytes", ErrProtocol, n)
	}
	copy(rq.id[:], m.Id)
	return rq, nil
}

func (ss *session) swarmRequest(h header) error {
	var m pb.Swarm
	if err := readMessage(ss.r, h, &m); err != nil {
		return err
	}
	return ss.srv.circles.join(ss, &m)
}

func (ss *session) nodeRequest(h header) (rq request, err error) {
	var m pb.GetNodes
	if err := readMessage(ss.r, h, &m); err != nil {
		return rq, err
	}
	if len(m.Cids) == 0 || len(m.Cids) > maxBatch {
		return rq, fmt.Errorf("%w: %d nodes in one request", ErrProtocol, len(m.Cids))
	}
	cids := make([]cid.Cid, len(m.Cids))
	for i, b := range m.Cids {
		if len(b) > maxCID {
			return rq, fmt.Errorf("%w: CID of %d bytes", ErrProtocol, len(b))
		}
		if cids[i], err = cid.Cast(b); err != nil {
			return rq, fmt.Errorf("%w: unreadable CID", ErrProtocol)
		}
		if !ss.tree.HasNode(cids[i]) {
			return rq, fmt.Errorf("%w: node outside of the object", ErrProtocol)
		}
	}
	return request{kind: kindGetNodes, cids: cids}, nil
}

// message returns a control frame as a job's output.
func message(k kind, m proto.Message) []byte { return appendMessage(nil, k, m) }
