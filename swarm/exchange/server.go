package exchange

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"cairn/storage/block"
	"cairn/swarm/ticket"
)

// Rights knows which tickets are served.
type Rights interface {
	// Lookup returns what the holder of a key may fetch. It is asked at the start of a session and again for every
	// request, so it must be fast and take no I/O; the time it takes must not tell more than whether the id is
	// known, which 128 random bits hide. Safe for concurrent use.
	Lookup(id ticket.KeyID) (Grant, bool)
}

// Grant is the right that one ticket gives.
type Grant struct {
	Key     ticket.Key
	Root    cid.Cid
	Size    int64  // bytes of content
	State   error  // nil, or ErrExpired, ErrUsedUp, ErrRevoked: told only to a peer whose proof was right
	NoSwarm bool   // downloaders are not introduced to each other
	Ref     string // what sessions are counted and dropped by; the same for all of one object under one ticket at a time
}

// Tree is an object flattened to leaves; *dag.Tree is one.
type Tree interface {
	NumLeaves() int
	Leaf(i int) (c cid.Cid, size int) // size -1 if not known
	HasNode(c cid.Cid) bool
}

// Content is what is served.
type Content interface {
	// Tree returns the object that a grant is for, to be released once when the session ends. Safe for concurrent use.
	Tree(ctx context.Context, g Grant) (t Tree, release func(), err error)
	// Get returns the bytes of a node or leaf. It finds out whether they have changed since they were stored, but need
	// not hash them: the receiver does. It is called by several goroutines of one session at a time.
	block.Getter
}

// SessionInfo describes a session of the server.
type SessionInfo struct {
	ID        uint64 // counts from 1 in the life of the server
	Peer      peer.ID
	Addr      string // observed address
	Transport string // "tcp", "quic-v1"
	Ref       string // from the Grant
	Root      cid.Cid
	Size      int64
	NoSwarm   bool
	News      bool // it asks for no content: it stands beside another session of the same peer
	Started   time.Time
	Sent      int64    // bytes of payload, nodes included
	Leaves    int64    // leaves sent
	Done      bool     // the downloader said that it has everything
	Download  [16]byte // the downloader's own id of its download, told with Done
	Swarm     bool     // the downloader takes part in the swarm
	Partial   bool     // only part of the object is here
}

// Events are called from the goroutines of sessions; each may be nil, must be safe for concurrent use and, Done
// excepted, return at once. For one session Started comes before all others and Ended after them; Done comes at
// most once with a nil result, and may overlap with Progress.
type Events struct {
	Started  func(SessionInfo)
	Progress func(SessionInfo) // at most every Timeouts.Progress
	// Done: the downloader has the whole object. The answer goes out when Done has returned, so a count that is
	// synced before is never lost. An error (ErrUsedUp, ...) is told to the downloader in the place of the answer.
	Done  func(SessionInfo) error
	Ended func(SessionInfo, error) // nil: closed in good order
}

// ServerStats counts since the server was made.
type ServerStats struct {
	Sessions   int   // now
	Handshakes int   // now
	Accepted   int64 // proofs that were right, of tickets in force
	Refused    int64 // everything else that was answered with a refusal
	Turned     int64 // streams reset because of a limit
	Violations int64 // sessions ended because the client broke the protocol
	Completed  int64 // sessions that said Done
	Missing    int64 // leaves and nodes that could not be read
	LeavesSent int64
	NodesSent  int64
	BytesSent  int64 // payload
}

// Server serves sessions.
type Server struct {
	cfg     ServerConfig
	dummy   ticket.Key // stands in for keys that are not known; random, so no proof is ever right
	ahead   budget     // of all sessions together
	count   counters
	turns   turns
	circles circles

	mu       sync.Mutex
	closed   bool
	lastID   uint64
	streams  map[network.Stream]peer.ID // every stream inside Handle
	shakes   shakes
	sessions map[*session]struct{}
	perPeer  map[peer.ID]int
	wg       sync.WaitGroup // calls of Handle
}

// counters are those of ServerStats that only grow.
type counters struct {
	accepted, refused, turned, violations, completed, missing, leaves, nodes, bytes atomic.Int64
}

