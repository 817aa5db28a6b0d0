package node

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"cairn/storage/dag"
	"cairn/swarm/exchange"
	"cairn/swarm/fetch"
	"cairn/swarm/ticket"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	keptRemotes = 8           // objects of other peers that stay open without a user, each with one session
	keptCursors = 2           // sessions without a user of an object in use: a player reads in two places
	remoteIdle  = time.Minute // how long they stay
	redials     = 3           // attempts to go on reading after a session was lost
)

// remotes keeps objects of other peers open for a while after they were read. Whoever seeks in a video asks for one
// range after the other: with session and tree at hand each costs one round trip, without them a dial, a handshake
// and a walk. Safe for concurrent use.
type remotes struct {
	dial func(context.Context, ticket.Ticket) (*source, error)
	idle time.Duration

	life context.Context
	end  context.CancelFunc
	wg   sync.WaitGroup // walks, and what idle timers started

	mu   sync.Mutex
	open map[remoteKey]*remote
}

// remoteKey holds the peer too: the key does not depend on it, and a ticket may name another holder.
type remoteKey struct {
	id   ticket.KeyID
	peer peer.ID
}

// remote is one object of another peer.
//
//	walking --> used <--> idle --remoteIdle, too many, shutdown--> closed
//	   |failed, or nobody waits any more                             ^
//	   '-------------------------------------------------------------'
type remote struct {
	rs     *remotes
	key    remoteKey
	ticket ticket.Ticket
	ctx    context.Context // of its readers; ends when it is closed
	cancel context.CancelFunc

	ready chan struct{} // closed when tree or err is set
	tree  *dag.Tree
	err   error

	// Guarded by rs.mu.
	users  int
	used   time.Time
	timer  *time.Timer // runs while nobody uses it
	spare  []*cursor   // the one used last is the last
	closed bool
}

// cursor is a session, and the reader that works on it.
type cursor struct {
	src  *source
	r    *fetch.Reader // nil: none yet
	item int
	stop context.CancelFunc // ends r, also in the middle of a Read
}

func (c *cursor) close() {
	if c.r != nil {
		c.r.Close()
		c.stop()
	}
	c.src.Close()
}

func newRemotes(dial func(context.Context, ticket.Ticket) (*source, error), idle time.Duration) *remotes {
	rs := &remotes{dial: dial, idle: idle, open: map[remoteKey]*remote{}}
	rs.life, rs.end = context.WithCancel(context.Background())
	return rs
}

// acquire returns the object of a ticket with its tree, to be given to release once.
func (rs *remotes) acquire(ctx context.Context, t ticket.Ticket) (*remote, error) {
	key := t.Key()
	k := remoteKey{key.ID(), t.Peer}
	rs.mu.Lock()
	if rs.life.Err() != nil {
		rs.mu.Unlock()
		return nil, errHandover
	}
	r := rs.open[k]
	if r == nil {
		r = &remote{rs: rs, key: k, ticket: t, ready: make(chan struct{})}
		r.ctx, r.cancel = context.WithCancel(rs.life)
		rs.open[k] = r
		rs.wg.Go(r.walk)
	}
	r.users++
	if r.timer != nil {
		r.timer.Stop()
	}
	old := rs.crowded()
	rs.mu.Unlock()
	shut(old)
	select {
	case <-r.ready:
	case <-ctx.Done():
		rs.release(r)
		return nil, ctx.Err()
	}
	if r.err != nil {
		rs.release(r)
		return nil, r.err
	}
	return r, nil
}

// walk opens a session and reads the tree over it. It is not bound to the caller that came first: others may wait.
func (r *remote) walk() {
	defer close(r.ready)
	var src *source
	if src, r.err = r.rs.dial(r.ctx, r.ticket); r.err != nil {
		return
	}
	r.tree, r.err = dag.Walk(r.ctx, r.ticket.Root, r.ticket.Size, src, dag.DefaultBudget(), nil)
	if r.err != nil {
		src.Close()
		return
	}
	r.put(&cursor{src: src})
}

