package exchange

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"google.golang.org/protobuf/proto"

	"cairn/storage/block"
	"cairn/swarm/exchange/pb"
	"cairn/swarm/ticket"
)

// readBuffer is the size of the buffer before a stream, in bytes: small, because the part of a large payload
// that lands in it is copied once more.
const readBuffer = 16 << 10

// handshake proves both ways and takes a place among the sessions, within the deadline of the stream. On an error the
// stream has been dealt with.
//
// What a peer without the key sees must not depend on what exists here: every well-formed Hello gets a
// Challenge, the key is looked up only when the Proof has come, a key that is not known is replaced by a random
// one, so that the same HMAC is computed, and the answer to every failure is the same Refused.
func (s *Server) handshake(st network.Stream, x *shake) (_ *session, err error) {
	p := x.peer
	ss := newSession(s, st, p)
	defer func() {
		var no *refusal
		switch {
		case err == nil:
		case errors.As(err, &no):
			s.count.refused.Add(1)
			if werr := ss.say(appendMessage(nil, kindRefused, &pb.Refused{Reason: no.reason})); werr != nil {
				st.Reset()
				return
			}
			st.Close()
		default:
			if errors.Is(err, ErrProtocol) {
				s.count.violations.Add(1)
			}
			st.Reset()
		}
	}()
	ctx, cancel := context.WithDeadline(context.Background(), x.began.Add(s.cfg.Timeouts.Handshake))
	defer cancel()

	var hello pb.Hello
	if err := expect(ss.r, toServer, kindHello, &hello); err != nil {
		return nil, err
	}
	ss.info.News = hello.GetNews()
	id, clientNonce := hello.GetKeyId(), hello.GetClientNonce()
	if len(id) != len(ticket.KeyID{}) || len(clientNonce) != 32 {
		return nil, fmt.Errorf("%w: hello with fields of wrong length", ErrProtocol)
	}
	var serverNonce [32]byte
	rand.Read(serverNonce[:])
	if err := ss.say(appendMessage(nil, kindChallenge, &pb.Challenge{Version: version, ServerNonce: serverNonce[:]})); err != nil {
		return nil, err
	}
	var proof pb.Proof
	if err := expect(ss.r, toServer, kindProof, &proof); err != nil {
		return nil, err
	}
	if len(proof.GetHmac()) != 32 {
		return nil, fmt.Errorf("%w: proof of wrong length", ErrProtocol)
	}

	grant, known := s.cfg.Rights.Lookup(ticket.KeyID(id))
	if !known {
		grant = Grant{Key: s.dummy, Root: noRoot()}
	}
	me := st.Conn().LocalPeer()
	right := grant.Key.Check([32]byte(proof.GetHmac()), ticket.Client, [32]byte(clientNonce), serverNonce, p, me, grant.Root)
	if !known || !right {
		return nil, &refusal{reason: pb.Refused_DENIED}
	}
	if !s.proven(x) {
		return nil, fmt.Errorf("%w: too slow while others wait", ErrStalled)
	}
	if grant.State != nil {
		return nil, &refusal{reason: reasonOf(grant.State)}
	}
	ss.grant(ticket.KeyID(id), grant)
	tree, release, err := s.cfg.Content.Tree(ctx, grant)
	if err != nil {
		s.cfg.Log.Warn("shared object can not be read", "root", grant.Root.String(), "error", err)
		return nil, &refusal{reason: pb.Refused_GONE}
	}
	ss.tree, ss.release = tree, release
	ss.part, ss.info.Partial = tree.(Partial)
	if !s.add(ss) {
		release()
		return nil, &refusal{reason: pb.Refused_BUSY}
	}
	mine := grant.Key.Proof(ticket.Server, [32]byte(clientNonce), serverNonce, p, me, grant.Root)
	accept := &pb.Accept{
		Hmac: mine[:], Size: uint64(max(grant.Size, 0)), Leaves: uint64(tree.NumLeaves()),
		Partial: ss.info.Partial, Others: uint32(s.others(ss)), NoSwarm: grant.NoSwarm,
	}
	if err := ss.say(appendMessage(nil, kindAccept, accept)); err != nil {
		s.remove(ss)
		release()
		return nil, err
	}
	s.count.accepted.Add(1)
	st.SetDeadline(time.Time{})
	return ss, nil
}

// expect reads one message of one kind.
func expect(r *bufio.Reader, to direction, k kind, m proto.Message) error {
	h, err := readHeader(r, to)
	if err != nil {
		return within(err)
	}
	if h.kind != k {
		return fmt.Errorf("%w: frame %#x where %#x belongs", ErrProtocol, byte(h.kind), byte(k))
	}
	return readMessage(r, h, m)
}

// noRoot is a root of the usual length for keys that are not known.
func noRoot() cid.Cid { return block.FromDigest(cid.Raw, [32]byte{}) }

// refusal ends a session or a handshake with a Refused.
type refusal struct{ reason pb.Refused_Reason }

func (r *refusal) Error() string { return "refused: " + errorOf(r.reason).Error() }

func (r *refusal) Unwrap() error { return errorOf(r.reason) }

// reasonOf and errorOf translate between sentinels and the wire.
func reasonOf(err error) pb.Refused_Reason {
	switch {
	case errors.Is(err, ErrExpired):
		return pb.Refused_EXPIRED
	case errors.Is(err, ErrUsedUp):
		return pb.Refused_USED_UP
	case errors.Is(err, ErrRevoked):
		return pb.Refused_REVOKED
	case errors.Is(err, ErrBusy):
		return pb.Refused_BUSY
	case errors.Is(err, ErrGone):
		return pb.Refused_GONE
	}
	return pb.Refused_INTERNAL
}

func errorOf(r pb.Refused_Reason) error {
	switch r {
	case pb.Refused_DENIED:
		return ErrRefused
	case pb.Refused_EXPIRED:
		return ErrExpired
	case pb.Refused_USED_UP:
		return ErrUsedUp
	case pb.Refused_REVOKED:
		return ErrRevoked
	case pb.Refused_BUSY:
		return ErrBusy
	case pb.Refused_GONE:
		return ErrGone
	}
	return ErrFailed
}
