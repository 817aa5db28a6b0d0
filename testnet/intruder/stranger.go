package intruder

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	mss "github.com/multiformats/go-multistream"
)

// Stranger is a libp2p host that belongs to nobody, in the process of its owner, who closes it. It has no limits of
// its own and says whatever it is told to.
type Stranger struct{ host.Host }

// NewStranger makes a host with a key; nil: a random one.
func NewStranger(key crypto.PrivKey) (*Stranger, error) {
	if key == nil {
		var err error
		if key, _, err = crypto.GenerateEd25519Key(rand.Reader); err != nil {
			return nil, fmt.Errorf("make stranger: %w", err)
		}
	}
	h, err := libp2p.New(libp2p.Identity(key), libp2p.NoListenAddrs, libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.DisableRelay(), libp2p.DisableMetrics())
	if err != nil {
		return nil, fmt.Errorf("make stranger: %w", err)
	}
	return &Stranger{h}, nil
}

// Answer is how a host treated a stranger that asked for a protocol.
type Answer struct {
	Connected bool  // the handshake was done; a host that refuses ends the connection after it
	Accepted  bool  // it agreed to speak the protocol
	Err       error // why it did not
}

// Ask opens a stream and asks for one protocol. It trusts no list of what the other supports, because that is the
// other's word. The time of ctx is that of one question.
func (s *Stranger) Ask(ctx context.Context, to peer.AddrInfo, p protocol.ID) (a Answer) {
	st, a := s.Raw(ctx, to)
	if a.Err != nil {
		return a
	}
	defer st.Reset()
	if end, ok := ctx.Deadline(); ok {
		_ = st.SetDeadline(end) // a stream that is gone fails below
	}
	if a.Err = mss.SelectProtoOrFail(p, st); a.Err == nil {
		a.Accepted = true
	}
	return a
}

// Raw opens a stream on which not even a protocol was agreed on.
func (s *Stranger) Raw(ctx context.Context, to peer.AddrInfo) (st network.Stream, a Answer) {
	if a.Err = s.Connect(ctx, to); a.Err != nil {
		return nil, a
	}
	a.Connected = true
	st, a.Err = s.Network().NewStream(ctx, to.ID)
	return st, a
}

// Say opens a protocol, writes bytes and returns how long the other side let the stream live after that, which ctx
// bounds, and what it answered, at most 64 KiB.
func (s *Stranger) Say(ctx context.Context, to peer.AddrInfo, p protocol.ID, b []byte) (answer []byte, lived time.Duration, err error) {
	st, a := s.Raw(ctx, to)
	if a.Err != nil {
		return nil, 0, a.Err
	}
	defer st.Reset()
	if end, ok := ctx.Deadline(); ok {
		_ = st.SetDeadline(end) // a stream that is gone fails below
	}
	if err := mss.SelectProtoOrFail(p, st); err != nil {
		return nil, 0, fmt.Errorf("agree on %s: %w", p, err)
	}
	began := time.Now()
	_, _ = st.Write(b) // it may be ended before all was said
	answer, err = io.ReadAll(io.LimitReader(st, 64<<10))
	return answer, time.Since(began), err
}
