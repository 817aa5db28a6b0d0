package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
)

const (
	// batchBytes (of blocks, which lie in segments already) and batchOps bound one turn of the committer: large
	// enough that its syncs do not count.
	batchBytes = 32 << 20
	batchOps   = 4096
	inFlight   = 2
	// linger is how long a batch nobody waits for may stay open for more.
	linger = 20 * time.Millisecond
)

// op is one change of the index.
type op struct {
	key, val []byte // val nil: delete
	expect   []byte // if not nil: only if this is the value now; empty: only if there is none
	delta    totals // what it adds to the running sums
	weight   int    // bytes of the block, for the size of a batch
	done     func() // called once the change is visible or has failed; may be nil
}

// request is a unit of the queue. ops and last are done in this order, each request after those before it.
type request struct {
	ops  []op
	last []op         // written only after everything before is synced: entries
	done chan<- error // answered after the sync; nil: nobody waits
}

// committer is the one writer of the database: it turns requests from any number of goroutines into large
// synced transactions. All writes go through it, so versions only grow and the running sums are exact.
//
//	send -> queue -> gather (until 32 MiB, a waiter, or 20 ms) -> sync segments -> transaction -> answer waiters
//
// Segments are synced before the transaction that points into them begins, so that no index entry ever points to
// bytes that a power cut took. Badger runs with SyncWrites: its Sync does not cover memtables that were full
// and replaced since the last call.
type committer struct {
	db    *badger.DB
	keys  *Keys
	segs  *segments
	latch *latch
	after func() error // after the last transaction of a group: makes new file names durable

	queue chan request
	quit  chan struct{} // closed by close
	ended chan struct{} // closed when run has returned

	slots chan struct{} // one per transaction in flight

	mu     sync.Mutex
	ts     uint64 // of the last transaction
	done   uint64 // the highest finished
	totals totals
}

func newCommitter(db *badger.DB, keys *Keys, segs *segments, l *latch, ts uint64, t totals, after func() error) *committer {
	return &committer{db: db, keys: keys, segs: segs, latch: l, after: after, ts: ts, totals: t,
		queue: make(chan request, 64), quit: make(chan struct{}), ended: make(chan struct{}),
		slots: make(chan struct{}, inFlight)}
}

// send queues r. It fails when the store is latched, closed, or ctx ends first; then nothing was queued.
func (c *committer) send(ctx context.Context, r request) error {
	if err := c.latch.Err(); err != nil {
		return err
	}
	select {
	case <-c.quit:
		return fmt.Errorf("write to store: %w", ErrClosed)
	default:
	}
	select {
	case c.queue <- r:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.ended:
		return fmt.Errorf("write to store: %w", ErrClosed)
	}
}

// sync queues ops and last and returns when all that was queued before them, and they, are synced. Once
// queued they happen even if ctx ends.
func (c *committer) sync(ctx context.Context, ops, last []op) error {
	done := make(chan error, 1)
	if err := c.send(ctx, request{ops: ops, last: last, done: done}); err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-c.ended:
		select {
		case err := <-done:
			return err
		default:
			return fmt.Errorf("write to store: %w", ErrClosed)
		}
	}
}

// close ends run after what is queued was written.
func (c *committer) close() {
	close(c.quit)
	<-c.ended
}

func (c *committer) sums() totals {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.totals
}

// group is what one turn of run writes.
type group struct {
	ops, last []op
	bytes     int
	waiters   []chan<- error
}

func (g *group) add(r request) {
	for _, o := range r.ops {
		g.bytes += len(o.key) + max(len(o.val), o.weight)
	}
	g.ops = append(g.ops, r.ops...)
	g.last = append(g.last, r.last...)
	if r.done != nil {
		g.waiters = append(g.waiters, r.done)
	}
}

func (g *group) full() bool { return g.bytes >= batchBytes || len(g.ops) >= batchOps }

func (c *committer) run() {
	defer close(c.ended)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		var g group
		select {
		case r := <-c.queue:
			g.add(r)
		case <-c.quit:
			for len(c.queue) > 0 {
				g.add(<-c.queue)
			}
			c.drain()
			c.syncSegments()
			c.write(g.ops)
			c.finish(&g)
			return
		}
		timer.Reset(linger)
		c.gather(&g, timer.C)
		if len(g.ops) > 0 {
			c.syncSegments()
		}
		c.write(g.ops)
		if len(g.waiters) > 0 {
			c.finish(&g)
		}
	}
}

