package exchange

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
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
func (tapeConn) RemoteMultiaddr() ma.Multiaddr          { return nil }
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
	f.Fuzz(func(t *testing.T, b []byte, nodes bool) {
		cfg := ClientConfig{}.withDefaults()
		s := newSessionOf(nil, tape{in: bytes.NewReader(b)}, cfg)
		s.leaves, s.size = 4, 60
		if nodes {
			for range s.Nodes(t.Context(), o.nodes[:2]) {
			}
		} else {
			next := 1
			s.Request(1, 3)
			err := s.Run(t.Context(), Handler{
				Leaf: func(i int, b *Buf) error {
					defer b.Release()
					if i < next || i > 3 {
						t.Fatalf("leaf %d delivered where %d may follow", i, next)
					}
					next = i + 1
					return nil
				},
			})
			if err == nil {
				t.Fatal("ended without a reason")
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
