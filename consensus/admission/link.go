package admission

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"cairn/consensus/admission/pb"
	"cairn/consensus/membership"
)

// What one link may hold and take.
const (
	maxQueued    = 48 << 20 // bytes waiting to be written to one member: a whole book
	frameTime    = 10 * time.Second
	intakeRate   = 64 << 10 // bytes of frames per second that a member may send in the long run
	intakeBurst  = 64 << 20 // and at once: a whole book
	openingBytes = 16 << 20 // revocations before the status
)

// link is one connection with a member, and its members stream.
//
//	       Connected                  both Status           stream or connection ends, silence, cut
//	------> opening ------> exchanging -------> admitted -------> gone
//
// gone is reached from everywhere.
type link struct {
	s        *Service
	conn     network.Conn
	peer     peer.ID
	admitted chan struct{} // closed when revocations, time and instance of both sides have been exchanged
	gone     chan struct{} // closed when the connection is of no more use

	mu       sync.Mutex
	st       network.Stream // the members stream, nil while there is none
	queue    []*pb.Frame
	queued   int           // bytes of queue
	wake     chan struct{} // holds one
	told     bool          // this side's Status has been written
	heardIt  bool          // the other's has come
	open     bool          // admitted is closed
	over     bool          // gone is closed
	leaving  bool          // cut: only documents are taken any more, and only last words and confirmations sent
	instance uint64
	heard    time.Time                  // when something came last
	theirs   map[[shortID]byte]struct{} // what the other said it has, while it is saying it
	seen     []*pb.Heartbeat_Seen       // whom the other is connected with
	seenSent []*pb.Heartbeat_Seen
}

func newLink(s *Service, c network.Conn) *link {
	return &link{s: s, conn: c, peer: c.RemotePeer(), admitted: make(chan struct{}), gone: make(chan struct{}), wake: make(chan struct{}, 1)}
}

// isAdmitted tells whether the connection is admitted and of use.
func (l *link) isAdmitted() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open && !l.over && !l.leaving
}

// end marks the link as gone.
func (l *link) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.over {
		l.over = true
		l.queue, l.queued = nil, 0
		close(l.gone)
	}
}

// send queues frames; a member that does not read loses its connection.
func (l *link) send(frames ...*pb.Frame) {
	l.mu.Lock()
	ok := l.push(frames)
	l.mu.Unlock()
	if !ok {
		l.s.cfg.Log.Warn("connection closed: the member does not read", "peer", l.peer.String())
		l.s.spawn(func(context.Context) { l.conn.Close() }) // may wait for the line
	}
}

func (l *link) push(frames []*pb.Frame) bool {
	if l.over || l.st == nil {
		return true
	}
	for _, f := range frames {
		if l.leaving && f.GetAck() == nil {
			continue
		}
		l.queue = append(l.queue, f)
		l.queued += proto.Size(f)
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return l.queued <= maxQueued
}

// next takes what is queued.
func (l *link) next() []*pb.Frame {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.queue
	l.queue, l.queued = nil, 0
	return q
}

// run speaks on the stream until it ends. The connection is closed then: a member without this stream would not hear of revocations.
func (l *link) run(ctx context.Context, st network.Stream) {
	w := newWire(st)
	l.mu.Lock()
	if l.st != nil || l.over {
		l.mu.Unlock()
		st.Reset()
		return
	}
	l.st = st
	l.mu.Unlock()
	defer l.conn.Close()
	defer l.end()
	// From here on news are queued for this link, so what they are added to below misses none.
	s := l.s
	digest := s.cfg.Book.Digest()
	frames := documentFrames(raws(s.cfg.Book.Revocations()), 0)
	status := &pb.Status{Version: version, Instance: s.instance, Time: s.cfg.Now().UnixMilli(), Digest: digest[:]}
	frames = append(frames, &pb.Frame{Body: &pb.Frame_Status{Status: status}})
	l.send(frames...)
	read := make(chan error, 1)
	go func() { read <- l.read(w) }()
	err := l.write(ctx, w, read)
	st.Reset()
	l.conn.Close() // ends the reading
	if err == nil {
		<-read
	}
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, network.ErrReset) && ctx.Err() == nil {
		s.cfg.Log.Debug("members stream ended", "peer", l.peer.String(), "err", err)
		if errors.Is(err, ErrProtocol) {
			s.refused(Audit{Peer: l.peer, Addr: l.conn.RemoteMultiaddr().String(), Proto: string(MembersProtocol), Why: err.Error()})
		}
	}
}

