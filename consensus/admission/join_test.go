package admission

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cairn/consensus/membership"
)

func TestJoinMakesAMemberThatConnects(t *testing.T) {
	r := newRealm(t)
	a := r.first.start()
	b, err := r.join(t.Context(), a.invite(membership.InviteTerms{}, a), "b", newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	b.start()
	waitConnected(t, a, b)
	if i := a.book.Peer(b.id, time.Now()); i.Name != "b" || i.State != membership.StateValid || i.Issuer != a.id {
		t.Errorf("the administrator knows %+v", i)
	}
	eventually(t, "both books are the same", 5*time.Second, func() bool { return a.book.Digest() == b.book.Digest() })
}

func TestJoinAtAMemberWhileTheInviterSleeps(t *testing.T) {
	r := newRealm(t)
	a := r.first.start()
	b := r.certified("b", membership.Member).start()
	b.knows(a)
	waitConnected(t, a, b)
	i := a.invite(membership.InviteTerms{}, a, b)
	a.stop()
	c, err := r.join(t.Context(), i, "c", newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	c.start()
	waitConnected(t, b, c)
	// The inviter wakes up, knows nothing of c, and is reached all the same.
	a.start()
	waitConnected(t, a, b, c)
}

func TestHundredParallelRedeems(t *testing.T) {
	r := newRealm(t)
	a := r.first.start()
	i := a.invite(membership.InviteTerms{}, a)
	var won, used atomic.Int32
	var winner atomic.Pointer[Joined]
	var wg sync.WaitGroup
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	door := newHost(t, newKey(t), nil) // all through one: a hundred hosts cost more than what is tested
	keys := make([]JoinConfig, 100)
	for n := range keys {
		keys[n] = JoinConfig{Door: door, Identity: newKey(t), Invite: i, Name: "n"}
	}
	var mine atomic.Int32
	for n := range keys {
		wg.Go(func() {
			j, err := Join(ctx, keys[n])
			switch {
			case err == nil:
				won.Add(1)
				winner.Store(&j)
				mine.Store(int32(n))
			case errors.Is(err, membership.ErrUsed):
				used.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 || used.Load() != 99 {
		t.Fatalf("%d won and %d heard that it is used, want 1 and 99", won.Load(), used.Load())
	}
	again, err := Join(ctx, keys[mine.Load()])
	if err != nil {
		t.Fatalf("the winner's retry: %v", err)
	}
	if x, y := admissions(winner.Load().Docs), admissions(again.Docs); len(x) != 1 || len(y) != 1 || x[0] != y[0] {
		t.Errorf("the winner's retry got another answer: %v, %v", x, y)
	}
	a.stop()
	a.start()
	cfg := keys[mine.Load()]
	cfg.Invite.Contacts = a.invite(membership.InviteTerms{}, a).Contacts
	if _, err := Join(ctx, cfg); err != nil {
		t.Errorf("the winner's retry after a restart: %v", err)
	}
	cfg.Identity = newKey(t)
	if _, err := Join(ctx, cfg); !errors.Is(err, membership.ErrUsed) {
		t.Errorf("somebody else after a restart: %v", err)
	}
}

func admissions(docs []membership.Doc) (out []membership.DocID) {
	for _, d := range docs {
		if d.Kind() == membership.KindAdmission {
			out = append(out, d.ID())
		}
	}
	return out
}

func TestRevocationCutsOffAndTellsWhy(t *testing.T) {
	r := newRealm(t)
	a := r.first.start()
	b, c := r.certified("b", membership.Member).start(), r.certified("c", membership.Member).start()
	b.knows(a)
	c.knows(a)
	waitConnected(t, a, b, c)
	rev, err := membership.Revoke(a.key, r.id, c.id, "lost", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	told, err := a.s.Publish(t.Context(), rev)
	if err != nil || told != 1 {
		t.Errorf("told %d, %v; want 1", told, err)
	}
	eventually(t, "c is cut off", 5*time.Second, func() bool {
		return len(a.host.Network().ConnsToPeer(c.id)) == 0 && len(b.host.Network().ConnsToPeer(c.id)) == 0
	})
	eventually(t, "c knows why", 5*time.Second, func() bool { return c.book.Peer(c.id, time.Now()).State == membership.StateRevoked })
	if b.gate.Admits(c.id) || a.gate.Admits(c.id) {
		t.Error("a gate is open for the revoked member")
	}
}
