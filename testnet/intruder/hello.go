package intruder

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/record"
	mss "github.com/multiformats/go-multistream"
	"google.golang.org/protobuf/proto"

	"cairn/consensus/admission/pb"
	"cairn/consensus/membership"
)

// The protocols of a door that this program speaks wrongly.
const (
	JoinProtocol  protocol.ID = "/cairn/join/1"
	HelloProtocol protocol.ID = "/cairn/hello/1"
)

// ErrRefused: the other side said no.
var ErrRefused = errors.New("refused")

// Claim is what a stranger brings to a door.
type Claim struct {
	Protocol protocol.ID
	Network  membership.NetworkID
	Key      crypto.PrivKey   // signs the statement
	Docs     []membership.Doc // that it says are its own
}

// Present goes through the handshake with a door. nil: it was accepted, and the answer is what it was told then, at
// most 1 MiB.
func (s *Stranger) Present(ctx context.Context, door peer.AddrInfo, c Claim) (told []byte, err error) {
	st, a := s.Raw(ctx, door)
	if a.Err != nil {
		return nil, a.Err
	}
	defer st.Reset()
	if end, ok := ctx.Deadline(); ok {
		_ = st.SetDeadline(end) // a stream that is gone fails below
	}
	if err := mss.SelectProtoOrFail(c.Protocol, st); err != nil {
		return nil, fmt.Errorf("agree on %s: %w", c.Protocol, err)
	}
	mine := make([]byte, 32)
	rand.Read(mine)
	w := talk{st, bufio.NewReader(st)}
	if err := w.write(&pb.Frame{Body: &pb.Frame_Open{Open: &pb.Open{Version: 1, Nonce: mine}}}); err != nil {
		return nil, err
	}
	f, err := w.read()
	if err != nil {
		return nil, err
	}
	if f.GetChallenge() == nil {
		return nil, fmt.Errorf("%w before the proof: %v", ErrRefused, f.GetRefused().GetCode())
	}
	proof, err := record.Seal(&statement{&pb.Statement{Role: pb.Statement_DIALLER, Protocol: string(c.Protocol), Network: c.Network[:],
		DiallerDoor: []byte(s.ID()), AnswererDoor: []byte(door.ID), DiallerNonce: mine, AnswererNonce: f.GetChallenge().GetNonce(),
		Time: time.Now().UnixMilli()}}, c.Key)
	if err != nil {
		return nil, err
	}
	envelope, err := proof.Marshal()
	if err != nil {
		return nil, err
	}
	docs := &pb.Documents{Last: true}
	for _, d := range c.Docs {
		docs.Docs = append(docs.Docs, d.Bytes())
	}
	for _, f := range []*pb.Frame{
		{Body: &pb.Frame_Proof{Proof: &pb.Proof{Envelope: envelope}}},
		{Body: &pb.Frame_Documents{Documents: docs}},
		{Body: &pb.Frame_Presences{Presences: &pb.Presences{Last: true}}},
	} {
		if err := w.write(f); err != nil {
			break // the refusal may be there already
		}
	}
	if f, err = w.read(); err != nil {
		return nil, err
	}
	if f.GetAccept() == nil {
		return nil, fmt.Errorf("%w: %v", ErrRefused, f.GetRefused().GetCode())
	}
	told, _ = io.ReadAll(io.LimitReader(w.r, 1<<20)) // until the other side is done, or the time is over
	return told, nil
}

// statement is what an identity signs, as a record.
type statement struct{ *pb.Statement }

func (statement) Domain() string                   { return "cairn-admission" }
func (statement) Codec() []byte                    { return []byte("/cairn/statement") }
func (s statement) MarshalRecord() ([]byte, error) { return proto.Marshal(s.Statement) }
func (s statement) UnmarshalRecord(b []byte) error { return proto.Unmarshal(b, s.Statement) }

// talk is a stream of frames.
type talk struct {
	st network.Stream
	r  *bufio.Reader
}

func (t talk) write(f *pb.Frame) error {
	b, err := proto.Marshal(f)
	if err == nil {
		_, err = t.st.Write(append(binary.AppendUvarint(nil, uint64(len(b))), b...))
	}
	return err
}

func (t talk) read() (*pb.Frame, error) {
	n, err := binary.ReadUvarint(t.r)
	if err == nil && n > 64<<10 {
		err = errors.New("a frame too large")
	}
	if err != nil {
		return nil, err
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(t.r, b); err != nil {
		return nil, err
	}
	f := new(pb.Frame)
	return f, proto.Unmarshal(b, f)
}

// Frame is a frame as it travels.
func Frame(f *pb.Frame) []byte {
	b, err := proto.Marshal(f)
	if err != nil {
		panic(err) // a message of ours
	}
	return append(binary.AppendUvarint(nil, uint64(len(b))), b...)
}

// Nonsense is what nobody may say at a door, by what is wrong with it.
func Nonsense() map[string][]byte {
	open := Frame(&pb.Frame{Body: &pb.Frame_Open{Open: &pb.Open{Version: 1, Nonce: make([]byte, 32)}}})
	random := make([]byte, 4096)
	rand.Read(random)
	return map[string][]byte{
		"random":            append([]byte{0x80, 0x20}, random...),
		"length 0":          {0},
		"length 2 GiB":      binary.AppendUvarint(nil, 2<<30),
		"length 2^63":       binary.AppendUvarint(nil, 1<<63),
		"overlong number":   {0x83, 0x80, 0x80, 0x00, 1, 2, 3},
		"endless number":    {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"no nonce":          Frame(&pb.Frame{Body: &pb.Frame_Open{Open: &pb.Open{Version: 1}}}),
		"a long nonce":      Frame(&pb.Frame{Body: &pb.Frame_Open{Open: &pb.Open{Version: 1, Nonce: make([]byte, 60_000)}}}),
		"two openings":      append(open, open...),
		"proof of nothing":  append(open, Frame(&pb.Frame{Body: &pb.Frame_Proof{Proof: &pb.Proof{Envelope: random}}})...),
		"accepting oneself": append(open, Frame(&pb.Frame{Body: &pb.Frame_Accept{Accept: &pb.Accept{Envelope: random}}})...),
		"the answer first":  Frame(&pb.Frame{Body: &pb.Frame_Challenge{Challenge: &pb.Challenge{Version: 1, Nonce: make([]byte, 32)}}}),
		"an unknown frame":  {4, 0xf2, 0x7f, 1, 1},
		"half a frame":      open[:len(open)/2],
		"silence":           nil,
	}
}
