// Package intruder is a peer that breaks the block protocol, for tests of those that must stand it: it has a right
// ticket and the whole object, and writes frames by hand from the text of swarm/exchange, so that it can write any.
//
// A test binary becomes one when its TestMain calls [Main]. It prints events on stdout as the real commands do. What
// it does on a machine that is not the test's own is nobody's wish: it dials only the ticket's peer, and is asked by
// whoever has one of its tickets.
//
// Goroutines end with the process.
package intruder

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/encoding/protowire"

	"cairn/storage/dag"
	"cairn/swarm/ticket"
)

// Env holds the orders, as JSON.
const Env = "TESTNET_INTRUDER"

// What an intruder does.
const (
	Serve = "serve" // a peer for each lie; event "ready" with tickets and ids by lie
	Ask   = "ask"   // attacks the ticket's peer; events "offended", then "flooded" when what lasts is going on
	Idle  = "idle"  // opens streams at Targets and says nothing; event "flooded" when what lasts is going on
)

// Orders is what an intruder is to do.
type Orders struct {
	Act    string
	Ticket string   // of an honest source
	File   string   // the object
	Lies   []string // to serve
	Named  []string // multiaddrs that the lies about peers introduce

	Targets []string // multiaddrs with ids, of hosts to be silent at
}

// Main carries out orders until the process is killed, if there are any in the environment; else it returns at once.
func Main() {
	text := os.Getenv(Env)
	if text == "" {
		return
	}
	if err := carryOut(text); err != nil {
		fmt.Fprintln(os.Stderr, "intruder:", err)
		os.Exit(1)
	}
	select {}
}

func carryOut(text string) error {
	in := &intruder{}
	if err := json.Unmarshal([]byte(text), &in.Orders); err != nil {
		return err
	}
	if in.Act == Idle {
		return in.idle()
	}
	if err := in.load(); err != nil {
		return err
	}
	if in.Act == Serve {
		return in.serve()
	}
	return in.ask()
}

type intruder struct {
	Orders
	ticket ticket.Ticket
	leaves [][]byte
	nodes  map[cid.Cid][]byte
	out    sync.Mutex
}

func (in *intruder) say(event string, v map[string]any) {
	in.out.Lock()
	defer in.out.Unlock()
	v["event"] = event
	_ = json.NewEncoder(os.Stdout).Encode(v)
}

// load reads the object, as its owner would: a source that has nothing would not be asked for long.
func (in *intruder) load() (err error) {
	if in.ticket, err = ticket.Parse(in.Orders.Ticket); err != nil {
		return err
	}
	b, err := os.ReadFile(in.Orders.File)
	if err != nil {
		return err
	}
	for at := 0; at < len(b); at += dag.LeafSize {
		in.leaves = append(in.leaves, b[at:min(at+dag.LeafSize, len(b))])
	}
	in.nodes = map[cid.Cid][]byte{}
	sum, err := dag.ImportReader(context.Background(), bytes.NewReader(b), dag.Options{}, in)
	if err == nil && sum.Root != in.ticket.Root {
		err = errors.New("the file is not the ticket's object")
	}
	return err
}

// File, Leaf and Node make the intruder a dag.Sink.
func (in *intruder) File(string, os.FileInfo) (uint64, error) { return 0, nil }

func (in *intruder) Leaf(context.Context, uint64, int64, cid.Cid, []byte) error { return nil }

func (in *intruder) Node(_ context.Context, c cid.Cid, data []byte) error {
	in.out.Lock()
	defer in.out.Unlock()
	in.nodes[c] = bytes.Clone(data)
	return nil
}

// newHost is a libp2p host without any limit of its own.
func (in *intruder) newHost(listen ...string) (host.Host, error) {
	return libp2p.New(libp2p.ListenAddrStrings(listen...), libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.DisableRelay(), libp2p.DisableMetrics())
}

// Frames of swarm/exchange/DESIGN.md, in its numbers.
const (
	fHello     = 0x01
	fChallenge = 0x02
	fProof     = 0x03
	fAccept    = 0x04
	fGetNodes  = 0x06
	fGetLeaves = 0x07
	fDone      = 0x08
	fAcked     = 0x09
	fMissing   = 0x0a
	fCancel    = 0x0b
	fHave      = 0x0d
	fSwarm     = 0x0e
	fPeers     = 0x0f
	fLeaf      = 0x10
	fNode      = 0x11
)

// blocksProtocol is its protocol id.
const blocksProtocol = "/cairn/blocks/1"

// frame is one frame; of a leaf or node the body begins with the index.
type frame struct {
	kind byte
	body []byte
}

func head(kind byte, length uint64) []byte { return binary.AppendUvarint([]byte{kind}, length) }

