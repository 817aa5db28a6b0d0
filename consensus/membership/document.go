package membership

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/record"
	"google.golang.org/protobuf/proto"

	"cairn/consensus/membership/pb"
)

// Doc is one signed document. The zero value is none. Its methods never fail: ParseDoc has checked form and signature.
// A Doc is never changed and may be shared.
type Doc struct {
	raw     []byte
	id      DocID
	kind    Kind
	network NetworkID
	signer  peer.ID   // whose key signed it; of a join: the id of the invite's key
	subject peer.ID   // whom it is about, of an invite its own id; "" where that is nobody
	issued  time.Time // in whole seconds, UTC
	said    *statement
}

// statement holds what only some kinds say, in checked form.
type statement struct {
	name        string
	terms       Terms
	expires     time.Time
	uses        int
	bound       peer.ID
	mayDelegate bool
	reason      string
	ofInvite    bool
	doc         DocID
}

// domain and typePrefix are signed with each payload. The digit is the version of the form.
const (
	domain     = "cairn-membership"
	typeBrand  = "cairn/"
	typePrefix = typeBrand + "1/"
)

// IsZero tells whether d is no document.
func (d Doc) IsZero() bool { return d.raw == nil }

// Bytes returns a copy of the document as ParseDoc reads it.
func (d Doc) Bytes() []byte { return bytes.Clone(d.raw) }

// Size is the number of bytes of the document.
func (d Doc) Size() int { return len(d.raw) }

// ID returns the SHA-256 of the document's bytes.
func (d Doc) ID() DocID { return d.id }

// Kind returns what it is; 0 of the zero Doc.
func (d Doc) Kind() Kind { return d.kind }

// Network returns the network that it belongs to.
func (d Doc) Network() NetworkID { return d.network }

// Signer returns whose key signed it; of a join that is the invite's.
func (d Doc) Signer() peer.ID { return d.signer }

// Subject returns whom it is about; of an invite and its revocation that is the invite; "" of charters and settlements.
func (d Doc) Subject() peer.ID { return d.subject }

// Issued returns when it was signed by its signer's word, in whole seconds.
func (d Doc) Issued() time.Time { return d.issued }

// Name returns the name that a charter, certificate or join gives; "" of others.
func (d Doc) Name() string { return d.say().name }

// Terms returns what a certificate or an invite grants.
func (d Doc) Terms() Terms {
	t := d.say().terms
	t.Classes = slices.Clone(t.Classes)
	return t
}

// Expires returns the end of a certificate or an invite; the zero time of others.
func (d Doc) Expires() time.Time { return d.say().expires }

// Uses returns how many peers may join by an invite; 0 of others.
func (d Doc) Uses() int { return d.say().uses }

// For returns the one peer that may use an invite; "" when any may.
func (d Doc) For() peer.ID { return d.say().bound }

// MayDelegate tells whether a delegation lets its subject make administrators.
func (d Doc) MayDelegate() bool { return d.say().mayDelegate }

// Reason returns that of a revocation.
func (d Doc) Reason() string { return d.say().reason }

// OfInvite tells whether a revocation is about an invite.
func (d Doc) OfInvite() bool { return d.say().ofInvite }

// Refers returns the document that it is about: of a join its invite, of an admission the join, of a settlement the
// revocation.
func (d Doc) Refers() DocID { return d.say().doc }

// InviteID returns the invite that a join takes or that an invite's document or revocation is about; "" of others.
func (d Doc) InviteID() peer.ID {
	switch {
	case d.kind == KindJoin:
		return d.signer
	case d.kind == KindInvite, d.kind == KindRevocation && d.said.ofInvite:
		return d.subject
	}
	return ""
}

// Early tells whether it was issued more than MaxSkew after now, which means that a clock is wrong.
func (d Doc) Early(now time.Time) bool { return d.issued.After(now.Add(MaxSkew)) }

