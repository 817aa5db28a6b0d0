package exchange

import (
	"context"
	"crypto/rand"
	"fmt"
	mrand "math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	ma "github.com/multiformats/go-multiaddr"
	"go.uber.org/goleak"

	"cairn/storage/block"
	"cairn/swarm/ticket"
	"cairn/swarm/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// object is content held in memory: leaves of given sizes and a few nodes.
type object struct {
	root   cid.Cid
	leaves []cid.Cid
	nodes  []cid.Cid

	mu     sync.Mutex
	blocks map[cid.Cid][]byte
	broken map[cid.Cid]error // what Get answers in the place of the bytes
	open   int               // trees not released
	reads  int
}

func newObject(seed byte, nodes int, sizes ...int) *object {
	o := &object{blocks: map[cid.Cid][]byte{}, broken: map[cid.Cid]error{}}
	for i, n := range sizes {
		b := make([]byte, n)
		mrand.NewChaCha8([32]byte{seed, byte(i), byte(i >> 8)}).Read(b)
		o.leaves = append(o.leaves, o.put(cid.Raw, b))
	}
	for i := range nodes {
		o.nodes = append(o.nodes, o.put(cid.DagProtobuf, fmt.Appendf(nil, "node %d of %d, padded %*d", i, seed, i%5000, i)))
	}
	o.root = o.put(cid.DagProtobuf, []byte{'r', seed})
	o.nodes = append(o.nodes, o.root)
	return o
}

func (o *object) put(codec uint64, b []byte) cid.Cid {
	c := block.Sum(codec, b)
	o.blocks[c] = b
	return c
}

func (o *object) size() (n int64) {
	for _, c := range o.leaves {
		n += int64(len(o.blocks[c]))
	}
	return n
}

func (o *object) Get(_ context.Context, c cid.Cid, dst []byte) ([]byte, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.reads++
	if err := o.broken[c]; err != nil {
		return nil, err
	}
	b, ok := o.blocks[c]
	if !ok {
		return nil, block.ErrNotFound
	}
	return append(dst[:0], b...), nil
}

func (o *object) Tree(_ context.Context, g Grant) (Tree, func(), error) {
	if g.Root != o.root {
		return nil, nil, block.ErrNotFound
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open++
	return o, func() { o.mu.Lock(); o.open--; o.mu.Unlock() }, nil
}

func (o *object) NumLeaves() int { return len(o.leaves) }

func (o *object) Leaf(i int) (cid.Cid, int) { return o.leaves[i], len(o.blocks[o.leaves[i]]) }

func (o *object) HasNode(c cid.Cid) bool {
	for _, n := range o.nodes {
		if n == c {
			return true
		}
	}
	return false
}

// book is a set of tickets.
type book struct {
	mu sync.Mutex
	m  map[ticket.KeyID]Grant
}

func (b *book) Lookup(id ticket.KeyID) (Grant, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	g, ok := b.m[id]
	return g, ok
}

func (b *book) set(id ticket.KeyID, f func(*Grant)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	g := b.m[id]
	f(&g)
	b.m[id] = g
}

func (b *book) issue(h host.Host, o *object) ticket.Ticket {
	t := ticket.Ticket{
		Root: o.root, Name: "object", Size: o.size(), Peer: h.ID(), Addrs: transport.Dialable(h),
		Secret: ticket.NewSecret(), Expires: time.Now().Add(time.Hour).Truncate(time.Second),
	}
	k := t.Key()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.m == nil {
		b.m = map[ticket.KeyID]Grant{}
	}
	b.m[k.ID()] = Grant{Key: k, Root: o.root, Size: o.size(), Ref: "ref"}
	return t
}

func newHost(t testing.TB, listen ...string) host.Host {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cfg := transport.Config{Key: key, NoListen: len(listen) == 0}
	for _, a := range listen {
		cfg.Listen = append(cfg.Listen, ma.StringCast(a))
	}
	h, err := transport.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

const (
	overTCP  = "/ip4/127.0.0.1/tcp/0"
	overQUIC = "/ip4/127.0.0.1/udp/0/quic-v1"
)

// world is a server with one object and one ticket, and a host to dial from.
type world struct {
	o      *object
	book   book
	srv    *Server
	sh, ch host.Host
	t      ticket.Ticket
	ended  chan error // results of Events.Ended
}

func newWorld(t testing.TB, o *object, listen string, tune func(*ServerConfig)) *world {
	t.Helper()
	w := &world{o: o, sh: newHost(t, listen), ch: newHost(t), ended: make(chan error, 1024)}
	cfg := ServerConfig{Rights: &w.book, Content: o}
	if tune != nil {
		tune(&cfg)
	}
	if cfg.Events.Ended == nil {
		cfg.Events.Ended = func(_ SessionInfo, err error) { w.ended <- err }
	}
	srv, err := NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.srv = srv
	w.sh.SetStreamHandler(Protocol, srv.Handle)
	w.t = w.book.issue(w.sh, o)
	t.Cleanup(func() {
		srv.Close()
		if n := cfgPool(srv).InUse(); n != 0 {
			t.Errorf("server still holds %d bytes of buffers", n)
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.open != 0 {
			t.Errorf("%d trees were not released", o.open)
		}
		if n := srv.ahead.used.Load(); n != 0 {
			t.Errorf("%d bytes of read-ahead were not given back", n)
		}
	})
	return w
}

func cfgPool(s *Server) *Pool { return s.cfg.Pool }

func (w *world) dial(t testing.TB, cfg ClientConfig) *client {
	t.Helper()
	return w.dialFrom(t, w.ch, cfg)
}

func (w *world) dialFrom(t testing.TB, h host.Host, cfg ClientConfig) *client {
	t.Helper()
	s, err := Dial(t.Context(), h, w.t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, s)
}

// client is a session with calls that wait for what they ask for.
type client struct {
	*Session
	start  sync.Once
	ended  chan struct{} // Run has returned err
	err    error
	cancel context.CancelCauseFunc
	ctx    context.Context

	mu      sync.Mutex
	deliver func(int, *Buf) error
	left    int
	idle    chan struct{} // closed when left is 0
	missing *MissingError
	h       Handler // what is not about leaves
}

func newClient(t testing.TB, s *Session) *client {
	c := &client{Session: s, ended: make(chan struct{})}
	t.Cleanup(func() {
		s.Close()
		c.start.Do(func() { close(c.ended) })
		<-c.ended
	})
	return c
}

// run starts Run, once; before it h may be set.
func (c *client) run(ctx context.Context) {
	c.start.Do(func() {
		c.ctx, c.cancel = context.WithCancelCause(ctx)
		h := c.h
		h.Leaf, h.Missing, h.Skipped = c.leaf, c.miss, c.skip
		go func() {
			c.err = c.Run(c.ctx, h)
			close(c.ended)
		}()
	})
}

// Leaves asks for ranges and waits until all have been answered, or the session has ended.
func (c *client) Leaves(ctx context.Context, next func() (int, int, bool), deliver func(int, *Buf) error) error {
	c.run(ctx)
	defer context.AfterFunc(ctx, func() { c.cancel(context.Cause(ctx)) })()
	idle := make(chan struct{})
	c.mu.Lock()
	c.deliver, c.idle, c.missing, c.left = deliver, idle, nil, 1
	c.mu.Unlock()
	for start, n, ok := next(); ok; start, n, ok = next() {
		c.mu.Lock()
		c.left += n
		c.mu.Unlock()
		if err := c.Request(start, n); err != nil {
			return err
		}
	}
	c.answered(1)
	select {
	case <-idle:
	case <-c.ended:
		return c.err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.missing != nil {
		return c.missing
	}
	return nil
}

func (c *client) answered(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left -= n; c.left == 0 {
		close(c.idle)
	}
}

func (c *client) leaf(i int, b *Buf) error {
	c.mu.Lock()
	f := c.deliver
	c.mu.Unlock()
	if err := f(i, b); err != nil {
		return err
	}
	c.answered(1)
	return nil
}

func (c *client) miss(i int, r Reason) {
	c.mu.Lock()
	if c.missing == nil {
		c.missing = &MissingError{Index: i, Reason: r}
	}
	c.missing.Count++
	c.mu.Unlock()
	c.answered(1)
}

func (c *client) skip(start, count int) {
	if c.h.Skipped != nil {
		c.h.Skipped(start, count)
	}
	c.answered(count)
}

// once returns a next that gives ranges one after the other.
func once(ranges ...[2]int) func() (int, int, bool) {
	return func() (int, int, bool) {
		if len(ranges) == 0 {
			return 0, 0, false
		}
		r := ranges[0]
		ranges = ranges[1:]
		return r[0], r[1], true
	}
}

// every returns a next that gives all n leaves in ranges of step.
func every(n, step int) func() (int, int, bool) {
	at := 0
	return func() (int, int, bool) {
		if at >= n {
			return 0, 0, false
		}
		c := min(step, n-at)
		at += c
		return at - c, c, true
	}
}

// check returns a deliver that verifies leaves and collects their indexes.
func (o *object) check(got *[]int) func(int, *Buf) error {
	return func(i int, b *Buf) error {
		defer b.Release()
		*got = append(*got, i)
		if err := block.Verify(o.leaves[i], b.Bytes()); err != nil {
			return fmt.Errorf("leaf %d: %w", i, err)
		}
		return nil
	}
}

// slow is content whose blocks come only when gate is closed, or the session ends.
type slow struct {
	*object
	gate chan struct{}
}

func (s slow) Get(ctx context.Context, c cid.Cid, dst []byte) ([]byte, error) {
	select {
	case <-s.gate:
		return s.object.Get(ctx, c, dst)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type cidT = cid.Cid

var testID = [16]byte{1, 2, 3}