// control is a control message of fields 1, 2, ...: numbers and bytes; nil leaves one out.
func control(kind byte, fields ...any) []byte {
	b := message(fields...)
	return append(head(kind, uint64(len(b))), b...)
}

func message(fields ...any) (b []byte) {
	for i, f := range fields {
		n := protowire.Number(i + 1)
		switch v := f.(type) {
		case int:
			b = protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), uint64(v))
		case uint64:
			b = protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), v)
		case []byte:
			b = protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), v)
		case [][]byte:
			for _, x := range v {
				b = protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), x)
			}
		}
	}
	return b
}

// numbered is a leaf or node.
func numbered(kind byte, index int, payload []byte) []byte {
	b := binary.AppendUvarint(head(kind, uint64(len(payload))), uint64(index))
	return append(b, payload...)
}

// fieldsOf returns the numbers and the byte strings of a message, by field.
func fieldsOf(b []byte) (numbers map[int]uint64, texts map[int][][]byte) {
	numbers, texts = map[int]uint64{}, map[int][][]byte{}
	for len(b) > 0 {
		n, kind, size := protowire.ConsumeTag(b)
		if size < 0 {
			return
		}
		b = b[size:]
		switch kind {
		case protowire.VarintType:
			numbers[int(n)], size = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			var v []byte
			v, size = protowire.ConsumeBytes(b)
			texts[int(n)] = append(texts[int(n)], v)
		default:
			size = protowire.ConsumeFieldValue(n, kind, b)
		}
		if size < 0 {
			return
		}
		b = b[size:]
	}
	return numbers, texts
}

// line is one stream of the protocol.
type line struct {
	in *intruder
	st network.Stream
	r  *bufio.Reader
}

func newLine(in *intruder, st network.Stream) *line { return &line{in, st, bufio.NewReader(st)} }

// read returns the next control frame. It trusts the other side, which is the real one.
func (l *line) read() (f frame, err error) {
	if f.kind, err = l.r.ReadByte(); err != nil {
		return f, err
	}
	n, err := binary.ReadUvarint(l.r)
	if err == nil && n > 4<<20 {
		err = errors.New("a frame too large")
	}
	if err != nil {
		return f, err
	}
	f.body = make([]byte, n)
	_, err = io.ReadFull(l.r, f.body)
	return f, err
}

// expect reads a frame that must be of a kind.
func (l *line) expect(kind byte) (texts map[int][][]byte, err error) {
	f, err := l.read()
	if err != nil {
		return nil, err
	}
	if f.kind != kind {
		return nil, fmt.Errorf("got frame %#x, not %#x", f.kind, kind)
	}
	_, texts = fieldsOf(f.body)
	return texts, nil
}

// enter proves the ticket as a client should.
func (l *line) enter() error {
	t := l.in.ticket
	id := t.Key().ID()
	var mine [32]byte
	rand.Read(mine[:])
	if _, err := l.st.Write(control(fHello, 1, id[:], mine[:])); err != nil {
		return err
	}
	ch, err := l.expect(fChallenge)
	if err != nil {
		return err
	}
	p := t.Key().Proof(ticket.Client, mine, [32]byte(ch[2][0]), l.st.Conn().LocalPeer(), l.st.Conn().RemotePeer(), t.Root)
	if _, err := l.st.Write(control(fProof, p[:])); err != nil {
		return err
	}
	_, err = l.expect(fAccept)
	return err
}

// admit answers a client's handshake as a server should, but for what the lie is about.
func (l *line) admit(x Lie) error {
	hello, err := l.expect(fHello)
	if err != nil {
		return err
	}
	var mine [32]byte
	rand.Read(mine[:])
	if _, err := l.st.Write(control(fChallenge, 1, mine[:])); err != nil {
		return err
	}
	if _, err := l.expect(fProof); err != nil {
		return err
	}
	t := l.in.ticket
	p := t.Key().Proof(ticket.Server, [32]byte(hello[3][0]), mine, l.st.Conn().RemotePeer(), l.st.Conn().LocalPeer(), t.Root)
	leaves, partial := x.claims, 0
	if leaves == 0 {
		leaves = uint64(len(l.in.leaves))
	}
	if x.partial {
		partial = 1
	}
	_, err = l.st.Write(control(fAccept, p[:], uint64(t.Size), leaves, partial))
	return err
}

// binaryAddrs are multiaddrs as they travel.
func binaryAddrs(texts []string) (all [][]byte, err error) {
	for _, s := range texts {
		a, err := ma.NewMultiaddr(s)
		if err != nil {
			return nil, err
		}
		all = append(all, a.Bytes())
	}
	return all, nil
}
