package admission

import (
	"errors"
	"testing"
	"time"

	"cairn/consensus/membership"
)

func TestRenewKeepsTermsAndChangesName(t *testing.T) {
	r := newRealm(t)
	all := r.crowd(1, nil)
	a, b := all[0], all[1]
	before := b.s.Self()
	if err := b.s.Renew(t.Context(), "bertha"); err != nil {
		t.Fatal(err)
	}
	after := b.s.Self()
	if after.Name != "bertha" || after.Terms.Role != before.Terms.Role || after.Issuer != a.id {
		t.Errorf("%+v", after)
	}
	if err := b.s.Renew(t.Context(), "a\nb"); !errors.Is(err, ErrName) {
		t.Errorf("a name with a line break: %v", err)
	}
	if err := a.s.Renew(t.Context(), ""); err != nil {
		t.Errorf("an administrator by itself: %v", err)
	}
	if _, err := a.s.Publish(t.Context(), r.must(membership.Revoke(a.key, r.id, b.id, "", time.Now()))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "b knows", 5*time.Second, func() bool { return b.s.Self().State == membership.StateRevoked })
	if err := b.s.Renew(t.Context(), ""); !errors.Is(err, ErrNotMember) {
		t.Errorf("renewed although revoked: %v", err)
	}
}

func TestOldCertificatesAreRenewedByThemselves(t *testing.T) {
	r := newRealm(t)
	ahead := func() time.Time { return time.Now().Add(membership.RenewAfter + time.Hour) }
	all := r.crowd(1, func(m *member) {
		m.now = ahead
		m.tune = func(s *Service) { hurried(s); s.t.renew = 50 * time.Millisecond }
	})
	for _, m := range all {
		eventually(t, m.name+" is renewed", 10*time.Second, func() bool { return ahead().Sub(m.s.Self().Issued) < time.Hour })
	}
}

func TestAWeekAwayEndsAtAnAdministratorsDoor(t *testing.T) {
	r := newRealm(t)
	all := r.crowd(2, nil)
	a, b, c := all[0], all[1], all[2]
	for _, m := range all {
		m.stop()
	}
	late := func() time.Time { return time.Now().Add(8 * 24 * time.Hour) }
	a.now, b.now, c.now = late, late, late
	a.start()
	b.start()
	a.finds(b) // the administrator is the one that dials
	waitConnected(t, a, b)
	eventually(t, "b has its new certificate", 5*time.Second, func() bool { return b.s.Self().State == membership.StateValid })
	if i := b.s.Self(); i.State != membership.StateValid {
		t.Errorf("b: %+v", i)
	}
	// One that was revoked meanwhile does not come back.
	if _, err := a.s.Publish(t.Context(), r.must(membership.Revoke(a.key, r.id, c.id, "", late()))); err != nil {
		t.Fatal(err)
	}
	c.start().finds(a)
	eventually(t, "c hears that it is revoked", 10*time.Second, func() bool { return c.s.Self().State == membership.StateRevoked })
	if a.connected(c) || a.gate.Admits(c.id) {
		t.Error("c is back")
	}
}

func TestSkewIsTold(t *testing.T) {
	r := newRealm(t)
	r.first.start()
	b := r.certified("b", membership.Member)
	b.now = func() time.Time { return time.Now().Add(time.Hour) }
	b.start().knows(r.first)
	waitConnected(t, r.first, b)
	eventually(t, "the first is told", 5*time.Second, func() bool {
		r.first.mu.Lock()
		defer r.first.mu.Unlock()
		return (r.first.skews[b.id] - time.Hour).Abs() < time.Minute
	})
}

func TestFloorHoldsAgainstAClockFrom1970(t *testing.T) {
	r := newRealm(t)
	all := r.crowd(1, nil)
	a, b := all[0], all[1]
	b.stop()
	b.now = func() time.Time { return time.Unix(3600, 0) }
	b.start()
	waitConnected(t, a, b)
	if i := b.s.Self(); i.State != membership.StateValid {
		t.Errorf("it has locked itself out: %+v", i)
	}
	rev := r.must(membership.Revoke(a.key, r.id, b.id, "", time.Now()))
	if _, err := a.s.Publish(t.Context(), rev); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a revocation counts whatever the clock says", 5*time.Second, func() bool { return b.s.Self().State == membership.StateRevoked })
}

func TestDocumentsFromTheFutureDoNotMoveTheFloor(t *testing.T) {
	r := newRealm(t)
	a := r.first.start()
	before := a.s.time()
	id := idOf(t, newKey(t))
	far := r.must(membership.Certify(a.key, r.id, id, "far", membership.Terms{Role: membership.Member}, time.Now().Add(72*time.Hour), time.Hour))
	if added, _ := a.s.take([]membership.Doc{far}, nil); len(added) != 0 {
		t.Error("a certificate from the future was taken")
	}
	leave := r.must(membership.Revoke(a.key, r.id, a.id, "", time.Now().Add(100*365*24*time.Hour)))
	a.s.take([]membership.Doc{leave}, nil)
	if d := a.s.time().Sub(before); d > time.Minute {
		t.Errorf("the present is %v later now", d)
	}
}
