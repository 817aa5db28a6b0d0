package admission

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"cairn/consensus/membership"
)

const (
	joinStep = 300 * time.Millisecond // between the contacts of an invite
	busyWait = 200 * time.Millisecond // before a contact that is busy is asked again, doubled up to 2 s
)

// JoinConfig is what a peer needs to join. All but Now are required.
type JoinConfig struct {
	Door     host.Host // of this peer; it only dials
	Identity crypto.PrivKey
	Invite   membership.Invite
	Name     string           // of this peer
	Now      func() time.Time // nil: time.Now
}

// Joined is what a new member gets.
type Joined struct {
	By        peer.ID          // the member that let this peer in
	Docs      []membership.Doc // all of the network, the charter among them
	Presences [][]byte         // of the members
	Skew      time.Duration    // that member's clock is ahead of this one
}

// Records are to be put into the store of the Service that is made next.
func (j Joined) Records() []Record {
	out := Records(j.Docs...)
	charter, ok := charterOf(j.Docs)
	for _, b := range j.Presences {
		if p, err := parsePresence(b, charter.Network()); ok && err == nil {
			out = append(out, Record{presencePrefix + p.id.String(), b})
		}
	}
	return out
}

// Join redeems an invite. All contacts of the invite are tried, each a moment after the one before or as soon as that has failed; the first
// good answer wins. Errors wrap those of package membership, ErrRefused, ErrUnreachable, or are that of ctx; when contacts fail for several
// reasons, the one that says most is told.
func Join(ctx context.Context, cfg JoinConfig) (Joined, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if err := membership.CheckName(cfg.Name); err != nil {
		return Joined{}, fmt.Errorf("join: %w: %w", ErrName, err)
	}
	join, err := cfg.Invite.Join(cfg.Identity, cfg.Name, cfg.Now())
	if err != nil {
		return Joined{}, fmt.Errorf("join: %w", err)
	}
	docs := append([]membership.Doc{cfg.Invite.Doc, join}, cfg.Invite.Chain...)
	contacts := cfg.Invite.Contacts
	if len(contacts) == 0 {
		return Joined{}, fmt.Errorf("join: %w: the invite names no contact", ErrUnreachable)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		j   Joined
		err error
	}
	results := make(chan result, len(contacts))
	started, running := 0, 0
	start := func() {
		if started < len(contacts) {
			c := contacts[started]
			started++
			running++
			go func() {
				j, err := cfg.askLong(ctx, c, docs)
				results <- result{j, err}
			}()
		}
	}
	step := time.NewTicker(joinStep)
	defer step.Stop()
	var won *Joined
	for start(); running > 0; {
		select {
		case r := <-results:
			running--
			switch {
			case r.err == nil && won == nil:
				won = &r.j
				cancel() // and wait for the others, which use the host
			case r.err != nil && won == nil:
				err = tellsMore(err, r.err)
				start()
			}
		case <-step.C:
			if won == nil {
				start()
			}
		}
	}
	if won != nil {
		return *won, nil
	}
	if ctx.Err() != nil && !errors.As(err, new(*RefusedError)) {
		err = ctx.Err()
	}
	return Joined{}, fmt.Errorf("join: %w", err)
}

// tellsMore picks the error of more use.
func tellsMore(a, b error) error {
	grade := func(err error) int {
		switch {
		case err == nil:
			return 0
		case errors.Is(err, ErrUnreachable):
			return 1
		case errors.Is(err, ErrProtocol), errors.Is(err, ErrBusy):
			return 2
		case errors.Is(err, ErrRefused), errors.Is(err, ErrFailed):
			return 3
		}
		return 4
	}
	if grade(b) > grade(a) {
		return b
	}
	return a
}

// brokenTries is how often a contact is asked whose connection broke.
const brokenTries = 3

// askLong asks one contact until it is not busy. A connection that breaks in the middle is tried again: the answer is
// the same, and somebody who has just left a network meets the end of his old connections.
func (cfg JoinConfig) askLong(ctx context.Context, c membership.Contact, docs []membership.Doc) (Joined, error) {
	broken := 0
	for wait := busyWait; ; wait = min(2*wait, 2*time.Second) {
		j, err := cfg.ask(ctx, c, docs)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, network.ErrReset) {
			broken++
		} else if !errors.Is(err, ErrBusy) {
			return j, err
		}
		if broken == brokenTries || ctx.Err() != nil {
			return j, err
		}
		pause := time.NewTimer(wait/2 + rand.N(wait))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return j, err
		}
	}
}

// ask tries one contact once.
func (cfg JoinConfig) ask(ctx context.Context, c membership.Contact, docs []membership.Doc) (j Joined, err error) {
	dctx, cancel := context.WithTimeout(ctx, shakeTime)
	defer cancel()
	st, err := dialDoor(dctx, cfg.Door, peer.AddrInfo{ID: c.Door, Addrs: c.Addrs}, func() (network.Stream, error) {
		return cfg.Door.NewStream(dctx, c.Door, JoinProtocol)
	})
	if err != nil {
		return j, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	defer st.Reset()
	defer context.AfterFunc(ctx, func() { st.Reset() })()
	t, err := party{cfg.Identity, cfg.Invite.Charter.Network(), cfg.Now}.call(st, JoinProtocol, docs, nil)
	if errors.Is(err, network.ErrReset) {
		return j, fmt.Errorf("%w: %w", ErrBusy, err)
	}
	if err != nil {
		return j, err
	}
	raw, err := t.w.readDocuments(networkDocs)
	if err != nil {
		return j, err
	}
	got, err := parseDocs(raw)
	if err != nil {
		return j, err
	}
	if j.Presences, err = t.w.readPresences(networkPresences); err != nil {
		return j, err
	}
	j.By, j.Skew = t.other, t.skew
	j.Docs = append([]membership.Doc{cfg.Invite.Charter}, got...)
	return j, cfg.judge(j)
}

// judge checks that the answer makes this peer a member, by the invite's charter and not by the word of who answered.
func (cfg JoinConfig) judge(j Joined) error {
	self, err := peer.IDFromPrivateKey(cfg.Identity)
	if err != nil {
		return err
	}
	b, err := membership.NewBook(cfg.Invite.Charter)
	if err != nil {
		return err
	}
	_, _ = b.Merge(j.Docs...) // what has no authority is not counted below
	now := cfg.Now()
	theirs := now.Add(j.Skew)
	if b.Peer(j.By, theirs).State != membership.StateValid {
		return fmt.Errorf("%w: who answered is no member of this network", ErrProtocol)
	}
	if st := b.Peer(self, theirs).State; st != membership.StateValid {
		return &RefusedError{Err: stateError(st), Skew: j.Skew}
	}
	if st := b.Peer(self, later(now, floorOf(j.Docs))).State; st != membership.StateValid { // a member, but by this clock it is not
		return &RefusedError{Err: stateError(st), Skew: j.Skew}
	}
	return nil
}
