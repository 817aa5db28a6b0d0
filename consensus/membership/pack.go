package membership

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	recordpb "github.com/libp2p/go-libp2p/core/record/pb"
	"google.golang.org/protobuf/proto"
)

// An invite as bytes holds its documents without what follows from the others: of each only the signature and the
// payload after the network's id. The signer of the first is the root, that of each further one the subject of the
// one before; the subject of the invite's own document follows from its key. See DESIGN.md.

// form is the first byte of the bytes; any other is a newer one.
const form = 1

const (
	signatureSize = 64
	maxChain      = 4 // documents: two administrators, each by an invite and a join
)

// networkField and subjectField are how payloads begin: protobuf fields 1 and 2 of 32 bytes.
var (
	networkField = []byte{1<<3 | 2, keySize}
	subjectField = []byte{2<<3 | 2, keySize}
)

// pack returns the invite as bytes.
func (i Invite) pack() ([]byte, error) {
	if i.Charter.kind != KindCharter || i.Doc.kind != KindInvite || i.Key == nil {
		return nil, faultf(ErrMalformed, "the invite is not complete")
	}
	seed, err := i.Key.Raw()
	if err != nil || i.Key.Type() != crypto.Ed25519 || len(seed) != 2*keySize {
		return nil, faultf(ErrMalformed, "the invite's key is no Ed25519 key")
	}
	if len(i.Chain) > maxChain {
		return nil, faultf(ErrMalformed, "the invite's chain has %d documents, at most %d are possible", len(i.Chain), maxChain)
	}
	if err := checkContacts(i.Contacts); err != nil {
		return nil, err
	}
	b := append([]byte{form}, keyOf(i.Charter.signer)...)
	b = append(b, seed[:keySize]...)
	if b, err = appendDoc(b, i.Charter, ""); err != nil {
		return nil, err
	}
	b = append(b, byte(len(i.Chain)))
	for _, d := range i.Chain {
		if b, err = appendDoc(append(b, byte(d.kind)), d, ""); err != nil {
			return nil, err
		}
	}
	if b, err = appendDoc(b, i.Doc, i.ID()); err != nil {
		return nil, err
	}
	b = append(b, byte(len(i.Contacts)))
	for _, c := range i.Contacts {
		b = appendAddrs(append(b, keyOf(c.Door)...), c.Addrs)
	}
	return b, nil
}

// appendDoc writes signature, length and rest of a document. The subject is left out when it is known.
func appendDoc(b []byte, d Doc, known peer.ID) ([]byte, error) {
	var env recordpb.Envelope
	if err := proto.Unmarshal(d.raw, &env); err != nil {
		return nil, fmt.Errorf("pack %s: %w", d.kind, err)
	}
	rest, ok := bytes.CutPrefix(env.Payload, head(d.network, known))
	if !ok || len(env.Signature) != signatureSize {
		return nil, faultf(ErrMalformed, "the %s can not be packed", d.kind)
	}
	b = binary.AppendUvarint(append(b, env.Signature...), uint64(len(rest)))
	return append(b, rest...), nil
}

// head is what payloads begin with.
func head(network NetworkID, known peer.ID) []byte {
	b := append(bytes.Clone(networkField), network[:]...)
	if known != "" {
		b = append(append(b, subjectField...), keyOf(known)...)
	}
	return b
}