// NewServer checks the configuration, fills in defaults and starts nothing.
func NewServer(cfg ServerConfig) (*Server, error) {
	if cfg.Rights == nil || cfg.Content == nil {
		return nil, errors.New("new exchange server: Rights and Content are required")
	}
	cfg.Limits = cfg.Limits.withDefaults()
	cfg.Timeouts = cfg.Timeouts.withDefaults()
	if cfg.Pool == nil {
		cfg.Pool = &Pool{}
	}
	if cfg.Meter == nil {
		cfg.Meter = &Meter{}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Shape == nil {
		cfg.Shape = free{}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Server{
		cfg:      cfg,
		streams:  map[network.Stream]peer.ID{},
		shakes:   shakes{limits: cfg.Limits},
		sessions: map[*session]struct{}{},
		perPeer:  map[peer.ID]int{},
	}
	s.ahead.limit = cfg.Limits.ReadAheadAll
	rand.Read(s.dummy[:])
	return s, nil
}

// Handle serves one session and returns when it has ended; it is a network.StreamHandler.
func (s *Server) Handle(st network.Stream) {
	now := time.Now()
	x := &shake{peer: st.Conn().RemotePeer(), from: hostOf(st.Conn().RemoteMultiaddr()), began: now}
	x.end = func() { st.SetDeadline(now) } // a reset may wait for the line
	st.SetDeadline(now.Add(s.cfg.Timeouts.Handshake))
	if !s.enter(st, x) {
		s.count.turned.Add(1)
		st.Reset()
		return
	}
	defer s.leave(st)
	ss, err := s.handshake(st, x)
	s.shaken(x)
	if err != nil {
		s.cfg.Log.Debug("session not opened", "peer", x.peer.String(), "error", err)
		return
	}
	ss.run()
}

// enter takes a place among the handshakes in flight.
func (s *Server) enter(st network.Stream, x *shake) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	cut, ok := s.shakes.admit(x)
	if cut != nil {
		s.count.turned.Add(1)
		cut.end()
	}
	if !ok {
		return false
	}
	s.wg.Add(1)
	s.streams[st] = x.peer
	return true
}

// proven notes that the proof of a handshake was right; false: its place has been given away.
func (s *Server) proven(x *shake) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shakes.settle(x)
}

func (s *Server) shaken(x *shake) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shakes.leave(x)
}

func (s *Server) leave(st network.Stream) {
	s.mu.Lock()
	delete(s.streams, st)
	s.mu.Unlock()
	s.wg.Done()
}

// add takes a place among the sessions.
func (s *Server) add(ss *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.cfg.Limits
	if s.closed || len(s.sessions) >= l.Sessions || s.perPeer[ss.info.Peer] >= l.SessionsPerPeer {
		return false
	}
	s.lastID++
	ss.info.ID = s.lastID
	s.sessions[ss] = struct{}{}
	s.perPeer[ss.info.Peer]++
	return true
}

// others returns how many peers with the same ticket have sessions. Those that have not said Swarm yet count too: many
// come at once, and must not all begin with the same leaves.
func (s *Server) others(ss *session) int {
	if ss.info.NoSwarm {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := map[peer.ID]bool{ss.info.Peer: true}
	for o := range s.sessions {
		if o.key == ss.key {
			seen[o.info.Peer] = true
		}
	}
	return len(seen) - 1
}

func (s *Server) remove(ss *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, ss)
	decrease(s.perPeer, ss.info.Peer)
}

func decrease(m map[peer.ID]int, p peer.ID) {
	if m[p]--; m[p] <= 0 {
		delete(m, p)
	}
}

// Drop ends the sessions of a ticket with one of ErrExpired, ErrUsedUp, ErrRevoked, ErrGone. It does not wait.
func (s *Server) Drop(ref string, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ss := range s.sessions {
		if ss.info.Ref == ref {
			ss.drop(why)
		}
	}
}

// DropSession ends one session, as Drop does, and tells whether it was there. It does not wait.
func (s *Server) DropSession(id uint64, why error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ss := range s.sessions {
		if ss.info.ID == id {
			ss.drop(why)
			return true
		}
	}
	return false
}

// Close resets all sessions, refuses new ones and returns when all have ended.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	streams := slices.Collect(maps.Keys(s.streams))
	s.mu.Unlock()
	var resets sync.WaitGroup
	for _, st := range streams { // side by side, because each may wait for a line that is stuck
		resets.Go(func() { st.Reset() })
	}
	resets.Wait()
	s.wg.Wait()
	return nil
}

// Sessions returns the sessions that are open, oldest first.
func (s *Server) Sessions() []SessionInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]SessionInfo, 0, len(s.sessions))
	for ss := range s.sessions {
		out = append(out, ss.snapshot())
	}
	slices.SortFunc(out, func(a, b SessionInfo) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// Stats returns the counters.
func (s *Server) Stats() ServerStats {
	s.mu.Lock()
	sessions, shakes := len(s.sessions), len(s.shakes.all)
	s.mu.Unlock()
	c := &s.count
	return ServerStats{
		Sessions: sessions, Handshakes: shakes,
		Accepted: c.accepted.Load(), Refused: c.refused.Load(), Turned: c.turned.Load(),
		Violations: c.violations.Load(), Completed: c.completed.Load(), Missing: c.missing.Load(),
		LeavesSent: c.leaves.Load(), NodesSent: c.nodes.Load(), BytesSent: c.bytes.Load(),
	}
}
