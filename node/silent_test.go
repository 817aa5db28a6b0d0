package node

import (
	"testing"

	"cairn/web/api"
)

// TestSilentMember: a member that is connected and does not answer is not shown as connected.
func TestSilentMember(t *testing.T) {
	a, _ := founded(t, Config{})
	b := joined(t, a, "second", api.InviteRequest{})
	id := b.identity.id()
	shown := func() bool {
		m, err := a.Member(t.Context(), id.String())
		if err != nil {
			t.Fatal(err)
		}
		return m.Connection != nil
	}
	if !shown() || a.networkStatus().Connected != 1 {
		t.Fatal("it is not connected")
	}
	a.seat().heard(id, false)
	if shown() || a.networkStatus().Connected != 0 {
		t.Error("one that does not answer is shown as connected")
	}
	a.seat().heard(id, true)
	if !shown() || a.networkStatus().Connected != 1 {
		t.Error("one that answers again is not shown as connected")
	}
}