// release gives an object back.
func (rs *remotes) release(r *remote) {
	rs.mu.Lock()
	old := rs.leave(r)
	rs.mu.Unlock()
	shut(old)
}

// leave returns what is to be closed. mu is held.
func (rs *remotes) leave(r *remote) []*cursor {
	r.users--
	if r.users > 0 || r.closed {
		return nil
	}
	r.used = time.Now()
	select {
	case <-r.ready:
		if r.err == nil {
			r.timer = time.AfterFunc(rs.idle, func() { rs.expire(r) })
			return r.trim(1) // a peer takes only so many sessions of another
		}
	default:
	}
	return rs.forget(r) // there is no tree, or nobody waits for it any more: the next one tries again
}

// expire closes what nobody used for a while.
func (rs *remotes) expire(r *remote) {
	rs.mu.Lock()
	if r.users > 0 || r.closed || rs.life.Err() != nil {
		rs.mu.Unlock()
		return
	}
	old := rs.forget(r)
	rs.wg.Add(1)
	defer rs.wg.Done()
	rs.mu.Unlock()
	shut(old)
}

// crowded takes out those that are too many, unused for longest first. mu is held.
func (rs *remotes) crowded() (out []*cursor) {
	var idle []*remote
	for _, r := range rs.open {
		if r.users == 0 {
			idle = append(idle, r)
		}
	}
	slices.SortFunc(idle, func(a, b *remote) int { return a.used.Compare(b.used) })
	for len(idle) > 0 && len(rs.open) > keptRemotes {
		out = append(out, rs.forget(idle[0])...)
		idle = idle[1:]
	}
	return out
}

// forget makes r one that nobody finds any more and returns what is to be closed of it. mu is held.
func (rs *remotes) forget(r *remote) []*cursor {
	if rs.open[r.key] == r {
		delete(rs.open, r.key)
	}
	r.closed = true
	r.cancel()
	if r.timer != nil {
		r.timer.Stop()
	}
	out := r.spare
	r.spare = nil
	return out
}

// close ends all of them, also those in use, and waits.
func (rs *remotes) close() {
	rs.mu.Lock()
	rs.end()
	var old []*cursor
	for _, r := range rs.open {
		old = append(old, rs.forget(r)...)
	}
	rs.mu.Unlock()
	shut(old)
	rs.wg.Wait()
}

func shut(cs []*cursor) {
	for _, c := range cs {
		c.close()
	}
}

// take returns a cursor for a file, with a session that was well when it was last looked at.
func (r *remote) take(ctx context.Context, item int) (*cursor, error) {
	c := r.pick(item)
	switch {
	case c == nil:
	case c.r != nil && c.item == item:
		return c, nil
	case c.r != nil: // a session serves one reader
		c.close()
		c = nil
	}
	if c == nil {
		src, err := r.rs.dial(ctx, r.ticket)
		if err != nil {
			return nil, err
		}
		c = &cursor{src: src}
	}
	ctx, c.stop = context.WithCancel(r.ctx)
	var err error
	if c.r, err = fetch.NewReader(ctx, r.tree, item, fetch.Feed{Sources: []fetch.Source{c.src}}); err != nil {
		c.stop()
		c.src.Close()
		return nil, err
	}
	c.item = item
	return c, nil
}

// pick takes the best of the spare cursors, nil when there is none.
func (r *remote) pick(item int) *cursor {
	r.rs.mu.Lock()
	var dead []*cursor
	r.spare = slices.DeleteFunc(r.spare, func(c *cursor) bool {
		select {
		case <-c.src.over:
			dead = append(dead, c)
			return true
		default:
			return false
		}
	})
	var best *cursor
	if n := len(r.spare); n > 0 {
		i := n - 1
		for k, c := range r.spare {
			if c.r != nil && c.item == item {
				i = k
			}
		}
		best = r.spare[i]
		r.spare = slices.Delete(r.spare, i, i+1)
	}
	r.rs.mu.Unlock()
	shut(dead)
	return best
}

