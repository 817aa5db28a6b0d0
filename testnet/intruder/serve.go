package intruder

import (
	"crypto/rand"
	"slices"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Lie is how a source misbehaves; in everything else it does as it should.
type Lie struct {
	Breach bool // against the protocol: who is lied to must drop it. Else it may as well be slow, or poor

	partial bool                       // it says that it holds only a part
	claims  uint64                     // how many it says there are; 0: as many as there are
	first   func(in *intruder) []byte  // sent before the first answer
	leaf    func(l *line, i int) error // in the place of leaf i
	swarm   func(l *line) error        // when the client wants to be introduced
}

// leafOf says what is sent in the place of a leaf.
func leafOf(f func(in *intruder, i int) []byte) func(*line, int) error {
	return func(l *line, i int) error {
		_, err := l.st.Write(f(l.in, i))
		return err
	}
}

// missing says that a leaf is not there.
var missing = leafOf(func(_ *intruder, i int) []byte { return control(fMissing, i, 0, 1) })

// Lies are the ways in which a source can be bad.
var Lies = map[string]Lie{
	"wrong bytes": {Breach: true, leaf: leafOf(func(in *intruder, i int) []byte {
		b := slices.Clone(in.leaves[i])
		b[len(b)/2] ^= 1
		return numbered(fLeaf, i, b)
	})},
	"truncated": {Breach: true, leaf: leafOf(func(in *intruder, i int) []byte { return numbered(fLeaf, i, in.leaves[i][1:]) })},
	"extended":  {Breach: true, leaf: leafOf(func(in *intruder, i int) []byte { return numbered(fLeaf, i, append(slices.Clone(in.leaves[i]), 0)) })},
	"another leaf": {Breach: true, leaf: leafOf(func(in *intruder, i int) []byte {
		j := (i + 1) % len(in.leaves)
		return numbered(fLeaf, j, in.leaves[j])
	})},
	"another's":     {Breach: true, leaf: leafOf(func(in *intruder, i int) []byte { return numbered(fLeaf, i, in.leaves[(i+1)%(len(in.leaves)-1)]) })},
	"leaf twice":    {Breach: true, leaf: leafOf(func(in *intruder, i int) []byte { b := numbered(fLeaf, i, in.leaves[i]); return append(b, b...) })},
	"huge index":    {Breach: true, leaf: leafOf(func(in *intruder, _ int) []byte { return numbered(fLeaf, 1<<62, in.leaves[0]) })},
	"length 0":      {Breach: true, leaf: leafOf(func(_ *intruder, i int) []byte { return numbered(fLeaf, i, nil) })},
	"length 2 GiB":  {Breach: true, leaf: leafOf(func(*intruder, int) []byte { return append(head(fLeaf, 2<<30), make([]byte, 1<<20)...) })},
	"length 2^63":   {Breach: true, leaf: leafOf(func(*intruder, int) []byte { return append(head(fLeaf, 1<<63), make([]byte, 1<<20)...) })},
	"node as leaf":  {Breach: true, leaf: leafOf(func(in *intruder, i int) []byte { return numbered(fNode, i, in.leaves[i]) })},
	"a hello":       {Breach: true, leaf: leafOf(func(*intruder, int) []byte { return control(fHello) })},
	"a second ack":  {Breach: true, leaf: leafOf(func(*intruder, int) []byte { return control(fAcked) })},
	"unasked leaf":  {Breach: true, first: func(in *intruder) []byte { return numbered(fLeaf, 0, in.leaves[0]) }},
	"unknown frame": {Breach: true, leaf: leafOf(func(*intruder, int) []byte { return head(0x7f, 0) })},

	"one byte a second": {leaf: func(l *line, i int) error {
		for b := range slices.Chunk(numbered(fLeaf, i, l.in.leaves[i]), 1) {
			if _, err := l.st.Write(b); err != nil {
				return err
			}
			time.Sleep(time.Second)
		}
		return nil
	}},
	"silence": {leaf: func(*line, int) error { select {} }},

	"2^60 leaves": {claims: 1 << 60, leaf: missing},

	"bits of a whole one": {Breach: true, first: func(*intruder) []byte { return control(fHave, 0, []byte{1}) }},
	"bits behind the end": {Breach: true, partial: true, first: func(in *intruder) []byte { return control(fHave, len(in.leaves)-1, []byte{3}) }},
	"bits far behind":     {Breach: true, partial: true, first: func(*intruder) []byte { return control(fHave, uint64(1<<64-1), []byte{255}) }},
	"no bits":             {Breach: true, partial: true, first: func(*intruder) []byte { return control(fHave, 0, []byte{}) }},
	"64 KiB of bits":      {Breach: true, partial: true, first: func(*intruder) []byte { return control(fHave, 0, slices.Repeat([]byte{255}, 65000)) }},
	"bits that are a lie": {partial: true,
		first: func(in *intruder) []byte { return control(fHave, 0, allBits(len(in.leaves))) },
		leaf:  missing,
	},

	"introduces":      {leaf: missing, swarm: introduce(8, 40)},
	"introduces nine": {Breach: true, leaf: missing, swarm: introduce(9, 1)},
}

// allBits says that every leaf is there.
func allBits(n int) []byte {
	b := make([]byte, (n+7)/8)
	for i := range n {
		b[i/8] |= 1 << (i % 8)
	}
	return b
}

// introduce names the addresses of the orders, under ids that nobody has, again and again.
func introduce(peers, frames int) func(*line) error {
	return func(l *line) error {
		addrs, err := binaryAddrs(l.in.Named)
		if err != nil {
			return err
		}
		for i := range frames {
			var all [][]byte
			for j := range peers {
				_, pub, err := crypto.GenerateEd25519Key(rand.Reader)
				if err != nil {
					return err
				}
				id, err := peer.IDFromPublicKey(pub)
				if err != nil {
					return err
				}
				all = append(all, message([]byte(id), [][]byte{addrs[(i+j)%len(addrs)]}))
			}
			if _, err := l.st.Write(control(fPeers, all)); err != nil {
				return err
			}
		}
		l.in.say("introduced", map[string]any{})
		return nil
	}
}

// serve makes a host and a ticket for each lie, prints them and serves.
func (in *intruder) serve() error {
	tickets, ids := map[string]string{}, map[string]string{}
	for _, name := range in.Lies {
		h, err := in.newHost("/ip4/0.0.0.0/tcp/0")
		if err != nil {
			return err
		}
		h.SetStreamHandler(blocksProtocol, func(st network.Stream) {
			defer st.Reset()
			err := Lies[name].serve(newLine(in, st))
			in.say("over", map[string]any{"lie": name, "error": err.Error()})
		})
		t := in.ticket
		t.Peer, t.Addrs = h.ID(), nil
		for _, a := range h.Addrs() {
			if !manet.IsIPLoopback(a) {
				t.Addrs = append(t.Addrs, ma.Cast(a.Bytes()))
			}
		}
		if tickets[name], err = t.Encode(); err != nil {
			return err
		}
		ids[name] = h.ID().String()
	}
	in.say("ready", map[string]any{"tickets": tickets, "ids": ids})
	return nil
}

// serve answers until the client goes, which is always an error.
func (x Lie) serve(l *line) error {
	if err := l.admit(x); err != nil {
		return err
	}
	if x.first != nil {
		if _, err := l.st.Write(x.first(l.in)); err != nil {
			return err
		}
	}
	for nodes := 0; ; {
		f, err := l.read()
		if err != nil {
			return err
		}
		numbers, texts := fieldsOf(f.body)
		switch f.kind {
		case fGetNodes:
			for _, c := range texts[1] {
				_, id, err := cid.CidFromBytes(c)
				if err != nil {
					return err
				}
				if _, err := l.st.Write(numbered(fNode, nodes, l.in.nodes[id])); err != nil {
					return err
				}
				nodes++
			}
		case fGetLeaves:
			err = x.leaves(l, int(numbers[1]), int(numbers[2]))
		case fDone:
			_, err = l.st.Write(control(fAcked))
		case fSwarm:
			if x.swarm != nil {
				err = x.swarm(l)
			}
		}
		if err != nil {
			return err
		}
	}
}

func (x Lie) leaves(l *line, start, count int) error {
	for i := start; i < start+count && i < len(l.in.leaves); i++ {
		if x.leaf != nil {
			if err := x.leaf(l, i); err != nil {
				return err
			}
		} else if _, err := l.st.Write(numbered(fLeaf, i, l.in.leaves[i])); err != nil {
			return err
		}
	}
	return nil
}
