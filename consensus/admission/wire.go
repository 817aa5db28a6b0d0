package admission

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/protocol"
	"google.golang.org/protobuf/proto"

	"cairn/consensus/admission/pb"
)

// The protocols. Join and Hello are spoken on door hosts, the others on member hosts.
const (
	JoinProtocol    protocol.ID = "/cairn/join/1"
	HelloProtocol   protocol.ID = "/cairn/hello/1"
	MembersProtocol protocol.ID = "/cairn/members/1"
	RenewProtocol   protocol.ID = "/cairn/renew/1"
)

const (
	version   = 1        // of this program within the protocols' major version
	maxFrame  = 64 << 10 // bytes of one message
	chunkSize = 48 << 10 // bytes of documents put into one message; one document more still fits
	nonceSize = 32
)

// stream is what of a network.Stream the wire needs.
type stream interface {
	io.ReadWriter
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// wire reads and writes frames: uvarint length ‖ pb.Frame. One goroutine may read while another one writes.
type wire struct {
	st stream
	r  *bufio.Reader
}

func newWire(st stream) *wire { return &wire{st: st, r: bufio.NewReaderSize(st, 4<<10)} }

// read returns the next frame. io.EOF means that the stream ended between frames; broken rules wrap ErrProtocol.
func (w *wire) read() (*pb.Frame, error) {
	n, err := readLength(w.r)
	if err != nil {
		return nil, err
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(w.r, body); err != nil {
		return nil, within(err)
	}
	return decodeFrame(body)
}

func decodeFrame(body []byte) (*pb.Frame, error) {
	f := new(pb.Frame)
	if err := proto.Unmarshal(body, f); err != nil {
		return nil, fmt.Errorf("%w: a message can not be read", ErrProtocol)
	}
	if f.GetBody() == nil {
		return nil, fmt.Errorf("%w: a message of unknown kind", ErrProtocol)
	}
	return f, nil
}

// readLength reads a length in its shortest form, from 1 to maxFrame.
func readLength(r io.ByteReader) (int, error) {
	v := uint64(0)
	for i := 0; ; i++ {
		b, err := r.ReadByte()
		if err != nil {
			if i == 0 {
				return 0, err
			}
			return 0, within(err)
		}
		if i == 3 || i > 0 && b == 0 { // maxFrame needs three bytes
			return 0, fmt.Errorf("%w: a message's length is malformed", ErrProtocol)
		}
		if v |= uint64(b&0x7f) << (7 * i); b < 0x80 {
			break
		}
	}
	if v == 0 || v > maxFrame {
		return 0, fmt.Errorf("%w: a message of %d bytes, 1 to %d are allowed", ErrProtocol, v, maxFrame)
	}
	return int(v), nil
}

// within makes an end of the stream inside a frame an error.
func within(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// write sends one frame.
func (w *wire) write(f *pb.Frame) error {
	b, err := encodeFrame(f)
	if err != nil {
		return err
	}
	_, err = w.st.Write(b)
	return err
}

func encodeFrame(f *pb.Frame) ([]byte, error) {
	n := proto.Size(f)
	if n > maxFrame {
		return nil, fmt.Errorf("write message: %d bytes are too many", n)
	}
	b := binary.AppendUvarint(make([]byte, 0, n+binary.MaxVarintLen32), uint64(n))
	b, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(b, f)
	if err != nil {
		return nil, fmt.Errorf("write message: %w", err)
	}
	return b, nil
}

// expect reads one frame and picks its body; another kind breaks the rules, a refusal becomes a *RefusedError.
func expect[T any](w *wire, pick func(*pb.Frame) *T) (*T, error) {
	f, err := w.read()
	if err != nil {
		return nil, within(err)
	}
	if r := f.GetRefused(); r != nil {
		return nil, refusedBy(r)
	}
	m := pick(f)
	if m == nil {
		return nil, fmt.Errorf("%w: a message out of order", ErrProtocol)
	}
	return m, nil
}

// chunks cuts a set of byte strings into pieces that fit one message each; an empty set is one empty piece.
func chunks(set [][]byte) (out [][][]byte) {
	var cur [][]byte
	size := 0
	for _, b := range set {
		if size > 0 && size+len(b)+8 > chunkSize {
			out, cur, size = append(out, cur), nil, 0
		}
		cur, size = append(cur, b), size+len(b)+8
	}
	return append(out, cur)
}

// documentFrames packs documents into frames, the last of which is marked and has seq.
func documentFrames(docs [][]byte, seq uint64) (out []*pb.Frame) {
	parts := chunks(docs)
	for i, p := range parts {
		d := &pb.Documents{Docs: p}
		if i == len(parts)-1 {
			d.Last, d.Seq = true, seq
		}
		out = append(out, &pb.Frame{Body: &pb.Frame_Documents{Documents: d}})
	}
	return out
}

func presenceFrames(envelopes [][]byte) (out []*pb.Frame) {
	parts := chunks(envelopes)
	for i, p := range parts {
		out = append(out, &pb.Frame{Body: &pb.Frame_Presences{Presences: &pb.Presences{Envelopes: p, Last: i == len(parts)-1}}})
	}
	return out
}

// set is a limit on what is taken of a set that comes in several messages.
type set struct{ items, bytes int }

// read collects messages until one is the last.
func (l set) read(next func() (part [][]byte, last bool, err error)) (all [][]byte, err error) {
	size := 0
	for {
		part, last, err := next()
		if err != nil {
			return nil, err
		}
		for _, b := range part {
			size += len(b)
		}
		if all = append(all, part...); len(all) > l.items || size > l.bytes {
			return nil, fmt.Errorf("%w: more than %d items or %d bytes", ErrProtocol, l.items, l.bytes)
		}
		if last {
			return all, nil
		}
		if len(part) == 0 {
			return nil, fmt.Errorf("%w: an empty message", ErrProtocol)
		}
	}
}

func (w *wire) readDocuments(l set) ([][]byte, error) {
	return l.read(func() ([][]byte, bool, error) {
		d, err := expect(w, (*pb.Frame).GetDocuments)
		return d.GetDocs(), d.GetLast(), err
	})
}

func (w *wire) readPresences(l set) ([][]byte, error) {
	return l.read(func() ([][]byte, bool, error) {
		p, err := expect(w, (*pb.Frame).GetPresences)
		return p.GetEnvelopes(), p.GetLast(), err
	})
}

func (w *wire) writeAll(frames []*pb.Frame) error {
	for _, f := range frames {
		if err := w.write(f); err != nil {
			return err
		}
	}
	return nil
}
