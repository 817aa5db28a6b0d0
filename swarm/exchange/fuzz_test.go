package exchange

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"cairn/swarm/exchange/pb"
	"cairn/swarm/ticket"
)

// tape is a stream whose other side is a byte slice.
type tape struct {
	network.Stream
	in *bytes.Reader
}

func (t tape) Read(p []byte) (int, error)               { return t.in.Read(p) }
func (tape) Write(p []byte) (int, error)                { return len(p), nil }
func (tape) SetDeadline(time.Time) error                { return nil }
func (tape) SetReadDeadline(time.Time) error            { return nil }
func (tape) SetWriteDeadline(time.Time) error           { return nil }
func (tape) Reset() error                               { return nil }
func (tape) Close() error                               { return nil }
func (tape) Conn() network.Conn                         { return tapeConn{} }
func (tapeConn) RemotePeer() peer.ID                    { return "peer" }
func (tapeConn) LocalPeer() peer.ID                     { return "me" }
func (tapeConn) RemoteMultiaddr() ma.Multiaddr          { return ma.StringCast("/ip4/127.0.0.1/tcp/9") }
func (tapeConn) ConnState() (s network.ConnectionState) { return s }

type tapeConn struct{ network.Conn }

// FuzzHeader: what is read is within its caps and is written again the same.
func FuzzHeader(f *testing.F) {
	f.Add([]byte{byte(kindDone), 0}, true)
	f.Add(frame(kindLeaf, 5, 300, []byte("hello")), false)
	f.Add(frame(kindNode, 2<<30, 1<<63, nil), false)
	f.Add([]byte{byte(kindLeaf), 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1}, false)
	f.Add(appendMessage(nil, kindRefused, &pb.Refused{Reason: 3}), false)
	f.Fuzz(func(t *testing.T, b []byte, server bool) {
		to := toClient
		if server {
			to = toServer
		}
		h, err := readHeader(bufio.NewReader(bytes.NewReader(b)), to)
		if err != nil {
			if !errors.Is(err, ErrProtocol) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatal(err)
			}
			return
		}
		if h.size < 0 || h.size > 2<<20 || len(appendHeader(nil, h)) > maxHeader {
			t.Fatalf("%+v", h)
		}
		if again := appendHeader(nil, h); !bytes.HasPrefix(b, again) {
			t.Fatalf("read %x, would write %x", b, again)
		}
	})
}

// FuzzClient feeds a client with what a source might send for leaves 1 to 3.
func FuzzClient(f *testing.F) {
	o := newObject(1, 2, 10, 20, 0, 30)
	leaf := func(i int) []byte {
		b := o.blocks[o.leaves[i]]
		return frame(kindLeaf, uint64(len(b)), uint64(i), b)
	}
	f.Add(bytes.Join([][]byte{leaf(1), leaf(2), leaf(3)}, nil), false)
	f.Add(bytes.Join([][]byte{leaf(1), appendMessage(nil, kindMissing, &pb.Missing{Index: 2, Reason: 2}), leaf(3)}, nil), false)
	f.Add(appendMessage(nil, kindRefused, &pb.Refused{Reason: 1}), false)
	n := o.blocks[o.nodes[0]]
	f.Add(frame(kindNode, uint64(len(n)), 0, n), true)
	f.Add(appendMessage(nil, kindMissing, &pb.Missing{Node: true}), true)
	f.Add(bytes.Join([][]byte{haveMessage(0, 5), leaf(1), skippedMessage(2, 2), appendMessage(nil, kindAcked, &pb.Acked{})}, nil), false)
	f.Add(bytes.Join([][]byte{appendMessage(nil, kindPeers, peersOf(somePeer(1), "/ip4/127.0.0.1/tcp/9")), leaf(1), leaf(2), skippedMessage(3, 1)}, nil), false)
	f.Add(bytes.Join([][]byte{haveMessage(1, 3), frame(kindNode, uint64(len(n)), 0, n)}, nil), true)
	f.Fuzz(func(t *testing.T, b []byte, nodes bool) {
		cfg := ClientConfig{}.withDefaults()
		s := newSessionOf(nil, tape{in: bytes.NewReader(b)}, cfg)
		s.leaves, s.size, s.partial = 4, 60, true
		s.swarmed.Store(true)
		if nodes {
			for range s.Nodes(t.Context(), o.nodes[:2]) {
			}
		} else {
			next := 1
			pass := func(i, n int) { // an answer for n leaves from i: in order, within what was asked for, once
				if i != next || n < 1 || i+n > 4 {
					t.Fatalf("leaves from %d, %d of them, where %d is next", i, n, next)
				}
				next += n
			}
			acked := make(chan struct{})
			s.Request(1, 3)
			s.Cancel(2, 2)
			s.owed.push(answer{kind: kindAcked, end: 1, acked: acked})
			err := s.Run(t.Context(), Handler{
				Leaf:    func(i int, b *Buf) error { b.Release(); pass(i, 1); return nil },
				Missing: func(i int, _ Reason) { pass(i, 1) },
				Skipped: func(i, n int) {
					if pass(i, n); i < 2 {
						t.Fatalf("leaf %d was skipped and not cancelled", i)
					}
				},
				Have: func(start int, bits []byte) {
					if l := leavesOf(start, bits); len(l) == 0 || l[0] < 0 || l[len(l)-1] > 3 {
						t.Fatalf("has %v", l)
					}
				},
				Peers: func(in []Introduction) {
					if len(in) == 0 || len(in) > peersFrame {
						t.Fatalf("met %v", in)
					}
				},
			})
			if err == nil {
				t.Fatal("ended without a reason")
			}
			select {
			case <-acked:
				if next != 4 {
					t.Fatal("acknowledged before the leaves came")
				}
			default:
			}
		}
		if n := cfg.Pool.InUse(); n != 0 {
			t.Fatalf("%d bytes not released", n)
		}
	})
}