// gather adds to g what is queued, and waits a little for more while nobody waits for g.
func (c *committer) gather(g *group, late <-chan time.Time) {
	for !g.full() {
		select {
		case r := <-c.queue:
			g.add(r)
			continue
		default:
		}
		if len(g.waiters) > 0 {
			return
		}
		select {
		case r := <-c.queue:
			g.add(r)
		case <-late:
			return
		case <-c.quit:
			return
		}
	}
}

// finish waits for all transactions, then writes what comes last, then answers.
func (c *committer) finish(g *group) {
	c.drain()
	err := c.latch.Err()
	if len(g.last) > 0 {
		if err == nil {
			c.write(g.last)
			c.drain()
			err = c.latch.Err()
		} else {
			release(g.last)
		}
	}
	if err == nil && c.after != nil {
		if err = c.after(); err != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, err)
			c.latch.fail(err)
		}
	}
	for _, w := range g.waiters {
		w <- err
	}
}

func (c *committer) drain() {
	for range cap(c.slots) {
		c.slots <- struct{}{}
	}
	for range cap(c.slots) {
		<-c.slots
	}
}

func release(ops []op) {
	for _, o := range ops {
		if o.done != nil {
			o.done()
		}
	}
}

// write puts ops into one or more transactions and starts them in order.
func (c *committer) write(ops []op) {
	for len(ops) > 0 {
		if c.latch.Err() != nil {
			release(ops)
			return
		}
		if slices.ContainsFunc(ops, func(o op) bool { return o.expect != nil }) {
			c.drain() // so that what it looks at is what was written last
		}
		n := c.transaction(ops)
		ops = ops[n:]
	}
}

// transaction starts one with as many of ops as fit and returns how many.
func (c *committer) transaction(ops []op) (n int) {
	txn := c.db.NewTransactionAt(math.MaxUint64, true)
	t := c.sums()
	sums := t.encode() // Badger keeps the slice: filled in when all is known
	err := txn.Set([]byte(keyTotals), sums)
	for err == nil && n < len(ops) {
		o := &ops[n]
		if o.expect != nil && !holds(txn, o.key, o.expect) {
			n++
			continue
		}
		if o.val == nil {
			err = txn.Delete(o.key)
		} else {
			err = txn.Set(o.key, o.val)
		}
		if err == nil {
			t.Blocks += o.delta.Blocks
			t.Bytes += o.delta.Bytes
			t.Files += o.delta.Files
			t.FileBytes += o.delta.FileBytes
			n++
		}
	}
	if err != nil && !(errors.Is(err, badger.ErrTxnTooBig) && n > 0) {
		txn.Discard()
		c.latch.fail(fmt.Errorf("%w: write: %v", ErrDamaged, err))
		release(ops)
		return len(ops)
	}
	t.KeyID, t.Seals = c.keys.seals()
	copy(sums, t.encode())
	c.start(txn, ops[:n:n], t)
	return n
}

// holds tells whether key has this value, or none for an empty one, in txn or before it.
func holds(txn *badger.Txn, key, val []byte) bool {
	it, err := txn.Get(key)
	if len(val) == 0 {
		return errors.Is(err, badger.ErrKeyNotFound)
	}
	if err != nil {
		return false
	}
	same := false
	err = it.Value(func(v []byte) error {
		same = bytes.Equal(v, val)
		return nil
	})
	return err == nil && same
}

// syncSegments makes the blocks durable to which the next transactions point.
func (c *committer) syncSegments() {
	if err := c.segs.sync(); err != nil {
		c.latch.fail(fmt.Errorf("%w: %v", ErrDamaged, err))
	}
}

// start commits txn, whose changes lead to the sums t. It blocks while inFlight transactions are under way.
func (c *committer) start(txn *badger.Txn, ops []op, t totals) {
	c.slots <- struct{}{}
	c.mu.Lock()
	c.ts++
	ts := c.ts
	c.totals = t
	c.mu.Unlock()
	// The version order is the order of these calls: Badger queues the transaction before it returns.
	err := txn.CommitAt(ts, func(err error) {
		if err != nil {
			c.latch.fail(fmt.Errorf("%w: write: %v", ErrDamaged, err))
		}
		c.mu.Lock()
		if ts > c.done {
			c.done = ts
			// Nobody reads old versions: compaction may drop what a finished transaction replaced.
			c.db.SetDiscardTs(ts)
		}
		c.mu.Unlock()
		release(ops)
		<-c.slots
	})
	if err != nil { // not with a callback, as of Badger 4.9
		c.latch.fail(fmt.Errorf("%w: write: %v", ErrDamaged, err))
	}
}