// write writes what is queued until reading ends (its error is returned), writing fails, or the link is gone.
func (l *link) write(ctx context.Context, w *wire, read chan error) error {
	for {
		for _, f := range l.next() {
			w.st.SetWriteDeadline(time.Now().Add(frameTime))
			if err := w.write(f); err != nil {
				l.conn.Close()
				return errors.Join(err, <-read)
			}
			if f.GetStatus() != nil {
				l.mark(&l.told)
			}
		}
		select {
		case <-l.wake:
		case err := <-read:
			return err
		case <-l.gone:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// mark notes one of the two halves of the exchange, and admits the connection when both are there.
func (l *link) mark(half *bool) {
	l.mu.Lock()
	*half = true
	now := l.told && l.heardIt && !l.open && !l.over
	if now {
		l.open = true
		close(l.admitted)
	}
	l.mu.Unlock()
	if now {
		l.s.admittedLink(l)
	}
}

// read takes frames until the stream ends.
func (l *link) read(w *wire) error {
	var intake bucket
	opening := 0
	for {
		w.st.SetReadDeadline(time.Now().Add(l.s.t.silence))
		f, err := w.read()
		if err != nil {
			return err
		}
		now := time.Now()
		size := proto.Size(f)
		if !intake.take(now, float64(size), intakeRate, intakeBurst) {
			return fmt.Errorf("%w: too much is sent", ErrProtocol)
		}
		l.mu.Lock()
		l.heard = now
		leaving, status := l.leaving, l.heardIt
		l.mu.Unlock()
		if leaving && f.GetDocuments() == nil && f.GetRefused() == nil { // who leaves by itself waits for what it has sent to be confirmed
			continue
		}
		if !status {
			if opening += size; f.GetDocuments() == nil && f.GetStatus() == nil && f.GetRefused() == nil || opening > openingBytes {
				return fmt.Errorf("%w: not revocations and status first", ErrProtocol)
			}
		}
		if err := l.take(f); err != nil {
			return err
		}
	}
}

// take acts on one frame.
func (l *link) take(f *pb.Frame) error {
	s := l.s
	switch b := f.GetBody().(type) {
	case *pb.Frame_Documents:
		return l.documents(b.Documents)
	case *pb.Frame_Status:
		return l.status(b.Status)
	case *pb.Frame_Have:
		return l.have(b.Have)
	case *pb.Frame_Presences:
		for _, e := range b.Presences.GetEnvelopes() {
			if s.toldAlready(e) {
				continue
			}
			p, err := parsePresence(e, s.network)
			if err != nil {
				return err
			}
			s.takePresence(p, l)
		}
	case *pb.Frame_Ack:
		s.acked(b.Ack.GetSeq(), l.peer)
	case *pb.Frame_Heartbeat:
		return l.heartbeat(b.Heartbeat)
	case *pb.Frame_Refused:
		if s.leaving.Load() {
			return nil // of course; a confirmation may come behind it
		}
		r := refusedBy(b.Refused).against(s.cfg.Now())
		s.hearWhy(r)
		return r
	default:
		return fmt.Errorf("%w: a message out of order", ErrProtocol)
	}
	return nil
}

func (l *link) documents(d *pb.Documents) error {
	_, fresh, err := l.s.takeRaw(d.GetDocs(), l)
	if err != nil {
		return err
	}
	seq := d.GetSeq()
	if seq == 0 {
		if len(fresh) > 0 {
			l.s.keeper.keep(fresh, nil)
		}
		return nil
	}
	// An empty write comes after those that are under way, so what came before is kept too when it is done.
	l.s.keeper.keep(fresh, func(err error) {
		if err == nil {
			l.send(&pb.Frame{Body: &pb.Frame_Ack{Ack: &pb.Ack{Seq: seq}}})
		}
	})
	return nil
}

func (l *link) status(m *pb.Status) error {
	s := l.s
	l.mu.Lock()
	again := l.heardIt
	l.instance = m.GetInstance()
	l.mu.Unlock()
	if again || len(m.GetDigest()) != len(membership.DocID{}) || m.GetInstance() == 0 {
		return fmt.Errorf("%w: a status that is not right", ErrProtocol)
	}
	s.measured(l.peer, time.UnixMilli(m.GetTime()).Sub(s.cfg.Now()))
	s.meet(l)
	digest := s.cfg.Book.Digest()
	if string(digest[:]) != string(m.GetDigest()) {
		l.send(s.haveFrames()...)
	}
	l.mark(&l.heardIt)
	l.send(s.presenceFrames()...)
	return nil
}
