package admission

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/proto"

	"cairn/consensus/admission/pb"
	"cairn/consensus/membership"
)

// half is a stream that was recorded.
type half struct{ *bytes.Buffer }

func (half) SetReadDeadline(time.Time) error  { return nil }
func (half) SetWriteDeadline(time.Time) error { return nil }

func TestLengths(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   []byte
		want int
		err  error
	}{
		{"nothing", nil, 0, io.EOF},
		{"cut", []byte{0x80}, 0, io.ErrUnexpectedEOF},
		{"zero", []byte{0}, 0, ErrProtocol},
		{"one", []byte{1}, 1, nil},
		{"most", binary.AppendUvarint(nil, maxFrame), maxFrame, nil},
		{"one too many", binary.AppendUvarint(nil, maxFrame+1), 0, ErrProtocol},
		{"2 GiB", binary.AppendUvarint(nil, 2<<30), 0, ErrProtocol},
		{"2^63", binary.AppendUvarint(nil, 1<<63), 0, ErrProtocol},
		{"longer than it must be", []byte{0x81, 0x00}, 0, ErrProtocol},
		{"without end", bytes.Repeat([]byte{0xff}, 20), 0, ErrProtocol},
	} {
		got, err := readLength(bufio.NewReader(bytes.NewReader(tt.in)))
		if got != tt.want || !errors.Is(err, tt.err) || (tt.err == nil) != (err == nil) {
			t.Errorf("%s: %d, %v; want %d, %v", tt.name, got, err, tt.want, tt.err)
		}
	}
}

func TestSetsAreCappedAndMustGoOn(t *testing.T) {
	doc := bytes.Repeat([]byte{7}, 1000)
	send := func(frames ...*pb.Frame) *wire {
		w := newWire(half{new(bytes.Buffer)})
		if err := w.writeAll(frames); err != nil {
			t.Fatal(err)
		}
		return w
	}
	many := make([][]byte, 200)
	for i := range many {
		many[i] = doc
	}
	got, err := send(documentFrames(many, 0)...).readDocuments(set{items: 200, bytes: 200_000})
	if err != nil || len(got) != 200 {
		t.Fatalf("%d documents, %v", len(got), err)
	}
	for name, w := range map[string]*wire{
		"too many":   send(documentFrames(append(many, doc), 0)...),
		"too large":  send(documentFrames(append(many[:199:199], append(doc, 1)), 0)...),
		"endless":    send(&pb.Frame{Body: &pb.Frame_Documents{Documents: &pb.Documents{}}}),
		"other kind": send(presenceFrames(nil)...),
	} {
		if _, err := w.readDocuments(set{items: 200, bytes: 200_000}); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUnknownFrameEndsAStreamAndUnknownFieldDoesNot(t *testing.T) {
	if _, err := decodeFrame([]byte{0xfa, 0x7, 0x1, 0x1}); !errors.Is(err, ErrProtocol) { // field 127
		t.Errorf("unknown kind: %v", err)
	}
	open, err := proto.Marshal(&pb.Open{Version: 9, Nonce: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	open = append(open, 0xf8, 0x7, 0x1)
	b := append(binary.AppendUvarint([]byte{1<<3 | 2}, uint64(len(open))), open...)
	if f, err := decodeFrame(b); err != nil || f.GetOpen().GetVersion() != 9 {
		t.Errorf("unknown field: %v, %v", f, err)
	}
}

func TestPresenceRoundTripAndLies(t *testing.T) {
	key, door := newKey(t), idOf(t, newKey(t))
	network := membership.NetworkID{1}
	p := &presence{id: idOf(t, key), instance: 5, seq: 77, door: door, software: "v1",
		doors: []ma.Multiaddr{ma.StringCast("/ip4/1.2.3.4/tcp/5")}, members: []ma.Multiaddr{ma.StringCast("/ip6/::1/udp/5/quic-v1")}}
	if err := p.sign(key, network); err != nil {
		t.Fatal(err)
	}
	got, err := parsePresence(p.raw, network)
	if err != nil || !got.same(p) || got.seq != 77 || got.id != p.id {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, err := parsePresence(p.raw, membership.NetworkID{2}); !errors.Is(err, ErrProtocol) {
		t.Errorf("presence of another network: %v", err)
	}
	if err := p.sign(newKey(t), network); err != nil {
		t.Fatal(err)
	}
	if _, err := parsePresence(p.raw, network); !errors.Is(err, ErrProtocol) {
		t.Errorf("presence that another key has signed: %v", err)
	}
	wrong, err := seal(key, statementCodec, &pb.Presence{Network: network[:], Id: []byte(p.id), Door: []byte(door)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parsePresence(wrong, network); !errors.Is(err, ErrProtocol) {
		t.Errorf("envelope of another kind: %v", err)
	}
}

func TestTextFromOutside(t *testing.T) {
	if got := printable("v1\x1b[2J\u202e\n\xffé", 64); got != "v1[2Jé" {
		t.Errorf("%q", got)
	}
	if got := printable("ééé", 5); got != "éé" {
		t.Errorf("%q", got)
	}
}

func FuzzFrame(f *testing.F) {
	w := half{new(bytes.Buffer)}
	for _, fr := range append(documentFrames([][]byte{{1, 2}}, 3), presenceFrames(nil)...) {
		if err := newWire(w).write(fr); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(w.Bytes())
	f.Add([]byte{0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		in := newWire(half{bytes.NewBuffer(b)})
		for {
			fr, err := in.read()
			if err != nil {
				return
			}
			again, err := encodeFrame(fr)
			if err != nil {
				t.Fatalf("what was read can not be written: %v", err)
			}
			if _, err := newWire(half{bytes.NewBuffer(again)}).read(); err != nil {
				t.Fatalf("what was written can not be read: %v", err)
			}
		}
	})
}

func FuzzPresence(f *testing.F) {
	key := newKey(f)
	p := &presence{id: idOf(f, key), instance: 5, seq: 77, door: idOf(f, newKey(f)), doors: []ma.Multiaddr{ma.StringCast("/ip4/1.2.3.4/tcp/5")}}
	if err := p.sign(key, membership.NetworkID{}); err != nil {
		f.Fatal(err)
	}
	f.Add(p.raw, true)
	f.Add([]byte("/ip4/1.2.3.4/tcp/5"), false)
	f.Fuzz(func(t *testing.T, b []byte, whole bool) {
		if whole {
			if p, err := parsePresence(b, membership.NetworkID{}); err == nil && p.id == "" {
				t.Fatal("a presence of nobody")
			}
			return
		}
		// What is behind the signature, which fuzzing does not find.
		if as, err := parseAddrs([][]byte{b}); err == nil && len(as) > 1 {
			t.Fatal("more addresses than there were")
		}
		var m pb.Statement
		_ = proto.Unmarshal(b, &m)
	})
}
