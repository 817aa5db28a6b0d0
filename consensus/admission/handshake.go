package admission

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"google.golang.org/protobuf/proto"

	"cairn/consensus/admission/pb"
	"cairn/consensus/membership"
)

// What a join and a hello may take and carry.
const (
	shakeTime  = 10 * time.Second // until the dialler is accepted or refused
	answerTime = 30 * time.Second // for the documents that follow
)

var (
	strangerDocs      = set{items: 256, bytes: 512 << 10} // each costs the check of a signature
	strangerPresences = set{items: 4, bytes: 4 * maxPresence}
	networkDocs       = set{items: membership.MaxDocs, bytes: 64 << 20}
	networkPresences  = set{items: membership.MaxMembers, bytes: 32 << 20}
)

// party is one side of a handshake between door hosts. Both sides prove their identities by a signature over both door ids, which the connection
// has authenticated, and fresh nonces of both: a statement that is replayed or passed on to a third peer fits nowhere.
type party struct {
	key     crypto.PrivKey
	network membership.NetworkID
	now     func() time.Time
}

// talk is a handshake under way.
type talk struct {
	party
	w         *wire
	statement *pb.Statement // all but role and time
	other     peer.ID       // the identity that the other side has proved
	skew      time.Duration // the other's clock is ahead by that
	docs      []membership.Doc
	presences [][]byte
}

func (p party) talk(st network.Stream, dialler, answerer peer.ID, proto protocol.ID) *talk {
	st.SetDeadline(time.Now().Add(shakeTime))
	return &talk{party: p, w: newWire(st), statement: &pb.Statement{
		Protocol: string(proto), Network: p.network[:], DiallerDoor: []byte(dialler), AnswererDoor: []byte(answerer)}}
}

// call opens a handshake over a stream of this side's, and ends when the other side has accepted and proved who it is. Errors are
// those of the stream, wrap ErrProtocol, or are a *RefusedError.
func (p party) call(st network.Stream, proto protocol.ID, docs []membership.Doc, presences [][]byte) (*talk, error) {
	t := p.talk(st, st.Conn().LocalPeer(), st.Conn().RemotePeer(), proto)
	t.statement.DiallerNonce = nonce()
	if err := t.w.write(&pb.Frame{Body: &pb.Frame_Open{Open: &pb.Open{Version: version, Nonce: t.statement.DiallerNonce}}}); err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	c, err := expect(t.w, (*pb.Frame).GetChallenge)
	if err != nil {
		return nil, p.against(err)
	}
	if t.statement.AnswererNonce = c.GetNonce(); len(c.GetNonce()) != nonceSize {
		return nil, fmt.Errorf("%w: a challenge of wrong length", ErrProtocol)
	}
	mine, err := t.prove(pb.Statement_DIALLER)
	if err != nil {
		return nil, err
	}
	frames := []*pb.Frame{{Body: &pb.Frame_Proof{Proof: &pb.Proof{Envelope: mine}}}}
	frames = append(frames, documentFrames(raws(docs), 0)...)
	// A refusal may have come while this was being written: what was read counts.
	werr := t.w.writeAll(append(frames, presenceFrames(presences)...))
	a, err := expect(t.w, (*pb.Frame).GetAccept)
	if err != nil {
		return nil, p.against(errors.Join(err, werr))
	}
	if err := t.check(a.GetEnvelope(), pb.Statement_ANSWERER); err != nil {
		return nil, err
	}
	st.SetDeadline(time.Now().Add(answerTime))
	return t, nil
}

// against gives a refusal its difference of clocks.
func (p party) against(err error) error {
	var r *RefusedError
	if errors.As(err, &r) {
		return r.against(p.now())
	}
	return err
}

// answer reads a handshake that another side has opened, up to its proof and documents. Nothing has been told until then but a nonce.
func (p party) answer(st network.Stream, proto protocol.ID) (*talk, error) {
	t := p.talk(st, st.Conn().RemotePeer(), st.Conn().LocalPeer(), proto)
	o, err := expect(t.w, (*pb.Frame).GetOpen)
	if err != nil {
		return nil, err
	}
	if t.statement.DiallerNonce = o.GetNonce(); len(o.GetNonce()) != nonceSize {
		return nil, fmt.Errorf("%w: an opening of wrong length", ErrProtocol)
	}
	t.statement.AnswererNonce = nonce()
	if err := t.w.write(&pb.Frame{Body: &pb.Frame_Challenge{Challenge: &pb.Challenge{Version: version, Nonce: t.statement.AnswererNonce}}}); err != nil {
		return nil, err
	}
	pr, err := expect(t.w, (*pb.Frame).GetProof)
	if err != nil {
		return nil, err
	}
	if err := t.check(pr.GetEnvelope(), pb.Statement_DIALLER); err != nil {
		return nil, err
	}
	raw, err := t.w.readDocuments(strangerDocs)
	if err != nil {
		return nil, err
	}
	if t.docs, err = parseDocs(raw); err != nil {
		return nil, err
	}
	if t.presences, err = t.w.readPresences(strangerPresences); err != nil {
		return nil, err
	}
	return t, nil
}

// accept tells the dialler that it is right, and who this side is.
func (t *talk) accept(st network.Stream) error {
	mine, err := t.prove(pb.Statement_ANSWERER)
	if err != nil {
		return err
	}
	st.SetDeadline(time.Now().Add(answerTime))
	return t.w.write(&pb.Frame{Body: &pb.Frame_Accept{Accept: &pb.Accept{Envelope: mine}}})
}

// prove signs the statement of this side.
func (t *talk) prove(role pb.Statement_Role) ([]byte, error) {
	s := proto.CloneOf(t.statement)
	s.Role, s.Time = role, t.now().UnixMilli()
	return seal(t.key, statementCodec, s)
}

// check verifies the statement of the other side.
func (t *talk) check(envelope []byte, role pb.Statement_Role) error {
	var s pb.Statement
	id, err := unseal(envelope, statementCodec, &s)
	if err != nil {
		return err
	}
	want := t.statement
	if s.GetRole() != role || s.GetProtocol() != want.GetProtocol() || string(s.GetNetwork()) != string(want.GetNetwork()) ||
		string(s.GetDiallerDoor()) != string(want.GetDiallerDoor()) || string(s.GetAnswererDoor()) != string(want.GetAnswererDoor()) ||
		string(s.GetDiallerNonce()) != string(want.GetDiallerNonce()) || string(s.GetAnswererNonce()) != string(want.GetAnswererNonce()) {
		return fmt.Errorf("%w: a proof made for something else", ErrProtocol)
	}
	t.other, t.skew = id, time.UnixMilli(s.GetTime()).Sub(t.now())
	return nil
}

func nonce() []byte {
	b := make([]byte, nonceSize)
	rand.Read(b)
	return b
}