// String describes it for logs.
func (d Doc) String() string {
	if d.IsZero() {
		return "no document"
	}
	s := fmt.Sprintf("%s %s by %s", d.kind, hex.EncodeToString(d.id[:4]), short(d.signer))
	if d.subject != "" {
		s += " about " + short(d.subject)
	}
	return s
}

func (d Doc) say() *statement {
	if d.said == nil {
		return &statement{}
	}
	return d.said
}

// payload is a record.Record: what an envelope carries, not yet understood.
type payload struct {
	kind []byte
	b    []byte
}

func (p *payload) Domain() string                 { return domain }
func (p *payload) Codec() []byte                  { return p.kind }
func (p *payload) MarshalRecord() ([]byte, error) { return p.b, nil }
func (p *payload) UnmarshalRecord(b []byte) error { p.b = b; return nil }

// ParseDoc reads a document. Errors wrap ErrMalformed, ErrNewer or ErrAltered. A document has one form in bytes only, so
// that nobody can make several of one by writing it otherwise.
func ParseDoc(b []byte) (Doc, error) {
	if len(b) > MaxDoc {
		return Doc{}, faultf(ErrMalformed, "the document has %d bytes, at most %d are allowed", len(b), MaxDoc)
	}
	// libp2p's reader of envelopes tells a wrong form from a wrong signature only by whether it returns an envelope.
	env, err := record.ConsumeTypedEnvelope(b, &payload{})
	switch {
	case env == nil || env.PublicKey == nil:
		return Doc{}, faultf(ErrMalformed, "this is not a document of a network")
	case env.PublicKey.Type() != crypto.Ed25519:
		return Doc{}, faultf(ErrMalformed, "the document is signed with a key that is not Ed25519")
	case err != nil:
		return Doc{}, faultf(ErrAltered, "the document's signature is wrong: it was altered")
	}
	if again, err := env.Marshal(); err != nil || !bytes.Equal(again, b) {
		return Doc{}, faultf(ErrMalformed, "the document is not in its shortest form")
	}
	kind, err := parseType(string(env.PayloadType))
	if err != nil {
		return Doc{}, err
	}
	signer, err := peer.IDFromPublicKey(env.PublicKey)
	if err != nil {
		return Doc{}, faultf(ErrMalformed, "the document's key can not be read")
	}
	var m pb.Statement
	if err := proto.Unmarshal(env.RawPayload, &m); err != nil {
		return Doc{}, faultf(ErrMalformed, "the %s can not be read", kind)
	}
	d := Doc{raw: bytes.Clone(b), id: sha256.Sum256(b), kind: kind, signer: signer, said: &statement{}}
	if err := d.read(&m); err != nil {
		return Doc{}, faultf(ErrMalformed, "the %s is malformed: %v", kind, err)
	}
	return d, nil
}

func parseType(s string) (Kind, error) {
	rest, ok := strings.CutPrefix(s, typeBrand)
	if !ok {
		return 0, faultf(ErrMalformed, "this is not a document of a network")
	}
	version, name, _ := strings.Cut(rest, "/")
	if k := slices.Index(kinds[:], name); version == "1" && k > 0 {
		return Kind(k), nil
	}
	return 0, faultf(ErrNewer, "the document was made by a newer version of cairn")
}

// sign makes a document; what it says is checked as if it came from outside.
func sign(key crypto.PrivKey, kind Kind, m *pb.Statement) (Doc, error) {
	if _, err := signerOf(key); err != nil {
		return Doc{}, fmt.Errorf("sign %s: %w", kind, err)
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return Doc{}, fmt.Errorf("sign %s: %w: %w", kind, ErrMalformed, err)
	}
	env, err := record.Seal(&payload{[]byte(typePrefix + kind.String()), b}, key)
	if err != nil {
		return Doc{}, fmt.Errorf("sign %s: %w", kind, err)
	}
	raw, err := env.Marshal()
	if err != nil {
		return Doc{}, fmt.Errorf("sign %s: %w", kind, err)
	}
	return ParseDoc(raw)
}