// unpack reads what pack wrote. The error is a *ParseError.
func unpack(b []byte) (Invite, error) {
	r := &reader{b: b}
	if r.byte() != form {
		if len(b) == 0 {
			return Invite{}, malformed("its content ends early")
		}
		return Invite{}, &ParseError{Reason: newer, Err: ErrNewer}
	}
	var i Invite
	root := idOf(r.bytes(keySize))
	key, err := keyFromSeed(r.bytes(keySize))
	if err != nil {
		return Invite{}, malformed("its key can not be read")
	}
	i.Key = key
	id, err := signerOf(key)
	if err != nil {
		return Invite{}, malformed("its key can not be read")
	}
	network := networkOf(root)
	i.Charter = r.doc(network, KindCharter, root, "")
	signer := root
	for range r.count(maxChain, "documents") {
		kind := Kind(r.byte())
		if kind > lastKind || kind == 0 {
			r.fail("it holds a document of an unknown kind")
			break
		}
		d := r.doc(network, kind, signer, "")
		i.Chain = append(i.Chain, d)
		signer = d.subject
	}
	i.Doc = r.doc(network, KindInvite, signer, id)
	for range r.count(MaxContacts, "contacts") {
		i.Contacts = append(i.Contacts, Contact{idOf(r.bytes(keySize)), r.addrs()})
	}
	if r.reason == "" && len(r.b) > 0 {
		r.fail("it holds more than an invite does")
	}
	switch {
	case r.err != nil:
		return Invite{}, r.err
	case r.reason != "":
		return Invite{}, malformed(r.reason)
	}
	return i, nil
}

func keyFromSeed(seed []byte) (crypto.PrivKey, error) {
	k, _, err := crypto.GenerateEd25519Key(bytes.NewReader(seed))
	return k, err
}

func malformed(reason string) error {
	return &ParseError{Reason: "the invite is malformed: " + reason, Err: ErrMalformed}
}

// reader takes bytes from the front; the first fault stays in reason or err, and everything after it reads as zero.
type reader struct {
	b      []byte
	reason string
	err    error
}

func (r *reader) fail(reason string) {
	if r.reason == "" {
		r.reason = reason
	}
	r.b = nil
}

func (r *reader) bytes(n int) []byte {
	if n > len(r.b) {
		r.fail("its content ends early")
		return make([]byte, n)
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) byte() byte { return r.bytes(1)[0] }

// count reads a number that must not be above most.
func (r *reader) count(most int, what string) int {
	v, n := binary.Uvarint(r.b)
	switch {
	case n <= 0 || n > 1 && r.b[n-1] == 0: // cut off, too large, or not in the shortest form
		r.fail("it holds a number that can not be read")
		return 0
	case v > uint64(most):
		r.fail("it has too many " + what)
		return 0
	}
	r.b = r.b[n:]
	return int(v)
}

// doc puts a document together again and reads it as if it had come whole.
func (r *reader) doc(network NetworkID, kind Kind, signer, known peer.ID) Doc {
	sig := r.bytes(signatureSize)
	rest := r.bytes(r.count(MaxDoc, "bytes in a document"))
	if r.reason != "" || r.err != nil || keyOf(signer) == nil {
		r.fail("it has no chain of documents")
		return Doc{}
	}
	pub, err := crypto.UnmarshalEd25519PublicKey(keyOf(signer))
	if err != nil {
		r.fail("it holds a key that can not be read")
		return Doc{}
	}
	key, err := crypto.PublicKeyToProto(pub)
	if err != nil {
		r.fail("it holds a key that can not be read")
		return Doc{}
	}
	raw, err := proto.Marshal(&recordpb.Envelope{
		PublicKey: key, PayloadType: []byte(typePrefix + kind.String()),
		Payload: append(head(network, known), rest...), Signature: sig,
	})
	if err != nil {
		r.fail("it holds a document that can not be read")
		return Doc{}
	}
	d, err := ParseDoc(raw)
	switch {
	case errors.Is(err, ErrAltered):
		err = &ParseError{Reason: "the invite was altered: a signature in it is wrong", Err: ErrAltered}
	case err != nil:
		err = malformed(err.Error())
	case d.network != network: // the payload says the field again, and protobuf takes the last
		err = &ParseError{Reason: "the invite holds documents of another network", Err: ErrForeign}
	case known != "" && d.subject != known: // the same
		err = malformed("its key is not the one that was signed")
	}
	if err != nil && r.err == nil {
		r.err = err
	}
	if err != nil {
		r.b = nil
		return Doc{}
	}
	return d
}
