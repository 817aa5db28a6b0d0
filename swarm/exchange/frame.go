package exchange

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"

	"cairn/storage/block"
)

// kind is the first byte of a frame.
type kind byte

// The frames; the comment names the sender. A frame is kind ‖ uvarint length ‖ body, and for leaf and node
// kind ‖ uvarint length ‖ uvarint index ‖ body, where length counts the body alone. Bodies of the others are
// protobuf messages.
const (
	kindHello     kind = 0x01 // client
	kindChallenge kind = 0x02 // server
	kindProof     kind = 0x03 // client
	kindAccept    kind = 0x04 // server
	kindRefused   kind = 0x05 // server
	kindGetNodes  kind = 0x06 // client
	kindGetLeaves kind = 0x07 // client
	kindDone      kind = 0x08 // client
	kindAcked     kind = 0x09 // server
	kindMissing   kind = 0x0a // server
	kindCancel    kind = 0x0b // client
	kindSkipped   kind = 0x0c // server
	kindHave      kind = 0x0d // server, between answers
	kindSwarm     kind = 0x0e // client
	kindPeers     kind = 0x0f // server, between answers
	kindLeaf      kind = 0x10 // server, raw
	kindNode      kind = 0x11 // server, raw
)

const (
	maxControl = 64 << 10                           // bytes of a control message
	maxSmall   = 1 << 10                            // of one that holds a few numbers at most
	maxPeers   = 8 << 10                            // of an introduction
	maxBatch   = 1024                               // CIDs in one GetNodes
	maxCID     = 64                                 // bytes of one of them
	maxHeader  = 1 + 2*binary.MaxVarintLen64        // bytes of a frame header
	_          = uint(headRoom - maxHeader)         // fits, or this does not compile
	_          = uint(maxControl - maxBatch*(36+2)) // a full batch fits
)

// direction tells which frames a side may receive.
type direction int

const (
	toServer direction = iota
	toClient
)

// header is what stands before a body.
type header struct {
	kind  kind
	size  int    // bytes of the body, within the cap of its kind
	index uint64 // of leaf and node
}

// readHeader reads and checks a header. io.EOF means that the stream ended between frames; every other error
// wraps ErrProtocol or is that of the reader.
func readHeader(r *bufio.Reader, to direction) (h header, err error) {
	b, err := r.ReadByte()
	if err != nil {
		return h, err
	}
	h.kind = kind(b)
	limit := limitOf(h.kind, to)
	if limit == 0 {
		return h, fmt.Errorf("%w: unexpected frame kind %#x", ErrProtocol, b)
	}
	n, err := readUvarint(r)
	if err != nil {
		return h, err
	}
	if n > uint64(limit) {
		return h, fmt.Errorf("%w: frame of %d bytes, at most %d are allowed", ErrProtocol, n, limit)
	}
	h.size = int(n)
	if h.kind == kindLeaf || h.kind == kindNode {
		h.index, err = readUvarint(r)
	}
	return h, err
}

// limitOf returns how many bytes the body of a frame may have; 0 for one that this side may not be sent.
func limitOf(k kind, to direction) int {
	if to == toServer {
		switch k {
		case kindHello, kindProof, kindGetNodes, kindGetLeaves, kindDone:
			return maxControl
		case kindCancel, kindSwarm:
			return maxSmall
		}
		return 0
	}
	switch k {
	case kindChallenge, kindAccept, kindRefused, kindAcked, kindMissing, kindHave:
		return maxControl
	case kindSkipped:
		return maxSmall
	case kindPeers:
		return maxPeers
	case kindLeaf, kindNode:
		return block.MaxSize
	}
	return 0
}

// readUvarint reads a number of at most 64 bits in its shortest form.
func readUvarint(r io.ByteReader) (v uint64, err error) {
	for i := 0; ; i++ {
		b, err := r.ReadByte()
		if err != nil {
			return 0, within(err)
		}
		if i == binary.MaxVarintLen64-1 && b > 1 || i > 0 && b == 0 {
			return 0, fmt.Errorf("%w: overlong number", ErrProtocol)
		}
		v |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			return v, nil
		}
	}
}

// within makes an end of the stream inside a frame an error.
func within(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// appendHeader appends a header.
func appendHeader(b []byte, h header) []byte {
	b = binary.AppendUvarint(append(b, byte(h.kind)), uint64(h.size))
	if h.kind == kindLeaf || h.kind == kindNode {
		b = binary.AppendUvarint(b, h.index)
	}
	return b
}

// appendMessage appends a control frame.
func appendMessage(b []byte, k kind, m proto.Message) []byte {
	b = appendHeader(b, header{kind: k, size: proto.Size(m)})
	b, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(b, m)
	if err != nil {
		panic(err) // our messages hold no strings and no required fields, so they always encode
	}
	return b
}

// readMessage reads the body of a control frame into m.
func readMessage(r *bufio.Reader, h header, m proto.Message) error {
	body := make([]byte, h.size)
	if _, err := io.ReadFull(r, body); err != nil {
		return within(err)
	}
	if err := proto.Unmarshal(body, m); err != nil {
		return fmt.Errorf("%w: message %#x can not be read", ErrProtocol, byte(h.kind))
	}
	return nil
}
