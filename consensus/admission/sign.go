package admission

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/record"
	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/proto"

	"cairn/consensus/admission/pb"
	"cairn/consensus/membership"
)

// What signed envelopes are bound to: one kind can not stand for another, nor for a document of package membership.
const (
	signDomain     = "cairn-admission"
	statementCodec = "/cairn/statement"
	presenceCodec  = "/cairn/presence"
)

// Limits of presences.
const (
	maxPresence = 8 << 10 // bytes of an envelope
	maxAddrs    = 16      // of each of the two hosts
	maxSoftware = 64      // bytes
)

// sealed is a message inside a signed envelope; it implements record.Record.
type sealed struct {
	codec string
	m     proto.Message
}

func (sealed) Domain() string                   { return signDomain }
func (s sealed) Codec() []byte                  { return []byte(s.codec) }
func (s sealed) MarshalRecord() ([]byte, error) { return proto.Marshal(s.m) }
func (s sealed) UnmarshalRecord(b []byte) error { return proto.Unmarshal(b, s.m) }

func seal(key crypto.PrivKey, codec string, m proto.Message) ([]byte, error) {
	e, err := record.Seal(sealed{codec, m}, key)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return e.Marshal()
}

// unseal checks an envelope, fills m and returns who signed it.
func unseal(b []byte, codec string, m proto.Message) (peer.ID, error) {
	e, err := record.ConsumeTypedEnvelope(b, sealed{codec, m})
	if err != nil {
		return "", fmt.Errorf("%w: a signature is wrong", ErrProtocol)
	}
	if string(e.PayloadType) != codec || e.PublicKey.Type() != crypto.Ed25519 {
		return "", fmt.Errorf("%w: a signed message of another kind", ErrProtocol)
	}
	return peer.IDFromPublicKey(e.PublicKey)
}

// presence says where a member is, in its own words.
type presence struct {
	id       peer.ID
	instance uint64
	seq      int64 // milliseconds since 1970
	door     peer.ID
	doors    []ma.Multiaddr // addresses of the door host
	members  []ma.Multiaddr // of the member host
	software string
	raw      []byte // the envelope
}

func (p *presence) sign(key crypto.PrivKey, network membership.NetworkID) (err error) {
	id := []byte(p.id)
	p.raw, err = seal(key, presenceCodec, &pb.Presence{
		Version: version, Network: network[:], Id: id, Instance: p.instance, Seq: uint64(p.seq), Door: []byte(p.door),
		DoorAddrs: addrBytes(p.doors), MemberAddrs: addrBytes(p.members), Software: p.software,
	})
	if err == nil && len(p.raw) > maxPresence {
		err = errors.New("sign presence: too many addresses")
	}
	return err
}

// parsePresence checks form, network and signature.
func parsePresence(b []byte, network membership.NetworkID) (*presence, error) {
	if len(b) > maxPresence {
		return nil, fmt.Errorf("%w: a presence of %d bytes", ErrProtocol, len(b))
	}
	var m pb.Presence
	signer, err := unseal(b, presenceCodec, &m)
	if err != nil {
		return nil, err
	}
	door, err := peer.IDFromBytes(m.GetDoor())
	if err != nil || string(m.GetId()) != string(signer) || string(m.GetNetwork()) != string(network[:]) || m.GetSeq()>>62 != 0 {
		return nil, fmt.Errorf("%w: a presence that is not right", ErrProtocol)
	}
	p := &presence{id: signer, instance: m.GetInstance(), seq: int64(m.GetSeq()), door: door, software: printable(m.GetSoftware(), maxSoftware), raw: b}
	if p.doors, err = parseAddrs(m.GetDoorAddrs()); err != nil {
		return nil, err
	}
	if p.members, err = parseAddrs(m.GetMemberAddrs()); err != nil {
		return nil, err
	}
	return p, nil
}

// same tells whether o says nothing else than p, but for the time.
func (p *presence) same(o *presence) bool {
	return p.instance == o.instance && p.door == o.door && p.software == o.software && sameAddrs(p.doors, o.doors) && sameAddrs(p.members, o.members)
}

func (p *presence) when() time.Time { return time.UnixMilli(p.seq) }

func sameAddrs(a, b []ma.Multiaddr) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !a[i].Equal(b[i]) {
			return false
		}
	}
	return true
}

func addrBytes(as []ma.Multiaddr) (out [][]byte) {
	for _, a := range as[:min(len(as), maxAddrs)] {
		out = append(out, a.Bytes())
	}
	return out
}

// parseAddrs reads addresses; what is not IP over TCP or UDP is left out: nobody else's words make this peer ask a name server.
func parseAddrs(bs [][]byte) (out []ma.Multiaddr, err error) {
	if len(bs) > maxAddrs {
		return nil, fmt.Errorf("%w: %d addresses", ErrProtocol, len(bs))
	}
	for _, b := range bs {
		a, err := ma.NewMultiaddrBytes(b)
		if err != nil {
			return nil, fmt.Errorf("%w: an address can not be read", ErrProtocol)
		}
		if len(a) < 2 || a[0].Code() != ma.P_IP4 && a[0].Code() != ma.P_IP6 || a[1].Code() != ma.P_TCP && a[1].Code() != ma.P_UDP {
			continue
		}
		out = append(out, a)
	}
	return out, nil
}

// printable cuts text from outside to what can be shown.
func printable(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
	for len(s) > most {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s
}