// FuzzServer feeds a server's session, after the handshake, with what a client might send.
func FuzzServer(f *testing.F) {
	o := newObject(1, 2, 10, 20, 0, 30)
	var bk book
	srv, err := NewServer(ServerConfig{Rights: &bk, Content: o})
	if err != nil {
		f.Fatal(err)
	}
	bk.m = map[ticket.KeyID]Grant{{}: {}}
	f.Add(leavesMessage(0, 4))
	f.Add(append(leavesMessage(1, 1), appendMessage(nil, kindDone, &pb.Done{})...))
	f.Add(appendMessage(nil, kindGetNodes, &pb.GetNodes{Cids: [][]byte{o.nodes[0].Bytes(), o.nodes[1].Bytes()}}))
	f.Add(leavesMessage(1<<64-1, 1<<64-1))
	f.Fuzz(func(t *testing.T, b []byte) {
		ss := newSession(srv, tape{in: bytes.NewReader(b)}, "peer")
		ss.tree, ss.todo = o, newTodo(srv.cfg.Limits)
		if err := ss.requests(context.Background()); err == nil {
			t.Fatal("ended without a reason")
		}
		for _, rq := range ss.todo.q {
			if rq.kind == kindGetLeaves && (rq.start < 0 || rq.count < 1 || rq.start+rq.count > 4) {
				t.Fatalf("%+v", rq)
			}
			for _, c := range rq.cids {
				if !o.HasNode(c) {
					t.Fatalf("node %s is not under the root", c)
				}
			}
		}
	})
}

// FuzzServerSession runs a whole session of a server, after the handshake, on what a client might send, and reads
// what it answers as a strict client would.
func FuzzServerSession(f *testing.F) {
	o := newObject(1, 2, 10, 20, 0, 30)
	g := newGrowing(o)
	g.come(0, 1, 3)
	var bk book
	bk.m = map[ticket.KeyID]Grant{{}: {}}
	cancel := appendMessage(nil, kindCancel, &pb.Cancel{Start: 1, Count: 2})
	f.Add(append(leavesMessage(0, 4), cancel...), false)
	f.Add(bytes.Join([][]byte{leavesMessage(0, 4), leavesMessage(1, 2), cancel, leavesMessage(2, 1)}, nil), true)
	f.Add(append(appendMessage(nil, kindSwarm, &pb.Swarm{Tcp: 1}), appendMessage(nil, kindDone, &pb.Done{Id: make([]byte, 16)})...), true)
	f.Add(appendMessage(nil, kindGetNodes, &pb.GetNodes{Cids: [][]byte{o.nodes[0].Bytes(), o.nodes[1].Bytes()}}), true)
	f.Fuzz(func(t *testing.T, b []byte, partial bool) {
		srv, err := NewServer(ServerConfig{Rights: &bk, Content: g})
		if err != nil {
			t.Fatal(err)
		}
		out := &recorder{tape: tape{in: bytes.NewReader(b)}}
		ss := newSession(srv, out, "peer")
		ss.tree, ss.release = o, func() {}
		out.ss = ss
		if partial {
			ss.tree, ss.part = g, g
		}
		ss.run()
		if n := srv.cfg.Pool.InUse(); n != 0 || srv.ahead.used.Load() != 0 || len(srv.circles.m) != 0 {
			t.Fatalf("%d bytes of buffers, %d of budget, %d circles are left", n, srv.ahead.used.Load(), len(srv.circles.m))
		}
		r := bufio.NewReader(&out.written)
		for {
			h, err := readHeader(r, toClient)
			if err != nil { // the session may end inside a frame
				if errors.Is(err, ErrProtocol) {
					t.Fatal(err)
				}
				return
			}
			switch h.kind {
			case kindHave:
				var m pb.Have
				if readMessage(r, h, &m) == nil {
					if _, _, err := checkHave(&m, 4); err != nil || !partial {
						t.Fatalf("%v, %v", &m, err)
					}
				}
			case kindPeers, kindHello, kindChallenge, kindAccept:
				t.Fatalf("sent %#x", byte(h.kind))
			default:
				r.Discard(h.size)
			}
		}
	})
}

// recorder is a tape that keeps what is written, and does not end before everything has been answered.
type recorder struct {
	tape
	ss      *session
	written bytes.Buffer
}

func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.tape.Read(p)
	for i := 0; err != nil && i < 1e6 && r.ss.todo.busy(); i++ {
		runtime.Gosched()
	}
	return n, err
}

func (r *recorder) Write(p []byte) (int, error) { return r.written.Write(p) }