// put gives a cursor back for the next one.
func (r *remote) put(c *cursor) {
	r.rs.mu.Lock()
	r.spare = append(r.spare, c)
	old := r.trim(keptCursors)
	if r.closed {
		old = append(old, r.trim(0)...)
	}
	r.rs.mu.Unlock()
	shut(old)
}

// trim takes out all but the last cursors. rs.mu is held.
func (r *remote) trim(most int) []*cursor {
	n := max(len(r.spare)-most, 0)
	old := slices.Clone(r.spare[:n])
	r.spare = slices.Delete(r.spare, 0, n)
	return old
}

// remoteFile reads one file of a remote object. When its session is lost in the middle it makes another and goes on.
// Close gives the object back. For one goroutine at a time.
type remoteFile struct {
	ctx  context.Context
	r    *remote
	item int
	size int64
	pos  int64
	end  int64   // see Limit
	c    *cursor // nil: to be taken
}

// Limit implements api.Limiter.
func (f *remoteFile) Limit(end int64) {
	f.end = end
	f.limit()
}

// limit tells the reader where reading ahead ends.
func (f *remoteFile) limit() {
	if f.c == nil {
		return
	}
	f.c.r.Limit(f.end)
}

func (f *remoteFile) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += f.pos
	case io.SeekEnd:
		offset += f.size
	}
	if offset < 0 {
		return 0, errors.New("seek before the beginning")
	}
	f.pos = offset
	return offset, nil
}

func (f *remoteFile) Read(b []byte) (int, error) {
	if f.pos >= f.size {
		return 0, io.EOF
	}
	if f.end >= 0 && f.pos >= f.end { // whoever set it reads on after all
		f.Limit(-1)
	}
	for attempt := 0; ; attempt++ {
		n, err := f.read(b)
		f.pos += int64(n)
		if n > 0 || err == nil {
			return n, nil
		}
		if f.ctx.Err() != nil {
			return 0, f.ctx.Err()
		}
		if f.r.ctx.Err() != nil {
			return 0, errHandover
		}
		if attempt >= redials || !lost(err) || attempt > 0 && !pause(f.ctx, time.Second<<(attempt-1)/2) {
			return 0, err
		}
	}
}

// read is one attempt. After an error the cursor is gone.
func (f *remoteFile) read(b []byte) (n int, err error) {
	if f.c == nil {
		if f.c, err = f.r.take(f.ctx, f.item); err != nil {
			return 0, err
		}
		f.limit()
	}
	if _, err = f.c.r.Seek(f.pos, io.SeekStart); err == nil {
		cut := context.AfterFunc(f.ctx, f.c.stop)
		n, err = f.c.r.Read(b)
		if !cut() && err == nil {
			err = f.ctx.Err() // the reader has ended, whatever this one call brought
		}
	}
	if err != nil {
		f.c.close()
		f.c = nil
	}
	return n, err
}

func (f *remoteFile) Close() error {
	if f.c != nil {
		f.r.put(f.c)
		f.c = nil
	}
	f.r.rs.release(f.r)
	return nil
}

// lost tells whether another session may help: this one broke, or its peer ended it because nothing was asked for.
func lost(err error) bool {
	var ns *fetch.NoSourceError
	if !errors.As(err, &ns) {
		return transient(err) || errors.Is(err, exchange.ErrClosed)
	}
	for _, s := range ns.Sources {
		if s.Err != nil && (transient(s.Err) || errors.Is(s.Err, exchange.ErrClosed)) {
			return true
		}
	}
	return false
}

// connect dials a ticket's peer for one reader.
func (n *Node) connect(ctx context.Context, t ticket.Ticket) (*source, error) {
	sess, err := n.dial(ctx, t)
	if err != nil {
		return nil, err
	}
	return newSource(sess, n.meter, t), nil
}
